//! Recognises TNS by its first packet.

use crate::bytes::Reader;
use crate::oracle::call::{self, Message};
use crate::oracle::connect::{FIELDS_BYTES_MIN, VERSIONS};
use crate::oracle::packet::{self, HEADER_BYTES, Wire};
use crate::protocol::Probe;
use crate::segment::Direction;

/// Bits of a data packet's flags that are known.
const DATA_FLAGS: u16 = 0x20 | 0x40 | 0x800 | 0x2000;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    let short = if cut { Probe::No } else { Probe::Short };
    let Some(header) = first.first_chunk::<HEADER_BYTES>() else {
        return if may_become(first) { short } else { Probe::No };
    };
    let Some((kind, _, length)) = packet::read(header, Wire::Unknown) else { return Probe::No };
    let body = &first[HEADER_BYTES..];
    let is_whole = body.len() + HEADER_BYTES >= length;
    let body = &body[..body.len().min(length - HEADER_BYTES)];
    let found = match (direction, kind) {
        (_, packet::DATA) => data(direction, body),
        (Direction::ClientToServer, packet::CONNECT) => connect(body, length),
        (Direction::ServerToClient, packet::ACCEPT) => accept(body),
        (Direction::ServerToClient, packet::REFUSE) => descriptor(body, 2),
        (Direction::ServerToClient, packet::REDIRECT) => descriptor(body, 0),
        (Direction::ServerToClient, packet::RESEND) if length == HEADER_BYTES => {
            Some(Probe::Possible)
        }
        (_, packet::MARKER) if length == HEADER_BYTES + 3 => marker(body),
        _ => Some(Probe::No),
    };
    match found {
        Some(Probe::Possible | Probe::Certain)
            if !packet::may_start(direction, first, Wire::Unknown) =>
        {
            Probe::No
        }
        Some(probe) => probe,
        None if is_whole => Probe::No,
        None => short,
    }
}

/// Whether bytes too short for a header are like the start of one.
fn may_become(bytes: &[u8]) -> bool {
    let is_kind = bytes.get(4).is_none_or(|kind| matches!(kind, 1..=7 | 11..=14));
    is_kind && bytes.get(6).is_none_or(|byte| *byte == 0)
}

fn connect(body: &[u8], length: usize) -> Option<Probe> {
    let mut reader = Reader::new(body);
    let (version, oldest) = (reader.u16_be()?, reader.u16_be()?);
    reader.take(12)?;
    let (text_bytes, start) = (reader.u16_be()?, reader.u16_be()?);
    let end = usize::from(start) + usize::from(text_bytes);
    let fits = VERSIONS.contains(&version)
        && oldest <= version
        && start >= FIELDS_BYTES_MIN + HEADER_BYTES as u16
        && (end == length || usize::from(start) == length);
    Some(if fits { Probe::Certain } else { Probe::No })
}

fn accept(body: &[u8]) -> Option<Probe> {
    let mut reader = Reader::new(body);
    let version = reader.u16_be()?;
    reader.take(2)?;
    let packet_bytes = reader.u16_be()?;
    reader.take(2)?;
    let one = reader.u16_be()?;
    let fits = VERSIONS.contains(&version)
        && (packet_bytes >= 512 || packet_bytes == 0)
        && matches!(one, 1 | 0x100);
    Some(if fits { Probe::Certain } else { Probe::No })
}

/// `length: u16  descriptor` after `skipped` bytes.
fn descriptor(body: &[u8], skipped: usize) -> Option<Probe> {
    let mut reader = Reader::new(body);
    reader.take(skipped)?;
    let length = usize::from(reader.u16_be()?);
    let fits = match reader.rest() {
        [] if length > 0 => return None,
        [] => true,
        [first, ..] => *first == b'(' && length >= 4,
    };
    Some(match fits {
        true if length > 0 => Probe::Certain,
        true => Probe::Possible,
        false => Probe::No,
    })
}

fn marker(body: &[u8]) -> Option<Probe> {
    let fits = matches!(body.first_chunk::<3>()?, [0 | 1, 0, 1..=3]);
    Some(if fits { Probe::Possible } else { Probe::No })
}

fn data(direction: Direction, body: &[u8]) -> Option<Probe> {
    let mut reader = Reader::new(body);
    if reader.u16_be()? & !DATA_FLAGS != 0 {
        return Some(Probe::No);
    }
    let payload = reader.rest();
    let first = *payload.first()?;
    if payload.len() < 16 && payload.len() + 2 < body.len() {
        return None;
    }
    if payload.starts_with(b"\xde\xad\xbe\xef") {
        return Some(Probe::Certain);
    }
    Some(match direction {
        Direction::ClientToServer => match call::read(payload) {
            Some(Message::Call(call)) if call.has_statement() => Probe::Certain,
            Some(_) => Probe::Possible,
            None => Probe::No,
        },
        Direction::ServerToClient => match first {
            1 | 2 | 4 | 6 | 7 | 8 | 9 | 11 | 14 | 15 | 16 | 19 | 21 | 23 | 27..=30 => {
                Probe::Possible
            }
            _ => Probe::No,
        },
    })
}
