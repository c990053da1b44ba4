//! What is in a server's messages, as far as it tells them from other bytes.
//!
//! In: kind, length and as much of a body as there is. Out: whether it may be that kind
//! (https://www.postgresql.org/docs/current/protocol-message-formats.html). Never: values.

use crate::bytes::{self, Reader};

/// Most columns of a table or a result (`MaxTupleAttributeNumber`).
const COLUMNS_MAX: u16 = 1664;

/// Longest secret of a `BackendKeyData` (protocol 3.2). unit byte
const SECRET_BYTES_MAX: usize = 256;

/// Whether a body of `length` bytes, of which `body` is there, may be that of a message of `kind`.
pub(super) fn is_sound(kind: u8, length: usize, body: &[u8]) -> bool {
    let is_whole = body.len() == length;
    match kind {
        b'T' => is_description(length, body),
        b'D' => is_row(length, body),
        b't' => count(body).map_or(!is_whole, |count| length == 2 + 4 * count),
        b'S' => match is_whole {
            true => body.iter().filter(|byte| **byte == 0).count() == 2 && body.ends_with(&[0]),
            false => length < 4096 && body.first().is_none_or(u8::is_ascii_graphic),
        },
        b'K' => (8..=4 + SECRET_BYTES_MAX).contains(&length),
        b'A' => (6..16 << 10).contains(&length) && (!is_whole || body.ends_with(&[0])),
        b'G' | b'H' | b'W' => {
            let formats = body.get(1..).and_then(count);
            body.first().is_none_or(|format| *format <= 1)
                && formats.map_or(!is_whole, |count| length == 3 + 2 * count)
        }
        b'V' => match Reader::new(body).u32_be() {
            Some(u32::MAX) => length == 4,
            Some(bytes) => length == 4 + bytes as usize,
            None => !is_whole,
        },
        b'c' => length == 0,
        _ => false,
    }
}

/// A number of columns; more than there can be make no length right.
fn count(body: &[u8]) -> Option<usize> {
    match Reader::new(body).u16_be()? {
        count @ 0..=COLUMNS_MAX => Some(usize::from(count)),
        _ => Some(usize::MAX >> 4),
    }
}

/// `count: u16 *(name NUL table: u32 column: u16 type: u32 size: i16 modifier: i32 format: u16)`.
fn is_description(length: usize, body: &[u8]) -> bool {
    const FIELD_BYTES: usize = 18;
    let Some(count) = count(body) else { return body.len() < length };
    let mut rest = &body[2..];
    for _ in 0..count {
        let Some(end) = bytes::find(rest, 0) else {
            let is_name = rest.iter().all(|byte| *byte >= b' ');
            return is_name && body.len() < length;
        };
        let is_name = rest[..end].iter().all(|byte| *byte >= b' ');
        let Some(field) = rest.get(end + 1..end + 1 + FIELD_BYTES) else {
            return is_name && body.len() < length;
        };
        if !is_name || field[FIELD_BYTES - 2] != 0 || field[FIELD_BYTES - 1] > 1 {
            return false;
        }
        rest = &rest[end + 1 + FIELD_BYTES..];
    }
    rest.is_empty() && body.len() == length
}

/// `count: u16 *(length: i32 value)`; a length of -1 is NULL.
fn is_row(length: usize, body: &[u8]) -> bool {
    let Some(count) = count(body) else { return body.len() < length };
    let mut at = 2;
    for _ in 0..count {
        let Some(value_bytes) = body.get(at..).and_then(|rest| Reader::new(rest).u32_be()) else {
            return body.len() < length;
        };
        at += 4 + if value_bytes == u32::MAX { 0 } else { value_bytes as usize };
        if at > length {
            return false;
        }
    }
    at == length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(kind: u8, body: &[u8]) -> bool {
        is_sound(kind, body.len(), body)
    }

    #[test]
    fn bodies() {
        let row = b"\0\x03\0\0\0\x0242\xff\xff\xff\xff\0\0\0\x01x";
        let field = b"id\0\0\0\x40\x01\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";
        let description = [&b"\0\x01"[..], field].concat();
        assert!(whole(b'D', row) && whole(b'T', &description) && whole(b'D', b"\0\0"));
        for end in 0..row.len() {
            assert!(is_sound(b'D', row.len(), &row[..end]), "{end}");
            assert!(!whole(b'D', &row[..end]), "{end}");
        }
        for end in 0..description.len() {
            assert!(is_sound(b'T', description.len(), &description[..end]), "{end}");
        }
        assert!(!whole(b'T', b"\0\x01no end"));
        assert!(whole(b't', b"\0\x01\0\0\0\x17") && !whole(b't', b"\0\x02\0\0\0\x17"));
        assert!(whole(b'S', b"TimeZone\0UTC\0") && !whole(b'S', b"TimeZone\0UTC"));
        assert!(whole(b'K', b"12345678") && !whole(b'K', b"1234"));
        assert!(whole(b'G', b"\0\0\x01\0\0") && !whole(b'G', b"\x02\0\x01\0\0"));
        assert!(whole(b'V', b"\xff\xff\xff\xff") && !whole(b'V', b"\0\0\0\x09"));
    }
}
