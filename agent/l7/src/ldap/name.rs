//! Distinguished names (RFC 4514): `uid=bob,ou=people,dc=example,dc=org`.
//!
//! In: a name as text. Out: the part of it that does not vary with the entry.

use schema::Text;

use crate::bytes;

/// Types whose values name a part of the directory rather than an entry (RFC 4519, RFC 2247).
const CONTAINERS: [&str; 6] = ["dc", "ou", "o", "c", "l", "st"];

/// Longest container that is shown. unit byte
const CONTAINER_BYTES: usize = 256;

/// The container that an entry stands in, or the container itself; of a name without any, its
/// last part.
pub(crate) fn container(name: &[u8]) -> Text {
    let mut rest = name;
    loop {
        let is_container = CONTAINERS.iter().any(|kind| {
            rest.split_at_checked(kind.len()).is_some_and(|(front, after)| {
                front.eq_ignore_ascii_case(kind.as_bytes()) && after.first() == Some(&b'=')
            })
        });
        let next = next_part(rest);
        match next {
            Some(next) if !is_container => rest = next,
            _ => return bytes::text(rest, CONTAINER_BYTES),
        }
    }
}

/// What follows the next comma that is not escaped.
fn next_part(name: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b',', b'\\', name.get(at..)?)?;
        if name[at] == b',' {
            return Some(name[at + 1..].trim_ascii_start());
        }
        at += 2;
    }
}
