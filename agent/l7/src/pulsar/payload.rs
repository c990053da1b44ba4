//! What follows the command of SEND and MESSAGE: the metadata of a message or a batch.
//!
//! ```text
//! payload  := [0x0e02  len: u32  broker metadata]  [0x0e01  crc: u32]
//!             len: u32  metadata  (message | batched*)
//! batched  := len: u32  metadata of one  message          (compressed or encrypted together)
//! ```
//! pulsar.apache.org/docs/next/developing-binary-protocol, "Payload commands".

use crate::bytes::Reader;
use crate::protobuf::{Fields, Value};

const BROKER_METADATA: u16 = 0x0e02;
const CHECKSUM: u16 = 0x0e01;

/// Fields of MessageMetadata.
const PROPERTIES: u64 = 4;
const COMPRESSION: u64 = 8;
const MESSAGES: u64 = 11;
const ENCRYPTION_KEYS: u64 = 13;

/// Field of SingleMessageMetadata.
const SINGLE_PROPERTIES: u64 = 1;

/// Calls `take` with name and value of each property of the message, or of the first of a batch.
pub(crate) fn properties(payload: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) {
    let _ = read(payload, take);
}

fn read(payload: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) -> Option<()> {
    let mut reader = Reader::new(payload);
    if magic(&reader) == Some(BROKER_METADATA) {
        reader.take(2)?;
        let length = reader.u32_be()?;
        reader.take(length as usize)?;
    }
    if magic(&reader) == Some(CHECKSUM) {
        reader.take(2 + 4)?;
    }
    let length = reader.u32_be()?;
    let metadata = reader.take_up_to(length as usize);
    let (mut is_batch, mut is_open) = (false, true);
    for (number, value) in Fields::of(metadata) {
        match (number, value) {
            (PROPERTIES, Value::Bytes(property)) => pair(property, take),
            (COMPRESSION, Value::Number(kind)) => is_open &= kind == 0,
            (MESSAGES, _) => is_batch = true,
            (ENCRYPTION_KEYS, _) => is_open = false,
            _ => {}
        }
    }
    if !is_batch || !is_open {
        return Some(());
    }
    let length = reader.u32_be()?;
    for (number, value) in Fields::of(reader.take_up_to(length as usize)) {
        if let (SINGLE_PROPERTIES, Value::Bytes(property)) = (number, value) {
            pair(property, take);
        }
    }
    Some(())
}

fn magic(reader: &Reader<'_>) -> Option<u16> {
    Reader::new(reader.rest()).u16_be()
}

/// A KeyValue: name and value.
fn pair(property: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) {
    let (mut name, mut text): (&[u8], &[u8]) = (&[], &[]);
    for (number, value) in Fields::of(property) {
        match (number, value) {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Bytes(bytes)) => text = bytes,
            _ => {}
        }
    }
    take(name, text);
}
