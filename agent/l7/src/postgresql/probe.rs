//! Recognises PostgreSQL by its first bytes.

use crate::bytes::{self, Reader};
use crate::mysql::is_statement;
use crate::postgresql::body;
use crate::protocol::Probe;

/// First bytes of a client. `cut`: more will not come.
pub(super) fn frontend(first: &[u8], cut: bool) -> Probe {
    if first.first() == Some(&0) {
        return startup(first);
    }
    let Some((kind, length, body)) = header(first) else {
        let known = first.first().is_some_and(|kind| b"QPBDECSHFXdcfp".contains(kind));
        let small = first.get(1).is_none_or(|byte| *byte == 0);
        return if known && small && !cut { Probe::Short } else { Probe::No };
    };
    let is_whole = body.len() == length;
    match kind {
        b'Q' => statement(body, length, cut, false),
        b'P' => match bytes::find(&body[..body.len().min(64)], 0) {
            Some(end) => statement(&body[end + 1..], length - end - 1, cut, true),
            None if is_whole || body.len() >= 64 || cut => Probe::No,
            None => Probe::Short,
        },
        b'S' | b'H' | b'X' | b'c' => {
            if length == 0 {
                Probe::Possible
            } else {
                Probe::No
            }
        }
        b'E' => match is_whole {
            true if length >= 5 && body.iter().rev().nth(4) == Some(&0) => Probe::Possible,
            true => Probe::No,
            false if length > 300 => Probe::No,
            false => Probe::Short,
        },
        b'B' => match is_whole || body.len() >= 64 {
            true if is_bind(body) => Probe::Possible,
            true => Probe::No,
            false if cut => Probe::Possible,
            false => Probe::Short,
        },
        b'D' | b'C' => match body.first() {
            Some(b'S' | b'P') if length < 300 => {
                if !is_whole {
                    Probe::Short
                } else if body.last() == Some(&0) {
                    Probe::Possible
                } else {
                    Probe::No
                }
            }
            Some(_) => Probe::No,
            None => Probe::Short,
        },
        b'p' => possible_if(length < 4096 && is_secret(body, is_whole)),
        b'f' => possible_if(length < 4096 && is_words(body, is_whole)),
        b'F' | b'd' if length >= 1 << 24 => Probe::No,
        b'F' => possible_if(is_function_call(body)),
        // Anything may be in it, so that a length that leads to another message must do.
        b'd' => match first.get(5 + length..) {
            Some([]) => Probe::Possible,
            Some(rest) => possible_if(is_frontend_start(rest)),
            None => Probe::Short,
        },
        _ => Probe::No,
    }
}

fn possible_if(may_be: bool) -> Probe {
    if may_be { Probe::Possible } else { Probe::No }
}

/// First bytes of a server.
pub(super) fn backend(first: &[u8]) -> Probe {
    let Some((kind, length, body)) = header(first) else {
        let known = first.first().is_some_and(|kind| is_backend_kind(*kind));
        let small = first.get(1).is_none_or(|byte| *byte == 0);
        return if known && small { Probe::Short } else { Probe::No };
    };
    let is_whole = body.len() == length;
    match kind {
        b'Z' if length == 1 => match body.first() {
            Some(b'I' | b'T' | b'E') => Probe::Certain,
            Some(_) => Probe::No,
            None => Probe::Short,
        },
        b'R' if (4..512).contains(&length) => match Reader::new(body).u32_be() {
            Some(0..=12) => Probe::Certain,
            Some(_) => Probe::No,
            None => Probe::Short,
        },
        b'E' | b'N' if length < 64 << 10 => match body.len() {
            0..6 if !is_whole => Probe::Short,
            _ if is_severity(body) => Probe::Certain,
            _ => Probe::No,
        },
        b'C' if length < 64 => match is_whole {
            true if is_tag(body) => Probe::Certain,
            true => Probe::No,
            false => Probe::Short,
        },
        b'1' | b'2' | b'3' | b'n' | b's' | b'I' if length == 0 => Probe::Possible,
        b'T' | b'D' | b't' | b'S' | b'K' | b'A' | b'G' | b'H' | b'W' | b'd' | b'c' | b'V' => {
            let after = first.get(5 + length..);
            let goes_on = after.is_none_or(is_backend_start);
            let is_sound = match kind {
                b'd' => after.is_some(),
                // A long secret (protocol 3.2) is told by what comes after it.
                b'K' if length != 8 => after.is_some_and(|rest| rest.starts_with(b"Z")),
                _ => body::is_sound(kind, length, body),
            };
            possible_if(goes_on && is_sound && length < 1 << 24)
        }
        _ => Probe::No,
    }
}

/// Kind, length of the body, and as much of the body as there is.
fn header(first: &[u8]) -> Option<(u8, usize, &[u8])> {
    let mut reader = Reader::new(first);
    let kind = reader.u8()?;
    let length = reader.u32_be()? as usize;
    let rest = reader.rest();
    // A length that cannot be leaves no kind that matches.
    match length {
        4..0x4000_0000 => Some((kind, length - 4, &rest[..rest.len().min(length - 4)])),
        _ => Some((0, 0, rest)),
    }
}

fn startup(first: &[u8]) -> Probe {
    let mut reader = Reader::new(first);
    let (Some(length), Some(code)) = (reader.u32_be(), reader.u32_be()) else {
        let small = first.get(1).is_none_or(|byte| *byte == 0);
        return if small { Probe::Short } else { Probe::No };
    };
    match (code, length) {
        (80_877_103 | 80_877_104, 8) | (80_877_102, 16..=280) => Probe::Certain,
        (196_608..=196_620, 9..=10_000) => match reader.rest() {
            [] => Probe::Short,
            [key, ..] if key.is_ascii_lowercase() || *key == b'_' => Probe::Certain,
            _ => Probe::No,
        },
        _ => Probe::No,
    }
}

/// Whether `rest_bytes` of a message, of which `text` is there, are `text NUL` and nothing more
/// (Query), or the number and types of parameters (Parse).
fn statement(text: &[u8], rest_bytes: usize, cut: bool, is_parse: bool) -> Probe {
    let nul = bytes::find(text, 0);
    let sql = &text[..nul.unwrap_or(text.len())];
    let is_whole = text.len() == rest_bytes;
    let is_empty = sql.trim_ascii().is_empty() && is_whole && nul.is_some();
    if !is_empty && !is_statement(sql) {
        return if sql.is_empty() && nul.is_none() { Probe::Short } else { Probe::No };
    }
    match nul {
        Some(nul) => {
            let tail_bytes = rest_bytes - nul - 1;
            let fits = match is_parse {
                false => tail_bytes == 0,
                true => tail_bytes >= 2 && (tail_bytes - 2).is_multiple_of(4),
            };
            if fits { Probe::Certain } else { Probe::No }
        }
        None if is_whole => Probe::No,
        None if cut || sql.len() >= LONG_STATEMENT_BYTES => Probe::Certain,
        None => Probe::Short,
    }
}

/// So much of a statement without its end is enough. unit byte
const LONG_STATEMENT_BYTES: usize = 512;

/// `portal NUL statement NUL formats: u16 …`.
fn is_bind(body: &[u8]) -> bool {
    let mut reader = Reader::new(body);
    let is_name = |name: Option<&[u8]>| {
        name.is_some_and(|name| name.len() < 64 && name.iter().all(|byte| *byte >= b' '))
    };
    is_name(reader.until_nul())
        && is_name(reader.until_nul())
        && reader.u16_be().is_some_and(|formats| formats <= 4096)
}

fn is_severity(body: &[u8]) -> bool {
    let texts: [&[u8]; 8] =
        [b"SERROR", b"SFATAL", b"SPANIC", b"SWARN", b"SNOTIC", b"SDEBUG", b"SINFO", b"SLOG"];
    texts.iter().any(|text| body.starts_with(text))
        || body.first() == Some(&b'S') && bytes::find(body, b'V').is_some()
}

/// A command tag: upper-case words and numbers.
fn is_tag(body: &[u8]) -> bool {
    match body.split_last() {
        Some((0, tag)) => {
            tag.first().is_some_and(u8::is_ascii_uppercase)
                && tag
                    .iter()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ')
        }
        _ => false,
    }
}

/// A password or a word on failure: printable and with a NUL at its end.
fn is_words(body: &[u8], is_whole: bool) -> bool {
    let text = match body {
        [text @ .., 0] if is_whole => text,
        _ if is_whole => return false,
        text => text,
    };
    text.iter().all(|byte| *byte >= b' ')
}

/// What stands in an answer to a request for authentication: a password, the name of a SASL
/// mechanism and its first words, later words of it, a GSSAPI token.
fn is_secret(body: &[u8], is_whole: bool) -> bool {
    let is_mechanism = |name: &[u8]| {
        let is_letter = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        name.len() > 3 && name.iter().all(|byte| is_letter(byte) || *byte == b'-')
    };
    let is_sasl = bytes::find(body, 0).is_some_and(|end| is_mechanism(&body[..end]));
    let is_later = body.starts_with(b"c=") && body.iter().all(u8::is_ascii_graphic);
    is_sasl || is_later || body.starts_with(&[0x60]) || is_words(body, is_whole)
}

/// `oid: u32 formats: u16 …`.
fn is_function_call(body: &[u8]) -> bool {
    let mut reader = Reader::new(body);
    let (oid, formats) = (reader.u32_be(), reader.u16_be());
    oid.is_some_and(|oid| oid > 0 && oid < 1 << 31) && formats.is_some_and(|count| count <= 100)
}

/// Whether a client's message may start here, as far as there are bytes.
fn is_frontend_start(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|kind| b"QPBDECSHFXdcfp".contains(kind))
        && bytes.get(1).is_none_or(|byte| *byte == 0)
}

/// The same of a server's.
fn is_backend_start(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|kind| is_backend_kind(*kind))
        && bytes.get(1).is_none_or(|byte| *byte == 0)
}

fn is_backend_kind(kind: u8) -> bool {
    b"RKZTDCEINSAGHWdcVvnst123".contains(&kind)
}
