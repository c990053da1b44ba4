//! Fields of AMQP 0-9-1: strings, tables and the properties of a content.
//!
//! In: bytes of arguments or of a content header. Out: values that borrow them. Types are those
//! that brokers send (RabbitMQ's errata), which differ from the specification's list. Never:
//! recursion; tables and arrays inside of a table are passed over by their length.

use crate::bytes::Reader;

/// Reads arguments from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(Reader<'a>);

/// A value of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Text(&'a [u8]),
    Other,
}

impl<'a> Value<'a> {
    pub fn text(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other => None,
        }
    }
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Reader::new(bytes))
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.0.u8()
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.0.u16_be()
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.0.array().map(u64::from_be_bytes)
    }

    /// A string of at most 255 bytes.
    pub fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.0.u8()?;
        self.0.take(usize::from(length))
    }

    /// A string of any length.
    pub fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.0.u32_be()?;
        self.0.take(length as usize)
    }

    /// A table; one that is cut off yields the entries that are there.
    pub fn table(&mut self) -> Table<'a> {
        let length = self.0.u32_be().unwrap_or(0);
        Table(Cursor::new(self.0.take_up_to(length as usize)))
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let bytes = match self.0.u8()? {
            b'S' | b'x' => return self.long().map(Value::Text),
            b'A' | b'F' => return self.long().map(|_| Value::Other),
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'u' | b'U' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            _ => return None,
        };
        self.0.take(bytes).map(|_| Value::Other)
    }
}

/// The entries of a table, up to the first that cannot be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a>(Cursor<'a>);

impl<'a> Iterator for Table<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.short()?;
        Some((name, self.0.value()?))
    }
}

/// The properties of a content that a record may show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Properties<'a> {
    pub headers: Option<Table<'a>>,
    pub correlation_id: &'a [u8],
    pub reply_to: &'a [u8],
    pub message_id: &'a [u8],
    pub kind: &'a [u8],
    pub app_id: &'a [u8],
}

impl<'a> Properties<'a> {
    /// Reads flags and values; what is cut off stays empty.
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut properties = Self::default();
        let _ = properties.fill(Cursor::new(bytes));
        properties
    }

    fn fill(&mut self, mut cursor: Cursor<'a>) -> Option<()> {
        let flags = cursor.u16()?;
        let mut more = flags;
        while more & 1 != 0 {
            more = cursor.u16()?;
        }
        let has = |place: u16| flags >> place & 1 != 0;
        let short = |place: u16, cursor: &mut Cursor<'a>| match has(place) {
            true => cursor.short(),
            false => Some(&b""[..]),
        };
        let _content_type = short(15, &mut cursor)?;
        let _content_encoding = short(14, &mut cursor)?;
        if has(13) {
            self.headers = Some(cursor.table());
        }
        for _ in [12, 11].into_iter().filter(|place| has(*place)) {
            let _delivery_mode_or_priority = cursor.u8()?;
        }
        self.correlation_id = short(10, &mut cursor)?;
        self.reply_to = short(9, &mut cursor)?;
        let _expiration = short(8, &mut cursor)?;
        self.message_id = short(7, &mut cursor)?;
        if has(6) {
            let _timestamp = cursor.u64()?;
        }
        self.kind = short(5, &mut cursor)?;
        let _user_id = short(4, &mut cursor)?;
        self.app_id = short(3, &mut cursor)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_type() {
        let table = b"\0\0\0\x4d\x01at\x01\x01bb\x01\x01cB\x01\x01ds\0\x01\x01eu\0\x01\
            \x01fI\0\0\0\x01\x01gl\0\0\0\0\0\0\0\x01\x01hD\x02\0\0\0\x07\
            \x01iF\0\0\0\x03\x01jV\x01kA\0\0\0\x01V\x01lV\x01mS\0\0\0\x01z";
        let names: Vec<u8> = Cursor::new(table).table().map(|(name, _)| name[0]).collect();
        assert_eq!(names, b"abcdefghiklm");
        let last = Cursor::new(table).table().last();
        assert_eq!(last, Some((&b"m"[..], Value::Text(b"z"))));
        // An unknown type ends it: its length is not known.
        assert_eq!(Cursor::new(b"\0\0\0\x08\x01aV\x01b?\0\0").table().count(), 1);
    }

    #[test]
    fn properties_in_order() {
        // All of them, with a second word of flags.
        let mut bytes =
            b"\xff\xfd\0\0\x01T\x01E\0\0\0\x07\x01hS\0\0\0\0\x02\x05\x01C\x01R\x01X\x01M".to_vec();
        bytes.extend_from_slice(b"\0\0\0\0\0\0\0\x09\x01K\x01U\x01A\x01L");
        let properties = Properties::read(&bytes);
        let texts = [
            properties.correlation_id,
            properties.reply_to,
            properties.message_id,
            properties.kind,
            properties.app_id,
        ];
        assert_eq!(texts.concat(), b"CRMKA");
        assert_eq!(properties.headers.map(Iterator::count), Some(1));
        for cut in 0..bytes.len() {
            Properties::read(&bytes[..cut]);
        }
    }
}
