//! bRPC's own protocol, baidu_std: apache/brpc docs/cn/baidu_std.md, baidu_rpc_meta.proto,
//! streaming_rpc_meta.proto, errno.proto
//!
//! ```text
//! message := "PRPC"  body_bytes: u32 be  meta_bytes: u32 be  meta  data  attachment
//! stream  := "STRM"  body_bytes: u32 be  meta_bytes: u32 be  meta  data
//! ```
//! The metas are protobuf. Requests and responses are paired by the correlation id. Messages of
//! streams that a call opened answer nothing and are passed over.

mod meta;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::brpc::meta::{Call, Meta, Outcome};
use crate::bytes::{self, Reader};
use crate::protobuf::Fields;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::trace::TraceContext;

/// One bRPC connection.
#[derive(Debug, Default)]
pub(crate) struct Brpc;

/// A message, as far as its meta was captured.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    meta: Meta<'a>,
    /// Its length by the protocol.
    bytes: u64,
}

const HEADER_BYTES: usize = 12;

/// So much of a meta is read. unit byte
const META_BYTES: usize = 64 << 10;

/// Longest body that is believed (`max_body_size` is 64 MiB unless it was raised). unit byte
const BODY_BYTES: u32 = 1 << 30;

struct Header {
    is_stream: bool,
    body_bytes: u32,
    meta_bytes: u32,
}

impl Protocol for Brpc {
    const ID: L7Protocol = L7Protocol::Brpc;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe(first, context.direction, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        let Some(header) = header(input.bytes) else {
            return match may_start(input.bytes) && input.bytes.len() < HEADER_BYTES {
                true => Step::Need(HEADER_BYTES),
                false => Step::Lost,
            };
        };
        let bytes = HEADER_BYTES as u64 + u64::from(header.body_bytes);
        if header.is_stream {
            return Step::Skip(bytes);
        }
        let meta_bytes = (header.meta_bytes as usize).min(META_BYTES);
        input.message(bytes, HEADER_BYTES + meta_bytes).read(|head| {
            let meta = Meta::read(&head[HEADER_BYTES..])?;
            Some(Frame { meta, bytes })
        })
    }

    fn pair(&mut self, _direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match (&frame.meta.call, &frame.meta.outcome) {
            (Some(call), _) => request(&frame, call, out),
            (None, Some(outcome)) => response(&frame, outcome, out),
            // A response without its part says that all is well.
            (None, None) => response(&frame, &Outcome::default(), out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        probe(bytes, direction, true) != Probe::No
    }
}

fn header(bytes: &[u8]) -> Option<Header> {
    let mut reader = Reader::new(bytes);
    let is_stream = match &reader.array::<4>()? {
        b"PRPC" => false,
        b"STRM" => true,
        _ => return None,
    };
    let (body_bytes, meta_bytes) = (reader.u32_be()?, reader.u32_be()?);
    let is_sound = body_bytes <= BODY_BYTES && meta_bytes <= body_bytes && meta_bytes > 0;
    is_sound.then_some(Header { is_stream, body_bytes, meta_bytes })
}

fn may_start(bytes: &[u8]) -> bool {
    let magic = &bytes[..bytes.len().min(4)];
    b"PRPC".starts_with(magic) || b"STRM".starts_with(magic)
}

/// What the first bytes of a direction are. `cut`: more will not come.
fn probe(first: &[u8], direction: Direction, cut: bool) -> Probe {
    let Some(header) = header(first) else {
        let is_short = may_start(first) && first.len() < HEADER_BYTES && !cut;
        return if is_short { Probe::Short } else { Probe::No };
    };
    if header.is_stream {
        return Probe::Possible;
    }
    let meta_bytes = header.meta_bytes as usize;
    let meta = &first[HEADER_BYTES..];
    let is_whole = meta.len() >= meta_bytes;
    let meta = &meta[..meta.len().min(meta_bytes)];
    if is_whole && !Fields::of(meta).are_sound() {
        return Probe::No;
    }
    match Meta::read(meta) {
        Some(meta) => match (direction, &meta.call) {
            (Direction::ClientToServer, Some(_)) => Probe::Certain,
            (Direction::ServerToClient, None) if is_whole => Probe::Certain,
            (Direction::ServerToClient, None) => Probe::Possible,
            _ => Probe::No,
        },
        None if is_whole => Probe::No,
        None if cut => Probe::Possible,
        None => Probe::Short,
    }
}

/// The id as it is shown: bRPC counts calls in the upper half, others in the whole.
fn shown_id(correlation_id: u64) -> u64 {
    match correlation_id >> 32 {
        0 => correlation_id,
        upper => upper,
    }
}

fn request(frame: &Frame<'_>, call: &Call<'_>, out: &mut Pairing<'_>) {
    let mut record = out.record();
    record.request_type = bytes::text(call.method, 256);
    record.request_resource = bytes::text(call.service, 256);
    record.endpoint = record.request_resource.clone();
    record.endpoint.push('/');
    record.endpoint.push_str(&record.request_type);
    record.request_id = Some(shown_id(frame.meta.correlation_id));
    record.request_bytes = Some(frame.bytes as i64);
    let mut context = TraceContext::default();
    for (name, value) in frame.meta.user_fields() {
        context.header(&out.config.trace, name, value);
    }
    context.native(hex(call.trace_id), hex(call.span_id), hex(call.parent_span_id));
    context.fill(&out.config.trace, &mut record);
    if record.x_request_id_0.is_empty() {
        record.x_request_id_0 = match (call.request_id, call.log_id) {
            (b"", 0) => Text::default(),
            (b"", log_id) => compact_str::format_compact!("{}", log_id as i64),
            (id, _) => bytes::text(id, 256),
        };
    }
    out.request(Key::Id(frame.meta.correlation_id), record, 0);
}

fn response(frame: &Frame<'_>, outcome: &Outcome<'_>, out: &mut Pairing<'_>) {
    let mut response = out.answer(match outcome.code {
        0 => ResponseStatus::Ok,
        // errno.proto: what the client caused, and what the server.
        1001..=1999 => ResponseStatus::ClientError,
        _ => ResponseStatus::ServerError,
    });
    response.code = Some(outcome.code);
    response.bytes = Some(frame.bytes as i64);
    if outcome.code != 0 {
        response.exception = bytes::text(outcome.text, out.config.limits.text_bytes.min(1024));
    }
    let id = frame.meta.correlation_id;
    response.echo = out.echo_of_id(id, shown_id(id));
    out.response(Key::Id(id), response);
}

/// An id as bRPC's pages show it; 0 is none.
fn hex(id: u64) -> Text {
    match id {
        0 => Text::default(),
        id => compact_str::format_compact!("{id:x}"),
    }
}
