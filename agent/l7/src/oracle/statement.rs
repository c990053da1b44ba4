//! The text of a statement among the arguments of a call.
//!
//! How numbers before it are written depends on what client and server agreed on, so the text is
//! looked for: where a statement begins that is as long as the bytes before it say.

/// Bytes before it that are looked through.
const LOOK_BYTES: usize = 512;

/// Shortest text that is taken for one. unit byte
const TEXT_BYTES_MIN: usize = 4;

/// Mark of a text that comes in chunks.
const CHUNKED: u8 = 0xfe;

/// Words that statements begin with.
const WORDS: [&[u8]; 40] = [
    b"SELECT",
    b"INSERT",
    b"UPDATE",
    b"DELETE",
    b"MERGE",
    b"WITH",
    b"BEGIN",
    b"DECLARE",
    b"CALL",
    b"CREATE",
    b"ALTER",
    b"DROP",
    b"TRUNCATE",
    b"COMMIT",
    b"ROLLBACK",
    b"SAVEPOINT",
    b"SET",
    b"LOCK",
    b"GRANT",
    b"REVOKE",
    b"EXPLAIN",
    b"COMMENT",
    b"ANALYZE",
    b"AUDIT",
    b"NOAUDIT",
    b"RENAME",
    b"PURGE",
    b"FLASHBACK",
    b"EXEC",
    b"EXECUTE",
    b"ASSOCIATE",
    b"DISASSOCIATE",
    b"ADMINISTER",
    b"STARTUP",
    b"SHUTDOWN",
    b"RECOVER",
    b"ARCHIVE",
    b"BACKUP",
    b"RESTORE",
    b"DESC",
];

/// A statement in arguments, as far as there are bytes; at most about `limit` of it.
pub(crate) fn find(arguments: &[u8], limit: usize) -> Option<Vec<u8>> {
    let looked = arguments.len().min(LOOK_BYTES);
    (1..looked).find_map(|start| {
        if !begins(&arguments[start..]) {
            return None;
        }
        let (before, text) = arguments.split_at(start);
        chunked(before, text, limit).or_else(|| {
            let length = usize::from(before[start - 1]);
            let fits = (TEXT_BYTES_MIN..usize::from(CHUNKED)).contains(&length);
            fits.then(|| text[..text.len().min(length).min(limit)].to_vec())
        })
    })
}

/// Whether a statement begins here: a word that one begins with, or a comment or parenthesis
/// before it.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    match bytes {
        [b'/', b'*', ..] | [b'-', b'-', ..] => return true,
        [b'(' | b' ' | b'\n' | b'\r' | b'\t', rest @ ..] => {
            let skipped = rest.iter().position(|byte| !b"( \n\r\t".contains(byte));
            return skipped.is_some_and(|at| at < 64 && begins_with_word(&rest[at..]));
        }
        _ => {}
    }
    begins_with_word(bytes)
}

fn begins_with_word(bytes: &[u8]) -> bool {
    let length = bytes.iter().take(16).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let ends = bytes.get(length).is_none_or(|byte| {
        byte.is_ascii_whitespace() || b"(/*;\"':-+\0".contains(byte) || *byte > 0x7f
    });
    ends && WORDS.iter().any(|word| word.eq_ignore_ascii_case(&bytes[..length]))
}

/// Joins the chunks of a text: each after its length, in one byte or in a number of its own
/// length; the last one is empty.
fn chunked(before: &[u8], text: &[u8], limit: usize) -> Option<Vec<u8>> {
    let (has_numbers, first) = match before {
        [.., CHUNKED, length] if *length > 0 => (false, usize::from(*length)),
        [.., CHUNKED, 1, a] => (true, usize::from(*a)),
        [.., CHUNKED, 2, a, b] => (true, usize::from(u16::from_be_bytes([*a, *b]))),
        [.., CHUNKED, 3, a, b, c] => (true, u32::from_be_bytes([0, *a, *b, *c]) as usize),
        [.., CHUNKED, 4, a, b, c, d] => (true, u32::from_be_bytes([*a, *b, *c, *d]) as usize),
        _ => return None,
    };
    let mut joined = Vec::with_capacity(first.min(text.len()).min(limit));
    let (mut rest, mut length) = (text, first);
    while length > 0 && joined.len() < limit {
        let chunk = &rest[..rest.len().min(length).min(limit - joined.len())];
        joined.extend_from_slice(chunk);
        rest = rest.get(length..).unwrap_or(&[]);
        length = match (has_numbers, rest) {
            (_, []) => 0,
            (false, [length, after @ ..]) => {
                rest = after;
                usize::from(*length)
            }
            (true, [size @ 1..=4, after @ ..]) => {
                let size = usize::from(*size).min(after.len());
                let (number, after) = after.split_at(size);
                rest = after;
                number.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
            }
            (true, _) => 0,
        };
    }
    Some(joined)
}
