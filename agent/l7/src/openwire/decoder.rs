//! Reads a command by its layout, in tight or loose encoding.
//!
//! ```text
//! tight := bools, packed, before everything else: length, bits from the lowest on
//!        | string: bool (present) bool (ASCII) u16 bytes; long: two bools, then 0, 2, 4 or 8 bytes
//! loose := bool: one byte; string: bool u16 bytes; long: 8 bytes
//! cached := [bool (new) u16 (place)] object            (without caching the object alone)
//! object := bool (present) type: u8 fields
//! ```
//! In: the bytes after a command's type. Out: what a record needs of it, and whether the bytes
//! were exactly the command. Never: more than a few levels of nesting, a value that holds memory
//! longer than the command but destinations and connections, which are sent once and then by
//! their place.

use std::collections::BTreeMap;

use schema::Text;

use crate::bytes::{self, Reader};
use crate::openwire::layout::{self, Field, Kind, Meaning, kind};

/// How a connection writes its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub version: u8,
    pub tight: bool,
    pub cache: bool,
    pub stack_trace: bool,
    /// Commands have their length before them.
    pub prefix: bool,
}

/// Objects that one end sent, by their place.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    by_place: BTreeMap<u16, Object>,
}

/// A destination or the connection of an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object {
    pub kind: u8,
    pub name: Text,
}

/// What a command says.
#[derive(Debug, Default)]
pub(crate) struct Found<'a> {
    pub command_id: u32,
    pub response_required: bool,
    pub answers: u32,
    pub destination: Object,
    pub connection: Object,
    pub broker_url: &'a [u8],
    pub broker_name: &'a [u8],
    pub client_id: &'a [u8],
    pub jms_correlation_id: &'a [u8],
    pub properties: &'a [u8],
    pub fault_class: &'a [u8],
    pub fault: &'a [u8],
    /// Bytes of texts, all of which are printable.
    pub text_bytes: usize,
    pub is_printable: bool,
    /// Bytes that the command has; `None`: it is cut off or is none.
    pub used: Option<usize>,
}

/// Objects that are remembered of one end.
const OBJECTS_MAX: usize = 4096;

/// Longest name of an object. unit byte
const NAME_BYTES: usize = 1024;

/// Levels of objects inside of objects: a dispatch holds a message, which holds an id, which
/// holds a producer.
const DEPTH_MAX: u32 = 8;

/// Elements of lists that are read in one command.
const ELEMENTS_MAX: u32 = 1024;

impl Cache {
    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.by_place.len() * (size_of::<Object>() + 64)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.by_place.clear();
    }
}

/// Reads a command of a type.
pub(crate) fn decode<'a>(kind: u8, body: &'a [u8], format: Format, cache: &mut Cache) -> Found<'a> {
    let mut found = Found { is_printable: true, ..Found::default() };
    let mut reader = Reader::new(body);
    let Some(bits) = Bits::read(format.tight, &mut reader) else { return found };
    let mut decoder = Decoder { reader, bits, format, cache, elements: 0 };
    let read = decoder.command(kind, &mut found);
    let rest = decoder.reader.rest().len();
    found.used = read.map(|()| body.len() - rest);
    found
}

/// Packed bools of tight encoding.
#[derive(Debug)]
struct Bits<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl<'a> Bits<'a> {
    fn read(tight: bool, reader: &mut Reader<'a>) -> Option<Self> {
        if !tight {
            return Some(Self { bytes: &[], next: 0 });
        }
        let length = match reader.u8()? {
            0xc0 => usize::from(reader.u8()?),
            0x80 => usize::from(reader.u16_be()?),
            length => usize::from(length),
        };
        Some(Self { bytes: reader.take(length)?, next: 0 })
    }

    fn next(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.next / 8)?;
        let bit = byte >> (self.next % 8) & 1;
        self.next += 1;
        Some(bit != 0)
    }
}

struct Decoder<'a, 'c> {
    reader: Reader<'a>,
    bits: Bits<'a>,
    format: Format,
    cache: &'c mut Cache,
    elements: u32,
}

impl<'a> Decoder<'a, '_> {
    fn command(&mut self, kind: u8, found: &mut Found<'a>) -> Option<()> {
        self.fields(layout::COMMAND, found, 0)?;
        let (fields, more) = layout::fields_of(kind)?;
        self.fields(fields, found, 0)?;
        self.fields(more, found, 0)
    }

    fn fields(&mut self, fields: &[Field], found: &mut Found<'a>, depth: u32) -> Option<()> {
        let version = self.format.version;
        let known = fields.iter().filter(|field| field.since <= version && version <= field.until);
        for field in known {
            self.field(field, found, depth)?;
        }
        Some(())
    }

    fn field(&mut self, field: &Field, found: &mut Found<'a>, depth: u32) -> Option<()> {
        match field.kind {
            Kind::Bool => {
                let value = self.bool()?;
                if field.meaning == Meaning::ResponseRequired && depth == 0 {
                    found.response_required = value;
                }
            }
            Kind::Byte => {
                self.reader.u8()?;
            }
            Kind::Int => {
                let value = self.reader.u32_be()?;
                match field.meaning {
                    Meaning::CommandId if depth == 0 => found.command_id = value,
                    Meaning::Answers => found.answers = value,
                    _ => {}
                }
            }
            Kind::Long => self.long()?,
            Kind::Text => {
                let text = self.text(found)?;
                match field.meaning {
                    Meaning::BrokerUrl if depth == 0 => found.broker_url = text,
                    Meaning::BrokerName if depth == 0 => found.broker_name = text,
                    Meaning::ClientId => found.client_id = text,
                    Meaning::JmsCorrelationId => found.jms_correlation_id = text,
                    _ => {}
                }
            }
            Kind::Bytes => {
                let (bytes, is_whole) = self.bytes()?;
                if field.meaning == Meaning::Properties {
                    found.properties = bytes;
                }
                is_whole.then_some(())?;
            }
            Kind::Cached => {
                let object = self.cached(found, depth)?;
                note(field.meaning, object, found);
            }
            Kind::Nested => {
                let object = self.object(found, depth)?;
                note(field.meaning, object, found);
            }
            Kind::List => self.list(found, depth)?,
            Kind::Fault => self.fault(found)?,
        }
        Some(())
    }

    fn bool(&mut self) -> Option<bool> {
        match self.format.tight {
            true => self.bits.next(),
            // Another byte is no bool.
            false => self.reader.u8().filter(|byte| *byte <= 1).map(|byte| byte != 0),
        }
    }

    fn long(&mut self) -> Option<()> {
        let bytes = match self.format.tight {
            true => match (self.bits.next()?, self.bits.next()?) {
                (false, false) => 0,
                (false, true) => 2,
                (true, false) => 4,
                (true, true) => 8,
            },
            false => 8,
        };
        self.reader.take(bytes).map(|_| ())
    }

    fn text(&mut self, found: &mut Found<'a>) -> Option<&'a [u8]> {
        if !self.bool()? {
            return Some(&[]);
        }
        if self.format.tight {
            let _is_ascii = self.bits.next()?;
        }
        let length = self.reader.u16_be()?;
        let text = self.reader.take(usize::from(length))?;
        found.text_bytes += text.len();
        found.is_printable &= text.iter().all(|byte| *byte >= b' ' && *byte != 0x7f);
        Some(text)
    }

    /// Bytes as far as they are there, and whether they all are.
    fn bytes(&mut self) -> Option<(&'a [u8], bool)> {
        if !self.bool()? {
            return Some((&[], true));
        }
        let length = self.reader.u32_be()? as usize;
        let bytes = self.reader.take_up_to(length);
        Some((bytes, bytes.len() == length))
    }

    fn cached(&mut self, found: &mut Found<'a>, depth: u32) -> Option<Object> {
        if !self.format.cache {
            return self.object(found, depth);
        }
        let is_new = self.bool()?;
        let place = self.reader.u16_be()?;
        if !is_new {
            return Some(self.cache.by_place.get(&place).cloned().unwrap_or_default());
        }
        let object = self.object(found, depth)?;
        let is_kept = place != u16::MAX && !object.name.is_empty();
        if is_kept && self.cache.by_place.len() < OBJECTS_MAX {
            self.cache.by_place.insert(place, object.clone());
        } else {
            self.cache.by_place.remove(&place);
        }
        Some(object)
    }

    /// An object; one that is no destination and has no connection has no name.
    fn object(&mut self, found: &mut Found<'a>, depth: u32) -> Option<Object> {
        if !self.bool()? {
            return Some(Object::default());
        }
        let object = self.reader.u8()?;
        if depth >= DEPTH_MAX {
            return None;
        }
        // Messages may come as they were marshalled before; ActiveMQ reads but never writes that.
        if self.format.tight && (layout::is_message(object) || object == kind::WIRE_FORMAT_INFO) {
            let is_marshalled = self.bits.next()?;
            if is_marshalled {
                let _size_and_type = self.reader.take(5)?;
                self.bits = Bits::read(true, &mut self.reader)?;
            }
        }
        let (fields, more) = layout::fields_of(object)?;
        if matches!(object, 100..=103 | 120..=123) {
            let name = self.text(found)?;
            let name = bytes::text(name, NAME_BYTES);
            self.fields(&fields[1..], found, depth + 1)?;
            return Some(Object { kind: object, name });
        }
        if layout::is_command(object) {
            self.fields(layout::COMMAND, found, depth + 1)?;
        }
        self.fields(fields, found, depth + 1)?;
        self.fields(more, found, depth + 1)?;
        Some(Object { kind: object, name: Text::default() })
    }

    fn list(&mut self, found: &mut Found<'a>, depth: u32) -> Option<()> {
        if !self.bool()? {
            return Some(());
        }
        let count = u32::from(self.reader.u16_be()?);
        self.elements += count;
        if self.elements > ELEMENTS_MAX {
            return None;
        }
        for _ in 0..count {
            self.object(found, depth)?;
        }
        Some(())
    }

    fn fault(&mut self, found: &mut Found<'a>) -> Option<()> {
        let mut is_cause = false;
        while self.bool()? {
            let class = self.text(found)?;
            let text = self.text(found)?;
            if !is_cause {
                found.fault_class = class;
                found.fault = text;
            }
            is_cause = true;
            if !self.format.stack_trace {
                return Some(());
            }
            let lines = self.reader.u16_be()?;
            for _ in 0..lines {
                // Class, method, file, line.
                self.text(found)?;
                self.text(found)?;
                self.text(found)?;
                self.reader.u32_be()?;
            }
        }
        Some(())
    }
}

fn note(meaning: Meaning, object: Object, found: &mut Found<'_>) {
    let place = match meaning {
        Meaning::Destination => &mut found.destination,
        Meaning::ConnectionId => &mut found.connection,
        _ => return,
    };
    // A dispatch goes before the message in it.
    if place.name.is_empty() {
        *place = object;
    }
}
