//! Recognises CQL by its first bytes.

use crate::bytes::Reader;
use crate::cassandra::body::string;
use crate::cassandra::envelope::{self, BODY_BYTES_MAX, Envelope, HEADER_BYTES};
use crate::cassandra::response::is_error_code;
use crate::cassandra::segment;
use crate::mysql::is_statement;
use crate::protocol::Probe;
use crate::segment::Direction;

/// So much of a statement without its end is enough. unit byte
const LONG_STATEMENT_BYTES: usize = 256;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    if let Some((payload, is_plain)) = segment::first(first) {
        // The checksum of the header and what it holds are enough together.
        return match payload.len() >= HEADER_BYTES && is_plain {
            true if envelope::may_start(direction, payload) => Probe::Certain,
            _ => Probe::Possible,
        };
    }
    if !envelope::may_start(direction, first) {
        return Probe::No;
    }
    let Some(envelope) = envelope::first(first) else {
        return if cut { Probe::No } else { Probe::Short };
    };
    if envelope.body_bytes > BODY_BYTES_MAX {
        return Probe::No;
    }
    let is_whole = envelope.body.len() == envelope.body_bytes;
    if envelope.is_compressed() {
        // How to compress is agreed by this one.
        if envelope.opcode == envelope::STARTUP {
            return Probe::No;
        }
        return match is_compressed(&envelope) {
            Some(true) => Probe::Possible,
            Some(false) => Probe::No,
            None if cut => Probe::No,
            None => Probe::Short,
        };
    }
    let found = match direction {
        Direction::ClientToServer => request(&envelope, cut),
        Direction::ServerToClient => response(&envelope),
    };
    match found {
        Some(probe) => probe,
        None if is_whole || cut => Probe::No,
        None => Probe::Short,
    }
}

/// Whether a body starts as LZ4's and Snappy's do in CQL: with its plain length, as four bytes or in
/// groups of seven bits. `None`: more of it is needed.
fn is_compressed(envelope: &Envelope<'_>) -> Option<bool> {
    // Neither makes anything larger by more than this, nor smaller than a 255th.
    const OVERHEAD_BYTES: u64 = 64;
    let packed = envelope.body_bytes as u64;
    let fits = |plain: u64| {
        plain <= BODY_BYTES_MAX as u64
            && packed <= plain + plain / 6 + OVERHEAD_BYTES
            && plain <= packed * 255
    };
    let mut reader = Reader::new(envelope.body);
    if packed < 5 {
        return Some(false);
    }
    let head = reader.u32_be()?;
    let (mut plain, mut shift) = (0, 0);
    for octet in head.to_be_bytes() {
        plain |= u64::from(octet & 0x7f) << shift;
        shift += 7;
        if octet < 0x80 {
            break;
        }
    }
    Some(fits(u64::from(head)) || fits(plain))
}

/// What a request's body is; `None`: more of it is needed.
fn request(envelope: &Envelope<'_>, cut: bool) -> Option<Probe> {
    let mut reader = Reader::new(envelope.body);
    if envelope.has_custom_payload() {
        return Some(Probe::Possible);
    }
    let length = envelope.body_bytes;
    let sure = |fits: bool, probe: Probe| Some(if fits { probe } else { Probe::No });
    match envelope.opcode {
        envelope::OPTIONS => sure(length == 0, Probe::Possible),
        envelope::STARTUP => {
            let count = reader.u16_be()?;
            if !(1..=64).contains(&count) {
                return Some(Probe::No);
            }
            // All of it, since the options have no order.
            let name = string(&mut reader)?;
            let is_name = name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
            sure(is_name && name.len() > 2, Probe::Certain)
        }
        envelope::QUERY | envelope::PREPARE => {
            let statement_bytes = reader.u32_be()? as usize;
            let least = if envelope.opcode == envelope::QUERY { 7 } else { 4 };
            if statement_bytes == 0 || statement_bytes.saturating_add(least) > length {
                return Some(Probe::No);
            }
            let statement = reader.take_up_to(statement_bytes);
            if !cut && statement.len() < statement_bytes.min(LONG_STATEMENT_BYTES) {
                return None;
            }
            sure(is_statement(statement), Probe::Certain)
        }
        envelope::EXECUTE => {
            let id_bytes = usize::from(reader.u16_be()?);
            sure((1..=64).contains(&id_bytes) && id_bytes + 5 <= length, Probe::Possible)
        }
        envelope::BATCH => {
            let (kind, count, first) = (reader.u8()?, reader.u16_be()?, reader.u8()?);
            sure(kind <= 2 && count > 0 && first <= 1, Probe::Possible)
        }
        envelope::REGISTER => {
            let count = reader.u16_be()?;
            let kind = string(&mut reader)?;
            sure((1..=8).contains(&count) && kind.ends_with(b"_CHANGE"), Probe::Certain)
        }
        _ => sure(reader.u32_be()? as usize == length - 4, Probe::Possible),
    }
}

/// What a response's body is; `None`: more of it is needed.
fn response(envelope: &Envelope<'_>) -> Option<Probe> {
    let mut reader = Reader::new(envelope.body);
    let length = envelope.body_bytes;
    let sure = |fits: bool, probe: Probe| Some(if fits { probe } else { Probe::No });
    if envelope.has_tracing_id() {
        // A time-based UUID (RFC 9562 §5.1).
        let id = reader.array::<16>()?;
        return sure(id[6] >> 4 == 1 && id[8] >> 6 == 2, Probe::Possible);
    }
    if envelope.has_warnings() || envelope.has_custom_payload() {
        let (count, first_bytes) = (reader.u16_be()?, usize::from(reader.u16_be()?));
        let fits = (1..=1024).contains(&count) && first_bytes + 4 <= length;
        return sure(fits, Probe::Possible);
    }
    match envelope.opcode {
        envelope::READY => sure(length == 0, Probe::Possible),
        envelope::ERROR => {
            let (code, text_bytes) = (reader.u32_be()?, usize::from(reader.u16_be()?));
            sure(is_error_code(code) && text_bytes + 6 <= length, Probe::Certain)
        }
        envelope::AUTHENTICATE => {
            let name = string(&mut reader)?;
            sure(name.len() + 2 == length && name.iter().all(u8::is_ascii_graphic), Probe::Certain)
        }
        envelope::SUPPORTED => {
            let count = reader.u16_be()?;
            let name = string(&mut reader)?;
            let is_name = name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
            sure((1..=64).contains(&count) && !name.is_empty() && is_name, Probe::Certain)
        }
        envelope::RESULT => {
            let kind = reader.u32_be()?;
            sure((1..=5).contains(&kind) && (kind != 1 || length == 4), Probe::Possible)
        }
        envelope::EVENT => {
            let kind = string(&mut reader)?;
            sure(envelope.stream == -1 && kind.ends_with(b"_CHANGE"), Probe::Certain)
        }
        _ => sure(reader.u32_be()? as usize == length.wrapping_sub(4), Probe::Possible),
    }
}
