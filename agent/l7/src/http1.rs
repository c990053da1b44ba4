//! HTTP/1.0 and HTTP/1.1: RFC 9112 (syntax), RFC 9110 (semantics).
//!
//! ```text
//! message := start-line CRLF *(name ":" value CRLF) CRLF body
//! body    := Content-Length bytes | *(size-hex [;ext] CRLF bytes CRLF) "0" CRLF trailers CRLF
//!          | bytes until the connection closes
//! ```
//! Bodies are passed over without being held, also where they were not captured; those of which
//! something is wanted are looked through as they come, and the response is told when that was
//! found. Responses answer requests in order; 100, 102 and 103 are interim and no answer. After
//! an upgrade to WebSocket nothing more is read; to HTTP/2, the answer comes on its first stream;
//! after any other, or a CONNECT that was granted, inference starts again on what follows.

mod exchange;
mod framing;
mod head;

use schema::L7Protocol;

use crate::http_body::Body;
use crate::http1::exchange::Open;
use crate::http1::framing::{Framing, Part};
use crate::http1::head::{Head, StartLine};
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::Pairing;

/// One HTTP/1 conversation.
#[derive(Debug, Default)]
pub(crate) struct Http1 {
    sides: [Side; 2],
    /// The response whose body is looked through.
    open: Option<Box<Open>>,
    /// The client announced a body that it may leave out (`Expect: 100-continue`).
    expects: Expects,
    /// Nothing more is of interest.
    is_opaque: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Side {
    framing: Framing,
    /// What is wanted of the body that is being read.
    body: Body,
}

/// Where a request stands whose client waits before it sends the body (RFC 9110 §10.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    /// There is none, or its body is on its way.
    #[default]
    Nothing,
    Answer,
    /// The final answer came before the body: the next request may stand in its place.
    NextRequest,
}

/// A piece of a message.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Head(Head<'a>),
    Body(&'a [u8]),
    /// The body ended.
    End,
}

/// Longest head that is waited for. unit byte
const HEAD_BYTES: usize = 64 << 10;

impl Protocol for Http1 {
    const ID: L7Protocol = L7Protocol::Http;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        match context.direction {
            Direction::ClientToServer => head::probe_request(first, context.cut),
            Direction::ServerToClient => head::probe_response(first),
        }
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        if self.is_opaque {
            return Step::Skip(u64::MAX);
        }
        let side = &mut self.sides[direction.index()];
        if side.framing == Framing::Head {
            return cut_head(direction, input);
        }
        if direction == Direction::ClientToServer && self.expects != Expects::Nothing {
            match self.expects == Expects::NextRequest {
                true => match head::probe_request(input.bytes, input.cut) {
                    Probe::Certain => {
                        *side = Side::default();
                        self.expects = Expects::Nothing;
                        return cut_head(direction, input);
                    }
                    Probe::Short => return Step::Need(input.bytes.len() + 1),
                    _ => self.expects = Expects::Nothing,
                },
                false => self.expects = Expects::Nothing,
            }
        }
        match side.framing.cut(input.bytes, !side.body.is_idle()) {
            Step::Frame { frame: Part::Body(bytes), used } => {
                Step::Frame { frame: Frame::Body(bytes), used }
            }
            Step::Frame { frame: Part::End, used } => Step::Frame { frame: Frame::End, used },
            Step::Need(bytes) => Step::Need(bytes),
            Step::Skip(bytes) => Step::Skip(bytes),
            Step::Lost => Step::Lost,
        }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame {
            Frame::Head(head) => match head.start {
                StartLine::Request { method, target, version } => {
                    self.request(&head, method, target, version, out);
                }
                StartLine::Response { code, reason, version } => {
                    self.response(&head, code, reason, version, out);
                }
            },
            Frame::Body(bytes) => self.body(direction, bytes, out),
            Frame::End => self.end_body(direction, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        match direction {
            Direction::ClientToServer => head::may_start(bytes),
            Direction::ServerToClient => head::probe_response(bytes) != Probe::No,
        }
    }

    fn pass_gap(&mut self, direction: Direction, bytes: u64, out: &mut Pairing<'_>) -> bool {
        let side = &mut self.sides[direction.index()];
        let is_inside = side.framing.pass(bytes);
        if is_inside {
            side.body.lost();
            if side.framing == Framing::Head || side.body.is_idle() {
                self.end_body(direction, out);
            }
        }
        is_inside
    }

    fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        self.sides[direction.index()].body.lost();
        self.end_body(direction, out);
        self.sides[direction.index()].framing = Framing::Head;
        if direction == Direction::ClientToServer {
            self.expects = Expects::Nothing;
        }
    }

    fn expire(&mut self, now_ns: u64, out: &mut Pairing<'_>) {
        let window_ns = out.config.windows.session_ns;
        if let Some(open) = &self.open {
            let answered_ns = open.response.mark.time_ns;
            let start_ns = out.expected().map_or(answered_ns, |record| record.start_ns);
            if start_ns.saturating_add(window_ns) <= now_ns {
                self.finish(out);
            }
        }
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        self.end_body(Direction::ClientToServer, out);
        self.end_body(Direction::ServerToClient, out);
    }

    fn held_bytes(&self) -> usize {
        self.sides.iter().map(|side| side.body.held_bytes()).sum()
    }
}

/// Cuts a head, as far as it was captured.
fn cut_head(direction: Direction, input: Input<'_>) -> Step<Frame<'_>> {
    let blank = input.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if blank > 0 {
        return Step::Skip(blank as u64);
    }
    let probe = match direction {
        Direction::ClientToServer => head::looks_like_request(input.bytes),
        Direction::ServerToClient => head::may_be_response(input.bytes),
    };
    if !probe {
        return Step::Lost;
    }
    let (text, is_complete) = match head::end(input.bytes) {
        Some(end) => (&input.bytes[..end], true),
        None if input.cut || input.bytes.len() >= HEAD_BYTES => (input.bytes, false),
        None => return Step::Need(input.bytes.len() + 1),
    };
    match head::parse(direction, text, is_complete) {
        Some(head) => Step::Frame { frame: Frame::Head(head), used: text.len() as u64 },
        None => Step::Lost,
    }
}

#[cfg(test)]
mod tests;
