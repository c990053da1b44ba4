//! The header of a RocketMQ command, in either form, and how one is recognised.
//!
//! ```text
//! command := len: u32 (of what follows)  form: u8  header_len: u24  header  body
//! form 0  := JSON: {"code", "language", "version", "opaque", "flag", "remark", "extFields"}
//! form 1  := code: i16  language: u8  version: i16  opaque: i32  flag: i32
//!            len: i32 remark  len: i32 (len: i16 name  len: i32 value)*
//! flag    := bit 0: a response; bit 1: no response is wanted
//! ```
//! org.apache.rocketmq.remoting.protocol: RemotingCommand, RocketMQSerializable.

use std::borrow::Cow;

use crate::bytes::Reader;
use crate::protocol::Probe;
use crate::rocketmq::json::{self, Value};
use crate::segment::Direction;

/// Bytes before a header.
pub(crate) const PREFIX_BYTES: usize = 8;

/// Longest command that is believed: four times what a peer takes by default. unit byte
const COMMAND_MAX: usize = 1 << 26;

/// Languages of clients that have numbers.
const LANGUAGES: u8 = 32;

/// Flags that mean something.
const RESPONSE: u32 = 1;
const ONE_WAY: u32 = 2;

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Binary,
}

/// What precedes a header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    /// Length of the command behind its length.
    pub command_bytes: usize,
    pub form: Form,
    pub header_bytes: usize,
}

/// What a header says.
#[derive(Debug, Default)]
pub(crate) struct Header<'a> {
    pub code: i32,
    pub version: u32,
    pub opaque: i32,
    pub flag: u32,
    pub remark: Cow<'a, [u8]>,
    /// Which of code, opaque and flag it has: of a header that was cut short, maybe not all.
    known: u8,
}

const CODE: u8 = 1;
const OPAQUE: u8 = 2;
const FLAG: u8 = 4;
const ALL: u8 = CODE | OPAQUE | FLAG;

impl Header<'_> {
    pub fn has_code(&self) -> bool {
        self.known & CODE != 0
    }

    pub fn has_opaque(&self) -> bool {
        self.known & OPAQUE != 0
    }

    /// Whether it answers; if that was cut off, most of what a broker sends does.
    pub fn is_response(&self, direction: Direction) -> bool {
        match self.known & FLAG {
            0 => direction == Direction::ServerToClient,
            _ => self.flag & RESPONSE != 0,
        }
    }

    /// Whether it has what every header has, with values that mean something.
    fn is_sane(&self) -> bool {
        self.known == ALL && self.flag <= (RESPONSE | ONE_WAY) && self.code > -2000
    }

    pub fn is_one_way(&self) -> bool {
        self.flag & ONE_WAY != 0
    }
}

/// Reads the prefix of a command; `None`: there is none, or it is cut short.
pub(crate) fn prefix(bytes: &[u8]) -> Option<Prefix> {
    let mut reader = Reader::new(bytes);
    let command_bytes = reader.u32_be()? as usize;
    let header = reader.u32_be()?;
    let form = match header >> 24 {
        0 => Form::Json,
        1 => Form::Binary,
        _ => return None,
    };
    let header_bytes = (header & 0x00ff_ffff) as usize;
    let least = if form == Form::Json { 20 } else { 21 };
    let fits = header_bytes >= least && command_bytes <= COMMAND_MAX;
    (fits && header_bytes + 4 <= command_bytes).then_some(Prefix {
        command_bytes,
        form,
        header_bytes,
    })
}

/// Takes the name and value of an ext field.
pub(crate) type TakeField<'f, 'a> = dyn FnMut(&[u8], Cow<'a, [u8]>) + 'f;

/// Reads a header, as far as it goes, and calls `take` with each of its ext fields. The flag:
/// whether it was whole.
pub(crate) fn read<'a>(
    form: Form,
    bytes: &'a [u8],
    take: &mut TakeField<'_, 'a>,
) -> (Header<'a>, bool) {
    let mut header = Header::default();
    let is_whole = match form {
        Form::Json => read_json(bytes, &mut header, take),
        Form::Binary => read_binary(bytes, &mut header, take).is_some(),
    };
    (header, is_whole)
}

fn read_json<'a>(bytes: &'a [u8], header: &mut Header<'a>, take: &mut TakeField<'_, 'a>) -> bool {
    json::members(bytes, &mut |name, value| match (name, value) {
        (b"code", Value::Number(code)) => {
            header.code = code as i32;
            header.known |= CODE;
        }
        (b"opaque", Value::Number(opaque)) => {
            header.opaque = opaque as i32;
            header.known |= OPAQUE;
        }
        (b"flag", Value::Number(flag)) => {
            header.flag = flag as u32;
            header.known |= FLAG;
        }
        (b"version", Value::Number(version)) => header.version = version as u32,
        (b"remark", Value::Text(remark)) => header.remark = remark,
        (b"extFields", Value::Nested(fields)) => {
            json::members(fields, &mut |name, value| {
                if let Value::Text(text) = value {
                    take(name, text);
                }
            });
        }
        _ => {}
    })
}

fn read_binary<'a>(
    bytes: &'a [u8],
    header: &mut Header<'a>,
    take: &mut TakeField<'_, 'a>,
) -> Option<()> {
    let mut reader = Reader::new(bytes);
    header.code = reader.u16_be()?.cast_signed().into();
    let language = reader.u8()?;
    header.version = reader.u16_be()?.into();
    header.opaque = reader.u32_be()?.cast_signed();
    header.flag = reader.u32_be()?;
    header.known = if language < LANGUAGES { ALL } else { 0 };
    let remark_bytes = reader.u32_be()?;
    header.remark = Cow::Borrowed(reader.take(remark_bytes as usize)?);
    let fields_bytes = reader.u32_be()? as usize;
    let is_exact = reader.rest().len() == fields_bytes;
    while !reader.rest().is_empty() {
        let name_bytes = reader.u16_be()?;
        let name = reader.take(usize::from(name_bytes))?;
        let value_bytes = reader.u32_be()?;
        take(name, Cow::Borrowed(reader.take(value_bytes as usize)?));
    }
    is_exact.then_some(())
}

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn probe(first: &[u8], cut: bool) -> Probe {
    let short = if cut { Probe::No } else { Probe::Short };
    if first.len() < PREFIX_BYTES + 2 {
        // Lengths are far below what their bytes could say.
        let fits = first.first().is_none_or(|byte| *byte < 4)
            && first.get(4).is_none_or(|byte| *byte <= 1);
        return if fits { short } else { Probe::No };
    }
    let Some(prefix) = prefix(first) else { return Probe::No };
    let rest = &first[PREFIX_BYTES..];
    let header = &rest[..rest.len().min(prefix.header_bytes)];
    if header.len() == prefix.header_bytes {
        let (found, is_whole) = read(prefix.form, header, &mut |_, _| {});
        return if is_whole && found.is_sane() { Probe::Certain } else { Probe::No };
    }
    // Of a header that goes on, the start has to do.
    match prefix.form {
        Form::Json => match json_start(header) {
            Some(true) => Probe::Certain,
            Some(false) => Probe::No,
            None => short,
        },
        Form::Binary => match binary_start(header, prefix.header_bytes) {
            Some(true) => Probe::Certain,
            Some(false) => Probe::No,
            None => short,
        },
    }
}

/// Whether the first member of a header is one of those there are; `None`: too short to tell.
fn json_start(header: &[u8]) -> Option<bool> {
    const NAMES: [&[u8]; 8] = [
        b"code",
        b"extFields",
        b"flag",
        b"language",
        b"opaque",
        b"remark",
        b"serializeTypeCurrentRPC",
        b"version",
    ];
    let Some(rest) = header.strip_prefix(b"{\"") else { return Some(false) };
    match memchr::memchr(b'"', rest) {
        Some(end) => Some(NAMES.contains(&&rest[..end])),
        None if NAMES.iter().any(|name| name.starts_with(rest)) => None,
        None => Some(false),
    }
}

/// Whether the lengths in a header add up; `None`: too short to tell.
fn binary_start(header: &[u8], header_bytes: usize) -> Option<bool> {
    const FIXED_BYTES: usize = 21;
    let (found, _) = read(Form::Binary, header, &mut |_, _| {});
    if header.len() >= 13 && !found.is_sane() {
        return Some(false);
    }
    let remark_bytes = Reader::new(header.get(13..)?).u32_be()? as usize;
    let Some(fields_bytes) = (header_bytes - FIXED_BYTES).checked_sub(remark_bytes) else {
        return Some(false);
    };
    let fields_at = 17 + remark_bytes;
    match header.get(fields_at..fields_at + 4) {
        Some(length) => Some(Reader::new(length).u32_be()? as usize == fields_bytes),
        // A long remark: of an error.
        None if header.len() >= 48 => Some(std::str::from_utf8(&header[17..48]).is_ok()),
        None => None,
    }
}
