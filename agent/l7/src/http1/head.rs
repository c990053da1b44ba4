//! The head of an HTTP/1 message: start line and header fields.
//!
//! In: bytes up to the blank line, or as many of them as were captured. Out: what decides the
//! framing, and an iterator over the fields. Never: a header kept.

use crate::bytes;
use crate::protocol::Probe;
use crate::segment::Direction;

/// A head.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub start: StartLine<'a>,
    fields: &'a [u8],
    /// `Content-Length`.
    pub content_bytes: Option<u64>,
    /// `Transfer-Encoding: … chunked`.
    pub is_chunked: bool,
    /// `Transfer-Encoding` of any kind.
    has_coding: bool,
    /// `Expect: 100-continue`.
    pub expects_continue: bool,
    /// `Upgrade`.
    pub upgrade: &'a [u8],
    /// The blank line was seen.
    pub is_complete: bool,
}

/// The first line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StartLine<'a> {
    Request { method: &'a [u8], target: &'a [u8], version: &'static str },
    Response { code: u16, reason: &'a [u8], version: &'static str },
}

/// Where a head ends, the blank line included.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + bytes::find(&bytes[from..], b'\n')?;
        match bytes.get(at + 1..)? {
            [b'\n', ..] => return Some(at + 2),
            [b'\r', b'\n', ..] => return Some(at + 3),
            _ => from = at + 1,
        }
    }
}

/// Reads a head. `None`: the first line is none.
pub(crate) fn parse(direction: Direction, text: &[u8], is_complete: bool) -> Option<Head<'_>> {
    let first_end = bytes::find(text, b'\n').unwrap_or(text.len());
    let line = &text[..first_end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let start = match direction {
        Direction::ClientToServer => request_line(line, first_end == text.len())?,
        Direction::ServerToClient => status_line(line).or_else(|| loose_status_line(line))?,
    };
    let fields = text.get(first_end + 1..).unwrap_or(&[]);
    let mut head = Head {
        start,
        fields,
        content_bytes: None,
        is_chunked: false,
        has_coding: false,
        expects_continue: false,
        upgrade: b"",
        is_complete,
    };
    for (name, value) in (Fields { rest: fields, whole: is_complete }) {
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
                head.content_bytes = bytes::decimal(first.trim_ascii()).or(head.content_bytes);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                head.is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
                head.has_coding = true;
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                head.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => head.upgrade = value,
            _ => {}
        }
    }
    Some(head)
}

impl<'a> Head<'a> {
    /// Length of the body, where it does not end with the connection (RFC 9112 §6.3).
    pub fn body_bytes(&self) -> Option<u64> {
        self.content_bytes.filter(|_| !self.has_coding)
    }

    /// Names and values of the fields, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        Fields { rest: self.fields, whole: self.is_complete }
    }
}

/// `METHOD SP target SP HTTP/1.x`; where the line was cut off, what there is of it.
fn request_line(line: &[u8], cut: bool) -> Option<StartLine<'_>> {
    let method_end = bytes::find(line, b' ')?;
    let (method, rest) = (&line[..method_end], &line[method_end + 1..]);
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return None;
    }
    let (target, version) = match memchr::memrchr(b' ', rest) {
        Some(at) if rest[at + 1..].starts_with(b"HTTP/1.") => {
            (&rest[..at], version(&rest[at + 1..])?)
        }
        _ if cut => (rest, ""),
        _ => return None,
    };
    // More than one space is read as one (RFC 9112 §3).
    Some(StartLine::Request { method, target: target.trim_ascii(), version })
}

/// `HTTP/1.x SP code SP [reason]`.
fn status_line(line: &[u8]) -> Option<StartLine<'_>> {
    let version = version(line)?;
    let digits = line.get(9..12)?;
    let code = bytes::decimal(digits)? as u16;
    let reason = line.get(13..).unwrap_or(&[]);
    (100..1000).contains(&code).then_some(StartLine::Response { code, reason, version })
}

/// What clients take for a status line as well: another version, its name in small letters, space
/// before it, any space after it, zeros before the code.
fn loose_status_line(line: &[u8]) -> Option<StartLine<'_>> {
    let is_space = |byte: &u8| *byte <= b' ';
    let rest = &line[spaces_before(line)..];
    if !has_name(rest) {
        return None;
    }
    let version_end = rest.iter().position(is_space)?;
    let version = match rest[NAME.len()..version_end].strip_prefix(b"1.0") {
        Some(more) if more.iter().all(|byte| *byte == b'0') => "1.0",
        _ => "1.1",
    };
    let rest = rest[version_end..].trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, reason) = rest.split_at(digits.min(8));
    let code = u16::try_from(bytes::decimal(digits)?).ok()?;
    let reason = reason.trim_ascii_start();
    (100..1000).contains(&code).then_some(StartLine::Response { code, reason, version })
}

/// Whether bytes of a server that speaks HTTP may begin a head, be it a loose one.
pub(crate) fn may_be_response(bytes: &[u8]) -> bool {
    has_name(&bytes[spaces_before(bytes)..])
}

fn spaces_before(bytes: &[u8]) -> usize {
    /// More is no slip of a server.
    const SPACES: usize = 8;
    bytes.iter().take(SPACES).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

const NAME: &[u8] = b"HTTP/";

/// `HTTP/` or as much of it as there is.
fn has_name(bytes: &[u8]) -> bool {
    let length = bytes.len().min(NAME.len());
    bytes[..length].eq_ignore_ascii_case(&NAME[..length])
}

fn version(text: &[u8]) -> Option<&'static str> {
    match text.get(..8)? {
        b"HTTP/1.1" => Some("1.1"),
        b"HTTP/1.0" => Some("1.0"),
        _ => None,
    }
}

/// Header fields, one at a time.
struct Fields<'a> {
    rest: &'a [u8],
    /// The last line is whole.
    whole: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let end = bytes::find(self.rest, b'\n');
            if end.is_none() && (!self.whole || self.rest.is_empty()) {
                return None;
            }
            let line = &self.rest[..end.unwrap_or(self.rest.len())];
            self.rest = self.rest.get(line.len() + 1..).unwrap_or(&[]);
            // A line that starts with a blank goes on from the one before (RFC 9112 §5.2).
            if matches!(line.first(), Some(b' ' | b'\t')) {
                continue;
            }
            if let Some(colon) = bytes::find(line, b':') {
                return Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()));
            }
        }
    }
}

/// Methods of the IANA registry that servers meet.
const METHODS: [&[u8]; 26] = [
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"MERGE",
    b"CHECKOUT",
    b"MKACTIVITY",
    b"PURGE",
    b"LINK",
    b"UNLINK",
    b"NOTIFY",
    b"SUBSCRIBE",
];

/// First bytes so long without an end of line are a request when all else is right. unit byte
const LONG_TARGET_BYTES: usize = 1024;

/// Longest method that is recognised. unit byte
const METHOD_BYTES: usize = 20;

/// Whether the first bytes of a client are HTTP/1. `cut`: more will not come. A method that
/// nobody registered is one when its line is complete.
pub(crate) fn probe_request(first: &[u8], cut: bool) -> Probe {
    let blank = first.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let first = &first[blank.min(first.len())..];
    let short = if cut { Probe::No } else { Probe::Short };
    let space = bytes::find(&first[..first.len().min(METHOD_BYTES + 1)], b' ');
    let method = &first[..space.unwrap_or(first.len().min(METHOD_BYTES + 1))];
    let may_be_one = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    if method.len() > METHOD_BYTES || !method.iter().all(may_be_one) {
        return Probe::No;
    }
    let Some(space) = space else { return short };
    if let Some(end) = bytes::find(first, b'\n') {
        return match request_line(first[..end].trim_ascii_end(), false) {
            Some(_) => Probe::Certain,
            None => Probe::No,
        };
    }
    match probe_target(&first[space + 1..], cut) {
        Probe::Certain if !METHODS.contains(&method) => short,
        probe => probe,
    }
}

/// Whether a request may start here, after bytes were lost.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    match probe_request(bytes, false) {
        Probe::Certain => true,
        Probe::No | Probe::Possible => false,
        Probe::Short => METHODS.iter().any(|method| {
            let common = method.len().min(bytes.len());
            bytes[..common] == method[..common]
        }),
    }
}

/// The same of a first line whose end is not there.
fn probe_target(target: &[u8], cut: bool) -> Probe {
    let printable = target.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    let plausible = looks_like_target(target);
    match () {
        () if cut || target.len() >= LONG_TARGET_BYTES => {
            if plausible && !target.is_empty() {
                Probe::Certain
            } else {
                Probe::No
            }
        }
        () if printable && plausible || target.contains(&b' ') => Probe::Short,
        () => Probe::No,
    }
}

fn looks_like_target(target: &[u8]) -> bool {
    match target.first() {
        None | Some(b'/' | b'*') => true,
        Some(byte) => byte.is_ascii_alphanumeric() || *byte == b'[',
    }
}

/// Whether the first bytes of a server are HTTP/1.
pub(crate) fn probe_response(first: &[u8]) -> Probe {
    const START: &[u8] = b"HTTP/1.";
    let common = first.len().min(START.len());
    if first[..common] != START[..common] {
        return Probe::No;
    }
    match (first.get(7), first.get(8), first.get(9..12)) {
        (None, ..) => Probe::Short,
        (Some(b'0' | b'1'), None, _) => Probe::Short,
        (Some(b'0' | b'1'), Some(b' '), None) => Probe::Short,
        (Some(b'0' | b'1'), Some(b' '), Some(code)) => {
            if code.iter().all(u8::is_ascii_digit) {
                Probe::Certain
            } else {
                Probe::No
            }
        }
        _ => Probe::No,
    }
}

/// Whether a request may start here: any token as method, for methods nobody registered.
pub(crate) fn looks_like_request(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(32)];
    match bytes::find(start, b' ') {
        Some(0) => false,
        Some(space) => start[..space].iter().all(|byte| is_token(*byte)),
        None => start.len() < 32 && start.iter().all(|byte| is_token(*byte)),
    }
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
