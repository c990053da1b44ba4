//! Reads JSON objects as RocketMQ's headers are (RFC 8259), member by member.
//!
//! In: the bytes of an object, maybe only its start. Out: its members, as far as they go. Never:
//! recursion, or an allocation for a text without escapes.

use std::borrow::Cow;

/// The value of a member.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, [u8]>),
    Number(i64),
    /// An object or an array, as it stands.
    Nested(&'a [u8]),
    /// `true`, `false`, `null`, or a number that is not whole.
    Other,
}

/// Calls `take` with each member of an object. Whether the object was whole.
pub(crate) fn members<'a>(bytes: &'a [u8], take: &mut dyn FnMut(&[u8], Value<'a>)) -> bool {
    let mut rest = bytes;
    next_is(&mut rest, b'{') && (next_is(&mut rest, b'}') || read_members(rest, take).is_some())
}

fn read_members<'a>(mut rest: &'a [u8], take: &mut dyn FnMut(&[u8], Value<'a>)) -> Option<()> {
    loop {
        let name = text(&mut rest)?;
        if !next_is(&mut rest, b':') {
            return None;
        }
        let value = value(&mut rest)?;
        take(&name, value);
        if next_is(&mut rest, b'}') {
            return Some(());
        }
        if !next_is(&mut rest, b',') {
            return None;
        }
    }
}

fn value<'a>(rest: &mut &'a [u8]) -> Option<Value<'a>> {
    *rest = rest.trim_ascii_start();
    match rest.first()? {
        b'"' => text(rest).map(Value::Text),
        b'{' | b'[' => Some(Value::Nested(nested(rest))),
        _ => {
            let is_end =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b'"') || byte.is_ascii_whitespace();
            let end = rest.iter().position(is_end)?;
            let word = &rest[..end];
            *rest = &rest[end..];
            Some(number(word).map_or(Value::Other, Value::Number))
        }
    }
}

fn number(word: &[u8]) -> Option<i64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// An object or array to its end, or to that of the bytes.
fn nested<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (mut depth, mut in_text, mut escaped) = (0u32, false, false);
    let end = rest.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let (all, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
    *rest = after;
    all
}

fn next_is(rest: &mut &[u8], byte: u8) -> bool {
    *rest = rest.trim_ascii_start();
    match rest.split_first() {
        Some((first, after)) if *first == byte => {
            *rest = after;
            true
        }
        _ => false,
    }
}

/// A text, its escapes undone.
fn text<'a>(rest: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if !next_is(rest, b'"') {
        return None;
    }
    let all = *rest;
    let mut end = memchr::memchr2(b'"', b'\\', all)?;
    if all[end] == b'"' {
        *rest = &all[end + 1..];
        return Some(Cow::Borrowed(&all[..end]));
    }
    let mut plain = all[..end].to_vec();
    loop {
        match *all.get(end)? {
            b'"' => {
                *rest = &all[end + 1..];
                return Some(Cow::Owned(plain));
            }
            b'\\' => end += unescape(&all[end..], &mut plain)?,
            _ => {
                let run = memchr::memchr2(b'"', b'\\', &all[end..])?;
                plain.extend_from_slice(&all[end..end + run]);
                end += run;
            }
        }
    }
}

/// Undoes the escape at the front; returns its length.
fn unescape(escape: &[u8], plain: &mut Vec<u8>) -> Option<usize> {
    let byte = match escape.get(1)? {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        b'u' => {
            let digits = std::str::from_utf8(escape.get(2..6)?).ok()?;
            let code = u32::from_str_radix(digits, 16).ok()?;
            // Halves of a pair are shown as what they are not.
            let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            plain.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(6);
        }
        other => *other,
    };
    plain.push(byte);
    Some(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, bool) {
        let mut found = Vec::new();
        let whole = members(text.as_bytes(), &mut |name, value| {
            let value = match value {
                Value::Text(text) => String::from_utf8_lossy(&text).into_owned(),
                other => format!("{other:?}"),
            };
            found.push(format!("{}={value}", String::from_utf8_lossy(name)));
        });
        (found, whole)
    }

    #[test]
    fn members_as_they_stand() {
        let (found, whole) = read(
            r#"{"a":-1, "b" : "x\u0001y\"\\\u00e9" ,"c":{"d":"}"},"e":[1,{}],"f":null,"g":1.5}"#,
        );
        assert!(whole);
        let nested = |text: &str| format!("{:?}", Value::Nested(text.as_bytes()));
        let c = format!("c={}", nested(r#"{"d":"}"}"#));
        let e = format!("e={}", nested("[1,{}]"));
        assert_eq!(found, ["a=Number(-1)", "b=x\u{1}y\"\\é", &c, &e, "f=Other", "g=Other"]);
        assert_eq!(read(" { } "), (vec![], true));
    }

    #[test]
    fn an_end_that_is_missing() {
        for (text, count) in [
            ("", 0),
            ("{", 0),
            (r#"{"a"#, 0),
            (r#"{"a":1"#, 0),
            (r#"{"a":1,"b":"#, 1),
            (r#"{"a":1,"b":"x\u00"#, 1),
            (r#"{"a":1,"b":"x\"#, 1),
            (r#"{"a":1 "b":2}"#, 1),
            (r#"{"a":{"b":"}"#, 1),
            ("[1]", 0),
        ] {
            let (found, whole) = read(text);
            assert_eq!((found.len(), whole), (count, false), "{text}");
        }
    }
}
