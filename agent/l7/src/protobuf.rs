//! Fields of a protobuf message: protobuf.dev/programming-guides/encoding
//!
//! In: the bytes of a message, which may be cut off. Out: its fields in their order, those that
//! are cut off left out. Never: a schema; nested messages are read by whoever knows them.

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A varint or a fixed number.
    Number(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message, each with its number.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    broken: bool,
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message, broken: false }
    }

    /// Whether all bytes are fields.
    pub fn are_sound(mut self) -> bool {
        while self.next().is_some() {}
        !self.broken
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let number = key >> 3;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Number(u32::from_le_bytes(self.array()?).into()),
            // Groups are not written since 2008.
            _ => return None,
        };
        (number > 0).then_some((number, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let (number, used) = varint(self.rest)?;
        self.rest = &self.rest[used..];
        Some(number)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*front)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.broken {
            return None;
        }
        let field = self.field();
        self.broken = field.is_none();
        field
    }
}

/// A varint at the front of `bytes`, and its length.
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((number, place + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_each_kind() {
        let message = b"\x08\x96\x01\x12\x02hi\x1d\x01\0\0\0\x21\x02\0\0\0\0\0\0\0";
        let fields: Vec<_> = Fields::of(message).collect();
        let expected = [
            (1, Value::Number(150)),
            (2, Value::Bytes(b"hi")),
            (3, Value::Number(1)),
            (4, Value::Number(2)),
        ];
        assert_eq!(fields, expected);
        assert!(Fields::of(message).are_sound());
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        assert_eq!(Fields::of(b"\x08\x01\x12\x09short").count(), 1);
        for unsound in [&b"\x12\x09short"[..], b"\x08", b"\x0b", b"\x08\xff\xff", b"\0\x01"] {
            assert!(!Fields::of(unsound).are_sound(), "{unsound:?}");
        }
        assert_eq!(varint(&[0xff; 12]), None);
        assert_eq!(varint(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Some((u64::MAX, 10)));
    }
}
