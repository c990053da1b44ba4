//! Values of AMQP 1.0 (part 1, types): a constructor byte that tells the width, then the data.
//!
//! In: bytes from the start of a value. Out: what a record may need of it; lists, maps and arrays
//! are slices that are walked on demand. Never: recursion; a described value inside of another is
//! passed over.

use crate::bytes::Reader;

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// String, symbol or binary.
    Text(&'a [u8]),
    /// List or map: its elements one after the other.
    Elements(Elements<'a>),
    /// A descriptor and the elements of the list or map that it describes.
    Described(u64, Elements<'a>),
    /// What no record needs.
    Other,
}

impl<'a> Value<'a> {
    pub fn text(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn unsigned(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            _ => None,
        }
    }

    pub fn is_true(self) -> bool {
        self == Self::Bool(true)
    }
}

/// Elements of a list or map, as far as they were captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
    count: u32,
    /// Of an array: the constructor of all elements.
    constructor: Option<u8>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.count = self.count.checked_sub(1)?;
        let mut cursor = Cursor(Reader::new(self.rest));
        let value = match self.constructor {
            Some(constructor) => cursor.data(constructor),
            None => cursor.value(),
        }?;
        self.rest = cursor.0.rest();
        Some(value)
    }
}

/// Reads values from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(Reader<'a>);

const DESCRIBED: u8 = 0;

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Reader::new(bytes))
    }

    pub fn rest(&self) -> &'a [u8] {
        self.0.rest()
    }

    /// The next value; a list or map may be cut off inside.
    pub fn value(&mut self) -> Option<Value<'a>> {
        let constructor = self.0.u8()?;
        if constructor != DESCRIBED {
            return self.data(constructor);
        }
        let code = self.descriptor()?;
        let mut constructor = self.0.u8()?;
        if constructor == DESCRIBED {
            while constructor == DESCRIBED {
                let _descriptor = self.descriptor()?;
                constructor = self.0.u8()?;
            }
            self.data(constructor)?;
            return Some(Value::Other);
        }
        match self.data(constructor)? {
            Value::Elements(elements) => Some(Value::Described(code, elements)),
            _ => Some(Value::Described(code, Elements::default())),
        }
    }

    /// The code of a descriptor.
    fn descriptor(&mut self) -> Option<u64> {
        let constructor = self.0.u8().filter(|constructor| *constructor != DESCRIBED)?;
        match self.data(constructor)? {
            Value::Unsigned(code) => Some(code),
            Value::Text(symbol) => Some(code_of(symbol)),
            _ => None,
        }
    }

    fn data(&mut self, constructor: u8) -> Option<Value<'a>> {
        let reader = &mut self.0;
        Some(match constructor {
            0x40 => Value::Null,
            0x41 => Value::Bool(true),
            0x42 => Value::Bool(false),
            0x43 | 0x44 => Value::Unsigned(0),
            0x45 => Value::Elements(Elements::default()),
            0x50 | 0x52 | 0x53 => Value::Unsigned(u64::from(reader.u8()?)),
            0x56 => Value::Bool(reader.u8()? != 0),
            0x60 => Value::Unsigned(u64::from(reader.u16_be()?)),
            0x70 => Value::Unsigned(u64::from(reader.u32_be()?)),
            0x80 => Value::Unsigned(reader.array().map(u64::from_be_bytes)?),
            0xa0 | 0xa1 | 0xa3 => {
                let length = reader.u8()?;
                Value::Text(reader.take(usize::from(length))?)
            }
            0xb0 | 0xb1 | 0xb3 => {
                let length = reader.u32_be()?;
                Value::Text(reader.take(length as usize)?)
            }
            0xc0 | 0xc1 | 0xe0 => {
                let size = usize::from(reader.u8()?);
                let mut inner = Reader::new(reader.take_up_to(size));
                let count = u32::from(inner.u8()?);
                elements(inner, count, constructor == 0xe0)?
            }
            0xd0 | 0xd1 | 0xf0 => {
                let size = reader.u32_be()? as usize;
                let mut inner = Reader::new(reader.take_up_to(size));
                let count = inner.u32_be()?;
                elements(inner, count, constructor == 0xf0)?
            }
            // Of other types the width is all that matters.
            _ => {
                let bytes = match constructor >> 4 {
                    4 => 0,
                    5 => 1,
                    6 => 2,
                    7 => 4,
                    8 => 8,
                    9 => 16,
                    _ => return None,
                };
                reader.take(bytes)?;
                Value::Other
            }
        })
    }
}

fn elements(mut inner: Reader<'_>, count: u32, is_array: bool) -> Option<Value<'_>> {
    let constructor = match is_array {
        // Arrays of described values are of no interest.
        true => Some(inner.u8()?).filter(|constructor| *constructor != DESCRIBED),
        false => None,
    };
    if is_array && constructor.is_none() {
        return Some(Value::Other);
    }
    // Elements without any byte are of no interest either.
    let count = count.min(u32::try_from(inner.rest().len()).unwrap_or(u32::MAX));
    Some(Value::Elements(Elements { rest: inner.rest(), count, constructor }))
}

/// Codes of the descriptors that may come as symbols.
fn code_of(symbol: &[u8]) -> u64 {
    const SYMBOLS: [(&[u8], u64); 28] = [
        (b"amqp:open:list", 0x10),
        (b"amqp:begin:list", 0x11),
        (b"amqp:attach:list", 0x12),
        (b"amqp:flow:list", 0x13),
        (b"amqp:transfer:list", 0x14),
        (b"amqp:disposition:list", 0x15),
        (b"amqp:detach:list", 0x16),
        (b"amqp:end:list", 0x17),
        (b"amqp:close:list", 0x18),
        (b"amqp:error:list", 0x1d),
        (b"amqp:received:list", 0x23),
        (b"amqp:accepted:list", 0x24),
        (b"amqp:rejected:list", 0x25),
        (b"amqp:released:list", 0x26),
        (b"amqp:modified:list", 0x27),
        (b"amqp:source:list", 0x28),
        (b"amqp:target:list", 0x29),
        (b"amqp:sasl-mechanisms:list", 0x40),
        (b"amqp:sasl-init:list", 0x41),
        (b"amqp:sasl-challenge:list", 0x42),
        (b"amqp:sasl-response:list", 0x43),
        (b"amqp:sasl-outcome:list", 0x44),
        (b"amqp:header:list", 0x70),
        (b"amqp:delivery-annotations:map", 0x71),
        (b"amqp:message-annotations:map", 0x72),
        (b"amqp:properties:list", 0x73),
        (b"amqp:application-properties:map", 0x74),
        (b"amqp:data:binary", 0x75),
    ];
    SYMBOLS.iter().find(|(name, _)| *name == symbol).map_or(u64::MAX, |(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_of_every_type() {
        // null, true, 5u8, i8, bool, u16, u32, f32, u64, f64, decimal128, uuid, string, symbol,
        // list, map, array of symbols, described list, described description.
        let bytes = b"\x40\x41\x50\x05\x51\xff\x56\x01\x60\0\x07\x70\0\0\0\x08\x72\0\0\0\0\
            \x80\0\0\0\0\0\0\0\x09\x82\0\0\0\0\0\0\0\0\x94\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
            \x98\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xa1\x01s\xb3\0\0\0\x01y\xc0\x03\x02\x40\x41\
            \xd1\0\0\0\x06\0\0\0\x02\x43\x44\xe0\x06\x02\xa3\x01a\x01b\0\x53\x24\x45\
            \0\x53\x24\0\x53\x25\x40";
        let mut cursor = Cursor::new(bytes);
        let values: Vec<Value<'_>> = std::iter::from_fn(|| cursor.value()).collect();
        assert!(cursor.rest().is_empty());
        assert_eq!(values.len(), 19);
        assert_eq!(values[2], Value::Unsigned(5));
        assert_eq!(values[8], Value::Unsigned(9));
        assert_eq!(values[12], Value::Text(b"s"));
        let Value::Elements(array) = values[16] else { panic!("{:?}", values[16]) };
        assert_eq!(array.filter_map(Value::text).collect::<Vec<_>>(), [b"a", b"b"]);
        assert!(matches!(values[17], Value::Described(0x24, _)));
        for cut in 0..bytes.len() {
            let mut cursor = Cursor::new(&bytes[..cut]);
            while cursor.value().is_some() {}
        }
    }

    #[test]
    fn symbols_are_descriptors_too() {
        let mut cursor = Cursor::new(b"\0\xa3\x0eamqp:open:list\x45");
        assert!(matches!(cursor.value(), Some(Value::Described(0x10, _))));
    }
}
