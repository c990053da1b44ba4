//! Packets of TNS.
//!
//! In: bytes from the start of a packet. Out: its kind and body.

use crate::protocol::{Input, Step};
use crate::segment::Direction;

pub(crate) const CONNECT: u8 = 1;
pub(crate) const ACCEPT: u8 = 2;
pub(crate) const REFUSE: u8 = 4;
pub(crate) const REDIRECT: u8 = 5;
pub(crate) const DATA: u8 = 6;
pub(crate) const RESEND: u8 = 11;
pub(crate) const MARKER: u8 = 12;

pub(crate) const HEADER_BYTES: usize = 8;

/// Longest packet that can be agreed on. unit byte
const PACKET_BYTES_MAX: u64 = 2 << 20;

/// Bytes of a packet that are read: status and error stand at its end.
const READ_BYTES: usize = 64 << 10;

/// From this version on lengths have four bytes once the connect was accepted.
const LONG_LENGTHS_SINCE: u16 = 315;

/// How long the field of a packet's length is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wire {
    /// Not known: packets tell by themselves, but for very long ones.
    #[default]
    Unknown,
    /// Two bytes, then a checksum that is 0.
    Short,
    /// Four bytes.
    Long,
}

impl Wire {
    /// What is spoken after a server accepted this version.
    pub fn after(version: u16) -> Self {
        if version >= LONG_LENGTHS_SINCE { Self::Long } else { Self::Short }
    }
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub kind: u8,
    pub wire: Wire,
    /// As much of it as was captured and is read.
    pub body: &'a [u8],
    /// Length of the whole packet. unit byte
    pub bytes: usize,
}

impl<'a> Packet<'a> {
    /// Content of a data packet: what follows its flags.
    pub fn payload(&self) -> Option<&'a [u8]> {
        self.body.get(2..)
    }

    /// Nothing was cut off.
    pub fn is_whole(&self) -> bool {
        self.body.len() + HEADER_BYTES == self.bytes
    }
}

/// Cuts a packet.
pub(crate) fn cut(input: Input<'_>, wire: Wire) -> Step<Packet<'_>> {
    let Some(header) = input.bytes.first_chunk::<HEADER_BYTES>() else {
        return Step::Need(HEADER_BYTES);
    };
    let Some((kind, wire, bytes)) = read(header, wire) else { return Step::Lost };
    let wanted = bytes.min(READ_BYTES);
    input
        .message(bytes as u64, wanted)
        .read(|head| Some(Packet { kind, wire, body: head.get(HEADER_BYTES..)?, bytes }))
}

/// Kind, form and length, when a header has the form of one.
pub(crate) fn read(header: &[u8; HEADER_BYTES], wire: Wire) -> Option<(u8, Wire, usize)> {
    let [a, b, c, d, kind, flags, high, low] = *header;
    let is_kind = matches!(kind, CONNECT..=7 | 9 | RESEND..=15);
    if !is_kind || flags & 0xc0 != 0 || [high, low] != [0, 0] {
        return None;
    }
    // A connect and what answers it are of the old form, whatever they agree on.
    let is_connect = matches!(kind, CONNECT | ACCEPT | REFUSE | REDIRECT | RESEND);
    let short = u16::from_be_bytes([a, b]);
    let long = u32::from_be_bytes([a, b, c, d]);
    let is_short = is_connect && short != 0 || wire == Wire::Short;
    let fits = |bytes: u64| (HEADER_BYTES as u64..=PACKET_BYTES_MAX).contains(&bytes);
    if is_short || wire == Wire::Unknown && short >= HEADER_BYTES as u16 && [c, d] == [0, 0] {
        return (fits(short.into()) && [c, d] == [0, 0]).then_some((kind, wire, short.into()));
    }
    let wire = if is_connect { wire } else { Wire::Long };
    fits(long.into()).then_some((kind, wire, long as usize))
}

/// Whether a packet plausibly starts here.
pub(crate) fn may_start(direction: Direction, bytes: &[u8], wire: Wire) -> bool {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return false };
    let Some((kind, _, length)) = read(header, wire) else { return false };
    let fits = match kind {
        CONNECT => direction == Direction::ClientToServer,
        ACCEPT | REFUSE | REDIRECT | RESEND => direction == Direction::ServerToClient,
        _ => true,
    };
    let after = bytes.get(length..).and_then(|after| after.first_chunk::<HEADER_BYTES>());
    fits && after.is_none_or(|after| read(after, wire).is_some())
}
