//! Recognises MySQL by its first bytes, with or without compression.

use crate::bytes::Reader;
use crate::inflate::Inflater;
use crate::mysql::packet::{self, HEADER_BYTES, Packet};
use crate::mysql::{Wire, command, compression};
use crate::protocol::Probe;
use crate::segment::Direction;

/// So much of a statement without its end is enough. unit byte
const LONG_STATEMENT_BYTES: usize = 512;

/// Longest answer to a greeting: attributes of the connection have at most 64 KiB. unit byte
const LOGIN_BYTES_MAX: usize = 66 << 10;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    match plain(direction, first, cut) {
        Probe::No => compressed(direction, first, cut),
        probe => probe,
    }
}

/// How packets are laid out, by the first of them.
pub(crate) fn wire(direction: Direction, bytes: &[u8]) -> Option<Wire> {
    match (plain(direction, bytes, true), compressed(direction, bytes, true)) {
        (Probe::Certain | Probe::Possible, _) => Some(Wire::Plain),
        (Probe::No, Probe::Certain | Probe::Possible) => Some(Wire::Compressed),
        _ => None,
    }
}

/// Whether a packet plausibly starts here.
pub(crate) fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    matches!(plain(direction, bytes, true), Probe::Certain | Probe::Possible)
}

fn plain(direction: Direction, bytes: &[u8], cut: bool) -> Probe {
    let Some((body_bytes, seq)) = packet::header(bytes) else {
        // The third byte of a length is nearly always 0.
        return if bytes.get(2).is_none_or(|byte| *byte == 0) { Probe::Short } else { Probe::No };
    };
    let body = &bytes[HEADER_BYTES..];
    let after = body.get(body_bytes..).unwrap_or(&[]);
    let packet = Packet { seq, body: &body[..body_bytes.min(body.len())], body_bytes };
    if body_bytes == 0 {
        return Probe::No;
    }
    match direction {
        Direction::ClientToServer => from_client(&packet, after, cut),
        Direction::ServerToClient => from_server(&packet, after),
    }
}

fn from_client(packet: &Packet<'_>, after: &[u8], cut: bool) -> Probe {
    if packet.seq == 1 {
        if packet.body_bytes > LOGIN_BYTES_MAX {
            return Probe::No;
        }
        return match packet::capabilities(packet.body) {
            Some(_) => Probe::Certain,
            None if packet.body.len() < 32 && packet.body_bytes >= 32 => Probe::Short,
            None => Probe::No,
        };
    }
    if packet.seq != 0 {
        return Probe::No;
    }
    let needed = packet.body_bytes.min(18);
    if packet.body.len() < needed {
        let known = packet.body.first().is_none_or(|command| command::name_of(*command).is_some());
        return if known { Probe::Short } else { Probe::No };
    }
    let is_whole = packet.is_whole();
    // Behind a command stands another command.
    let goes_on = !matches!(packet::header(after), Some((_, 1..)));
    match command::plausibility(packet) {
        Some(true) if is_whole && !goes_on => Probe::No,
        Some(true) if is_whole || packet.body.len() >= LONG_STATEMENT_BYTES => Probe::Certain,
        Some(true) if cut => Probe::Possible,
        Some(true) => Probe::Short,
        Some(false) if !is_whole => Probe::Short,
        Some(false) if goes_on => Probe::Possible,
        Some(false) => Probe::No,
        None => Probe::No,
    }
}

fn from_server(packet: &Packet<'_>, after: &[u8]) -> Probe {
    let Some(first) = packet.body.first() else { return Probe::Short };
    let is_whole = packet.is_whole();
    match (packet.seq, first) {
        (0, 10) => match packet::greeting_version(packet.body) {
            Some(_) => Probe::Certain,
            None if !is_whole && packet.body.len() < 80 => Probe::Short,
            None => Probe::No,
        },
        (_, 0xff) if packet.body_bytes >= 4 && packet.body_bytes < 1024 => error(packet),
        (1..=8, 0 | 0xfe) if packet.body_bytes >= 5 && packet.body_bytes < 512 => {
            let goes_on = match packet::header(after) {
                Some((body_bytes, seq)) => body_bytes > 0 && (seq == packet.seq + 1 || seq == 1),
                None => true,
            };
            let may_be = match first {
                0 => is_ok(packet),
                _ => packet.is_eof() || is_ok(packet) || is_switch(packet),
            };
            if goes_on && may_be { Probe::Possible } else { Probe::No }
        }
        (1, _) if is_column_count(packet) => match packet::header(after) {
            Some((_, 2)) => match after.get(HEADER_BYTES..HEADER_BYTES + 4) {
                Some(b"\x03def") => Probe::Certain,
                Some(_) => Probe::No,
                None => Probe::Possible,
            },
            Some(_) => Probe::No,
            None => Probe::Possible,
        },
        _ => Probe::No,
    }
}

/// `OK_Packet`: two numbers, status, warnings and a text.
fn is_ok(packet: &Packet<'_>) -> bool {
    let mut reader = Reader::new(packet.body.get(1..).unwrap_or(&[]));
    let numbers = [packet::length_encoded(&mut reader), packet::length_encoded(&mut reader)];
    let (status, warnings) = (reader.u16_le(), reader.u16_le());
    if numbers.contains(&None) || warnings.is_none() {
        return !packet.is_whole();
    }
    // The text, or its length and what changed in the session.
    let text = reader.rest();
    let is_text = text.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace());
    let is_counted = text.first().is_some_and(|bytes| usize::from(*bytes) < packet.body_bytes);
    status.is_some_and(|status| status >> 15 == 0) && (is_text || is_counted)
}

/// `AuthSwitchRequest`: the name of a plug-in.
fn is_switch(packet: &Packet<'_>) -> bool {
    let body = packet.body.get(1..).unwrap_or(&[]);
    let name = body.iter().position(|byte| *byte == 0).map_or(body, |end| &body[..end]);
    name.len() >= 4 && name.iter().all(u8::is_ascii_graphic)
}

/// The number of columns of a result, alone in its packet.
fn is_column_count(packet: &Packet<'_>) -> bool {
    matches!((packet.body.first(), packet.body_bytes), (Some(1..=0xfa), 1) | (Some(0xfc), 3))
}

/// `ERR_Packet`: a code, perhaps `#` and an SQL state of five digits and letters, a text.
fn error(packet: &Packet<'_>) -> Probe {
    let Some(code) = packet.body.get(1..3) else { return Probe::Short };
    let code = u16::from_le_bytes([code[0], code[1]]);
    let rest = &packet.body[3..];
    let is_text = |text: &[u8]| text.iter().all(|byte| *byte >= b' ' || *byte == b'\n');
    let is_state = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    match rest.strip_prefix(b"#") {
        _ if !(1000..5000).contains(&code) => Probe::No,
        Some(rest) if rest.len() < 5 && !packet.is_whole() => Probe::Short,
        Some(rest) => match rest.split_at_checked(5) {
            Some((state, text)) if state.iter().all(is_state) && is_text(text) => Probe::Certain,
            _ => Probe::No,
        },
        None if is_text(rest) => Probe::Possible,
        None => Probe::No,
    }
}

fn compressed(direction: Direction, bytes: &[u8], cut: bool) -> Probe {
    const OUTER_BYTES: usize = 7;
    let Some((length, plain_bytes)) = compression::header(bytes) else {
        return plain_start(bytes);
    };
    if length == 0 || !compression::may_start(bytes) {
        return Probe::No;
    }
    let body = &bytes[OUTER_BYTES..];
    let body = &body[..body.len().min(length)];
    if plain_bytes == 0 {
        return if length < HEADER_BYTES { Probe::No } else { plain(direction, body, cut) };
    }
    if body.len() < 2 {
        return Probe::Short;
    }
    if (u16::from(body[0]) << 8 | u16::from(body[1])) % 31 != 0 {
        return Probe::No;
    }
    let mut chunk = [0; 64];
    let mut inflater = Inflater::new(body);
    match inflater.next_chunk(&mut chunk) {
        // Logins, whose answers have other numbers, come before compression.
        Some([_, _, _, 1..=255, ..]) if direction == Direction::ClientToServer => Probe::No,
        Some(inner) => match plain(direction, inner, true) {
            Probe::Short => Probe::Possible,
            probe => probe,
        },
        None if body.len() < length => Probe::Short,
        None => Probe::No,
    }
}

fn plain_start(bytes: &[u8]) -> Probe {
    if bytes.get(2).is_none_or(|byte| *byte == 0) { Probe::Short } else { Probe::No }
}
