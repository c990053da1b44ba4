//! What a FastCGI program answers: the head of its output (RFC 3875 §6), its errors, its end.

use schema::{ResponseStatus, Text};

use crate::bytes;
use crate::fastcgi::record::{Frame, HEAD_BYTES, Kind, STDERR_BYTES};
use crate::session::{Key, Pairing};
use crate::stream::Mark;
use crate::trace::TraceContext;

/// A response under way.
#[derive(Debug)]
pub(crate) struct Answer {
    mark: Mark,
    captured_bytes: u32,
    /// Bytes of STDOUT until its head ends.
    head: Vec<u8>,
    is_head_done: bool,
    stdout_bytes: u64,
    /// Bytes of it were lost: its length is not known.
    is_torn: bool,
    stderr: Vec<u8>,
    /// Its record was given.
    is_given: bool,
}

/// What the head says.
#[derive(Debug, Default)]
struct Head {
    code: Option<u16>,
    reason: Text,
    is_redirect: bool,
    x_request_id: Text,
}

/// An output that goes on for longer than this is not waited for. unit ns
const PATIENCE_NS: u64 = 10_000_000_000;

impl Answer {
    pub fn new(mark: Mark) -> Self {
        Self {
            mark,
            captured_bytes: 0,
            head: Vec::new(),
            is_head_done: false,
            stdout_bytes: 0,
            is_torn: false,
            stderr: Vec::new(),
            is_given: false,
        }
    }

    /// Whether the head of the output has not ended.
    pub fn wants_head(&self) -> bool {
        !self.is_head_done
    }

    /// Bytes were lost.
    pub fn lose(&mut self) {
        self.is_head_done = true;
        self.is_torn = true;
    }

    pub fn held_bytes(&self) -> usize {
        self.head.capacity() + self.stderr.capacity() + size_of::<Self>()
    }

    /// Takes a record of STDOUT or STDERR.
    pub fn take(&mut self, frame: &Frame<'_>, out: &mut Pairing<'_>) {
        self.captured_bytes = self.captured_bytes.saturating_add(out.captured_bytes);
        if frame.kind == Kind::Stderr {
            let room = STDERR_BYTES.saturating_sub(self.stderr.len());
            self.stderr.extend_from_slice(&frame.content[..frame.content.len().min(room)]);
            return;
        }
        self.stdout_bytes += u64::from(frame.content_bytes);
        if !self.is_head_done {
            let room = HEAD_BYTES.saturating_sub(self.head.len());
            self.head.extend_from_slice(&frame.content[..frame.content.len().min(room)]);
            self.is_head_done = self.head.len() >= HEAD_BYTES
                || frame.content.len() < usize::from(frame.content_bytes)
                || head_bytes(&self.head).is_some();
        }
        let patience = self.mark.time_ns.saturating_add(PATIENCE_NS);
        if self.is_head_done && !self.is_given && out.mark.time_ns > patience {
            self.is_torn = true;
            self.respond(frame.id, None, out);
            self.is_given = true;
        }
    }

    /// Makes it a response. `end`: the content of END_REQUEST, if that was seen.
    pub fn give(self, id: u16, end: Option<&[u8]>, out: &mut Pairing<'_>) {
        if !self.is_given {
            self.respond(id, end, out);
        }
    }

    fn respond(&self, id: u16, end: Option<&[u8]>, out: &mut Pairing<'_>) {
        let limit = out.config.limits.text_bytes.min(1024);
        let head = Head::read(&self.head, out);
        let refusal = end.and_then(|end| end.get(4)).map_or("", |status| match status {
            1 => "cannot multiplex",
            2 => "overloaded",
            3 => "unknown role",
            _ => "",
        });
        let code = head.code.unwrap_or(if head.is_redirect { 302 } else { 200 });
        let mut response = out.answer(match code {
            _ if !refusal.is_empty() => ResponseStatus::ServerError,
            400..500 => ResponseStatus::ClientError,
            500.. => ResponseStatus::ServerError,
            _ => ResponseStatus::Ok,
        });
        response.mark = self.mark;
        response.captured_bytes = match end {
            Some(_) => self.captured_bytes.saturating_add(out.captured_bytes),
            None => self.captured_bytes,
        };
        response.code = refusal.is_empty().then_some(i32::from(code));
        response.x_request_id = head.x_request_id;
        response.exception = match self.stderr.trim_ascii() {
            _ if !refusal.is_empty() => refusal.into(),
            b"" if code >= 400 => head.reason,
            text => bytes::text(text, limit),
        };
        if end.is_some() && !self.is_torn {
            let head_bytes = head_bytes(&self.head).unwrap_or(0) as u64;
            response.bytes = Some(self.stdout_bytes.saturating_sub(head_bytes) as i64);
        }
        let exit =
            end.and_then(|end| end.first_chunk::<4>()).map_or(0, |exit| i32::from_be_bytes(*exit));
        if exit != 0 {
            let exit = compact_str::format_compact!("{exit}");
            response.attributes.push(("app_status".into(), exit));
        }
        let id = u64::from(id);
        response.echo = out.echo_of_id(id, id);
        out.response(Key::Id(id), response);
    }
}

impl Head {
    fn read(head: &[u8], out: &Pairing<'_>) -> Self {
        let mut read = Self::default();
        let mut context = TraceContext::default();
        let end = head_bytes(head).unwrap_or(head.len());
        for line in head[..end].split(|byte| *byte == b'\n') {
            let Some(colon) = bytes::find(line, b':') else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"status") {
                let digits = value.split(|byte| *byte == b' ').next().unwrap_or_default();
                read.code = bytes::decimal(digits).and_then(|code| u16::try_from(code).ok());
                read.reason = bytes::text(value[digits.len()..].trim_ascii(), 256);
            } else if name.eq_ignore_ascii_case(b"location") {
                // A path is for the web server; an address for the client.
                read.is_redirect = !value.starts_with(b"/");
            } else {
                context.header(&out.config.trace, name, value);
            }
        }
        read.x_request_id = context.x_request_id();
        read
    }
}

/// Length of a head with the empty line at its end.
fn head_bytes(head: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(end) = bytes::find(&head[at..], b'\n') {
        let line = &head[at..at + end];
        at += end + 1;
        if matches!(line, b"" | b"\r") {
            return Some(at);
        }
    }
    None
}
