//! Requests and responses of Tars, as far as a record needs them.

use crate::bytes::{self, Reader};
use crate::protocol::Probe;
use crate::segment::Direction;
use crate::tars::encoding::{self, Head, Texts};

/// One message.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    /// `iVersion`: 1 Tars, 2 and 3 TUP, 4 XML, 5 JSON.
    pub version: u8,
    pub is_one_way: bool,
    pub id: u32,
    /// Its length by the protocol.
    pub bytes: u32,
    pub body: Body<'a>,
    /// It was there to its last field.
    is_whole: bool,
}

#[derive(Debug)]
pub(crate) enum Body<'a> {
    Request(Request<'a>),
    Response { ret: i32, desc: &'a [u8] },
}

#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub servant: &'a [u8],
    pub func: &'a [u8],
    pub context: Texts<'a>,
    pub status: Texts<'a>,
}

pub(crate) const LENGTH_BYTES: usize = 4;

/// So much of a message is read. unit byte
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// Longest message (`MAX_PACKAGE_LENGTH`). unit byte
const MESSAGE_BYTES: u32 = 100 << 20;

/// Shortest: length, version, types, id, one number and an empty buffer. unit byte
const SHORTEST_BYTES: u32 = 14;

/// The length that a message begins with.
pub(crate) fn length(bytes: &[u8]) -> Option<u32> {
    let length = Reader::new(bytes).u32_be()?;
    (SHORTEST_BYTES..=MESSAGE_BYTES).contains(&length).then_some(length)
}

/// Reads the fields of a message, as far as they are there.
pub(crate) fn read(fields: &[u8]) -> Option<Packet<'_>> {
    let mut reader = Reader::new(fields);
    let reader = &mut reader;
    let version = u8::try_from(number(reader, 1)?).ok().filter(|version| (1..=5).contains(version));
    let packet_type = number(reader, 2).filter(|kind| (0..=1).contains(kind))?;
    let (third, fourth) = (number(reader, 3)?, number(reader, 4)?);
    let fifth = tagged(reader, 5)?;
    let is_request = fifth.is_text();
    let (body, is_whole) = match is_request {
        true => {
            let servant = encoding::text(reader, fifth)?;
            let sixth = tagged(reader, 6)?;
            let func = encoding::text(reader, sixth)?;
            let mut request =
                Request { servant, func, context: Texts::none(), status: Texts::none() };
            let is_whole = read_request_rest(reader, &mut request).is_some();
            (Body::Request(request), is_whole)
        }
        false => {
            let ret = i32::try_from(encoding::number(reader, fifth)?).ok()?;
            let mut desc = &b""[..];
            let is_whole = read_response_rest(reader, &mut desc).is_some();
            (Body::Response { ret, desc }, is_whole)
        }
    };
    let id = if is_request { fourth } else { third };
    Some(Packet {
        version: version?,
        is_one_way: packet_type == 1,
        id: i32::try_from(id).ok()? as u32,
        bytes: 0,
        body,
        is_whole,
    })
}

fn read_request_rest<'a>(reader: &mut Reader<'a>, request: &mut Request<'a>) -> Option<()> {
    let buffer = tagged(reader, 7).filter(|head| head.is_bytes())?;
    encoding::pass(reader, buffer)?;
    number(reader, 8)?;
    request.context = map(reader, 9)?;
    request.status = map(reader, 10)?;
    Some(())
}

fn read_response_rest<'a>(reader: &mut Reader<'a>, desc: &mut &'a [u8]) -> Option<()> {
    let buffer = tagged(reader, 6).filter(|head| head.is_bytes())?;
    encoding::pass(reader, buffer)?;
    map(reader, 7)?;
    while !reader.rest().is_empty() {
        let head = encoding::head(reader)?;
        match head.tag {
            8 if head.is_text() => *desc = encoding::text(reader, head)?,
            8 | 9 => encoding::pass(reader, head)?,
            _ => return None,
        }
    }
    Some(())
}

/// The head of the next field, which has this tag.
fn tagged(reader: &mut Reader<'_>, tag: u8) -> Option<Head> {
    encoding::head(reader).filter(|head| head.tag == tag)
}

fn number(reader: &mut Reader<'_>, tag: u8) -> Option<i64> {
    let head = tagged(reader, tag)?;
    encoding::number(reader, head)
}

/// A map of texts, which the reader passes over.
fn map<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<Texts<'a>> {
    let head = tagged(reader, tag).filter(|head| head.is_map())?;
    let texts = Texts::of(*reader)?;
    encoding::pass(reader, head)?;
    Some(texts)
}

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn probe(first: &[u8], direction: Direction, cut: bool) -> Probe {
    let length = match length(first) {
        Some(length) => length as usize,
        // The first byte of a length is at most 6.
        None if first.len() < LENGTH_BYTES && !cut && first.first() <= Some(&6) => {
            return Probe::Short;
        }
        None => return Probe::No,
    };
    let fields = &first[LENGTH_BYTES..first.len().min(length)];
    let may_start = |at: usize, right: fn(u8) -> bool| fields.get(at).is_none_or(|&b| right(b));
    if !may_start(0, |head| head == 0x10)
        || !may_start(1, |version| (1..=5).contains(&version))
        || !may_start(2, |head| matches!(head, 0x20 | 0x2c))
    {
        return Probe::No;
    }
    let is_captured = first.len() >= length;
    let Some(packet) = read(fields) else {
        return if is_captured || cut || fields.len() > 256 { Probe::No } else { Probe::Short };
    };
    match packet.body {
        Body::Request(request) if direction == Direction::ClientToServer => {
            match bytes::is_name(request.servant) && bytes::is_name(request.func) {
                true if packet.is_whole || !is_captured => Probe::Certain,
                _ => Probe::No,
            }
        }
        Body::Request(_) if (2..=3).contains(&packet.version) => Probe::Possible,
        Body::Response { .. } if direction == Direction::ServerToClient => match is_captured {
            true if packet.is_whole => Probe::Certain,
            true => Probe::No,
            false => Probe::Possible,
        },
        _ => Probe::No,
    }
}

/// What a code of `BaseF.tars` means.
pub(crate) fn ret_name(ret: i32) -> &'static str {
    match ret {
        -1 => "server decode error",
        -2 => "server encode error",
        -3 => "no such function",
        -4 => "no such servant",
        -5 => "grid reset",
        -6 => "server queue timeout",
        -7 => "call timeout",
        -8 => "proxy connect error",
        -9 => "server overload",
        -10 => "no adapter",
        -11 => "invalid set",
        -12 => "client decode error",
        -13 => "send request error",
        -99 => "unknown server error",
        _ => "",
    }
}
