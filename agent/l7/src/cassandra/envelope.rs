//! Envelopes: what the versions before 5 call frames.
//!
//! In: bytes from the start of an envelope. Out: its header and as much of its body as a record
//! needs.

use crate::bytes::Reader;
use crate::protocol::{Input, Step};
use crate::segment::Direction;

pub(crate) const ERROR: u8 = 0x00;
pub(crate) const STARTUP: u8 = 0x01;
pub(crate) const READY: u8 = 0x02;
pub(crate) const AUTHENTICATE: u8 = 0x03;
pub(crate) const OPTIONS: u8 = 0x05;
pub(crate) const SUPPORTED: u8 = 0x06;
pub(crate) const QUERY: u8 = 0x07;
pub(crate) const RESULT: u8 = 0x08;
pub(crate) const PREPARE: u8 = 0x09;
pub(crate) const EXECUTE: u8 = 0x0a;
pub(crate) const REGISTER: u8 = 0x0b;
pub(crate) const EVENT: u8 = 0x0c;
pub(crate) const BATCH: u8 = 0x0d;
pub(crate) const AUTH_CHALLENGE: u8 = 0x0e;
pub(crate) const AUTH_RESPONSE: u8 = 0x0f;
pub(crate) const AUTH_SUCCESS: u8 = 0x10;

const COMPRESSED: u8 = 0x01;
const TRACING: u8 = 0x02;
const CUSTOM_PAYLOAD: u8 = 0x04;
const WARNING: u8 = 0x08;
const KNOWN_FLAGS: u8 = 0x1f;
/// Nobody is warned of anything in a request.
const REQUEST_FLAGS: u8 = KNOWN_FLAGS & !WARNING;

/// Set in the version of a response.
const RESPONSE: u8 = 0x80;

pub(crate) const HEADER_BYTES: usize = 9;

/// Longest body (`native_transport_max_frame_size`). unit byte
pub(crate) const BODY_BYTES_MAX: usize = 256 << 20;

/// An envelope of which the first bytes of the body are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    /// Without the bit that tells requests from responses.
    pub version: u8,
    flags: u8,
    /// Negative: nobody asked for it.
    pub stream: i16,
    pub opcode: u8,
    pub body: &'a [u8],
    /// Length of the whole body. unit byte
    pub body_bytes: usize,
}

impl<'a> Envelope<'a> {
    /// The header at the front of `bytes`, and what stands after it.
    fn read(bytes: &'a [u8]) -> Option<(u8, Self)> {
        let mut reader = Reader::new(bytes);
        let (version, flags) = (reader.u8()?, reader.u8()?);
        let (stream, opcode) = (reader.u16_be()? as i16, reader.u8()?);
        let body_bytes = reader.u32_be()? as usize;
        let body = reader.take_up_to(body_bytes);
        let direction_bit = version & RESPONSE;
        let version = version & !RESPONSE;
        Some((direction_bit, Self { version, flags, stream, opcode, body, body_bytes }))
    }

    pub fn is_compressed(&self) -> bool {
        self.flags & COMPRESSED != 0
    }

    /// Length of all of it. unit byte
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.body_bytes
    }

    /// Whether the body stands before what was cut off or left out.
    pub fn has_tracing_id(&self) -> bool {
        self.flags & TRACING != 0
    }

    pub fn has_warnings(&self) -> bool {
        self.flags & WARNING != 0
    }

    pub fn has_custom_payload(&self) -> bool {
        self.flags & CUSTOM_PAYLOAD != 0
    }

    /// Flags of a query are a number of four bytes.
    pub fn has_wide_flags(&self) -> bool {
        matches!(self.version, 5 | 0x42)
    }
}

/// Whether a byte is the version of this direction.
fn is_version(byte: u8, direction: Direction) -> bool {
    let from_server = direction == Direction::ServerToClient;
    (byte & RESPONSE != 0) == from_server && matches!(byte & !RESPONSE, 3..=6 | 0x41..=0x42)
}

fn is_opcode(opcode: u8, direction: Direction) -> bool {
    match direction {
        Direction::ClientToServer => matches!(
            opcode,
            STARTUP | OPTIONS | QUERY | PREPARE | EXECUTE | REGISTER | BATCH | AUTH_RESPONSE
        ),
        Direction::ServerToClient => matches!(
            opcode,
            ERROR
                | READY
                | AUTHENTICATE
                | SUPPORTED
                | RESULT
                | EVENT
                | AUTH_CHALLENGE
                | AUTH_SUCCESS
        ),
    }
}

/// Whether the bytes are like the start of an envelope, as far as they go.
pub(crate) fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    let fits = |place: usize, test: &dyn Fn(u8) -> bool| bytes.get(place).is_none_or(|b| test(*b));
    let stream_fits = |byte: u8| match direction {
        Direction::ClientToServer => byte < 0x80,
        Direction::ServerToClient => true,
    };
    let flags = match direction {
        Direction::ClientToServer => REQUEST_FLAGS,
        Direction::ServerToClient => KNOWN_FLAGS,
    };
    fits(0, &|byte| is_version(byte, direction))
        && fits(1, &|byte| byte & !flags == 0)
        && fits(2, &stream_fits)
        && fits(4, &|byte| is_opcode(byte, direction))
        && fits(5, &|byte| byte <= 0x10)
}

/// Cuts an envelope; of a long one, the start.
pub(crate) fn cut(direction: Direction, input: Input<'_>) -> Step<Envelope<'_>> {
    if !may_start(direction, input.bytes) {
        return Step::Lost;
    }
    let Some((_, envelope)) = Envelope::read(input.bytes) else {
        return Step::Need(HEADER_BYTES);
    };
    if envelope.body_bytes > BODY_BYTES_MAX {
        return Step::Lost;
    }
    let wanted = HEADER_BYTES + input.text_bytes + 1024;
    input
        .message(envelope.bytes() as u64, wanted)
        .read(|head| Envelope::read(head).map(|(_, envelope)| envelope))
}

/// The envelope at the front of some first bytes; `None`: too short to tell.
pub(crate) fn first(bytes: &[u8]) -> Option<Envelope<'_>> {
    Envelope::read(bytes).map(|(_, envelope)| envelope)
}
