//! Dubbo's header: where a message starts and ends.

use crate::bytes::Reader;
use crate::protocol::{Input, Probe, Step};
use crate::segment::Direction;

/// A message, as far as its body is read.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub is_request: bool,
    pub is_two_way: bool,
    pub is_event: bool,
    pub serialization: u8,
    /// Of a response.
    pub status: u8,
    pub id: u64,
    /// Its length by the protocol.
    pub bytes: u64,
    pub body: &'a [u8],
}

const HEADER_BYTES: usize = 16;

/// So much of a body is read. unit byte
const BODY_BYTES: usize = 64 << 10;

/// Longest body that is believed (`payload` is 8 MiB unless it was raised). unit byte
const BODY_MAX: u32 = 1 << 30;

const MAGIC: [u8; 2] = [0xda, 0xbb];

/// Status of a response that went well.
pub(crate) const OK: u8 = 20;

/// The header that stands here, without a body.
fn header(bytes: &[u8]) -> Option<(Message<'static>, u32)> {
    let mut reader = Reader::new(bytes);
    let magic = reader.array::<2>()?;
    let (flags, status) = (reader.u8()?, reader.u8()?);
    let (id, body_bytes) = (reader.u64_be()?, reader.u32_be()?);
    let is_request = flags & 0x80 != 0;
    let is_sound = magic == MAGIC
        && is_serialization(flags & 0x1f)
        && body_bytes <= BODY_MAX
        && (is_request || is_status(status));
    let message = Message {
        is_request,
        is_two_way: flags & 0x40 != 0,
        is_event: flags & 0x20 != 0,
        serialization: flags & 0x1f,
        status,
        id,
        bytes: HEADER_BYTES as u64 + u64::from(body_bytes),
        body: &[],
    };
    is_sound.then_some((message, body_bytes))
}

/// Ids of serializations (Constants.java); 1 and 5 were never given.
fn is_serialization(id: u8) -> bool {
    matches!(id, 2..=4 | 6..=12 | 16 | 18 | 21..=31)
}

fn is_status(status: u8) -> bool {
    matches!(status, 20 | 25 | 30 | 31 | 35 | 40 | 50 | 60 | 70 | 80 | 90 | 100)
}

/// Cuts a message.
pub(crate) fn cut(input: Input<'_>) -> Step<Message<'_>> {
    let Some((message, body_bytes)) = header(input.bytes) else {
        return match input.bytes.len() < HEADER_BYTES && has_magic(input.bytes) {
            true => Step::Need(HEADER_BYTES),
            false => Step::Lost,
        };
    };
    let body_bytes = (body_bytes as usize).min(BODY_BYTES);
    let bytes = message.bytes;
    input.message(bytes, HEADER_BYTES + body_bytes).read(|head| {
        let body = head.get(HEADER_BYTES..)?;
        Some(Message { body, ..message })
    })
}

/// Whether a message plausibly starts here.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    header(bytes).is_some()
}

fn has_magic(bytes: &[u8]) -> bool {
    MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())])
}

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn probe(first: &[u8], direction: Direction, cut: bool) -> Probe {
    let mut rest = first;
    // Either side may send heartbeats and notices: what follows them tells.
    while let Some((message, _)) = header(rest).filter(|(message, _)| message.is_event) {
        match usize::try_from(message.bytes).ok().and_then(|bytes| rest.get(bytes..)) {
            Some(after) if !after.is_empty() => rest = after,
            _ => return Probe::Possible,
        }
    }
    match header(rest) {
        Some((message, _)) if message.is_request && message.status != 0 => Probe::No,
        Some((message, _)) => {
            match message.is_request == (direction == Direction::ClientToServer) {
                true => Probe::Certain,
                false => Probe::No,
            }
        }
        None if rest.len() < HEADER_BYTES && has_magic(rest) && !cut => match rest.len() {
            length if length == first.len() => Probe::Short,
            _ => Probe::Possible,
        },
        None => Probe::No,
    }
}

/// What a status means (Response.java).
pub(crate) fn status_name(status: u8) -> &'static str {
    match status {
        20 => "OK",
        25 => "SERIALIZATION_ERROR",
        30 => "CLIENT_TIMEOUT",
        31 => "SERVER_TIMEOUT",
        35 => "CHANNEL_INACTIVE",
        40 => "BAD_REQUEST",
        50 => "BAD_RESPONSE",
        60 => "SERVICE_NOT_FOUND",
        70 => "SERVICE_ERROR",
        80 => "SERVER_ERROR",
        90 => "CLIENT_ERROR",
        100 => "SERVER_THREADPOOL_EXHAUSTED_ERROR",
        _ => "",
    }
}
