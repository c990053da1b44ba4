//! Members of a JSON object (RFC 8259), one after the other.
//!
//! In: a text, which may be cut off. Out: names and values of the outermost object, values as
//! they stand; objects inside are read by asking again. Never: recursion, unescaping.

/// The members of an object, up to where it ends or is cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members<'a> {
    rest: &'a [u8],
}

impl<'a> Members<'a> {
    /// The members of the object at the front of `text`; none where there is no object.
    pub fn of(text: &'a [u8]) -> Self {
        Self { rest: text.trim_ascii_start().strip_prefix(b"{").unwrap_or(&[]) }
    }
}

/// The value of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Text(&'a [u8]),
    /// A number, `true`, `false`, `null`, or an object or array with its brackets.
    Raw(&'a [u8]),
}

impl<'a> Value<'a> {
    pub fn text(self) -> &'a [u8] {
        match self {
            Self::Text(text) | Self::Raw(text) => text,
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.rest.iter().position(|byte| *byte == b'"')?;
        if self.rest[..start].contains(&b'}') {
            return None;
        }
        let (name, after) = string(&self.rest[start..])?;
        let after = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        if after.first() == Some(&b'"') {
            let (text, rest) = string(after)?;
            self.rest = rest;
            return Some((name, Value::Text(text)));
        }
        let end = raw_end(after)?;
        self.rest = &after[end..];
        Some((name, Value::Raw(after[..end].trim_ascii())))
    }
}

/// The inside of a string at the front, and what follows it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = text.get(1..)?;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', inside.get(at..)?)?;
        if inside[at] == b'"' {
            return Some((&inside[..at], &inside[at + 1..]));
        }
        at += 2;
    }
}

/// Where a value that is no string ends.
fn raw_end(text: &[u8]) -> Option<usize> {
    let mut depth = 0u32;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => {
                let (inside, _) = string(&text[at..])?;
                at += inside.len() + 1;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let members = Members::of(text.as_bytes());
        let all = members.map(|(name, value)| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!("{}={}", text(name), text(value.text()))
        });
        all.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn members_of_the_outermost_object() {
        assert_eq!(shown(r#"{"a":"b","c":12,"d":true}"#), "a=b c=12 d=true");
        assert_eq!(
            shown(r#" {"a" : {"x":"}"}, "b":[1,{"y":2}] } rest "z":1"#),
            r#"a={"x":"}"} b=[1,{"y":2}]"#
        );
        assert_eq!(shown(r#"{"a":"q\"r\\","b":null}"#), r#"a=q\"r\\ b=null"#);
        assert_eq!(shown("{}"), "");
        assert_eq!(shown(r#"["a"]"#), "");
    }

    #[test]
    fn cut_anywhere() {
        let text = r#"{"error":{"code":404,"d":"x \" y"},"n":[1,2,{"m":{}}],"t":"z"}"#;
        for cut in 0..text.len() {
            assert!(Members::of(&text.as_bytes()[..cut]).count() <= 3);
        }
        assert_eq!(shown(text).split(' ').next(), Some(r#"error={"code":404,"d":"x"#));
    }
}
