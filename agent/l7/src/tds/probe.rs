//! Recognises TDS by its first packet.

use crate::bytes::Reader;
use crate::mysql::is_statement;
use crate::protocol::Probe;
use crate::segment::Direction;
use crate::tds::packet::{self, HEADER_BYTES};
use crate::tds::{login, request, token};

/// Characters of a statement that are looked at.
const LOOK_CHARS: usize = 64;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    let short = if cut { Probe::No } else { Probe::Short };
    let Some(header) = first.first_chunk::<HEADER_BYTES>() else {
        return if may_start(direction, first) { short } else { Probe::No };
    };
    let Some((kind, _, length)) = packet::read(header) else { return Probe::No };
    let payload = &first[HEADER_BYTES..];
    let payload = &payload[..payload.len().min(length - HEADER_BYTES)];
    let is_whole = payload.len() == length - HEADER_BYTES;
    let found = match direction {
        Direction::ClientToServer => from_client(kind, payload, length),
        Direction::ServerToClient => from_server(kind, payload),
    };
    match found {
        Some(probe) => probe,
        None if is_whole => Probe::No,
        None => short,
    }
}

/// Whether bytes too short for a header are like the start of one.
fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    let kind = bytes[0];
    let fits = match direction {
        Direction::ClientToServer => {
            matches!(kind, 0x01 | 0x03 | 0x06 | 0x07 | 0x0e | 0x10 | 0x12)
        }
        Direction::ServerToClient => kind == packet::TABULAR_RESULT,
    };
    let length_fits = bytes.get(2..4).is_none_or(|length| {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        (HEADER_BYTES..1 << 15).contains(&length)
    });
    fits && length_fits && bytes.get(1).is_none_or(|status| matches!(status, 0 | 1 | 8 | 9))
}

/// What a client's packet is; `None`: more of it is needed.
fn from_client(kind: u8, payload: &[u8], length: usize) -> Option<Probe> {
    let mut reader = Reader::new(payload);
    let sure = |fits: bool, probe: Probe| Some(if fits { probe } else { Probe::No });
    match kind {
        packet::PRELOGIN => {
            reader.take(5)?;
            sure(login::is_prelogin(payload), Probe::Certain)
        }
        packet::LOGIN7 => {
            let login_bytes = reader.u32_le()? as usize;
            reader.u32_le()?;
            let fits = login_bytes + HEADER_BYTES >= length && login_bytes < 1 << 17;
            sure(fits && login::version(payload).is_some(), Probe::Certain)
        }
        packet::ATTENTION => sure(length == HEADER_BYTES, Probe::Possible),
        packet::SQL_BATCH | packet::RPC | packet::TRANSACTION => {
            reader.take(10)?;
            let mut reader = Reader::new(payload);
            let total = Reader::new(payload).u32_le()? as usize;
            let has_headers = request::headers(&mut reader).is_some();
            if !has_headers && (22..=4096).contains(&total) && payload.len() < total {
                return None;
            }
            let probe = if has_headers { Probe::Certain } else { Probe::Possible };
            match kind {
                packet::SQL_BATCH => sure(is_batch(reader.rest())?, probe),
                packet::RPC => sure(is_call(&mut reader)?, probe),
                _ => sure(has_headers && reader.u16_le()? <= 9, probe),
            }
        }
        _ => Some(Probe::No),
    }
}

/// Whether a statement in UTF-16 starts here.
fn is_batch(bytes: &[u8]) -> Option<bool> {
    let units = bytes.chunks_exact(2).take(LOOK_CHARS);
    let mut text = Vec::with_capacity(LOOK_CHARS);
    for unit in units {
        match unit {
            [byte, 0] => text.push(*byte),
            // Another script: the first word is enough.
            _ if text.len() > 4 => text.push(b'?'),
            _ => return Some(false),
        }
    }
    if text.is_empty() { None } else { Some(is_statement(&text)) }
}

/// Whether the name or number of a procedure starts here.
fn is_call(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u16_le()? {
        0xffff => Some((1..=15).contains(&reader.u16_le()?) && reader.u16_le()? <= 7),
        length @ 1..=1046 => {
            let name = reader.take_up_to(2 * usize::from(length));
            let is_letter = |unit: &[u8]| unit[1] != 0 || unit[0] > b' ' && unit[0] != 0x7f;
            Some(name.len() >= 2 && name.chunks_exact(2).all(is_letter))
        }
        _ => Some(false),
    }
}

/// What a server's packet is; `None`: more of it is needed.
fn from_server(kind: u8, payload: &[u8]) -> Option<Probe> {
    if kind != packet::TABULAR_RESULT {
        return Some(Probe::No);
    }
    let mut reader = Reader::new(payload);
    let first = reader.u8()?;
    if first == 0 {
        reader.take(4)?;
        let fits = login::is_prelogin(payload);
        return Some(if fits { Probe::Certain } else { Probe::No });
    }
    Some(if token::is_first(first) { Probe::Possible } else { Probe::No })
}
