//! Requests and responses of HTTP/1 into halves of sessions.
//!
//! In: heads, and bodies as far as something is wanted of them. Out: requests at once; responses
//! at once too, or when their bodies gave what was wanted.

use schema::{L7Protocol, Text};

use crate::bytes;
use crate::credentials::{self, Hidden};
use crate::endpoint;
use crate::field_policy::Finder;
use crate::grpc::Outcome;
use crate::http_body::{self, Body};
use crate::http_content::Content;
use crate::http_fields::{self, RequestFields, ResponseFields};
use crate::http_status;
use crate::http1::framing::Framing;
use crate::http1::head::Head;
use crate::http1::{Expects, Http1};
use crate::protocol::Protocol;
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};

/// A response whose body is looked through.
#[derive(Debug)]
pub(crate) struct Open {
    pub response: Response,
    /// How a call of gRPC-Web ended, as far as the head says it.
    outcome: Outcome,
    content: Content,
}

/// Methods of requests as far as they change what their response looks like.
mod tag {
    pub const PLAIN: u64 = 0;
    pub const HEAD: u64 = 1;
    pub const CONNECT: u64 = 2;
}

/// Longest method that is kept. unit byte
const METHOD_BYTES: usize = 64;

/// Longest reason phrase that is kept. unit byte
const REASON_BYTES: usize = 256;

/// The stream of HTTP/2 on which a request that upgraded to it is answered (RFC 7540 §3.2).
const UPGRADED_STREAM: u64 = 1;

impl Http1 {
    pub(super) fn request(
        &mut self,
        head: &Head<'_>,
        method: &[u8],
        target: &[u8],
        version: &'static str,
        out: &mut Pairing<'_>,
    ) {
        let mut record = out.record();
        let limit = out.config.limits.text_bytes;
        record.version = Text::const_new(version);
        record.request_type = bytes::text(method, METHOD_BYTES);
        let hidden = Hidden::of(out.config, Self::ID);
        record.request_resource = credentials::target(target, hidden, limit);
        // The authority of a target goes before the field (RFC 9112 §3.2.2).
        record.request_domain = bytes::text(authority_of(method, target), REASON_BYTES);
        let path = path_of(record.request_resource.as_bytes());
        record.endpoint = endpoint::of_path(&out.config.http_endpoint, path, limit.min(256));
        record.request_bytes = head.content_bytes.map(as_length);
        let config = out.config;
        let mut finder = Finder::new(config, Self::ID, out.server_port, Direction::ClientToServer);
        if let Some(finder) = &mut finder {
            finder.target(config, target);
        }
        let mut fields = RequestFields::new(finder);
        for (name, value) in head.headers() {
            fields.take(out.config, &out.config.custom_fields.http, &mut record, name, value);
        }
        let content = fields.content.bounded(out.has_room);
        let mut finder = fields.finder.take();
        fields.fill(config, &mut record);
        if let Some(finder) = &mut finder {
            finder.apply_request(config, &mut record);
        }
        let tag = match method {
            b"HEAD" => tag::HEAD,
            b"CONNECT" => tag::CONNECT,
            _ => tag::PLAIN,
        };
        let framing = match () {
            () if !head.is_complete => Framing::Unknown,
            () if head.is_chunked => Framing::ChunkSize,
            () => Framing::Length(head.body_bytes().unwrap_or(0)),
        };
        self.expects = match head.expects_continue && has_body(framing) {
            true => Expects::Answer,
            false => Expects::Nothing,
        };
        let body = Body::of_request(config, content, &record).with_fields(config, content, finder);
        out.request(Key::Order, record, tag);
        self.start_body(Direction::ClientToServer, framing, body, out);
    }

    pub(super) fn response(
        &mut self,
        head: &Head<'_>,
        code: u16,
        reason: &[u8],
        version: &'static str,
        out: &mut Pairing<'_>,
    ) {
        if matches!(code, 100 | 102 | 103) {
            if code == 100 {
                self.expects = Expects::Nothing;
            }
            return;
        }
        if code == 101 && self.upgrade(head, out) {
            return;
        }
        if self.expects == Expects::Answer {
            self.expects = Expects::NextRequest;
        }
        let tag = out.expected_tag().unwrap_or(tag::PLAIN);
        let is_tunnel = tag == tag::CONNECT && (200..300).contains(&code);
        let has_no_body = tag == tag::HEAD || matches!(code, 204 | 304) || code == 101 || is_tunnel;
        let framing = match () {
            () if has_no_body => Framing::Head,
            () if !head.is_complete => Framing::Unknown,
            () if head.is_chunked => Framing::ChunkSize,
            () => head.body_bytes().map_or(Framing::ToClose, Framing::Length),
        };
        let mut response = out.answer(http_status::status(code));
        response.code = Some(i32::from(code));
        response.version = Text::const_new(version);
        response.bytes = head.content_bytes.map(as_length);
        let is_error = code >= 400;
        if is_error {
            response.exception = bytes::text(reason, REASON_BYTES);
        }
        let config = out.config;
        let finder = Finder::new(config, Self::ID, out.server_port, Direction::ServerToClient);
        let mut fields = ResponseFields::new(finder);
        for (name, value) in head.headers() {
            fields.take(out.config, &out.config.custom_fields.http, name, value);
        }
        let (content, outcome) = (fields.content, std::mem::take(&mut fields.outcome));
        let finder = fields.finder.take();
        fields.fill(config, is_error, &mut response);
        let body = match has_body(framing) {
            true => {
                let content = content.bounded(out.has_room);
                Body::of_response(config, content, is_error, out.expected().map(|asked| &*asked))
            }
            false => Body::default(),
        };
        let body = body.with_fields(config, content.bounded(out.has_room), finder);
        self.open = Some(Box::new(Open { response, outcome, content }));
        self.start_body(Direction::ServerToClient, framing, body, out);
        if code == 101 && !self.is_opaque || is_tunnel {
            out.handover = true;
        }
    }

    /// After 101: WebSocket is none of ours, HTTP/2 answers on its first stream. `true`: the
    /// answer is not this one.
    fn upgrade(&mut self, head: &Head<'_>, out: &mut Pairing<'_>) -> bool {
        if head.upgrade.eq_ignore_ascii_case(b"websocket") {
            self.is_opaque = true;
            return false;
        }
        let is_read = out.config.protocols.contains(L7Protocol::Http2);
        if !head.upgrade.eq_ignore_ascii_case(b"h2c") || !is_read {
            return false;
        }
        let Some(record) = out.expect_under(UPGRADED_STREAM) else { return false };
        record.protocol = L7Protocol::Http2;
        record.version = Text::const_new("2");
        record.request_id = Some(UPGRADED_STREAM);
        out.successor = Some(L7Protocol::Http2);
        true
    }

    /// Bytes of a body of which something is wanted.
    pub(super) fn body(&mut self, direction: Direction, bytes: &[u8], out: &mut Pairing<'_>) {
        let side = &mut self.sides[direction.index()];
        side.body.take(bytes, out.mark.time_ns);
        if side.framing == Framing::Head || side.body.is_idle() {
            self.end_body(direction, out);
        }
    }

    /// A body ended, or gave all that was wanted of it.
    pub(super) fn end_body(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => {
                let body = std::mem::take(&mut self.sides[0].body);
                let config = out.config;
                if let Some(record) = out.latest() {
                    body.conclude_request(config, record);
                }
            }
            Direction::ServerToClient => self.finish(out),
        }
    }

    fn start_body(
        &mut self,
        direction: Direction,
        framing: Framing,
        body: Body,
        out: &mut Pairing<'_>,
    ) {
        let is_idle = body.is_idle();
        let expects = direction == Direction::ClientToServer && self.expects != Expects::Nothing;
        let side = &mut self.sides[direction.index()];
        side.body = body;
        side.framing = framing;
        match framing {
            Framing::Length(0) => side.framing = Framing::Head,
            Framing::Length(length) if is_idle && !expects => {
                out.pass_over = length;
                side.framing = Framing::Head;
            }
            Framing::ToClose if is_idle => out.pass_over = u64::MAX,
            _ => {}
        }
        if is_idle || !has_body(framing) {
            self.end_body(direction, out);
        }
    }

    /// Gives out the response that waits for its body.
    pub(super) fn finish(&mut self, out: &mut Pairing<'_>) {
        let Some(open) = self.open.take() else { return };
        let Open { mut response, mut outcome, content } = *open;
        if out.waiting_in_order() == 1 {
            // What was seen of the request's body is all that will be looked at.
            self.end_body(Direction::ClientToServer, out);
        }
        let config = out.config;
        let body = std::mem::take(&mut self.sides[1].body);
        let asked = out.expected();
        outcome.merge(body.conclude_response(config, asked, &mut response));
        let is_grpc = content.is_grpc()
            || outcome.status.is_some()
            || out.expected().is_some_and(|record| record.protocol == L7Protocol::Grpc);
        if is_grpc {
            outcome.conclude(&mut response);
        }
        if response.is_ok()
            && let Some(record) = out.expected()
        {
            http_fields::forget_header(config, record);
            http_body::forget_request(config, record);
        }
        out.mark = response.mark;
        out.response(Key::Order, response);
    }
}

/// Whether bytes follow a head.
fn has_body(framing: Framing) -> bool {
    !matches!(framing, Framing::Head | Framing::Unknown | Framing::Length(0))
}

/// The path of a request target, which may name scheme and host before it (RFC 9112 §3.2.2).
pub(super) fn path_of(target: &[u8]) -> &[u8] {
    match after_scheme(target) {
        Some(rest) => match bytes::find(rest, b'/') {
            Some(slash) => &rest[slash..],
            None => b"/",
        },
        None => target,
    }
}

/// The authority that a request target names, without a user.
fn authority_of<'a>(method: &[u8], target: &'a [u8]) -> &'a [u8] {
    let rest = match after_scheme(target) {
        Some(rest) => rest,
        None if method == b"CONNECT" => target,
        None => return b"",
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = &rest[..end.unwrap_or(rest.len())];
    match memchr::memrchr(b'@', authority) {
        Some(at) => &authority[at + 1..],
        None => authority,
    }
}

fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    let start = &target[..target.len().min(16)];
    if start.first() == Some(&b'/') {
        return None;
    }
    memchr::memmem::find(start, b"://").map(|at| &target[at + 3..])
}

fn as_length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
