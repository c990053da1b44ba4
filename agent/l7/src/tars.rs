//! Tars: TarsCloud protocol files RequestF.tars and BaseF.tars, in the Tars encoding.
//!
//! ```text
//! message  := len: u32 be (of all)  fields
//! request  := 1 version  2 packet_type  3 message_type  4 request_id  5 servant  6 func
//!             7 buffer  8 timeout  9 context  10 status
//! response := 1 version  2 packet_type  3 request_id  4 message_type  5 ret
//!             6 buffer  7 status  [8 desc]  [9 context]
//! ```
//! Requests and responses are paired by id. Packet type 1 is one-way. A response to TUP (version
//! 2 or 3) has a request's fields, and its code and text in the status map. The trace key is
//! `type-trace|span|parent` in the request's status map.

mod encoding;
mod packet;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::tars::packet::{Body, Packet, Request};
use crate::trace::TraceContext;

/// One Tars connection.
#[derive(Debug, Default)]
pub(crate) struct Tars;

impl Protocol for Tars {
    const ID: L7Protocol = L7Protocol::Tars;
    type Frame<'a> = Packet<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        packet::probe(first, context.direction, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Packet<'a>> {
        let Some(total_bytes) = packet::length(input.bytes) else {
            return match input.bytes.len() < packet::LENGTH_BYTES {
                true => Step::Need(packet::LENGTH_BYTES),
                false => Step::Lost,
            };
        };
        input.message(total_bytes.into(), packet::HEAD_BYTES).read(|head| {
            let mut packet = packet::read(head.get(packet::LENGTH_BYTES..)?)?;
            packet.bytes = total_bytes;
            Some(packet)
        })
    }

    fn pair(&mut self, direction: Direction, packet: Packet<'_>, out: &mut Pairing<'_>) {
        match &packet.body {
            Body::Request(request) if direction == Direction::ServerToClient => {
                self.tup_response(&packet, request, out);
            }
            Body::Request(request) => self.request(&packet, request, out),
            Body::Response { ret, desc } => self.response(&packet, *ret, desc, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        matches!(packet::probe(bytes, direction, true), Probe::Certain | Probe::Possible)
    }
}

impl Tars {
    fn request(&self, packet: &Packet<'_>, request: &Request<'_>, out: &mut Pairing<'_>) {
        let mut record = out.record();
        record.version = version(packet.version);
        record.request_id = Some(u64::from(packet.id));
        record.request_type = bytes::text(request.func, 256);
        record.request_resource = bytes::text(request.servant, 256);
        record.endpoint = record.request_resource.clone();
        record.endpoint.push('/');
        record.endpoint.push_str(&record.request_type);
        record.request_bytes = Some(i64::from(packet.bytes));
        let mut context = TraceContext::default();
        for (name, value) in request.context.clone().chain(request.status.clone()) {
            match name {
                b"STATUS_TRACE_KEY" => trace_key(&mut context, value),
                _ => context.header(&out.config.trace, name, value),
            }
        }
        context.fill(&out.config.trace, &mut record);
        match packet.is_one_way {
            true => out.one_way(record),
            false => out.request(Key::Id(u64::from(packet.id)), record, 0),
        }
    }

    fn response(&self, packet: &Packet<'_>, ret: i32, desc: &[u8], out: &mut Pairing<'_>) {
        let mut response = out.answer(match ret {
            0 => ResponseStatus::Ok,
            -12..=-10 => ResponseStatus::ClientError,
            _ => ResponseStatus::ServerError,
        });
        response.code = Some(ret);
        response.bytes = Some(i64::from(packet.bytes));
        response.version = version(packet.version);
        if ret != 0 {
            response.exception = match desc {
                b"" => packet::ret_name(ret).into(),
                desc => bytes::text(desc, out.config.limits.text_bytes.min(1024)),
            };
        }
        let id = u64::from(packet.id);
        response.echo = out.echo_of_id(id, id);
        out.response(Key::Id(id), response);
    }

    fn tup_response(&self, packet: &Packet<'_>, request: &Request<'_>, out: &mut Pairing<'_>) {
        let status = |key: &[u8]| {
            request.status.clone().find(|(name, _)| *name == key).map_or(&b""[..], |(_, text)| text)
        };
        let code = status(b"STATUS_RESULT_CODE");
        let ret = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()).unwrap_or(0);
        self.response(packet, ret, status(b"STATUS_RESULT_DESC"), out);
    }
}

fn version(version: u8) -> Text {
    Text::from(["1", "2", "3", "4", "5"][usize::from(version.clamp(1, 5)) - 1])
}

/// `f.2-trace|span|parent`, or without a span `f.2-trace|parent`: what stands before the first
/// `-` says what is reported and how long parameters may be.
fn trace_key(context: &mut TraceContext, key: &[u8]) {
    let mut parts = key.split(|byte| *byte == b'|').map(|part| bytes::text(part, 256));
    let mut next = || parts.next().unwrap_or_default();
    let (trace, second, third) = (next(), next(), next());
    let trace = trace.split_once('-').map_or(trace.clone(), |(_, id)| id.into());
    match third.is_empty() {
        true => context.native(trace, Text::default(), second),
        false => context.native(trace, second, third),
    }
}

#[cfg(test)]
mod tests;
