//! OP_COMPRESSED: a message whose body is compressed.
//!
//! In: the body of such a message. Out: the message inside, as much of it as a record needs.
//! zstd is not read: of such a message only its kind and ids are known.

use crate::bytes::Reader;
use crate::inflate::Inflater;
use crate::mongodb::wire::{self, HEADER_BYTES, Message};
use crate::snappy;

const NONE: u8 = 0;
const SNAPPY: u8 = 1;
const ZLIB: u8 = 2;

/// The first bytes of a body, plain.
#[derive(Debug)]
pub(crate) struct Plain {
    opcode: u32,
    bytes: usize,
    body: Vec<u8>,
}

impl Plain {
    /// The message that was compressed.
    pub fn message<'a>(&'a self, outer: &Message<'_>) -> Message<'a> {
        Message {
            bytes: self.bytes,
            request_id: outer.request_id,
            response_to: outer.response_to,
            opcode: self.opcode,
            body: &self.body,
        }
    }
}

/// Decompresses what is there of a body, at most what `text_bytes` of text need.
pub(crate) fn inflate(outer: &Message<'_>, text_bytes: usize) -> Plain {
    let mut reader = Reader::new(outer.body);
    let opcode = reader.u32_le().unwrap_or(wire::COMPRESSED);
    let plain_bytes = reader.u32_le().unwrap_or(0) as usize;
    let wanted = plain_bytes.min(wire::wanted_bytes(text_bytes));
    let body = match reader.u8() {
        Some(NONE) => reader.rest().to_vec(),
        Some(SNAPPY) => snappy::decompress(reader.rest(), wanted),
        Some(ZLIB) => zlib(reader.rest(), wanted),
        _ => Vec::new(),
    };
    Plain { opcode, bytes: HEADER_BYTES.saturating_add(plain_bytes), body }
}

fn zlib(body: &[u8], wanted: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut inflater = Inflater::new(body);
    let mut chunk = [0; 4096];
    while plain.len() < wanted
        && let Some(bytes) = inflater.next_chunk(&mut chunk)
    {
        plain.extend_from_slice(bytes);
    }
    plain.truncate(wanted);
    plain
}
