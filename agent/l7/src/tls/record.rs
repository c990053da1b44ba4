//! Records: the outer layer.
//!
//! In: bytes from the start of a record. Out: its kind, and its fragment where it can be read.

use crate::bytes::Reader;
use crate::protocol::{Input, Step};

pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

pub(crate) const HEADER_BYTES: usize = 5;

/// Longest fragment: 2^14, and what compression and encryption may add (RFC 5246 section 6.2.3).
const FRAGMENT_BYTES_MAX: usize = (1 << 14) + 2048;

/// The fragment of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    pub kind: u8,
    /// Its length. unit byte
    pub bytes: usize,
    /// Of encrypted ones nothing is taken.
    pub body: &'a [u8],
}

impl Fragment<'_> {
    pub fn is_whole(&self) -> bool {
        self.body.len() == self.bytes
    }
}

/// Kind and length of the record that starts here; `None`: it is none, or its header is not all
/// there.
pub(crate) fn header(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut reader = Reader::new(bytes);
    let (kind, major, minor) = (reader.u8()?, reader.u8()?, reader.u8()?);
    let length = usize::from(reader.u16_be()?);
    let is_known = (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&kind) && major == 3 && minor <= 4;
    (is_known && length <= FRAGMENT_BYTES_MAX).then_some((kind, length))
}

/// Cuts a record. `encrypted`: nothing in it can be read.
pub(crate) fn cut(input: Input<'_>, encrypted: bool) -> Step<Fragment<'_>> {
    if input.bytes.len() < HEADER_BYTES {
        return Step::Need(HEADER_BYTES);
    }
    let Some((kind, length)) = header(input.bytes) else { return Step::Lost };
    let wanted = match kind {
        HANDSHAKE if !encrypted => length,
        ALERT | CHANGE_CIPHER_SPEC if length <= 2 => length,
        _ => 0,
    };
    if input.bytes.len() < HEADER_BYTES + wanted && !input.cut {
        return Step::Need(HEADER_BYTES + wanted);
    }
    let body = &input.bytes[HEADER_BYTES..];
    let body = &body[..wanted.min(body.len())];
    let frame = Fragment { kind, bytes: length, body };
    Step::Frame { frame, used: (HEADER_BYTES + length) as u64 }
}

/// Whether a record plausibly starts here.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    header(bytes).is_some_and(|(kind, length)| {
        let after = bytes.get(HEADER_BYTES + length..).filter(|after| after.len() >= HEADER_BYTES);
        length > 0 && kind != HEARTBEAT && after.is_none_or(|after| header(after).is_some())
    })
}
