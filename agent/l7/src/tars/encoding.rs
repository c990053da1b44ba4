//! The Tars encoding (TarsBin, once Jce): fields with a tag and a kind before each value.
//!
//! ```text
//! field := tag: 4 bits  kind: 4 bits  [tag: u8 where the 4 bits are 15]  value
//! ```
//! In: bytes. Out: tags, numbers, texts and maps of texts; anything else is passed over. Never:
//! recursion; nested values are counted.

use crate::bytes::Reader;

/// What stands before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub tag: u8,
    kind: u8,
}

/// Kinds of values.
mod kind {
    pub const INT1: u8 = 0;
    pub const INT2: u8 = 1;
    pub const INT4: u8 = 2;
    pub const INT8: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const TEXT1: u8 = 6;
    pub const TEXT4: u8 = 7;
    pub const MAP: u8 = 8;
    pub const LIST: u8 = 9;
    pub const STRUCT_BEGIN: u8 = 10;
    pub const STRUCT_END: u8 = 11;
    pub const ZERO: u8 = 12;
    pub const BYTES: u8 = 13;
}

impl Head {
    pub fn is_text(self) -> bool {
        matches!(self.kind, kind::TEXT1 | kind::TEXT4)
    }

    pub fn is_bytes(self) -> bool {
        matches!(self.kind, kind::BYTES | kind::LIST)
    }

    pub fn is_map(self) -> bool {
        self.kind == kind::MAP
    }
}

/// The next tag and kind.
pub(crate) fn head(reader: &mut Reader<'_>) -> Option<Head> {
    let byte = reader.u8()?;
    let tag = match byte >> 4 {
        15 => reader.u8()?,
        tag => tag,
    };
    Some(Head { tag, kind: byte & 15 })
}

/// A number of any length.
pub(crate) fn number(reader: &mut Reader<'_>, head: Head) -> Option<i64> {
    Some(match head.kind {
        kind::ZERO => 0,
        kind::INT1 => i64::from(reader.u8()? as i8),
        kind::INT2 => i64::from(reader.u16_be()? as i16),
        kind::INT4 => i64::from(reader.u32_be()? as i32),
        kind::INT8 => reader.u64_be()? as i64,
        _ => return None,
    })
}

/// A text.
pub(crate) fn text<'a>(reader: &mut Reader<'a>, head: Head) -> Option<&'a [u8]> {
    let length = match head.kind {
        kind::TEXT1 => usize::from(reader.u8()?),
        kind::TEXT4 => reader.u32_be()? as usize,
        _ => return None,
    };
    reader.take(length)
}

/// Passes over a value of any kind.
pub(crate) fn pass(reader: &mut Reader<'_>, first: Head) -> Option<()> {
    // Values still to come, and how many structs they are inside of.
    let (mut left, mut structs) = (1u64, Vec::new());
    let mut next = Some(first);
    while left > 0 || !structs.is_empty() {
        let at = match next.take() {
            Some(head) => head,
            None => head(reader)?,
        };
        left = left.saturating_sub(1);
        match at.kind {
            kind::FLOAT => drop(reader.take(4)?),
            kind::DOUBLE => drop(reader.take(8)?),
            kind::TEXT1 | kind::TEXT4 => drop(text(reader, at)?),
            kind::MAP => left = left.checked_add(count(reader)?.checked_mul(2)?)?,
            kind::LIST => left = left.checked_add(count(reader)?)?,
            kind::STRUCT_BEGIN => structs.push(std::mem::take(&mut left)),
            kind::STRUCT_END => left = structs.pop()?,
            kind::BYTES => {
                if head(reader)?.kind != kind::INT1 {
                    return None;
                }
                let length = count(reader)?;
                reader.take(usize::try_from(length).ok()?)?;
            }
            _ => drop(number(reader, at)?),
        }
    }
    Some(())
}

fn count(reader: &mut Reader<'_>) -> Option<u64> {
    let at = head(reader)?;
    u64::try_from(number(reader, at)?).ok()
}

/// The pairs of a map of texts; those that are cut off are left out.
#[derive(Clone, Debug)]
pub(crate) struct Texts<'a> {
    reader: Reader<'a>,
    left: u64,
}

impl<'a> Texts<'a> {
    /// Without a pair.
    pub fn none() -> Self {
        Self { reader: Reader::new(&[]), left: 0 }
    }

    /// A map whose head was read.
    pub fn of(mut reader: Reader<'a>) -> Option<Self> {
        let left = count(&mut reader)?;
        Some(Self { reader, left })
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut next = || {
            let at = head(&mut self.reader)?;
            text(&mut self.reader, at)
        };
        Some((next()?, next()?))
    }
}
