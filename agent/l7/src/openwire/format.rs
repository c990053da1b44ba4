//! How two ends agree on a format: `WireFormatInfo`, and the maps of ActiveMQ.
//!
//! In: the first command of each end, or any command where those were not seen. Out: the format
//! of all others. Also the properties of a message, which are such a map.

use crate::bytes::Reader;
use crate::openwire::decoder::{Cache, Format, decode};
use crate::openwire::layout::kind;

/// What one end can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub version: u8,
    tight: bool,
    cache: bool,
    stack_trace: bool,
    prefix_disabled: bool,
}

const MAGIC: &[u8] = b"ActiveMQ";

/// Bytes before the map.
const HEAD_BYTES: usize = 8 + 4 + 1 + 4;

impl Offer {
    /// Reads the bytes after the type of a `WireFormatInfo`; it is always in loose encoding.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body.strip_prefix(MAGIC)?);
        let version = reader.u32_be()?;
        let mut offer = Self {
            version: u8::try_from(version).ok().filter(|version| *version > 0)?,
            tight: false,
            cache: false,
            stack_trace: false,
            prefix_disabled: false,
        };
        if reader.u8()? != 0 {
            let _bytes = reader.u32_be()?;
            for (name, value) in Map::of(reader.rest()) {
                let is_on = value == Value::Bool(true);
                match name {
                    b"TightEncodingEnabled" => offer.tight = is_on,
                    b"CacheEnabled" => offer.cache = is_on,
                    b"StackTraceEnabled" => offer.stack_trace = is_on,
                    b"SizePrefixDisabled" => offer.prefix_disabled = is_on,
                    _ => {}
                }
            }
        }
        Some(offer)
    }

    /// Length of a `WireFormatInfo` without its type; `None`: more bytes are needed.
    pub fn length(body: &[u8]) -> Option<usize> {
        let mut reader = Reader::new(body);
        let _magic_and_version = reader.take(12)?;
        match reader.u8()? {
            0 => Some(13),
            _ => Some(HEAD_BYTES + reader.u32_be()? as usize),
        }
    }

    /// What both can do.
    pub fn agree(self, other: Self) -> Format {
        Format {
            version: self.version.min(other.version),
            tight: self.tight && other.tight,
            cache: self.cache && other.cache,
            stack_trace: self.stack_trace && other.stack_trace,
            prefix: !(self.prefix_disabled && other.prefix_disabled),
        }
    }
}

/// Whether a body starts with the magic of a `WireFormatInfo`, as far as it is there.
pub(crate) fn is_magic(body: &[u8]) -> bool {
    let shown = body.len().min(MAGIC.len());
    body[..shown] == MAGIC[..shown]
}

/// The format that a whole command shows by being read to its end; tight encoding shows in its
/// first byte. `None`: none fits.
pub(crate) fn guess(command: u8, body: &[u8]) -> Option<Format> {
    let first = *body.first()?;
    // Versions that differ in some command.
    const VERSIONS: [u8; 8] = [12, 9, 7, 6, 5, 4, 2, 1];
    let has_fault = matches!(command, kind::CONNECTION_ERROR | kind::EXCEPTION_RESPONSE | 22);
    for version in VERSIONS {
        for cache in [true, false] {
            for stack_trace in [false, true] {
                if stack_trace && !has_fault {
                    continue;
                }
                let format =
                    Format { version, tight: first != 0, cache, stack_trace, prefix: true };
                let found = decode(command, body, format, &mut Cache::default());
                if found.used == Some(body.len()) {
                    return Some(format);
                }
            }
        }
    }
    None
}

/// A value of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Bool(bool),
    Text(&'a [u8]),
    Other,
}

/// The entries of a map, up to the first that cannot be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Map<'a> {
    /// The map at the front of `bytes`.
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let left = reader.u32_be().unwrap_or(0);
        Self { reader, left }
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let reader = &mut self.reader;
        let bytes = match reader.u8()? {
            0 => 0,
            1 => return reader.u8().map(|byte| Value::Bool(byte != 0)),
            2 => 1,
            3 | 4 => 2,
            5 | 8 => 4,
            6 | 7 => 8,
            9 => {
                let length = reader.u16_be()?;
                return reader.take(usize::from(length)).map(Value::Text);
            }
            10 => reader.u32_be()? as usize,
            13 => {
                let length = reader.u32_be()?;
                return reader.take(length as usize).map(Value::Text);
            }
            // Maps and lists inside: their length is not known without reading them.
            _ => return None,
        };
        reader.take(bytes).map(|_| Value::Other)
    }
}

impl<'a> Iterator for Map<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let length = self.reader.u16_be()?;
        let name = self.reader.take(usize::from(length))?;
        Some((name, self.value()?))
    }
}
