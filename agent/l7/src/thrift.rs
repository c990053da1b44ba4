//! Apache Thrift: apache/thrift doc/specs (binary, compact, header), and TTHeader of
//! cloudwego.io/docs/kitex/reference/transport-protocol-ttheader.
//!
//! ```text
//! message := head struct                                            (unframed)
//!          | len: u32 be  head struct                               (framed)
//!          | len: u32 be  0fff | 1000  flags: u16  seq: u32  words: u16  header  head struct
//! head    := 80 01 0 kind: u8  name_bytes: u32 be  name  seq: u32 be          (binary)
//!          | name_bytes: u32 be  name  kind: u8  seq: u32 be                  (binary, old)
//!          | 82  kind << 5 | 1  seq: varint  name_bytes: varint  name         (compact)
//! ```
//! Requests and responses are paired by sequence number and name; where numbers repeat, in order.
//! Kind 4 is one-way. Without frames the end of a message is found by walking through its struct.

mod head;
mod header;
mod result;
mod value;
mod walk;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::thrift::head::{Kind, Message};
use crate::thrift::result::Outcome;
use crate::thrift::walk::Walk;
use crate::trace::TraceContext;

/// One Thrift connection.
#[derive(Debug, Default)]
pub(crate) struct Thrift {
    /// Structs without frames that were not passed over to their ends.
    walks: [Walk; 2],
    /// Requests so far: tells those with the same sequence number apart.
    requests: u32,
    /// Responses may have been lost since the last one.
    is_suspect: bool,
}

impl Protocol for Thrift {
    const ID: L7Protocol = L7Protocol::Thrift;
    type Frame<'a> = Message<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        head::probe(first, context.direction, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Message<'a>> {
        let walk = &mut self.walks[direction.index()];
        if walk.is_over() {
            return head::cut(input, walk);
        }
        match walk.step(input.bytes) {
            Ok(0) if walk.is_over() => head::cut(input, walk),
            Ok(0) if input.bytes.len() < walk::LOOK_BYTES => Step::Need(input.bytes.len() + 1),
            Ok(used @ 1..) => Step::Skip(used),
            Ok(0) | Err(_) => {
                *walk = Walk::default();
                Step::Lost
            }
        }
    }

    fn pair(&mut self, direction: Direction, message: Message<'_>, out: &mut Pairing<'_>) {
        match message.kind {
            Kind::Call | Kind::OneWay => self.request(direction, &message, out),
            Kind::Reply | Kind::Exception => self.response(&message, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        matches!(head::probe(bytes, direction, true), Probe::Certain | Probe::Possible)
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        self.walks[direction.index()] = Walk::default();
        self.is_suspect |= direction == Direction::ServerToClient;
    }

    fn held_bytes(&self) -> usize {
        self.walks.iter().map(Walk::held_bytes).sum()
    }
}

impl Thrift {
    fn request(&mut self, direction: Direction, message: &Message<'_>, out: &mut Pairing<'_>) {
        let mut record = out.record();
        record.is_reversed = direction == Direction::ServerToClient;
        record.request_id = Some(u64::from(message.seq));
        record.request_bytes = message.bytes.map(|bytes| bytes as i64);
        record.version = Text::from(message.encoding.name());
        let (service, method) = split(&message.name);
        record.request_type = bytes::text(method, 256);
        let mut context = TraceContext::default();
        let mut called = bytes::text(service, 256);
        for (name, value) in message.headers() {
            match name {
                header::TO_SERVICE if called.is_empty() => called = bytes::text(value, 256),
                header::FROM_SERVICE => {
                    record.attributes.push(("rpc_caller".into(), bytes::text(value, 256)));
                }
                header::LOG_ID => context.offer_x_request_id(bytes::text(value, 256)),
                _ => context.header(&out.config.trace, name, value),
            }
        }
        context.fill(&out.config.trace, &mut record);
        record.endpoint = match called.is_empty() {
            true => record.request_type.clone(),
            false => compact_str::format_compact!("{called}/{}", record.request_type),
        };
        record.request_resource = match called.is_empty() {
            true => record.request_type.clone(),
            false => called,
        };
        if message.kind == Kind::OneWay {
            out.one_way(record);
            return;
        }
        let key = key(message.seq, self.requests);
        self.requests = self.requests.wrapping_add(1);
        out.request(Key::Id(key), record, 0);
    }

    fn response(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) {
        let outcome = result::read(message);
        let mut response = out.answer(match &outcome {
            Outcome::Returned => ResponseStatus::Ok,
            // The server could not make sense of what it was asked.
            Outcome::Failed { code: 1..=4 | 7..=10, .. } => ResponseStatus::ClientError,
            Outcome::Failed { .. } | Outcome::Declared { .. } => ResponseStatus::ServerError,
        });
        let limit = out.config.limits.text_bytes.min(1024);
        response.bytes = message.bytes.map(|bytes| bytes as i64);
        response.version = Text::from(message.encoding.name());
        match outcome {
            Outcome::Returned => {}
            Outcome::Failed { code, text } => {
                response.code = Some(code);
                response.exception = match text {
                    b"" => result::code_name(code).into(),
                    text => bytes::text(text, limit),
                };
            }
            Outcome::Declared { field, text } => {
                response.exception = match text {
                    b"" => compact_str::format_compact!("exception {field}"),
                    text => bytes::text(text, limit),
                };
            }
        }
        let seq = message.seq;
        let key = match self.answered(message, out) {
            Some(key) => key,
            None => {
                let mut echo = out.record();
                echo.request_id = Some(u64::from(seq));
                echo.request_type = bytes::text(&message.name, 256);
                echo.endpoint = echo.request_type.clone();
                echo.request_resource = echo.request_type.clone();
                response.echo = Some(echo);
                key(seq, self.requests)
            }
        };
        out.response(Key::Id(key), response);
    }

    /// The request that a response with this number and name answers: the first that it can, or
    /// after a loss the last before it. Those before that with the same number had no response.
    fn answered(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) -> Option<u64> {
        let range = key(message.seq, 0)..=key(message.seq, u32::MAX);
        let ids: Vec<u64> = out.waiting_ids(range).take(SAME_SEQ).collect();
        let (name, now_ns) = (split(&message.name).1, out.mark.time_ns);
        let mut can_be = |id: &u64| {
            let record = out.waiting(*id)?;
            (record.request_type.as_bytes() == name && record.start_ns <= now_ns).then_some(())
        };
        let found = match std::mem::take(&mut self.is_suspect) {
            true => ids.iter().rposition(|id| can_be(id).is_some())?,
            false => ids.iter().position(|id| can_be(id).is_some())?,
        };
        for id in &ids[..found] {
            out.let_go(*id);
        }
        Some(ids[found])
    }
}

/// Requests with the same sequence number that are looked at.
const SAME_SEQ: usize = 64;

/// What requests and responses are paired by.
fn key(seq: u32, place: u32) -> u64 {
    u64::from(seq) << 32 | u64::from(place)
}

/// Service and method of a name: multiplexed processors have `service:method`.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match bytes::find(name, b':') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (b"", name),
    }
}

#[cfg(test)]
mod tests;
