//! Packets ([MS-TDS] 2.2.3).
//!
//! In: bytes from the start of a packet, or of a TLS record among packets. Out: kind, status and
//! payload.

use crate::bytes::Reader;
use crate::protocol::{Input, Step};
use crate::segment::Direction;

pub(crate) const SQL_BATCH: u8 = 0x01;
pub(crate) const RPC: u8 = 0x03;
pub(crate) const TABULAR_RESULT: u8 = 0x04;
pub(crate) const ATTENTION: u8 = 0x06;
pub(crate) const BULK_LOAD: u8 = 0x07;
pub(crate) const FEDERATED_TOKEN: u8 = 0x08;
pub(crate) const TRANSACTION: u8 = 0x0e;
pub(crate) const LOGIN7: u8 = 0x10;
pub(crate) const SSPI: u8 = 0x11;
pub(crate) const PRELOGIN: u8 = 0x12;

/// Last packet of its message.
const END_OF_MESSAGE: u8 = 0x01;
/// End, ignore, reset of the connection in two kinds.
const KNOWN_STATUS: u8 = 0x1b;

pub(crate) const HEADER_BYTES: usize = 8;

/// Longest packet ([MS-TDS] 2.2.6.4, PacketSize). unit byte
const PACKET_BYTES_MAX: usize = 32_767;

/// Header of a TLS record.
const TLS_HEADER_BYTES: usize = 5;

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub kind: u8,
    status: u8,
    /// As much of it as was captured; of a bulk load nothing.
    pub payload: &'a [u8],
    /// Length of the whole packet. unit byte
    pub bytes: usize,
}

impl Packet<'_> {
    pub fn is_last(&self) -> bool {
        self.status & END_OF_MESSAGE != 0
    }

    /// Nothing was cut off.
    pub fn is_whole(&self) -> bool {
        self.payload.len() + HEADER_BYTES == self.bytes
    }

    /// A handshake of TLS in it: options of a PRELOGIN start with 0, tokens with their number.
    pub fn holds_tls(&self) -> bool {
        self.kind == PRELOGIN && is_tls(self.payload)
    }
}

/// Whether a TLS record starts here.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x14..=0x17, 3, 0..=4, ..])
}

/// Cuts a packet, or passes over a TLS record.
pub(crate) fn cut(input: Input<'_>) -> Step<Packet<'_>> {
    let mut reader = Reader::new(input.bytes);
    if matches!(input.bytes, [0x14..=0x17] | [0x14..=0x17, 3]) && !input.cut {
        return Step::Need(TLS_HEADER_BYTES);
    }
    if is_tls(input.bytes) {
        return match input.bytes.get(3..TLS_HEADER_BYTES) {
            Some(length) => {
                let length = u16::from_be_bytes([length[0], length[1]]);
                Step::Skip(TLS_HEADER_BYTES as u64 + u64::from(length))
            }
            None => Step::Need(TLS_HEADER_BYTES),
        };
    }
    let Some(header) = reader.array::<HEADER_BYTES>() else { return Step::Need(HEADER_BYTES) };
    let Some((kind, status, length)) = read(&header) else { return Step::Lost };
    let wanted = if kind == BULK_LOAD { HEADER_BYTES } else { length };
    input.message(length as u64, wanted).read(|head| {
        Some(Packet { kind, status, payload: head.get(HEADER_BYTES..)?, bytes: length })
    })
}

/// Kind, status and length, when a header has the form of one.
pub(crate) fn read(header: &[u8; HEADER_BYTES]) -> Option<(u8, u8, usize)> {
    let [kind, status, high, low, _, _, _, window] = *header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let is_kind = matches!(
        kind,
        SQL_BATCH | 0x02..=TABULAR_RESULT | ATTENTION..=FEDERATED_TOKEN | TRANSACTION | LOGIN7..=PRELOGIN
    );
    let fits = is_kind
        && status & !KNOWN_STATUS == 0
        && (HEADER_BYTES..=PACKET_BYTES_MAX).contains(&length)
        && window == 0;
    fits.then_some((kind, status, length))
}

/// Whether a packet plausibly starts here.
pub(crate) fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return false };
    let from_server = direction == Direction::ServerToClient;
    read(header).is_some_and(|(kind, _, length)| {
        let after = bytes.get(length..).and_then(|after| after.first_chunk::<HEADER_BYTES>());
        (kind == TABULAR_RESULT) == from_server && after.is_none_or(|after| read(after).is_some())
    })
}
