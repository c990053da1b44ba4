//! The first record of a producer's or a fetch's records: where it is and its headers.
//!
//! ```text
//! batch v2  := base_offset: i64  len: i32  epoch: i32  magic: i8 = 2  crc: u32  attributes: i16
//!              last_delta: i32  times: 2 × i64  producer: i64 i16 i32  count: i32  record*
//! record    := len  attributes: i8  time_delta  offset_delta  blob  blob  count count*(blob blob)
//! blob      := len bytes            numbers of records: zigzag varints; len -1: null
//! set v0, v1:= offset: i64  len: i32  crc: u32  magic: i8 = 0 | 1  …          without headers
//! ```
//! kafka.apache.org/documentation/#messageformat. Compressed batches are not opened.

use crate::bytes::Reader;

/// Bytes of a batch before its first record.
const BATCH_HEAD_BYTES: usize = 61;

/// Where the version of the format stands, in batches and in sets.
const MAGIC_AT: usize = 16;

/// Headers of a record that are looked at.
const HEADERS_MAX: u64 = 64;

/// Offset of the first record.
pub(crate) fn first_offset(records: &[u8]) -> Option<i64> {
    Reader::new(records).array().map(i64::from_be_bytes)
}

/// Calls `take` with name and value of each header of the first record.
pub(crate) fn first_headers(records: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) {
    let attributes = match (records.get(MAGIC_AT), records.get(21..23)) {
        (Some(2), Some(attributes)) => attributes[1],
        _ => return,
    };
    let is_compressed = attributes & 0x07 != 0;
    let is_control = attributes & 0x20 != 0;
    if is_compressed || is_control {
        return;
    }
    let _ = headers(Reader::new(records.get(BATCH_HEAD_BYTES..).unwrap_or_default()), take);
}

fn headers(mut record: Reader<'_>, take: &mut dyn FnMut(&[u8], &[u8])) -> Option<()> {
    varint(&mut record)?;
    record.take(1)?;
    varint(&mut record)?;
    varint(&mut record)?;
    blob(&mut record)?;
    blob(&mut record)?;
    let count = u64::try_from(varint(&mut record)?).ok()?;
    for _ in 0..count.min(HEADERS_MAX) {
        let name = blob(&mut record)?;
        let value = blob(&mut record)?;
        take(name, value);
    }
    Some(())
}

fn blob<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    match varint(reader)? {
        -1 => Some(&[]),
        length => reader.take(usize::try_from(length).ok()?),
    }
}

/// A number of seven bits a byte, the lowest first, its sign in the lowest bit.
fn varint(reader: &mut Reader<'_>) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = reader.u8()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}
