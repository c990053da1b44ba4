//! Greetings and frames of ZMTP: RFC 15 (2.0), RFC 23 (3.0), RFC 37 (3.1).
//!
//! ```text
//! signature := ff padding{8} 7f
//! 3.x := signature 3 minor mechanism{20} as-server{1} filler{31}
//! 2.0 := signature 1 socket-type{1} 0 length: u8 identity
//! frame := flags: u8  length: u8 | u64  body        (flags: 1 more, 2 long, 4 command)
//! command := name-length: u8 name data
//! ```
//! In: bytes from the start of one. Out: its parts; of a message only the first bytes.

use schema::Text;

use crate::bytes::{self, Reader};
use crate::protocol::{Input, Probe, Step};

/// A greeting or frame.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Greeting(Greeting<'a>),
    Command { name: &'a [u8], data: &'a [u8] },
    Part { is_last: bool, body: &'a [u8], body_bytes: u64 },
}

/// How a peer presents itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greeting<'a> {
    pub major: u8,
    pub minor: u8,
    /// Version 3: the security mechanism.
    pub mechanism: &'a [u8],
    /// Version 2: the number of the socket type.
    pub socket_type: Option<u8>,
}

const SIGNATURE_BYTES: usize = 10;
const GREETING_BYTES: usize = 64;
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// So much of a command is read. unit byte
const COMMAND_BYTES: usize = 4096;

/// So much of the first part of a message is read: its topic. unit byte
const PART_BYTES: usize = 256;

/// Longest part that is believed. unit byte
const PART_BYTES_MAX: u64 = 1 << 40;

/// Names of commands.
const COMMANDS: [&[u8]; 12] = [
    b"READY",
    b"ERROR",
    b"HELLO",
    b"WELCOME",
    b"INITIATE",
    b"SUBSCRIBE",
    b"CANCEL",
    b"PING",
    b"PONG",
    b"MESSAGE",
    b"JOIN",
    b"LEAVE",
];

struct Head {
    flags: u8,
    head_bytes: usize,
    body_bytes: u64,
}

fn head(bytes: &[u8]) -> Result<Option<Head>, ()> {
    let mut reader = Reader::new(bytes);
    let Some(flags) = reader.u8() else { return Ok(None) };
    if flags > (COMMAND | LONG) || flags & COMMAND != 0 && flags & MORE != 0 {
        return Err(());
    }
    let body_bytes = match flags & LONG != 0 {
        true => reader.u64_be(),
        false => reader.u8().map(u64::from),
    };
    let Some(body_bytes) = body_bytes else { return Ok(None) };
    let head_bytes = if flags & LONG != 0 { 9 } else { 2 };
    match body_bytes <= PART_BYTES_MAX {
        true => Ok(Some(Head { flags, head_bytes, body_bytes })),
        false => Err(()),
    }
}

/// Cuts a greeting.
pub(crate) fn greeting(input: Input<'_>) -> Step<Frame<'_>> {
    let bytes = input.bytes;
    let (Some(&major), true) = (bytes.get(SIGNATURE_BYTES), is_signature(bytes)) else {
        return match is_signature(bytes) {
            true => Step::Need(SIGNATURE_BYTES + 1),
            false => Step::Lost,
        };
    };
    if major >= 3 {
        let Some(rest) = bytes.get(SIGNATURE_BYTES + 1..GREETING_BYTES) else {
            return Step::Need(GREETING_BYTES);
        };
        let mechanism = rest[1..21].split(|byte| *byte == 0).next().unwrap_or_default();
        let greeting = Greeting { major, minor: rest[0], mechanism, socket_type: None };
        return Step::Frame { frame: Frame::Greeting(greeting), used: GREETING_BYTES as u64 };
    }
    // Revision 1, and an identity in a frame.
    let identity_at = SIGNATURE_BYTES + 2;
    let Some([_flags, identity_bytes]) = bytes.get(identity_at..identity_at + 2) else {
        return Step::Need(identity_at + 2);
    };
    let greeting = Greeting {
        major: 2,
        minor: 0,
        mechanism: &[],
        socket_type: bytes.get(SIGNATURE_BYTES + 1).copied(),
    };
    let used = (identity_at + 2) as u64 + u64::from(*identity_bytes);
    Step::Frame { frame: Frame::Greeting(greeting), used }
}

/// Cuts a frame; `is_first`: of a message.
pub(crate) fn cut(input: Input<'_>, is_first: bool) -> Step<Frame<'_>> {
    let bytes = input.bytes;
    let head = match head(bytes) {
        Ok(Some(head)) => head,
        Ok(None) => return Step::Need(if bytes[0] & LONG != 0 { 9 } else { 2 }),
        Err(()) => return Step::Lost,
    };
    let is_command = head.flags & COMMAND != 0;
    let wanted = match (is_command, is_first) {
        (true, _) => COMMAND_BYTES,
        (false, true) => PART_BYTES,
        (false, false) => 0,
    };
    let total_bytes = head.head_bytes as u64 + head.body_bytes;
    let message = input.message(total_bytes, head.head_bytes + wanted);
    message.read(|seen| {
        let body = seen.get(head.head_bytes..)?;
        if !is_command {
            let is_last = head.flags & MORE == 0;
            return Some(Frame::Part { is_last, body, body_bytes: head.body_bytes });
        }
        let (name, data) = command(body)?;
        Some(Frame::Command { name, data })
    })
}

/// Name and data of a command.
fn command(body: &[u8]) -> Option<(&[u8], &[u8])> {
    // What PLAIN servers of libzmq send for "\x05ERROR": their escape took a letter too much.
    if let Some(data) = body.strip_prefix(b"\x5eRROR") {
        return Some((b"ERROR", data));
    }
    let mut reader = Reader::new(body);
    let length = reader.u8()?;
    let name = reader.take(usize::from(length))?;
    Some((name, reader.rest()))
}

/// Whether bytes are a signature, or the start of one.
fn is_signature(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|byte| *byte == 0xff)
        && bytes.get(SIGNATURE_BYTES - 1).is_none_or(|byte| *byte == 0x7f)
}

/// What the first bytes of a direction are.
pub(crate) fn probe(bytes: &[u8], cut: bool) -> Probe {
    if bytes.first() != Some(&0xff) {
        return probe_command(bytes, cut);
    }
    if !is_signature(bytes) {
        return Probe::No;
    }
    // The padding is a length, as version 1 had it in this place.
    let is_short = bytes.iter().skip(1).take(7).all(|byte| *byte == 0);
    let is_known = bytes.get(SIGNATURE_BYTES).is_none_or(|version| (1..=4).contains(version));
    match bytes.len() {
        _ if !is_known || bytes.len() > 1 && !is_short => Probe::No,
        ..SIGNATURE_BYTES => Probe::Short,
        _ => Probe::Certain,
    }
}

fn probe_command(bytes: &[u8], cut: bool) -> Probe {
    let head = match head(bytes) {
        Ok(Some(head)) if head.flags & COMMAND != 0 && head.body_bytes >= 5 => head,
        Ok(None) if bytes.first().is_none_or(|flags| flags & COMMAND != 0) => return Probe::Short,
        _ => return Probe::No,
    };
    let body = &bytes[head.head_bytes..];
    match command(body) {
        Some((name, _)) if COMMANDS.contains(&name) => Probe::Certain,
        Some(_) => Probe::No,
        None if cut || body.first().is_some_and(|length| *length > 9) => Probe::No,
        None => Probe::Short,
    }
}

/// Whether frames plausibly start here: commands, or frames that end where the bytes do.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    if probe_command(bytes, true) == Probe::Certain {
        return true;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let Ok(Some(head)) = head(rest) else { return false };
        let total_bytes = head.head_bytes as u64 + head.body_bytes;
        match usize::try_from(total_bytes).ok().and_then(|total| rest.get(total..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

/// The value of a property in the metadata of `READY` or `INITIATE`.
pub(crate) fn property<'a>(metadata: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut reader = Reader::new(metadata);
    loop {
        let length = reader.u8()?;
        let name = reader.take(usize::from(length))?;
        let length = reader.u32_be()?;
        let value = reader.take(length as usize)?;
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
    }
}

/// A name of a greeting or command; not what is no name.
pub(crate) fn name(bytes: &[u8]) -> Text {
    match bytes::is_name(bytes) {
        true => bytes::text(bytes, 32),
        false => Text::default(),
    }
}
