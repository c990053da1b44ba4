//! Segments: the outer layer of version 5 once a connection is started (section 2.2).
//!
//! In: bytes from the start of a segment. Out: its payload. A header is believed when its
//! checksum is right.

use crate::protocol::{Input, Step};

/// Length, flags and checksum, without and with compression. unit byte
const PLAIN_HEADER_BYTES: usize = 6;
const COMPRESSED_HEADER_BYTES: usize = 8;

const TRAILER_BYTES: usize = 4;
const LENGTH_BITS: u32 = 17;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;

/// A segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub payload: &'a [u8],
    /// Length once it is plain; 0: it is.
    pub plain_bytes: usize,
    /// It holds whole envelopes, not a piece of one.
    pub is_self_contained: bool,
    /// Nothing was cut off.
    pub is_whole: bool,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    bytes: usize,
    payload_bytes: usize,
    plain_bytes: usize,
    is_self_contained: bool,
}

/// The header of either form whose checksum is right.
fn header(bytes: &[u8]) -> Option<Header> {
    let number =
        |octets: &[u8]| octets.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let checked = |length: usize| {
        let fields = bytes.get(..length)?;
        let checksum = number(bytes.get(length..length + 3)?);
        (u64::from(crc24(fields)) == checksum).then(|| number(fields))
    };
    if let Some(fields) = checked(PLAIN_HEADER_BYTES - 3).filter(|fields| fields >> 18 == 0) {
        return Some(Header {
            bytes: PLAIN_HEADER_BYTES,
            payload_bytes: (fields & LENGTH_MASK) as usize,
            plain_bytes: 0,
            is_self_contained: fields >> LENGTH_BITS & 1 == 1,
        });
    }
    let fields = checked(COMPRESSED_HEADER_BYTES - 3).filter(|fields| fields >> 35 == 0)?;
    Some(Header {
        bytes: COMPRESSED_HEADER_BYTES,
        payload_bytes: (fields & LENGTH_MASK) as usize,
        plain_bytes: (fields >> LENGTH_BITS & LENGTH_MASK) as usize,
        is_self_contained: fields >> (2 * LENGTH_BITS) & 1 == 1,
    })
}

/// Checksum of a header: polynomial 0x1974f0b, start 0x875060.
fn crc24(fields: &[u8]) -> u32 {
    let mut crc = 0x87_5060_u32;
    for byte in fields {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x100_0000 != 0 {
                crc ^= 0x197_4f0b;
            }
        }
    }
    crc
}

/// Cuts a segment.
pub(crate) fn cut(input: Input<'_>) -> Step<Segment<'_>> {
    let Some(header) = header(input.bytes) else {
        return match input.bytes.len() < COMPRESSED_HEADER_BYTES {
            true => Step::Need(input.bytes.len() + 1),
            false => Step::Lost,
        };
    };
    let length = header.bytes + header.payload_bytes;
    input.message((length + TRAILER_BYTES) as u64, length).read(|head| {
        let payload = head.get(header.bytes..)?;
        Some(Segment {
            payload,
            plain_bytes: header.plain_bytes,
            is_self_contained: header.is_self_contained,
            is_whole: payload.len() == header.payload_bytes,
        })
    })
}

/// The payload of the segment that starts here, whether it is plain, and whether it starts an
/// envelope.
pub(crate) fn first(bytes: &[u8]) -> Option<(&[u8], bool)> {
    let header = header(bytes)?;
    let payload = bytes.get(header.bytes..)?;
    Some((&payload[..payload.len().min(header.payload_bytes)], header.plain_bytes == 0))
}

/// Whether a segment starts here.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    header(bytes).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_headers() {
        // As the Python driver writes it.
        assert_eq!(crc24(&[0x0f, 0, 2]), 0x27_c7ff);
        let fields = [5u8, 0, 2];
        let sum = crc24(&fields).to_le_bytes();
        let segment = [&fields[..], &sum[..3], b"hello", b"CRC3"].concat();
        let (payload, is_plain) = first(&segment).expect("a segment");
        assert_eq!((payload, is_plain), (&b"hello"[..], true));
        assert!(first(&[5, 0, 2, 0, 0, 0, 0, 0]).is_none());
    }
}
