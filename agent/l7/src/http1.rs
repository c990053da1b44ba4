//! HTTP/1.0 and HTTP/1.1: RFC 9112 (syntax), RFC 9110 (semantics).
//!
//! ```text
//! message := start-line CRLF *(name ":" value CRLF) CRLF body
//! body    := Content-Length bytes | *(size-hex [;ext] CRLF bytes CRLF) "0" CRLF trailers CRLF
//!          | bytes until the connection closes
//! ```
//! Bodies are passed over without being held, also where they were not captured. Responses answer
//! requests in order; 100, 102 and 103 are interim and no answer. After 101 or a CONNECT that was
//! granted, inference starts again on what follows.

mod head;

use schema::L7Protocol;

use crate::bytes;
use crate::credentials::{self, Hidden};
use crate::endpoint;
use crate::http_fields::{self, RequestFields, ResponseFields};
use crate::http_status;
use crate::http1::head::{Head, StartLine};
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::{Direction, Transport};
use crate::session::{Key, Pairing};

/// One HTTP/1 conversation.
#[derive(Debug, Default)]
pub(crate) struct Http1 {
    bodies: [Body; 2],
    /// HEAD requests without response yet.
    heads_open: u32,
}

/// Where a direction stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    /// Before a start line.
    #[default]
    None,
    /// Before the size of a chunk.
    ChunkSize,
    /// Before the end of line after a chunk's bytes.
    ChunkEnd,
    /// Among the trailers.
    Trailers,
    /// After a head whose end was not seen.
    Unknown,
}

/// A head, as far as it was captured.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    head: Head<'a>,
    /// First bytes of the body, if they are wanted.
    body: &'a [u8],
}

/// Longest head that is waited for. unit byte
const HEAD_BYTES: usize = 64 << 10;

/// Methods of requests as far as they change what their response looks like.
mod tag {
    pub const PLAIN: u64 = 0;
    pub const HEAD: u64 = 1;
    pub const CONNECT: u64 = 2;
}

impl Protocol for Http1 {
    const ID: L7Protocol = L7Protocol::Http;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        if context.transport != Transport::Tcp {
            return Probe::No;
        }
        match context.direction {
            Direction::ClientToServer => head::probe_request(first, context.cut),
            Direction::ServerToClient => head::probe_response(first),
        }
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        match self.bodies[direction.index()] {
            Body::None => self.head(direction, input),
            Body::ChunkSize => self.chunk_size(direction, input.bytes),
            Body::ChunkEnd => match line(input.bytes) {
                Some((b"", used)) => {
                    self.bodies[direction.index()] = Body::ChunkSize;
                    Step::Skip(used)
                }
                Some(_) => Step::Lost,
                None => need_line(input.bytes),
            },
            Body::Trailers => match line(input.bytes) {
                Some((text, used)) => {
                    if text.is_empty() {
                        self.bodies[direction.index()] = Body::None;
                    }
                    Step::Skip(used)
                }
                None => need_line(input.bytes),
            },
            Body::Unknown => Step::Lost,
        }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        self.bodies[direction.index()] = match frame.head.is_complete {
            true => Body::None,
            false => Body::Unknown,
        };
        match frame.head.start {
            StartLine::Request { method, target, version } => {
                self.request(&frame.head, method, target, version, out);
            }
            StartLine::Response { code, reason, version } => {
                self.response(&frame, code, reason, version, out);
            }
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        let probe = match direction {
            Direction::ClientToServer => head::probe_request(bytes, false),
            Direction::ServerToClient => head::probe_response(bytes),
        };
        probe != Probe::No
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        self.bodies[direction.index()] = Body::None;
    }
}

impl Http1 {
    fn head<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        let blank = input.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blank > 0 {
            return Step::Skip(blank as u64);
        }
        let end = head::end(input.bytes);
        let probe = match direction {
            Direction::ClientToServer => head::looks_like_request(input.bytes),
            Direction::ServerToClient => head::probe_response(input.bytes) != Probe::No,
        };
        if !probe {
            return Step::Lost;
        }
        let (text, is_complete) = match end {
            Some(end) => (&input.bytes[..end], true),
            None if input.cut || input.bytes.len() >= HEAD_BYTES => (input.bytes, false),
            None => return Step::Need(input.bytes.len() + 1),
        };
        let Some(head) = head::parse(direction, text, is_complete) else { return Step::Lost };
        let wanted = self.wanted_body(direction, &head);
        let rest = &input.bytes[text.len()..];
        if rest.len() < wanted && !input.cut {
            return Step::Need(text.len() + wanted);
        }
        let body = &rest[..wanted.min(rest.len())];
        Step::Frame { frame: Frame { head, body }, used: text.len() as u64 }
    }

    /// How much of the body belongs to the record: the start of an error's.
    fn wanted_body(&self, direction: Direction, head: &Head<'_>) -> usize {
        let StartLine::Response { code: 400.., .. } = head.start else { return 0 };
        if direction == Direction::ClientToServer || self.heads_open > 0 || head.is_chunked {
            return 0;
        }
        head.content_bytes.unwrap_or(0).min(ERROR_BODY_BYTES) as usize
    }

    fn chunk_size<'a>(&mut self, direction: Direction, bytes: &[u8]) -> Step<Frame<'a>> {
        let Some((text, used)) = line(bytes) else { return need_line(bytes) };
        let Some(size) = hexadecimal(text) else { return Step::Lost };
        self.bodies[direction.index()] = match size {
            0 => Body::Trailers,
            _ => Body::ChunkEnd,
        };
        Step::Skip(used.saturating_add(size))
    }

    fn request(
        &mut self,
        head: &Head<'_>,
        method: &[u8],
        target: &[u8],
        version: &'static str,
        out: &mut Pairing<'_>,
    ) {
        let limit = out.config.limits.text_bytes;
        let mut record = out.record();
        record.version = version.into();
        record.request_type = bytes::text(method, 32);
        let hidden = Hidden::of(out.config, Self::ID);
        record.request_resource = credentials::target(target, hidden, limit);
        let path = path_of(record.request_resource.as_bytes());
        record.endpoint = endpoint::of_path(&out.config.http_endpoint, path, limit.min(256));
        record.request_bytes = head.content_bytes.map(as_length);
        let mut fields = RequestFields::default();
        for (name, value) in head.headers() {
            fields.take(out.config, &out.config.custom_fields.http, &mut record, name, value);
        }
        fields.fill(out.config, &mut record);
        let tag = match method {
            b"HEAD" => tag::HEAD,
            b"CONNECT" => tag::CONNECT,
            _ => tag::PLAIN,
        };
        self.heads_open += u32::from(tag == tag::HEAD);
        self.pass_body(Direction::ClientToServer, head, out);
        out.request(Key::Order, record, tag);
    }

    fn response(
        &mut self,
        frame: &Frame<'_>,
        code: u16,
        reason: &[u8],
        version: &'static str,
        out: &mut Pairing<'_>,
    ) {
        if matches!(code, 100 | 102 | 103) {
            return;
        }
        let head = &frame.head;
        let mut response = out.answer(http_status::status(code));
        response.code = Some(i32::from(code));
        response.version = version.into();
        response.bytes = head.content_bytes.map(as_length);
        if code >= 400 {
            response.exception = bytes::text(reason, 256);
            let limit = out.config.raw.error_response_payload;
            response.result = bytes::text(frame.body, limit);
        } else {
            let config = out.config;
            if let Some(record) = out.expected() {
                http_fields::forget_header(config, record);
            }
        }
        let mut fields = ResponseFields::default();
        for (name, value) in head.headers() {
            fields.take(out.config, &out.config.custom_fields.http, name, value);
        }
        fields.fill(out.config, code >= 400, &mut response);
        let tag = out.expected_tag().unwrap_or(tag::PLAIN);
        out.response(Key::Order, response);
        if tag == tag::HEAD {
            self.heads_open = self.heads_open.saturating_sub(1);
        }
        let tunnel = tag == tag::CONNECT && (200..300).contains(&code);
        if code == 101 || tunnel {
            out.handover = true;
        } else if tag != tag::HEAD && !matches!(code, 204 | 304) {
            self.pass_body(Direction::ServerToClient, head, out);
        }
    }

    /// Passes over the body that follows a head (RFC 9112 §6.3).
    fn pass_body(&mut self, direction: Direction, head: &Head<'_>, out: &mut Pairing<'_>) {
        if !head.is_complete {
            return;
        }
        if head.is_chunked {
            self.bodies[direction.index()] = Body::ChunkSize;
        } else if let Some(length) = head.content_bytes {
            out.pass_over = length;
        } else if direction == Direction::ServerToClient {
            out.pass_over = u64::MAX;
        }
    }
}

/// Bytes of an error's body that a record may show.
const ERROR_BODY_BYTES: u64 = 256;

/// Longest line of a chunked body. unit byte
const LINE_BYTES: usize = 8192;

/// The first line without its end, and its length with it.
fn line(bytes: &[u8]) -> Option<(&[u8], u64)> {
    let end = bytes::find(bytes, b'\n')?;
    let text = &bytes[..end];
    Some((text.strip_suffix(b"\r").unwrap_or(text), end as u64 + 1))
}

fn need_line<F>(bytes: &[u8]) -> Step<F> {
    match bytes.len() < LINE_BYTES {
        true => Step::Need(bytes.len() + 1),
        false => Step::Lost,
    }
}

/// `1a2b [;extension]`.
fn hexadecimal(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, digit| {
        Some(number << 4 | u64::from((*digit as char).to_digit(16)?))
    })
}

/// The path of a request target, which may name scheme and host before it (RFC 9112 §3.2.2).
fn path_of(target: &[u8]) -> &[u8] {
    let scheme = &target[..target.len().min(16)];
    let Some(at) = memchr::memmem::find(scheme, b"://").filter(|_| scheme[0] != b'/') else {
        return target;
    };
    let rest = &target[at + 3..];
    match bytes::find(rest, b'/') {
        Some(slash) => &rest[slash..],
        None => b"/",
    }
}

fn as_length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
