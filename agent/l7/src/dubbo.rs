//! Dubbo: dubbo.apache.org/en/docs3-v2/java-sdk/reference-manual/protocol/overview, apache/dubbo
//! ExchangeCodec and DubboCodec.
//!
//! ```text
//! message  := da bb  flags: u8  status: u8  id: u64 be  body_bytes: u32 be  body
//! flags    := 0x80 request  0x40 two-way  0x20 event  0x1f serialization
//! request  := dubbo_version  path  service_version  method  types  *argument  attachments
//! response := 0 | 3 exception | 1 | 4 value | 2 | 5       [attachments where 3 to 5]
//! ```
//! Requests and responses are paired by id. Requests that are not two-way are one-way. Events are
//! heartbeats, which are no records, and notices, which are one-way. Bodies are read as far as a
//! record needs them, by their serialization. A response with an exception is a server's error.

mod attachments;
mod body;
mod hessian;
mod message;
mod words;

use schema::{L7Protocol, ResponseStatus};

use crate::bytes;
use crate::dubbo::body::Outcome;
use crate::dubbo::message::Message;
use crate::dubbo::words::Form;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::trace::TraceContext;

/// One Dubbo connection.
#[derive(Debug, Default)]
pub(crate) struct Dubbo;

impl Protocol for Dubbo {
    const ID: L7Protocol = L7Protocol::Dubbo;
    type Frame<'a> = Message<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        message::probe(first, context.direction, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Message<'a>> {
        message::cut(input)
    }

    fn pair(&mut self, direction: Direction, message: Message<'_>, out: &mut Pairing<'_>) {
        match (message.is_event, message.is_request) {
            (true, true) => event(&message, out),
            (true, false) => {}
            (false, true) => request(direction, &message, out),
            (false, false) => response(&message, out),
        }
    }

    fn resync(&self, _direction: Direction, bytes: &[u8]) -> bool {
        message::may_start(bytes)
    }
}

fn request(direction: Direction, message: &Message<'_>, out: &mut Pairing<'_>) {
    let mut record = base(message, out);
    // A provider calls its consumer back over the same connection.
    record.is_reversed = direction == Direction::ServerToClient;
    let form = Form::of(message.serialization);
    let call = body::call(form, message.body);
    record.version = bytes::text(&call.version, 32);
    record.request_type = bytes::text(&call.method, 256);
    record.request_resource = bytes::text(&call.path, 512);
    record.endpoint = record.request_resource.clone();
    if !record.request_type.is_empty() {
        record.endpoint.push('/');
        record.endpoint.push_str(&record.request_type);
    }
    if !record.request_resource.is_empty() {
        record.attributes.push(("rpc_service".into(), record.request_resource.clone()));
    }
    if !matches!(&*call.service_version, b"" | b"0.0.0") {
        let version = bytes::text(&call.service_version, 64);
        record.attributes.push(("service_version".into(), version));
    }
    let trace = &out.config.trace;
    let mut context = TraceContext::default();
    let mut native = attachments::Native::default();
    let mut caller = None;
    attachments::each(form, &call, trace, &mut |name, value| {
        match name {
            b"remote.application" => caller = Some(bytes::text(value, 256)),
            b"group" if !value.is_empty() => {
                record.attributes.push(("service_group".into(), bytes::text(value, 256)));
            }
            _ => {}
        }
        context.header(trace, name, value);
        native.take(name, value);
    });
    record.attributes.extend(caller.map(|name| ("rpc_caller".into(), name)));
    native.give(&mut context);
    context.fill(trace, &mut record);
    match message.is_two_way {
        true => out.request(Key::Id(message.id), record, 0),
        false => out.one_way(record),
    }
}

fn base(message: &Message<'_>, out: &mut Pairing<'_>) -> Box<Record> {
    let mut record = out.record();
    record.request_id = Some(message.id);
    record.request_bytes = Some(message.bytes as i64);
    record
}

/// A notice, as of a provider that is about to stop. Heartbeats say nothing.
fn event(message: &Message<'_>, out: &mut Pairing<'_>) {
    let text = body::event(Form::of(message.serialization), message.body);
    let mut record = base(message, out);
    record.request_type = match &*text {
        b"" | b"null" => return,
        b"R" => "READONLY_EVENT".into(),
        b"W" => "WRITEABLE_EVENT".into(),
        text => bytes::text(text, 64),
    };
    out.one_way(record);
}

fn response(message: &Message<'_>, out: &mut Pairing<'_>) {
    let form = Form::of(message.serialization);
    let limit = out.config.limits.text_bytes.min(1024);
    let mut context = TraceContext::default();
    let outcome = match message.status {
        message::OK => {
            let trace = &out.config.trace;
            body::outcome(form, message.body, trace, &mut |name, value| {
                context.header(trace, name, value);
            })
        }
        _ => Outcome::Failed(body::error(form, message.body)),
    };
    let mut response = out.answer(match (message.status, &outcome) {
        (message::OK, Outcome::Exception(..)) => ResponseStatus::ServerError,
        (message::OK, _) => ResponseStatus::Ok,
        (30 | 40 | 90, _) => ResponseStatus::ClientError,
        _ => ResponseStatus::ServerError,
    });
    response.code = Some(i32::from(message.status));
    response.bytes = Some(message.bytes as i64);
    response.x_request_id = context.x_request_id();
    match outcome {
        Outcome::Returned => {}
        Outcome::Failed(text) if text.is_empty() => {
            response.exception = message::status_name(message.status).into();
        }
        Outcome::Failed(text) => response.exception = bytes::text(&text, limit),
        Outcome::Exception(class, text) => {
            response.exception = bytes::text(&class, limit);
            if !class.is_empty() && !text.is_empty() {
                response.exception.push_str(": ");
            }
            response.exception.push_str(&bytes::text(&text, limit));
        }
    }
    response.echo = out.echo_of_id(message.id, message.id);
    out.response(Key::Id(message.id), response);
}

#[cfg(test)]
mod tests;
