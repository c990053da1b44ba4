//! krpc: bruceran/krpc doc/develop.md and misc/protos/krpcmeta.proto
//!
//! ```text
//! message := "KR"  meta_bytes: u16 be  bytes: u32 be (meta and body)  meta  body
//! meta    := protobuf: 1 direction  2 service  3 message  4 sequence  5 timeout  6 code  7 trace
//! ```
//! Requests and responses are paired by sequence. Service 1, message 1 is a heartbeat, which is
//! no record.

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::protobuf::{Fields, Value};
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::trace::TraceContext;

/// One krpc connection.
#[derive(Debug, Default)]
pub(crate) struct Krpc;

/// A message, as far as its meta was captured.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    meta: Meta<'a>,
    /// Its length by the protocol.
    bytes: u64,
}

/// `RpcMeta`.
#[derive(Debug, Default)]
struct Meta<'a> {
    is_response: bool,
    service: u64,
    message: u64,
    sequence: u64,
    code: i32,
    trace_id: &'a [u8],
    parent_span_id: &'a [u8],
    span_id: &'a [u8],
}

const HEADER_BYTES: usize = 8;

/// Longest message that is believed. unit byte
const MESSAGE_BYTES: u32 = 256 << 20;

impl Protocol for Krpc {
    const ID: L7Protocol = L7Protocol::Krpc;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe(first, context.direction, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        let Some((meta_bytes, bytes)) = header(input.bytes) else {
            return match may_start(input.bytes) && input.bytes.len() < HEADER_BYTES {
                true => Step::Need(HEADER_BYTES),
                false => Step::Lost,
            };
        };
        input
            .message(bytes, HEADER_BYTES + meta_bytes)
            .read(|head| Some(Frame { meta: Meta::read(head.get(HEADER_BYTES..)?)?, bytes }))
    }

    fn pair(&mut self, _direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        let is_heartbeat = frame.meta.service == 1 && frame.meta.message == 1;
        match frame.meta.is_response {
            _ if is_heartbeat => {}
            false => request(&frame, out),
            true => response(&frame, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        probe(bytes, direction, true) == Probe::Certain
    }
}

impl<'a> Meta<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut meta = Self::default();
        let mut direction = 0;
        for field in Fields::of(bytes) {
            match field {
                (1, Value::Number(number)) => direction = number,
                (2, Value::Number(number)) => meta.service = number,
                (3, Value::Number(number)) => meta.message = number,
                (4, Value::Number(number)) => meta.sequence = number,
                (5, Value::Number(_)) => {}
                (6, Value::Number(number)) => meta.code = number as i32,
                (7, Value::Bytes(trace)) => meta.read_trace(trace),
                (1..=7, _) => return None,
                _ => {}
            }
        }
        meta.is_response = direction == 2;
        (matches!(direction, 1 | 2) && meta.service > 0).then_some(meta)
    }

    fn read_trace(&mut self, bytes: &'a [u8]) {
        for field in Fields::of(bytes) {
            match field {
                (2, Value::Bytes(id)) => self.trace_id = id,
                (3, Value::Bytes(id)) => self.parent_span_id = id,
                (4, Value::Bytes(id)) => self.span_id = id,
                _ => {}
            }
        }
    }
}

/// Length of the meta, and of the whole message.
fn header(bytes: &[u8]) -> Option<(usize, u64)> {
    let mut reader = Reader::new(bytes);
    let magic = reader.array::<2>()?;
    let (meta_bytes, bytes) = (reader.u16_be()?, reader.u32_be()?);
    let is_sound = &magic == b"KR" && meta_bytes >= 4 && (4..=MESSAGE_BYTES).contains(&bytes);
    let is_sound = is_sound && u32::from(meta_bytes) <= bytes;
    is_sound.then(|| (usize::from(meta_bytes), HEADER_BYTES as u64 + u64::from(bytes)))
}

fn may_start(bytes: &[u8]) -> bool {
    b"KR".starts_with(&bytes[..bytes.len().min(2)])
}

/// What the first bytes of a direction are. `cut`: more will not come.
fn probe(first: &[u8], direction: Direction, cut: bool) -> Probe {
    let Some((meta_bytes, _)) = header(first) else {
        let is_short = may_start(first) && first.len() < HEADER_BYTES && !cut;
        return if is_short { Probe::Short } else { Probe::No };
    };
    let meta = &first[HEADER_BYTES..];
    // A message begins with its direction.
    match (meta.first(), meta.get(1)) {
        (Some(8), Some(1)) if direction == Direction::ClientToServer => {}
        (Some(8), Some(2)) if direction == Direction::ServerToClient => {}
        (None, _) | (Some(8), None) if !cut => return Probe::Short,
        _ => return Probe::No,
    }
    let is_whole = meta.len() >= meta_bytes;
    let meta = &meta[..meta.len().min(meta_bytes)];
    if is_whole && !Fields::of(meta).are_sound() {
        return Probe::No;
    }
    match Meta::read(meta) {
        Some(meta) if meta.message > 0 => Probe::Certain,
        _ if is_whole || cut => Probe::No,
        _ => Probe::Short,
    }
}

fn request(frame: &Frame<'_>, out: &mut Pairing<'_>) {
    let meta = &frame.meta;
    let mut record = out.record();
    record.request_type = compact_str::format_compact!("{}", meta.message);
    record.request_resource = compact_str::format_compact!("{}", meta.service);
    record.endpoint = compact_str::format_compact!("{}/{}", meta.service, meta.message);
    record.request_id = Some(meta.sequence);
    record.request_bytes = Some(frame.bytes as i64);
    let text = |id: &[u8]| bytes::text(id, 256);
    let mut context = TraceContext::default();
    context.native(text(meta.trace_id), text(meta.span_id), text(meta.parent_span_id));
    context.fill(&out.config.trace, &mut record);
    out.request(Key::Id(meta.sequence), record, 0);
}

fn response(frame: &Frame<'_>, out: &mut Pairing<'_>) {
    let meta = &frame.meta;
    let mut response = out.answer(match meta.code {
        0 => ResponseStatus::Ok,
        // What the caller sent is wrong, unknown or not allowed.
        -606 | -621 | -625 | -627 | -630 => ResponseStatus::ClientError,
        _ => ResponseStatus::ServerError,
    });
    response.code = Some(meta.code);
    response.bytes = Some(frame.bytes as i64);
    response.exception = Text::from(code_name(meta.code));
    response.echo = out.echo_of_id(meta.sequence, meta.sequence);
    out.response(Key::Id(meta.sequence), response);
}

/// Codes of the framework (RetCodes.java) that a server sends; empty for others.
fn code_name(code: i32) -> &'static str {
    match code {
        -606 => "REFERER_NOT_ALLOWED",
        -620 => "BUSINESS_ERROR",
        -621 => "VALIDATE_ERROR",
        -622 => "SERVER_SHUTDOWN",
        -623 => "QUEUE_FULL",
        -624 => "QUEUE_TIMEOUT",
        -625 => "DECODE_REQ_ERROR",
        -626 => "ENCODE_RES_ERROR",
        -627 => "NOT_FOUND",
        -628 => "FLOW_LIMIT",
        -629 => "DIST_FLOW_LIMIT",
        -630 => "SERVICE_NOT_ALLOWED",
        _ => "",
    }
}
