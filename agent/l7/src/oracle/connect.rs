//! Connects and their answers: descriptors in parentheses, as in `tnsnames.ora`.
//!
//! In: bodies of packets. Out: the text of a connect and what a record shows of it; versions;
//! why a listener refused.

use compact_str::format_compact;
use schema::{ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::oracle::fault;
use crate::record::Record;
use crate::session::Response;

/// Where the fields of a connect end at the earliest. unit byte
pub(crate) const FIELDS_BYTES_MIN: u16 = 26;

/// Header before the body, which offsets count. unit byte
const HEADER_BYTES: u16 = 8;

/// Versions that were ever spoken: 300 is that of Oracle 7.
pub(crate) const VERSIONS: std::ops::RangeInclusive<u16> = 300..=399;

/// What a server accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub version: u16,
    /// Longest packet. unit byte
    pub packet_bytes_max: u32,
}

impl Accepted {
    pub fn version(&self) -> Text {
        format_compact!("{}", self.version)
    }
}

/// The text of a connect; empty when it comes in a packet of its own.
pub(crate) fn text(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    reader.take(16)?;
    let length = usize::from(reader.u16_be()?);
    let start = usize::from(reader.u16_be()?.checked_sub(HEADER_BYTES)?);
    let text = body.get(start..).unwrap_or(&[]);
    Some(trimmed(&text[..text.len().min(length)]))
}

/// A text without the NUL that may end it.
pub(crate) fn trimmed(text: &[u8]) -> &[u8] {
    &text[..bytes::find(text, 0).unwrap_or(text.len())]
}

/// Writes a connect into a record.
pub(crate) fn describe(text: &[u8], record: &mut Record, limit: usize) {
    record.request_resource = bytes::text(text, limit);
    let service = value(text, "SERVICE_NAME").or_else(|| value(text, "SID"));
    if let Some(service) = service {
        record.request_domain = bytes::text(service, 256);
        record.endpoint = record.request_domain.clone();
    }
    let client = text_after(text, "CID").unwrap_or(&[]);
    for (key, name) in [("PROGRAM", "program"), ("HOST", "client_host"), ("USER", "os_user")] {
        if let Some(value) = value(client, key).filter(|value| !value.is_empty()) {
            record.attributes.push((Text::const_new(name), bytes::text(value, 256)));
        }
    }
}

/// Version and length of packets.
pub(crate) fn accepted(body: &[u8]) -> Option<Accepted> {
    let mut reader = Reader::new(body);
    let version = reader.u16_be()?;
    reader.take(2)?;
    let short = reader.u16_be()?;
    reader.take(18)?;
    let long = if version >= 315 { reader.u32_be() } else { None };
    let packet_bytes_max = long.unwrap_or(u32::from(short));
    Some(Accepted { version, packet_bytes_max })
}

/// Why a listener refused: `user reason  system reason  length: u16  descriptor`.
pub(crate) fn refused(body: &[u8], response: &mut Response) {
    let text = trimmed(body.get(4..).unwrap_or(&[]));
    let code = value(text, "ERR").and_then(bytes::decimal).unwrap_or(0);
    response.status = match code {
        0 => ResponseStatus::ServerError,
        code => fault::status(code),
    };
    response.code = (code > 0).then_some(code as i32);
    response.exception = match code {
        0 => Text::const_new("refused"),
        code => fault::text(code, &[]),
    };
    response.result = bytes::text(text, 1024);
}

/// Where a listener sends a client to: `length: u16  descriptor`.
pub(crate) fn redirected(body: &[u8]) -> Text {
    bytes::text(trimmed(body.get(2..).unwrap_or(&[])), 512)
}

/// The value of `(key=value)`, blanks around it taken off.
fn value<'a>(text: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let rest = text_after(text, key)?;
    let end = rest.iter().position(|byte| matches!(byte, b')' | b'(')).unwrap_or(rest.len());
    Some(rest[..end].trim_ascii())
}

/// What follows `(key=`.
fn text_after<'a>(text: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut rest = text;
    while let Some(at) = bytes::find(rest, b'(') {
        rest = rest[at + 1..].trim_ascii_start();
        let (name, after) = rest.split_at_checked(key.len())?;
        if name.eq_ignore_ascii_case(key.as_bytes())
            && let Some(value) = after.trim_ascii_start().strip_prefix(b"=")
        {
            return Some(value);
        }
    }
    None
}
