//! Types of columns and parameters (TYPE_INFO, [MS-TDS] 2.2.5.6), as far as their values' lengths
//! depend on them.

use crate::bytes::Reader;
use crate::tds::utf16::{long_name, short_name};

/// How the length of a value is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// It is always this.
    Fixed(u8),
    /// A byte before it.
    Byte,
    /// Two bytes before it; 0xffff: null.
    Short,
    /// Chunks, each with four bytes before it; 0 ends.
    Chunks,
    /// A pointer and a time, then four bytes (text, ntext, image).
    Pointer,
    /// Four bytes before it (sql_variant).
    Long,
}

/// A type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypeInfo {
    pub number: u8,
    pub form: Form,
}

/// What was read of a type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Type(TypeInfo),
    /// More bytes are needed.
    Short,
    /// A type that is none of these.
    Unknown,
}

pub(crate) const INT_N: u8 = 0x26;
pub(crate) const INT4: u8 = 0x38;

/// Length that stands for one without a bound.
const MAX: u16 = 0xffff;

/// Reads a type.
pub(crate) fn read(reader: &mut Reader<'_>) -> Found {
    let Some(number) = reader.u8() else { return Found::Short };
    if !is_known(number) {
        return Found::Unknown;
    }
    match form(number, reader) {
        Some(form) => Found::Type(TypeInfo { number, form }),
        None => Found::Short,
    }
}

fn is_known(number: u8) -> bool {
    matches!(
        number,
        0x1f | 0x22..=0x2b | 0x2d | 0x2f | 0x30 | 0x32 | 0x34 | 0x37 | 0x38 | 0x3a..=0x3f
            | 0x62 | 0x63 | 0x68 | 0x6a | 0x6c..=0x6f | 0x7a | 0x7f | 0xa5 | 0xa7 | 0xad | 0xaf
            | 0xe7 | 0xef | 0xf0 | 0xf1 | 0xf4
    )
}

/// What stands after a type's number. Numbers: [MS-TDS] 2.2.5.4.
fn form(number: u8, reader: &mut Reader<'_>) -> Option<Form> {
    Some(match number {
        0x1f => Form::Fixed(0),
        0x30 | 0x32 => Form::Fixed(1),
        0x34 => Form::Fixed(2),
        INT4 | 0x3a | 0x3b | 0x7a => Form::Fixed(4),
        0x3c..=0x3e | 0x7f => Form::Fixed(8),
        // date
        0x28 => Form::Byte,
        // decimal, numeric: length, precision, scale
        0x37 | 0x3f | 0x6a | 0x6c => {
            reader.take(3)?;
            Form::Byte
        }
        // image; text and ntext have a collation
        0x22 => {
            reader.take(4)?;
            Form::Pointer
        }
        0x23 | 0x63 => {
            reader.take(9)?;
            Form::Pointer
        }
        0x62 => {
            reader.take(4)?;
            Form::Long
        }
        0xa5 | 0xad => bounded(reader.u16_le()?),
        0xa7 | 0xaf | 0xe7 | 0xef => {
            let length = reader.u16_le()?;
            reader.take(5)?;
            bounded(length)
        }
        // A user's type: its names
        0xf0 => {
            reader.take(2)?;
            short_name(reader)?;
            short_name(reader)?;
            short_name(reader)?;
            long_name(reader)?;
            Form::Chunks
        }
        // xml: a schema perhaps
        0xf1 => {
            if reader.u8()? != 0 {
                short_name(reader)?;
                short_name(reader)?;
                long_name(reader)?;
            }
            Form::Chunks
        }
        // json
        0xf4 => Form::Chunks,
        // A length, or a scale of times
        _ => {
            reader.take(1)?;
            Form::Byte
        }
    })
}

fn bounded(length: u16) -> Form {
    if length == MAX { Form::Chunks } else { Form::Short }
}

impl TypeInfo {
    /// Definitions of columns of this type name their table.
    pub fn has_table(&self) -> bool {
        self.form == Form::Pointer
    }
}
