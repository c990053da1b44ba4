//! Finds values in texts by name: in JSON, in XML, in lists of pairs.
//!
//! In: bytes, perhaps the start of a longer text; a rule. Out: the first value of that name.
//! Never: a text parsed beyond what finding the value needs.

use crate::bytes;
use crate::config::{FieldRule, Subfield};

/// The value of a name anywhere in a JSON text: a string without its escapes, a number, `true` or
/// `false`. A keyword with quotes is looked for as it stands, and the value follows it.
pub(super) fn json_value(text: &[u8], rule: &FieldRule) -> Option<Vec<u8>> {
    let keyword = rule.keyword.as_bytes();
    if let Some(quoted) = keyword.strip_suffix(b"\"").filter(|_| keyword.contains(&b':')) {
        // `"abc": "`: the value begins inside of its quotes.
        let at = memchr::memmem::find(text, quoted)? + quoted.len();
        return scalar(&text[at..]);
    }
    if bytes::find(keyword, b'"').is_some() {
        let at = memchr::memmem::find(text, keyword)? + keyword.len();
        return scalar(after_colon(&text[at..]).unwrap_or(&text[at..]));
    }
    let mut rest = text;
    while let Some(quote) = bytes::find(rest, b'"') {
        rest = &rest[quote + 1..];
        let end = string_end(rest)?;
        let name = &rest[..end];
        rest = &rest[end + 1..];
        if rule.names(name)
            && let Some(value) = after_colon(rest).and_then(scalar)
        {
            return Some(value);
        }
    }
    None
}

fn after_colon(text: &[u8]) -> Option<&[u8]> {
    text.trim_ascii_start().strip_prefix(b":")
}

/// Where a string ends whose first quote went before.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
        if at > text.len() {
            return None;
        }
    }
}

/// The scalar that a text starts with; `null` and what was cut off are none.
fn scalar(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_start();
    if let Some(string) = text.strip_prefix(b"\"") {
        return Some(unescaped(&string[..string_end(string)?]));
    }
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    let end = text.iter().position(|byte| !is_word(byte))?;
    match &text[..end] {
        b"" | b"null" | b"None" => None,
        word => Some(word.to_vec()),
    }
}

fn unescaped(string: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(string.len());
    let mut rest = string;
    while let Some(at) = bytes::find(rest, b'\\') {
        plain.extend_from_slice(&rest[..at]);
        let escape = rest.get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or(&[]);
        match escape {
            b'n' => plain.push(b'\n'),
            b't' => plain.push(b'\t'),
            b'r' => plain.push(b'\r'),
            b'b' | b'f' => plain.push(b' '),
            b'u' => {
                let digits = rest.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                let char = code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                plain.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.get(4..).unwrap_or(&[]);
            }
            other => plain.push(other),
        }
    }
    plain.extend_from_slice(rest);
    plain
}

/// The text of the first element of a name that has one.
pub(super) fn xml_value(text: &[u8], rule: &FieldRule) -> Option<Vec<u8>> {
    let mut rest = text;
    while let Some(open) = bytes::find(rest, b'<') {
        rest = &rest[open + 1..];
        let is_name_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/');
        let end = rest.iter().position(is_name_end)?;
        if !rule.names(&rest[..end]) {
            continue;
        }
        let close = bytes::find(rest, b'>')?;
        if rest[..close].ends_with(b"/") {
            continue;
        }
        rest = &rest[close + 1..];
        let value = match rest.strip_prefix(b"<![CDATA[") {
            Some(data) => &data[..memchr::memmem::find(data, b"]]>")?],
            None => &rest[..bytes::find(rest, b'<')?],
        };
        let value = value.trim_ascii();
        if !value.is_empty() {
            return Some(value.to_vec());
        }
    }
    None
}

/// The value of one pair of a list.
pub(super) fn subfield<'a>(value: &'a [u8], subfield: &Subfield) -> Option<&'a [u8]> {
    let mut rest = value;
    loop {
        let (pair, after) = match split(rest, subfield.pair_separator.as_bytes()) {
            Some((pair, after)) => (pair, Some(after)),
            None => (rest, None),
        };
        let pair = pair.trim_ascii();
        let found = match subfield.value_separator.as_bytes() {
            b"" => pair.strip_prefix(subfield.keyword.as_bytes()),
            separator => split(pair, separator)
                .filter(|(key, _)| key.trim_ascii() == subfield.keyword.as_bytes())
                .map(|(_, value)| value),
        };
        if let Some(found) = found {
            return Some(found.trim_ascii());
        }
        rest = after?;
    }
}

fn split<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    if separator.is_empty() {
        return None;
    }
    let at = memchr::memmem::find(text, separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(keyword: &str) -> FieldRule {
        FieldRule { keyword: keyword.to_owned(), ..FieldRule::default() }
    }

    fn json(text: &str, keyword: &str) -> String {
        String::from_utf8(json_value(text.as_bytes(), &rule(keyword)).unwrap_or_default())
            .expect("UTF-8")
    }

    #[test]
    fn values_in_json() {
        let text =
            r#"{"x":"abc","a":{"abc" : "p\"q\u00e9\n"},"n":-1.5e3,"t":true,"z":null,"l":[1]}"#;
        assert_eq!(json(text, "abc"), "p\"q\u{e9}\n");
        assert_eq!(json(text, "n"), "-1.5e3");
        assert_eq!(json(text, "t"), "true");
        for none in ["z", "l", "a", "missing", "ABC"] {
            assert_eq!(json(text, none), "", "{none}");
        }
        assert_eq!(json(text, "\"x\":\""), "abc");
        assert_eq!(json(text, "\"n\":"), "-1.5e3");
        assert_eq!(json(text, "\"n\""), "-1.5e3");
        let any_case = FieldRule { ignore_case: true, ..rule("ABC") };
        assert!(json_value(text.as_bytes(), &any_case).is_some());
        // What was cut off is no value.
        for cut in [r#"{"abc"#, r#"{"abc":"#, r#"{"abc":"d"#, r#"{"abc":12"#, r#"{"abc":"d\"#] {
            assert_eq!(json(cut, "abc"), "", "{cut}");
        }
    }

    #[test]
    fn values_in_xml() {
        let xml = |text: &str| {
            let value = xml_value(text.as_bytes(), &rule("key")).unwrap_or_default();
            String::from_utf8(value).expect("UTF-8")
        };
        assert_eq!(xml("<a><key attr=\"x\">value</key></a>"), "value");
        assert_eq!(xml("<keys>1</keys><key/><key></key><key> 2 </key>"), "2");
        assert_eq!(xml("<key><![CDATA[a<b]]></key>"), "a<b");
        for none in ["<key>cut", "<key", "<Key>1</Key>", "", "<key><b>1</b></key>"] {
            assert_eq!(xml(none), "", "{none}");
        }
    }

    #[test]
    fn parts_of_lists() {
        let part = |value: &str, pair: &str, equals: &str| {
            let wanted = Subfield {
                keyword: "y".to_owned(),
                pair_separator: pair.to_owned(),
                value_separator: equals.to_owned(),
            };
            subfield(value.as_bytes(), &wanted)
                .map(|part| String::from_utf8_lossy(part).into_owned())
        };
        assert_eq!(part("x=1,y=2,z=3", ",", "="), Some("2".into()));
        assert_eq!(part("x=1; y=a=b", ";", "="), Some("a=b".into()));
        assert_eq!(part("y:7", "", ":"), Some("7".into()));
        assert_eq!(part("y7", "", ""), Some("7".into()));
        assert_eq!(part("xy=1,z", ",", "="), None);
    }
}
