//! Frames of AMQP 0-9-1: `kind: u8  channel: u16  size: u32  payload  0xce`.
//!
//! In: bytes from the start of a frame. Out: methods and content headers, as much of them as a
//! record needs; bodies and heartbeats are passed over without being held.

use crate::amqp::content::Header;
use crate::amqp::method::{self, Kind};
use crate::bytes::Reader;
use crate::protocol::{Input, Probe, Step};
use crate::segment::Direction;

/// A frame that means something.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Method { channel: u16, kind: Kind, args: &'a [u8] },
    Content { channel: u16, header: Header<'a> },
}

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

const HEAD_BYTES: usize = 7;
const END: u8 = 0xce;

/// So much of a method or content header is read. unit byte
const PAYLOAD_BYTES: usize = 64 << 10;

/// Longest frame that is believed (RabbitMQ's `frame_max` is 128 KiB unless set). unit byte
const FRAME_BYTES_MAX: usize = 256 << 20;

/// So much of a frame without its end is enough for a guess. unit byte
const LONG_FRAME_BYTES: usize = 1024;

struct Head {
    kind: u8,
    channel: u16,
    payload_bytes: usize,
}

/// The first bytes of a frame; `Err`: they are none.
fn head(bytes: &[u8]) -> Result<Option<Head>, ()> {
    let kind = bytes.first().copied().unwrap_or(METHOD);
    if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
        return Err(());
    }
    let mut reader = Reader::new(bytes.get(1..).unwrap_or(&[]));
    let (Some(channel), Some(size)) = (reader.u16_be(), reader.u32_be()) else { return Ok(None) };
    let payload_bytes = size as usize;
    let is_plausible = match kind {
        METHOD => payload_bytes >= 4,
        HEADER => payload_bytes >= 14,
        HEARTBEAT => payload_bytes == 0,
        _ => true,
    };
    let is_ended = bytes.get(HEAD_BYTES + payload_bytes).is_none_or(|byte| *byte == END);
    if !is_plausible || !is_ended || payload_bytes > FRAME_BYTES_MAX {
        return Err(());
    }
    Ok(Some(Head { kind, channel, payload_bytes }))
}

/// Cuts a frame.
pub(crate) fn cut<'a>(input: Input<'a>) -> Step<Frame<'a>> {
    let head = match head(input.bytes) {
        Ok(Some(head)) => head,
        Ok(None) => return Step::Need(HEAD_BYTES),
        Err(()) => return Step::Lost,
    };
    let used = (HEAD_BYTES + head.payload_bytes + 1) as u64;
    if matches!(head.kind, BODY | HEARTBEAT) {
        return Step::Skip(used);
    }
    let have = input.bytes.len();
    let wanted = match head.payload_bytes > PAYLOAD_BYTES {
        true => HEAD_BYTES + PAYLOAD_BYTES,
        false => used as usize,
    };
    if have < wanted && !input.cut {
        return Step::Need(wanted);
    }
    let payload = &input.bytes[HEAD_BYTES..have.min(HEAD_BYTES + head.payload_bytes)];
    match read(&head, payload) {
        Some(frame) => Step::Frame { frame, used },
        None if input.cut => Step::Skip(used),
        None => Step::Lost,
    }
}

fn read<'a>(head: &Head, payload: &'a [u8]) -> Option<Frame<'a>> {
    let mut reader = Reader::new(payload);
    let (class, number) = (reader.u16_be()?, reader.u16_be()?);
    let channel = head.channel;
    if head.kind == METHOD {
        let kind = method::kind_of(class, number)?;
        return Some(Frame::Method { channel, kind, args: reader.rest() });
    }
    let body_bytes = reader.array().map(u64::from_be_bytes)?;
    let header = Header { body_bytes, properties: reader.rest() };
    (class == method::BASIC).then_some(Frame::Content { channel, header })
}

/// What the first bytes of a direction are. Which end is the client shows in methods only.
pub(crate) fn probe(direction: Direction, bytes: &[u8], cut: bool) -> Probe {
    let mut rest = bytes;
    let mut found = Probe::Short;
    while !rest.is_empty() {
        match probe_frame(direction, rest, cut) {
            (Probe::Short, used) if used > 0 => rest = rest.get(used..).unwrap_or(&[]),
            (Probe::Possible, used) if used > 0 => {
                found = Probe::Possible;
                rest = rest.get(used..).unwrap_or(&[]);
            }
            (Probe::Short, _) => return found,
            (probe, _) => return probe,
        }
    }
    found
}

/// Whether a frame plausibly starts here.
pub(crate) fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    bytes.len() > HEAD_BYTES
        && match probe_frame(direction, bytes, true) {
            (Probe::Short, used) => used > 0,
            (probe, _) => probe != Probe::No,
        }
}

/// The same for one frame, with its length where it is whole.
fn probe_frame(direction: Direction, bytes: &[u8], cut: bool) -> (Probe, usize) {
    let head = match head(bytes) {
        Ok(Some(head)) => head,
        Ok(None) => return (Probe::Short, 0),
        Err(()) => return (Probe::No, 0),
    };
    let used = HEAD_BYTES + head.payload_bytes + 1;
    let is_whole = used <= bytes.len();
    let payload = &bytes[HEAD_BYTES..];
    let mut reader = Reader::new(payload);
    let ids = (reader.u16_be(), reader.u16_be());
    match (head.kind, ids) {
        (HEARTBEAT, _) if head.channel == 0 => (Probe::Short, if is_whole { used } else { 0 }),
        (HEARTBEAT, _) => (Probe::No, 0),
        (BODY, _) if is_whole => (Probe::Possible, used),
        (BODY, _) => (Probe::No, 0),
        (METHOD, (Some(class), Some(number))) => match method::kind_of(class, number) {
            Some(kind) if !kind.may_come(direction) => (Probe::No, 0),
            Some(kind) if is_whole && kind.sender != method::Sender::Either => {
                (Probe::Certain, used)
            }
            Some(_) if is_whole => (Probe::Possible, used),
            Some(_) if cut || payload.len() >= LONG_FRAME_BYTES => (Probe::Possible, 0),
            Some(_) => (Probe::Short, 0),
            None => (Probe::No, 0),
        },
        (HEADER, (Some(method::BASIC), Some(0))) if is_whole => (Probe::Possible, used),
        (HEADER, (Some(method::BASIC), Some(0))) => (Probe::Short, 0),
        (_, (Some(_), Some(_))) => (Probe::No, 0),
        _ => (Probe::Short, 0),
    }
}
