//! Headers of a NATS message (ADR-4): `NATS/1.0[ code[ description]] CRLF *(name: value CRLF) CRLF`.
//!
//! In: their bytes, as far as they were captured. Out: the status, and names with values.

use crate::bytes;

/// The headers of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headers<'a> {
    /// 0 = none.
    pub code: u16,
    pub description: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Reads the first line; `None`: these are no headers.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let after = bytes.strip_prefix(b"NATS/1.0")?;
        let end = bytes::find(after, b'\n').unwrap_or(after.len());
        let status = after[..end].trim_ascii();
        let (code, description) = status.split_at(status.len().min(3));
        let code = bytes::decimal(code).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        let rest = after.get(end + 1..).unwrap_or(&[]);
        Some(Self { code, description: description.trim_ascii(), rest })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // A line without its end was cut off.
        let end = bytes::find(self.rest, b'\n')?;
        let line = self.rest[..end].trim_ascii_end();
        self.rest = &self.rest[end + 1..];
        let colon = bytes::find(line, b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], code: u16, description: &str, names: &str) {
        let headers = Headers::read(bytes).expect("headers");
        assert_eq!((headers.code, headers.description), (code, description.as_bytes()));
        let found: Vec<&[u8]> = headers.map(|(name, _)| name).collect();
        assert_eq!(found.join(&b' '), names.as_bytes());
    }

    #[test]
    fn status_and_names() {
        check(b"NATS/1.0\r\nA: b\r\nC:d\r\n\r\n", 0, "", "A C");
        check(b"NATS/1.0 503\r\n\r\n", 503, "", "");
        check(b"NATS/1.0 404 No Messages\r\nX: 1\r\n\r\n", 404, "No Messages", "X");
        check(
            b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\nNats-L",
            100,
            "Idle Heartbeat",
            "Nats-Last-Consumer",
        );
        assert!(Headers::read(b"HTTP/1.0 200\r\n").is_none());
    }
}
