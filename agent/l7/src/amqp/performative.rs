//! Frames of AMQP 1.0 (part 2, transport) and of its SASL layer (part 5):
//! `size: u32  doff: u8  type: u8  channel: u16  …  performative  payload`.
//!
//! In: bytes from the start of a frame. Out: its performative and the start of its payload. Empty
//! frames, which keep a connection open, are passed over.

use crate::amqp::value::{Cursor, Elements, Value};
use crate::bytes::Reader;
use crate::protocol::{Input, Probe, Step};
use crate::segment::Direction;

/// A performative.
#[derive(Debug)]
pub(crate) struct Performative<'a> {
    pub channel: u16,
    pub code: u64,
    pub fields: Elements<'a>,
    /// What follows it, as much as is read.
    pub payload: &'a [u8],
    /// Length of all that follows it.
    pub payload_bytes: u64,
}

/// Codes of performatives.
pub(crate) mod code {
    pub const OPEN: u64 = 0x10;
    pub const BEGIN: u64 = 0x11;
    pub const ATTACH: u64 = 0x12;
    pub const FLOW: u64 = 0x13;
    pub const TRANSFER: u64 = 0x14;
    pub const DISPOSITION: u64 = 0x15;
    pub const DETACH: u64 = 0x16;
    pub const END: u64 = 0x17;
    pub const CLOSE: u64 = 0x18;
    pub const SASL_MECHANISMS: u64 = 0x40;
    pub const SASL_INIT: u64 = 0x41;
    pub const SASL_CHALLENGE: u64 = 0x42;
    pub const SASL_RESPONSE: u64 = 0x43;
    pub const SASL_OUTCOME: u64 = 0x44;
}

/// The name of a performative.
pub(crate) fn name_of(code: u64) -> Option<&'static str> {
    Some(match code {
        code::OPEN => "open",
        code::BEGIN => "begin",
        code::ATTACH => "attach",
        code::FLOW => "flow",
        code::TRANSFER => "transfer",
        code::DISPOSITION => "disposition",
        code::DETACH => "detach",
        code::END => "end",
        code::CLOSE => "close",
        code::SASL_MECHANISMS => "sasl-mechanisms",
        code::SASL_INIT => "sasl-init",
        code::SASL_CHALLENGE => "sasl-challenge",
        code::SASL_RESPONSE => "sasl-response",
        code::SASL_OUTCOME => "sasl-outcome",
        _ => return None,
    })
}

const HEAD_BYTES: usize = 8;

/// So much of a frame is read. unit byte
const FRAME_BYTES: usize = 64 << 10;

/// Longest frame that is believed: the first byte tells these frames from those of 0-9-1.
const FRAME_BYTES_MAX: usize = (1 << 24) - 1;

const SASL: u8 = 1;

struct Head {
    frame_bytes: usize,
    /// Where the performative starts.
    body_at: usize,
    kind: u8,
    channel: u16,
}

fn head(bytes: &[u8]) -> Result<Option<Head>, ()> {
    if bytes.first().is_some_and(|first| *first != 0) {
        return Err(());
    }
    let mut reader = Reader::new(bytes);
    let Some(size) = reader.u32_be() else { return Ok(None) };
    let (Some(doff), Some(kind)) = (reader.u8(), reader.u8()) else { return Ok(None) };
    let Some(channel) = reader.u16_be() else { return Ok(None) };
    let (frame_bytes, body_at) = (size as usize, usize::from(doff) * 4);
    let is_plausible = body_at >= HEAD_BYTES && body_at <= frame_bytes && kind <= SASL;
    match is_plausible && frame_bytes <= FRAME_BYTES_MAX {
        true => Ok(Some(Head { frame_bytes, body_at, kind, channel })),
        false => Err(()),
    }
}

/// Cuts a frame.
pub(crate) fn cut<'a>(input: Input<'a>) -> Step<Performative<'a>> {
    let head = match head(input.bytes) {
        Ok(Some(head)) => head,
        Ok(None) => return Step::Need(HEAD_BYTES),
        Err(()) => return Step::Lost,
    };
    let used = head.frame_bytes as u64;
    if head.body_at == head.frame_bytes {
        return Step::Skip(used);
    }
    let have = input.bytes.len();
    let wanted = head.frame_bytes.min(FRAME_BYTES);
    if have < wanted && !input.cut {
        return Step::Need(wanted);
    }
    match read(&head, &input.bytes[..have.min(wanted)]) {
        Some(frame) => Step::Frame { frame, used },
        None if input.cut => Step::Skip(used),
        None => Step::Lost,
    }
}

fn read<'a>(head: &Head, bytes: &'a [u8]) -> Option<Performative<'a>> {
    let body = bytes.get(head.body_at..)?;
    let mut cursor = Cursor::new(body);
    let Value::Described(code, fields) = cursor.value()? else { return None };
    let is_sasl = code >= code::SASL_MECHANISMS;
    if name_of(code).is_none() || is_sasl != (head.kind == SASL) {
        return None;
    }
    let payload = cursor.rest();
    let performative_bytes = body.len() - payload.len();
    let payload_bytes = (head.frame_bytes - head.body_at).saturating_sub(performative_bytes) as u64;
    Some(Performative { channel: head.channel, code, fields, payload, payload_bytes })
}

/// Whether an end may send this.
fn may_come(code: u64, direction: Direction) -> bool {
    match code {
        code::SASL_MECHANISMS | code::SASL_CHALLENGE | code::SASL_OUTCOME => {
            direction == Direction::ServerToClient
        }
        code::SASL_INIT | code::SASL_RESPONSE => direction == Direction::ClientToServer,
        _ => true,
    }
}

/// An empty frame on channel 0.
const EMPTY: &[u8] = &[0, 0, 0, 8, 2, 0, 0, 0];

/// What the first bytes of a direction are. Empty frames tell nothing; the first other one does.
pub(crate) fn probe(direction: Direction, bytes: &[u8], cut: bool) -> Probe {
    let mut rest = bytes;
    while let Some(after) = rest.strip_prefix(EMPTY) {
        rest = after;
    }
    if rest.is_empty() || EMPTY.starts_with(rest) {
        return Probe::Short;
    }
    let head = match head(rest) {
        Ok(Some(head)) if head.body_at < head.frame_bytes => head,
        Ok(None) => return Probe::Short,
        _ => return Probe::No,
    };
    let whole = &rest[..rest.len().min(head.frame_bytes)];
    match read(&head, whole) {
        Some(performative) if may_come(performative.code, direction) => Probe::Certain,
        Some(_) => Probe::No,
        None if whole.len() < head.frame_bytes && may_be(&head, whole) && !cut => Probe::Short,
        None => Probe::No,
    }
}

/// Whether the part of a performative that is there is right.
fn may_be(head: &Head, whole: &[u8]) -> bool {
    match whole.get(head.body_at..) {
        None | Some([] | [0] | [0, 0x53 | 0x80 | 0xa3]) => true,
        Some([0, 0x53, code, ..]) => name_of(u64::from(*code)).is_some(),
        Some([0, 0x80 | 0xa3, ..]) => true,
        Some(_) => false,
    }
}

/// Whether a frame plausibly starts here.
pub(crate) fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    bytes.starts_with(EMPTY) || probe(direction, bytes, true) == Probe::Certain
}
