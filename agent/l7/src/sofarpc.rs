//! SOFARPC over Bolt, versions 1 and 2: sofastack/sofa-bolt RpcProtocol, RpcProtocolV2,
//! ResponseStatus; names of headers: sofastack/sofa-rpc RemotingConstants.
//!
//! ```text
//! message  := 1 | 2  [ver1, version 2 only]  type: u8  command: u16  ver2: u8  id: u32  codec: u8
//!             [switch, version 2 only]  timeout: u32 (request) | status: u16 (response)
//!             class_bytes: u16  header_bytes: u16  content_bytes: u32
//!             class  header  content  [crc: u32]                            (all big-endian)
//! header   := *(len: u32 name  len: u32 value)
//! ```
//! Requests and responses are paired by id. Type 2 is one-way. Heartbeats are no records.

mod command;
mod content;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::sofarpc::command::{Command, Kind};
use crate::trace::TraceContext;

/// One Bolt connection.
#[derive(Debug, Default)]
pub(crate) struct SofaRpc;

impl Protocol for SofaRpc {
    const ID: L7Protocol = L7Protocol::Sofarpc;
    type Frame<'a> = Command<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        command::probe(first, context.direction, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Command<'a>> {
        command::cut(input)
    }

    fn pair(&mut self, _direction: Direction, command: Command<'_>, out: &mut Pairing<'_>) {
        match command.kind {
            Kind::Request | Kind::OneWay => request(&command, out),
            Kind::Response { status } => response(&command, status, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        matches!(command::probe(bytes, direction, true), Probe::Certain | Probe::Possible)
    }
}

fn request(command: &Command<'_>, out: &mut Pairing<'_>) {
    let mut record = out.record();
    record.version = Text::from(command.version());
    record.request_id = Some(u64::from(command.id));
    record.request_bytes = Some(command.bytes as i64);
    let call = content::Call::read(command);
    record.request_type = bytes::text(call.method, 256);
    record.request_resource = match call.service {
        // Bolt without SOFARPC: the class says what is asked for.
        b"" => bytes::text(command.class, 512),
        service => bytes::text(service, 512),
    };
    record.endpoint = record.request_type.clone();
    if !record.endpoint.is_empty() {
        record.endpoint.push('/');
    }
    record.endpoint.push_str(&record.request_resource);
    if !call.caller.is_empty() {
        record.attributes.push(("rpc_caller".into(), bytes::text(call.caller, 256)));
    }
    let mut context = TraceContext::default();
    for (name, value) in command.headers() {
        context.header(&out.config.trace, name, value);
    }
    let text = |id: &[u8]| bytes::text(id, 256);
    context.native(text(call.trace_id), text(call.span_id), text(call.parent_span_id));
    context.fill(&out.config.trace, &mut record);
    match command.kind {
        Kind::OneWay => out.one_way(record),
        _ => out.request(Key::Id(u64::from(command.id)), record, 0),
    }
}

fn response(command: &Command<'_>, status: u16, out: &mut Pairing<'_>) {
    let error = content::error(command);
    let mut response = out.answer(match status {
        0 if error.is_none() => ResponseStatus::Ok,
        8 => ResponseStatus::ClientError,
        _ => ResponseStatus::ServerError,
    });
    response.code = Some(i32::from(status));
    response.bytes = Some(command.bytes as i64);
    response.version = Text::from(command.version());
    response.exception = match error.unwrap_or_default() {
        b"" => command::status_name(status).into(),
        text => bytes::text(text, out.config.limits.text_bytes.min(1024)),
    };
    let id = u64::from(command.id);
    response.echo = out.echo_of_id(id, id);
    out.response(Key::Id(id), response);
}
