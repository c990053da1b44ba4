//! Domain names (RFC 1035 §4.1.4): labels, and pointers to labels that came before.

use schema::Text;

/// Longest name on the wire. unit byte
const NAME_BYTES: usize = 255;

/// Reads the name at `at`; gives each label to `take`. Returns where the name ends in its own
/// place, `None` when it is no name.
pub(crate) fn walk<'a>(
    message: &'a [u8],
    at: usize,
    mut take: impl FnMut(&'a [u8]),
) -> Option<usize> {
    let mut at = at;
    let mut end = None;
    let mut total = 0;
    // Pointers go backwards only, so that this ends.
    let mut lowest = at;
    loop {
        let length = usize::from(*message.get(at)?);
        match length >> 6 {
            0 if length == 0 => return Some(end.unwrap_or(at + 1)),
            0 => {
                total += length + 1;
                if total >= NAME_BYTES {
                    return None;
                }
                take(message.get(at + 1..at + 1 + length)?);
                at += 1 + length;
            }
            3 => {
                let target = (length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                end = end.or(Some(at + 2));
                if target >= lowest {
                    return None;
                }
                lowest = target;
                at = target;
            }
            _ => return None,
        }
    }
}

/// The name at `at` as text of at most `limit` bytes; the root is `.`.
pub(crate) fn text(message: &[u8], at: usize, limit: usize) -> Text {
    let mut buffer = [0u8; NAME_BYTES];
    let mut used = 0;
    let read = walk(message, at, |label| {
        if used > 0 && used < NAME_BYTES {
            buffer[used] = b'.';
            used += 1;
        }
        for byte in label {
            if used < NAME_BYTES {
                buffer[used] = if byte.is_ascii_graphic() { *byte } else { b'?' };
                used += 1;
            }
        }
    });
    match read {
        Some(_) if used == 0 => ".".into(),
        _ => crate::bytes::text(&buffer[..used], limit),
    }
}
