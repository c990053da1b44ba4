//! Texts of a Dubbo body, one after the other, in each serialization that has them in a known
//! form. Their places are those of apache/dubbo and apache/dubbo-spi-extensions `*ObjectOutput`.

use std::borrow::Cow;

use crate::bytes::{self, Reader};
use crate::dubbo::hessian::{self, Hessian};
use crate::protobuf::{self, Fields, Value};

/// Serializations that write their texts alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Hessian 2.
    Hessian,
    /// JSON, one value a line or behind its length: fastjson, Gson, Jackson, Protobuf's JSON.
    Json,
    /// JSONB of fastjson2, each value behind its length.
    Jsonb,
    Kryo,
    Fst,
    /// Each value is a message behind its length.
    Protobuf,
    /// Java's object streams; the flag: texts stand behind their length.
    Java(bool),
    /// Bytes behind a length of four bytes: Protostuff.
    Counted,
    Avro,
    /// Any other.
    Unknown,
}

impl Form {
    pub fn of(serialization: u8) -> Self {
        match serialization {
            2 | 10 => Self::Hessian,
            3 => Self::Java(true),
            6 | 16 | 18 | 21 => Self::Json,
            7 => Self::Java(false),
            8 | 25 => Self::Kryo,
            9 => Self::Fst,
            11 => Self::Avro,
            12 => Self::Counted,
            22 => Self::Protobuf,
            23 => Self::Jsonb,
            _ => Self::Unknown,
        }
    }
}

/// Reads texts from the front of a body.
#[derive(Clone, Debug)]
pub(crate) enum Words<'a> {
    Hessian(Hessian<'a>),
    Other(Form, Reader<'a>),
}

impl<'a> Words<'a> {
    pub fn of(form: Form, body: &'a [u8]) -> Self {
        match form {
            Form::Hessian => Self::Hessian(Hessian::new(body)),
            Form::Java(_) => Self::Other(form, Reader::new(java_block(body).unwrap_or_default())),
            _ => Self::Other(form, Reader::new(body)),
        }
    }

    /// The next text; null is an empty one.
    pub fn text(&mut self) -> Option<Cow<'a, [u8]>> {
        let (form, reader) = match self {
            Self::Hessian(hessian) => return hessian.text(),
            Self::Other(form, reader) => (*form, reader),
        };
        let text = match form {
            Form::Kryo => return kryo(reader),
            Form::Json => json_value(reader).and_then(json_text)?,
            Form::Jsonb => {
                let bytes = counted(reader)?;
                jsonb_text(&mut Reader::new(bytes))?
            }
            Form::Fst => fst(reader)?,
            Form::Protobuf => protobuf_text(delimited(reader)?),
            Form::Java(is_counted) => {
                if is_counted && reader.u32_be()? == u32::MAX {
                    return Some(Cow::Borrowed(&[]));
                }
                let length = usize::from(reader.u16_be()?);
                reader.take(length)?
            }
            Form::Counted => counted(reader)?,
            Form::Avro => {
                let (length, used) = protobuf::varint(reader.rest())?;
                reader.take(used)?;
                reader.take(usize::try_from(length >> 1).ok()?)?
            }
            Form::Hessian | Form::Unknown => return None,
        };
        Some(Cow::Borrowed(text))
    }

    /// A small number, as flags are written.
    pub fn number(&mut self) -> Option<u8> {
        let (form, reader) = match self {
            Self::Hessian(hessian) => return u8::try_from(hessian.int()?).ok(),
            Self::Other(form, reader) => (*form, reader),
        };
        match form {
            Form::Json => {
                let digits = json_value(reader)?.trim_ascii();
                let digits =
                    digits.trim_ascii_start().strip_prefix(b"{\"value\":").unwrap_or(digits);
                let digits = digits.strip_suffix(b"}").unwrap_or(digits);
                u8::try_from(bytes::decimal(digits)?).ok()
            }
            Form::Jsonb => match counted(reader)? {
                // An int8 with its mark, or a small number that is its own.
                [0xbd, number] | [number @ 0..=0x2f] => Some(*number),
                _ => None,
            },
            Form::Protobuf => {
                let field = Fields::of(delimited(reader)?).next();
                match field {
                    Some((1, Value::Number(number))) => u8::try_from(number).ok(),
                    None => Some(0),
                    _ => None,
                }
            }
            Form::Unknown => None,
            _ => reader.u8(),
        }
    }
}

/// The first block of primitive data of an object stream (Java Object Serialization §6.4).
fn java_block(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    if reader.u32_be()? != 0xaced_0005 {
        return None;
    }
    let length = match reader.u8()? {
        0x77 => usize::from(reader.u8()?),
        0x7a => reader.u32_be()? as usize,
        _ => return None,
    };
    Some(reader.take_up_to(length))
}

/// Bytes behind a length of four bytes.
pub(crate) fn counted<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u32_be()?;
    reader.take(length as usize)
}

/// A message behind its length.
pub(crate) fn delimited<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let (length, used) = protobuf::varint(reader.rest())?;
    reader.take(used)?;
    reader.take(usize::try_from(length).ok()?)
}

fn protobuf_text(message: &[u8]) -> &[u8] {
    match Fields::of(message).next() {
        Some((1, Value::Bytes(text))) => text,
        _ => &[],
    }
}

/// A JSON value: a line, or what stands behind its length.
pub(crate) fn json_value<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    if reader.rest().first() == Some(&0) {
        return counted(reader);
    }
    match bytes::find(reader.rest(), b'\n') {
        Some(end) => {
            let line = reader.take(end)?;
            reader.take(1)?;
            Some(line)
        }
        None if reader.rest().is_empty() => None,
        None => Some(reader.take_up_to(usize::MAX)),
    }
}

/// The text of a JSON value, its escapes as they stand; null is an empty one.
fn json_text(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    match value {
        b"null" | b"" => Some(&[]),
        _ => value.strip_prefix(b"\"")?.strip_suffix(b"\""),
    }
}

/// A text of JSONB (alibaba/fastjson2 docs/JSONB).
pub(crate) fn jsonb_text<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = match reader.u8()? {
        0xaf => 0,
        byte @ 0x49..=0x78 => usize::from(byte - 0x49),
        0x79 | 0x7a => jsonb_length(reader)?,
        // A symbol: a text, then its number.
        0x7f => {
            let text = match reader.rest().first()? {
                0x7f => return None,
                _ => jsonb_text(reader)?,
            };
            jsonb_length(reader)?;
            return Some(text);
        }
        _ => return None,
    };
    reader.take(length)
}

/// A number of JSONB that is not negative.
pub(crate) fn jsonb_length(reader: &mut Reader<'_>) -> Option<usize> {
    let number = match reader.u8()? {
        byte @ 0..=0x2f => i32::from(byte),
        byte @ 0x30..=0x3f => (i32::from(byte) - 0x38) << 8 | i32::from(reader.u8()?),
        byte @ 0x40..=0x47 => (i32::from(byte) - 0x44) << 16 | i32::from(reader.u16_be()?),
        0x48 => reader.u32_be()? as i32,
        _ => return None,
    };
    usize::try_from(number).ok()
}

/// A text of Kryo: ASCII whose last byte has the top bit, or UTF-8 behind the number of its
/// characters and one.
pub(crate) fn kryo<'a>(reader: &mut Reader<'a>) -> Option<Cow<'a, [u8]>> {
    let rest = reader.rest();
    if rest.first()? & 0x80 == 0 {
        let end = rest.iter().position(|byte| byte & 0x80 != 0)?;
        let mut text = reader.take(end + 1)?.to_vec();
        text[end] &= 0x7f;
        return Some(Cow::Owned(text));
    }
    let first = usize::from(reader.u8()?);
    let mut units = first & 0x3f;
    let mut is_more = first & 0x40 != 0;
    for shift in [6, 13, 20, 27] {
        if !is_more {
            break;
        }
        let byte = usize::from(reader.u8()?);
        units |= (byte & 0x7f) << shift;
        is_more = byte & 0x80 != 0;
    }
    hessian::utf16_units(reader, units.saturating_sub(1)).map(Cow::Borrowed)
}

/// A text of FST: a byte for each character, behind their number.
pub(crate) fn fst<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = match reader.u8()? as i8 {
        -128 => usize::from(reader.u16_le()?),
        -127 => reader.u32_le()? as usize,
        length => usize::try_from(length).ok()?,
    };
    reader.take(length)
}
