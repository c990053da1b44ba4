//! Filters of searches as text (RFC 4515): `(&(objectClass=person)(uid=bob*))`.
//!
//! In: a filter in BER, perhaps cut off. Out: its text, as far as it goes. Values of passwords
//! are never shown; on demand no value is.

use schema::Text;

use crate::ber::Element;
use crate::bytes;

/// Deeper filters are shown as `(…)`.
const DEPTH_MAX: u32 = 16;

/// Writes a filter to the end of a text.
pub(crate) fn write(filter: &Element<'_>, text: &mut Text, limit: usize, hides_values: bool) {
    nested(filter, text, limit, hides_values, 0);
}

fn nested(filter: &Element<'_>, text: &mut Text, limit: usize, hides: bool, depth: u32) {
    if text.len() >= limit {
        return;
    }
    if depth > DEPTH_MAX {
        return text.push_str("(…)");
    }
    text.push('(');
    match filter.tag {
        0xa0..=0xa2 => {
            text.push(match filter.tag {
                0xa0 => '&',
                0xa1 => '|',
                _ => '!',
            });
            for part in filter.elements() {
                nested(&part, text, limit, hides, depth + 1);
            }
        }
        0xa4 => substrings(filter, text, hides),
        0x87 => {
            text.push_str(&bytes::text(filter.content, 128));
            text.push_str("=*");
        }
        0xa9 => extensible(filter, text, hides),
        tag => {
            let mut parts = filter.elements();
            let name = parts.next().map_or(&[][..], |name| name.content);
            text.push_str(&bytes::text(name, 128));
            text.push_str(match tag {
                0xa5 => ">=",
                0xa6 => "<=",
                0xa8 => "~=",
                _ => "=",
            });
            value(parts.next(), is_secret(name) || hides, text);
        }
    }
    text.push(')');
}

/// `type  SEQUENCE OF initial [0] | any [1] | final [2]`.
fn substrings(filter: &Element<'_>, text: &mut Text, hides: bool) {
    let mut parts = filter.elements();
    let name = parts.next().map_or(&[][..], |name| name.content);
    text.push_str(&bytes::text(name, 128));
    text.push('=');
    let mut ends_with_star = false;
    for part in parts.next().into_iter().flat_map(|list| list.elements()) {
        if part.tag != 0x80 && !ends_with_star {
            text.push('*');
        }
        value(Some(part), is_secret(name) || hides, text);
        ends_with_star = part.tag != 0x82;
        if ends_with_star {
            text.push('*');
        }
    }
}

/// `[1] rule  [2] type  [3] value  [4] dn`.
fn extensible(filter: &Element<'_>, text: &mut Text, hides: bool) {
    let part = |tag: u8| filter.elements().find(|part| part.tag == tag);
    if let Some(name) = part(0x82) {
        text.push_str(&bytes::text(name.content, 128));
    }
    if part(0x84).is_some_and(|dn| dn.content != [0]) {
        text.push_str(":dn");
    }
    if let Some(rule) = part(0x81) {
        text.push(':');
        text.push_str(&bytes::text(rule.content, 128));
    }
    text.push_str(":=");
    value(part(0x83), hides, text);
}

/// A value; what is no text or has a meaning is written in hexadecimal digits.
fn value(value: Option<Element<'_>>, hides: bool, text: &mut Text) {
    let Some(value) = value else { return };
    if hides {
        return text.push('?');
    }
    let shown = &value.content[..value.content.len().min(512)];
    for chunk in shown.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '*' | '(' | ')' | '\\' | '\0'..='\x1f' => {
                    text.push_str(&compact_str::format_compact!("\\{:02x}", char as u32));
                }
                char => text.push(char),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&compact_str::format_compact!("\\{byte:02x}"));
        }
    }
}

fn is_secret(name: &[u8]) -> bool {
    let is = |secret: &str| name.eq_ignore_ascii_case(secret.as_bytes());
    is("userPassword") || is("unicodePwd") || is("sambaNTPassword")
}
