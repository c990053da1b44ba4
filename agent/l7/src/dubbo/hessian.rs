//! Hessian 2 serialization: hessian.caucho.com/doc/hessian-serialization.html, as Dubbo's
//! hessian-lite writes it.
//!
//! In: bytes. Out: texts, small numbers, maps of texts, the class and message of an exception;
//! any other value is passed over. Never: recursion; nested values are kept on a stack of bounded
//! depth, and each step uses up a byte.

use std::borrow::Cow;

use crate::bytes::Reader;

/// Reads values from the front of a body. Classes that were defined stay known.
#[derive(Clone, Debug)]
pub(crate) struct Hessian<'a> {
    reader: Reader<'a>,
    /// Fields of each class, in the order of definition.
    classes: Vec<usize>,
}

/// A text as it stands in a body, or put together from chunks of it.
type Bytes<'a> = Cow<'a, [u8]>;

/// What is still to come of a value that holds others.
enum Left {
    Values(usize),
    /// Values up to an end mark.
    UpToEnd,
}

/// Values inside of each other that are followed.
const DEPTH: usize = 256;

const END: u8 = b'Z';

impl<'a> Hessian<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), classes: Vec::new() }
    }

    fn peek(&self) -> Option<u8> {
        self.reader.rest().first().copied()
    }

    /// A text; null is an empty one.
    pub fn text(&mut self) -> Option<Bytes<'a>> {
        let mut text: Bytes<'a> = Cow::Borrowed(&[]);
        loop {
            let (units, is_last) = match self.reader.u8()? {
                b'N' => (0, true),
                byte @ 0..=0x1f => (usize::from(byte), true),
                byte @ 0x30..=0x33 => {
                    (usize::from(byte - 0x30) << 8 | usize::from(self.reader.u8()?), true)
                }
                b'S' => (usize::from(self.reader.u16_be()?), true),
                b'R' => (usize::from(self.reader.u16_be()?), false),
                _ => return None,
            };
            let chunk = utf16_units(&mut self.reader, units)?;
            match text.is_empty() {
                true => text = Cow::Borrowed(chunk),
                false => text.to_mut().extend_from_slice(chunk),
            }
            if is_last {
                return Some(text);
            }
        }
    }

    /// A number as counts and flags are written.
    pub fn int(&mut self) -> Option<i32> {
        let reader = &mut self.reader;
        Some(match reader.u8()? {
            byte @ 0x80..=0xbf => i32::from(byte) - 0x90,
            byte @ 0xc0..=0xcf => (i32::from(byte) - 0xc8) << 8 | i32::from(reader.u8()?),
            byte @ 0xd0..=0xd7 => (i32::from(byte) - 0xd4) << 16 | i32::from(reader.u16_be()?),
            b'I' => reader.u32_be()? as i32,
            _ => return None,
        })
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.int()?).ok()
    }

    /// A type's name, or the number of one named before.
    fn type_name(&mut self) -> Option<()> {
        match self.peek()? {
            0..=0x1f | 0x30..=0x33 | b'S' | b'R' => drop(self.text()?),
            _ => drop(self.int()?),
        }
        Some(())
    }

    /// Entries of a map whose keys are texts; values that are none are shown empty.
    pub fn map(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Option<()> {
        match self.reader.u8()? {
            b'H' => {}
            b'M' => self.type_name()?,
            b'N' => return Some(()),
            _ => return None,
        }
        while self.peek()? != END {
            let name = self.text()?;
            let value = match self.peek()? {
                0..=0x1f | 0x30..=0x33 | b'S' | b'R' | b'N' => self.text()?,
                _ => {
                    self.pass()?;
                    Cow::Borrowed(&[][..])
                }
            };
            each(&name, &value);
        }
        self.reader.u8()?;
        Some(())
    }

    /// Class and message of an exception.
    pub fn exception(&mut self) -> Option<(Bytes<'a>, Bytes<'a>)> {
        if self.peek()? != b'C' {
            return None;
        }
        self.reader.u8()?;
        let class = self.text()?;
        let fields = self.count()?;
        let mut message_at = None;
        for place in 0..fields {
            if &*self.text()? == b"detailMessage" {
                message_at = Some(place);
            }
        }
        self.classes.push(fields);
        let message = self.field_text(message_at).unwrap_or_default();
        Some((class, message))
    }

    /// The text in one field of the object that follows.
    fn field_text(&mut self, place: Option<usize>) -> Option<Bytes<'a>> {
        match self.reader.u8()? {
            b'O' => drop(self.int()?),
            0x60..=0x6f => {}
            _ => return None,
        }
        for _ in 0..place? {
            self.pass()?;
        }
        self.text()
    }

    /// Passes over a value of any kind.
    pub fn pass(&mut self) -> Option<()> {
        let mut stack = vec![Left::Values(1)];
        while let Some(left) = stack.last_mut() {
            match left {
                Left::Values(0) => {
                    stack.pop();
                    continue;
                }
                Left::Values(values) => *values -= 1,
                Left::UpToEnd if self.reader.rest().first() == Some(&END) => {
                    self.reader.u8()?;
                    stack.pop();
                    continue;
                }
                Left::UpToEnd => {}
            }
            if let Some(inner) = self.pass_one()? {
                if stack.len() >= DEPTH {
                    return None;
                }
                stack.push(inner);
            }
        }
        Some(())
    }

    /// Passes over one value, or over what stands before the values in it.
    fn pass_one(&mut self) -> Option<Option<Left>> {
        let byte = self.peek()?;
        if matches!(byte, 0..=0x1f | 0x30..=0x33 | b'S' | b'R' | b'N') {
            self.text()?;
            return Some(None);
        }
        if matches!(byte, 0x80..=0xd7 | b'I') {
            self.int()?;
            return Some(None);
        }
        self.reader.u8()?;
        let inner = match byte {
            b'C' => {
                self.text()?;
                let fields = self.count()?;
                for _ in 0..fields {
                    self.text()?;
                }
                self.classes.push(fields);
                // A definition is no value: that follows.
                Left::Values(1)
            }
            b'O' => Left::Values(self.fields_of(None)?),
            0x60..=0x6f => Left::Values(self.fields_of(Some(usize::from(byte - 0x60)))?),
            b'H' | b'W' => Left::UpToEnd,
            b'M' | b'U' => {
                self.type_name()?;
                Left::UpToEnd
            }
            b'V' => {
                self.type_name()?;
                Left::Values(self.count()?)
            }
            b'X' => Left::Values(self.count()?),
            0x70..=0x77 => {
                self.type_name()?;
                Left::Values(usize::from(byte - 0x70))
            }
            0x78..=0x7f => Left::Values(usize::from(byte - 0x78)),
            _ => {
                self.pass_plain(byte)?;
                return Some(None);
            }
        };
        Some(Some(inner))
    }

    fn fields_of(&mut self, class: Option<usize>) -> Option<usize> {
        let class = match class {
            Some(class) => class,
            None => self.count()?,
        };
        self.classes.get(class).copied()
    }

    /// Passes over the rest of a value that holds no others.
    fn pass_plain(&mut self, byte: u8) -> Option<()> {
        let bytes = match byte {
            b'T' | b'F' | 0x5b | 0x5c | 0xd8..=0xef => 0,
            0x5d | 0xf0..=0xff => 1,
            0x38..=0x3f | 0x5e => 2,
            b'K' | b'Y' | 0x5f => 4,
            b'D' | b'J' | b'L' => 8,
            b'Q' => return self.int().map(drop),
            0x20..=0x2f => usize::from(byte - 0x20),
            0x34..=0x37 => usize::from(byte - 0x34) << 8 | usize::from(self.reader.u8()?),
            b'B' => usize::from(self.reader.u16_be()?),
            b'A' => {
                let length = usize::from(self.reader.u16_be()?);
                self.reader.take(length)?;
                // Another chunk of the same bytes.
                let next = self.reader.u8()?;
                return match next {
                    b'A' | b'B' | 0x20..=0x2f | 0x34..=0x37 => self.pass_chunks(next),
                    _ => None,
                };
            }
            _ => return None,
        };
        self.reader.take(bytes).map(drop)
    }

    /// Passes over the chunks of binary data after the first.
    fn pass_chunks(&mut self, mut kind: u8) -> Option<()> {
        while kind == b'A' {
            let length = usize::from(self.reader.u16_be()?);
            self.reader.take(length)?;
            kind = self.reader.u8()?;
        }
        match kind {
            b'B' | 0x20..=0x2f | 0x34..=0x37 => self.pass_plain(kind),
            _ => None,
        }
    }
}

/// Bytes of so many UTF-16 units, each written as UTF-8 by itself.
pub(crate) fn utf16_units<'a>(reader: &mut Reader<'a>, units: usize) -> Option<&'a [u8]> {
    let rest = reader.rest();
    if rest.get(..units)?.is_ascii() {
        return reader.take(units);
    }
    let (mut at, mut left) = (0, units);
    while left > 0 {
        let (bytes, counted) = match *rest.get(at)? {
            0..=0x7f => (1, 1),
            0xc0..=0xdf => (2, 1),
            0xe0..=0xef => (3, 1),
            // A pair of surrogates in one.
            0xf0..=0xf7 => (4, 2),
            _ => return None,
        };
        at += bytes;
        left = left.checked_sub(counted)?;
    }
    reader.take(at)
}
