//! BSON documents: elements in their order, as far as there are bytes. https://bsonspec.org/spec.html
//!
//! In: bytes of a document, perhaps cut off. Out: its elements; values as numbers, texts and
//! documents. Never: recursion, a copy.

use crate::bytes::{self, Reader};

pub(crate) const DOUBLE: u8 = 1;
pub(crate) const STRING: u8 = 2;
pub(crate) const DOCUMENT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
pub(crate) const BINARY: u8 = 5;
pub(crate) const UNDEFINED: u8 = 6;
pub(crate) const OBJECT_ID: u8 = 7;
pub(crate) const BOOLEAN: u8 = 8;
pub(crate) const DATE: u8 = 9;
pub(crate) const NULL: u8 = 10;
pub(crate) const REGEX: u8 = 11;
pub(crate) const POINTER: u8 = 12;
pub(crate) const CODE: u8 = 13;
pub(crate) const SYMBOL: u8 = 14;
pub(crate) const SCOPED_CODE: u8 = 15;
pub(crate) const INT32: u8 = 16;
pub(crate) const TIMESTAMP: u8 = 17;
pub(crate) const INT64: u8 = 18;
pub(crate) const DECIMAL: u8 = 19;
pub(crate) const MAX_KEY: u8 = 0x7f;
pub(crate) const MIN_KEY: u8 = 0xff;

/// Longest document that is believed: that of the longest message. unit byte
pub(crate) const DOCUMENT_BYTES_MAX: usize = 48_000_000 + (16 << 10);

/// A document or array of which the first bytes are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document<'a> {
    /// Its elements, and the NUL after them where that is there.
    body: &'a [u8],
    /// Length of the whole document. unit byte
    pub bytes: usize,
}

impl<'a> Document<'a> {
    /// The document at the front of `bytes`.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let length = reader.u32_le()? as usize;
        if !(5..=DOCUMENT_BYTES_MAX).contains(&length) {
            return None;
        }
        Some(Self { body: reader.take_up_to(length - 4), bytes: length })
    }

    pub fn elements(self) -> Elements<'a> {
        Elements { rest: self.body, ended: false }
    }

    /// The first element of this name.
    pub fn find(self, name: &[u8]) -> Option<Element<'a>> {
        self.elements().find(|element| element.name == name)
    }

    /// Whether all there is of it has the form of a document.
    pub fn is_plausible(self) -> bool {
        let mut elements = self.elements();
        let is_name = |name: &[u8]| name.len() < 256 && name.iter().all(|byte| *byte >= b' ');
        let names_fit = elements.by_ref().take(8).all(|element| is_name(element.name));
        let is_cut = self.body.len() + 4 < self.bytes;
        names_fit && (elements.ended || is_cut || elements.next().is_some())
    }
}

/// One element. Its value may be cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub kind: u8,
    pub name: &'a [u8],
    /// Its value, from the start of a length where it has one.
    pub value: &'a [u8],
}

impl<'a> Element<'a> {
    /// A number of any kind, or a boolean.
    pub fn number(&self) -> Option<i64> {
        let mut reader = Reader::new(self.value);
        match self.kind {
            DOUBLE => reader.u64_le().map(|bits| f64::from_bits(bits) as i64),
            INT32 => reader.u32_le().map(|bits| i64::from(bits as i32)),
            INT64 => reader.u64_le().map(|bits| bits as i64),
            BOOLEAN => reader.u8().map(i64::from),
            _ => None,
        }
    }

    /// A string, as much of it as there is.
    pub fn text(&self) -> Option<&'a [u8]> {
        matches!(self.kind, STRING | CODE | SYMBOL).then(|| string(self.value))
    }

    /// A document or array.
    pub fn document(&self) -> Option<Document<'a>> {
        matches!(self.kind, DOCUMENT | ARRAY).then(|| Document::read(self.value)).flatten()
    }
}

/// `length: i32 le  text NUL` without the NUL.
pub(crate) fn string(value: &[u8]) -> &[u8] {
    let mut reader = Reader::new(value);
    let length = reader.u32_le().unwrap_or(0) as usize;
    reader.take_up_to(length.saturating_sub(1))
}

/// Whether nothing of a string is missing.
pub(crate) fn is_whole(value: &[u8]) -> bool {
    let mut reader = Reader::new(value);
    reader.u32_le().is_some_and(|length| reader.rest().len() >= length as usize)
}

/// Elements in their order, until the end of the document or of what there is of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
    /// The end of the document was reached.
    pub ended: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let mut reader = Reader::new(std::mem::take(&mut self.rest));
        let kind = reader.u8()?;
        if kind == 0 {
            self.ended = true;
            return None;
        }
        let name = reader.until_nul()?;
        let length = value_bytes(kind, reader.rest())?;
        let value = reader.take_up_to(length);
        self.rest = reader.rest();
        Some(Element { kind, name, value })
    }
}

/// Length of a value; `None` where its kind is none, or where too little is there to tell.
fn value_bytes(kind: u8, value: &[u8]) -> Option<usize> {
    let length = || {
        let length = Reader::new(value).u32_le()? as usize;
        (length <= DOCUMENT_BYTES_MAX).then_some(length)
    };
    Some(match kind {
        NULL | UNDEFINED | MIN_KEY | MAX_KEY => 0,
        BOOLEAN => 1,
        INT32 => 4,
        DOUBLE | DATE | TIMESTAMP | INT64 => 8,
        OBJECT_ID => 12,
        DECIMAL => 16,
        STRING | CODE | SYMBOL => 4 + length()?,
        BINARY => 5 + length()?,
        POINTER => 16 + length()?,
        DOCUMENT | ARRAY | SCOPED_CODE => length()?.max(4),
        REGEX => {
            let pattern = bytes::find(value, 0)? + 1;
            pattern + bytes::find(&value[pattern..], 0)? + 1
        }
        _ => return None,
    })
}
