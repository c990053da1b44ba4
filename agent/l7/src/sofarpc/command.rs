//! Bolt on the wire: where a command starts and ends, and its headers.

use crate::bytes::{self, Reader};
use crate::protocol::{Input, Probe, Step};
use crate::segment::Direction;

/// A request or response, as far as it was captured.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    pub kind: Kind,
    pub id: u32,
    /// Its length by the protocol.
    pub bytes: u64,
    /// Class of the content.
    pub class: &'a [u8],
    header: &'a [u8],
    /// First bytes of the content.
    pub content: &'a [u8],
    is_v2: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    OneWay,
    Response { status: u16 },
}

impl<'a> Command<'a> {
    pub fn version(&self) -> &'static str {
        if self.is_v2 { "2" } else { "1" }
    }

    /// Names and values, in their order.
    pub fn headers(&self) -> Headers<'a> {
        Headers { reader: Reader::new(self.header) }
    }
}

/// Headers of a command; the last may be cut off.
#[derive(Clone, Debug)]
pub(crate) struct Headers<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = || {
            let length = self.reader.u32_be()?;
            // The writer has -1 for null.
            self.reader.take(if length == u32::MAX { 0 } else { length as usize })
        };
        Some((text()?, text()?))
    }
}

/// What stands before the class.
struct Fixed {
    is_v2: bool,
    is_heartbeat: bool,
    kind: Kind,
    id: u32,
    bytes: usize,
    class_bytes: usize,
    header_bytes: usize,
    content_bytes: u32,
    crc_bytes: u64,
}

/// So much of a content is read. unit byte
const CONTENT_BYTES: usize = 4096;

/// So much of the name of a class tells what it is. unit byte
const CLASS_START_BYTES: usize = 16;

/// Longest content that is believed. unit byte
const CONTENT_MAX: u32 = 256 << 20;

/// Longest of all fixed parts. unit byte
const FIXED_BYTES: usize = 24;

/// What came of reading a fixed part.
enum Found {
    Fixed(Fixed),
    Short,
    No,
}

fn fixed(bytes: &[u8]) -> Found {
    let may_be = |at: usize, right: fn(u8) -> bool| bytes.get(at).is_none_or(|&byte| right(byte));
    let at = match bytes.first() {
        Some(1) => 1,
        Some(2) if may_be(1, |version| matches!(version, 1 | 2)) => 2,
        _ => return Found::No,
    };
    let is_right = may_be(at, |kind| kind <= 2)
        && may_be(at + 1, |command| command == 0)
        && may_be(at + 2, |command| command <= 2)
        && may_be(at + 3, |version| version == 1);
    if !is_right {
        return Found::No;
    }
    match read_fixed(bytes, at) {
        Some(Some(fixed)) => Found::Fixed(fixed),
        Some(None) => Found::No,
        None => Found::Short,
    }
}

/// `None`: too short. `Some(None)`: not Bolt.
fn read_fixed(bytes: &[u8], at: usize) -> Option<Option<Fixed>> {
    let is_v2 = at == 2;
    let mut reader = Reader::new(bytes.get(at..)?);
    let kind = reader.u8()?;
    let command = reader.u16_be()?;
    reader.u8()?;
    let id = reader.u32_be()?;
    let _codec = reader.u8()?;
    let switch = if is_v2 { reader.u8()? } else { 0 };
    let kind = match (kind, command) {
        (0, 0 | 2) => Kind::Response { status: reader.u16_be()? },
        (1, 0 | 1) => Kind::Request,
        (2, 1) => Kind::OneWay,
        _ => return Some(None),
    };
    if !matches!(kind, Kind::Response { .. }) {
        reader.u32_be()?;
    }
    let class_bytes = usize::from(reader.u16_be()?);
    let header_bytes = usize::from(reader.u16_be()?);
    let content_bytes = reader.u32_be()?;
    let has_crc = is_v2 && bytes[1] == 2 && switch & 1 != 0;
    let is_heartbeat = command == 0;
    let is_sound = match kind {
        Kind::Response { status } => status <= 0x12,
        _ => is_heartbeat || class_bytes > 0,
    } && content_bytes <= CONTENT_MAX
        && !(is_heartbeat && class_bytes + header_bytes + content_bytes as usize > 0);
    Some(is_sound.then_some(Fixed {
        is_v2,
        is_heartbeat,
        kind,
        id,
        bytes: bytes.len() - reader.rest().len(),
        class_bytes,
        header_bytes,
        content_bytes,
        crc_bytes: if has_crc { 4 } else { 0 },
    }))
}

/// Cuts a command; heartbeats are passed over.
pub(crate) fn cut<'a>(input: Input<'a>) -> Step<Command<'a>> {
    let fixed = match fixed(input.bytes) {
        Found::Fixed(fixed) => fixed,
        Found::Short if input.bytes.len() < FIXED_BYTES => {
            return Step::Need(input.bytes.len() + 1);
        }
        Found::Short | Found::No => return Step::Lost,
    };
    let head_bytes = fixed.bytes + fixed.class_bytes + fixed.header_bytes;
    let bytes = head_bytes as u64 + u64::from(fixed.content_bytes) + fixed.crc_bytes;
    if fixed.is_heartbeat {
        return Step::Skip(bytes);
    }
    let content_bytes = (fixed.content_bytes as usize).min(CONTENT_BYTES);
    input.message(bytes, head_bytes + content_bytes).read(|head| {
        let mut reader = Reader::new(head);
        reader.take(fixed.bytes)?;
        Some(Command {
            kind: fixed.kind,
            id: fixed.id,
            bytes,
            class: reader.take_up_to(fixed.class_bytes),
            header: reader.take_up_to(fixed.header_bytes),
            content: reader.take_up_to(content_bytes),
            is_v2: fixed.is_v2,
        })
    })
}

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn probe(first: &[u8], direction: Direction, cut: bool) -> Probe {
    let fixed = match fixed(first) {
        Found::Fixed(fixed) => fixed,
        Found::Short if cut => return Probe::No,
        Found::Short => return Probe::Short,
        Found::No => return Probe::No,
    };
    let is_response = matches!(fixed.kind, Kind::Response { .. });
    if is_response != (direction == Direction::ServerToClient) {
        return Probe::No;
    }
    if fixed.is_heartbeat {
        return Probe::Certain;
    }
    let rest = &first[fixed.bytes..];
    let class = &rest[..rest.len().min(fixed.class_bytes)];
    if fixed.class_bytes == 0 {
        return Probe::Possible;
    }
    if !class.is_empty() && !bytes::is_name(class) {
        return Probe::No;
    }
    let is_known = class.len() == fixed.class_bytes || class.len() >= CLASS_START_BYTES;
    match bytes::find(class, b'.') {
        Some(_) if is_known => Probe::Certain,
        None if class.len() == fixed.class_bytes => Probe::Possible,
        _ if cut => Probe::Possible,
        _ => Probe::Short,
    }
}

/// What a status means; empty for success.
pub(crate) fn status_name(status: u16) -> &'static str {
    match status {
        0 => "",
        1 => "ERROR",
        2 => "SERVER_EXCEPTION",
        3 => "UNKNOWN",
        4 => "SERVER_THREADPOOL_BUSY",
        5 => "ERROR_COMM",
        6 => "NO_PROCESSOR",
        7 => "TIMEOUT",
        8 => "CLIENT_SEND_ERROR",
        9 => "CODEC_EXCEPTION",
        0x10 => "CONNECTION_CLOSED",
        0x11 => "SERVER_SERIAL_EXCEPTION",
        0x12 => "SERVER_DESERIAL_EXCEPTION",
        _ => "UNDEFINED",
    }
}
