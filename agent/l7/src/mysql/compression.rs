//! The compressed protocol: packets in zlib streams, one each.
//!
//! In: compressed packets. Out: their plain bytes, chunk by chunk. Never: a whole packet inflated
//! at once.

use crate::bytes::Reader;
use crate::mysql::Frame;
use crate::protocol::{Input, Step};

/// A compressed packet.
#[derive(Debug)]
pub(crate) struct Compressed<'a> {
    pub seq: u8,
    pub body: &'a [u8],
    /// Length once inflated; 0: stored as it is.
    pub plain_bytes: usize,
    /// Nothing of the body was cut off.
    pub is_whole: bool,
}

/// Bytes inflated at a time.
pub(crate) const CHUNK_BYTES: usize = 16 << 10;

/// Length, number and plain length.
const HEADER_BYTES: usize = 7;

/// Cuts a compressed packet. One that was cut off is inflated as far as it goes.
pub(crate) fn frame(input: Input<'_>) -> Step<Frame<'_>> {
    let Some((length, plain_bytes)) = header(input.bytes) else {
        return Step::Need(HEADER_BYTES);
    };
    let seq = input.bytes[3];
    let used = HEADER_BYTES + length;
    if input.bytes.len() < used && !input.cut {
        return Step::Need(used);
    }
    if !may_start(input.bytes) {
        return Step::Lost;
    }
    let body = &input.bytes[HEADER_BYTES..used.min(input.bytes.len())];
    let is_whole = body.len() == length;
    let frame = Frame::Compressed(Compressed { seq, body, plain_bytes, is_whole });
    Step::Frame { frame, used: used as u64 }
}

/// Whether a compressed packet may start here.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    match header(bytes) {
        Some((length, 0)) => length > 0,
        Some((length, plain_bytes)) => {
            plain_bytes >= length / 2
                && bytes.get(HEADER_BYTES).is_none_or(|method| *method == 0x78)
        }
        None => false,
    }
}

/// Length and plain length.
pub(crate) fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut reader = Reader::new(bytes);
    let length = reader.u24_le()? as usize;
    let _seq = reader.u8()?;
    Some((length, reader.u24_le()? as usize))
}
