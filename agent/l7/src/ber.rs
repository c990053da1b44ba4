//! Basic and distinguished encoding rules of ASN.1 (X.690), as far as certificates and LDAP need
//! them: definite lengths, tags of one byte.
//!
//! In: bytes, perhaps cut off. Out: elements with their contents. Never: recursion.

use crate::bytes::Reader;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_ID: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;

/// An element. Its contents may be cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    /// Length of tag and length. unit byte
    pub header_bytes: usize,
    /// Length of the contents as stated. unit byte
    pub content_bytes: usize,
}

impl<'a> Element<'a> {
    /// The element at the front of `bytes`; `None`: tag and length are not all there, or are of
    /// no form that is read here.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let tag = reader.u8()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let first = reader.u8()?;
        let content_bytes = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x84 => {
                let octets = reader.take(usize::from(first & 0x7f))?;
                octets.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
            }
            _ => return None,
        };
        let header_bytes = bytes.len() - reader.rest().len();
        let content = reader.take_up_to(content_bytes);
        Some(Self { tag, content, header_bytes, content_bytes })
    }

    /// Whether nothing of it is missing.
    pub fn is_whole(&self) -> bool {
        self.content.len() == self.content_bytes
    }

    /// Length of all of it. unit byte
    pub fn bytes(&self) -> usize {
        self.header_bytes + self.content_bytes
    }

    /// The elements in it.
    pub fn elements(&self) -> Elements<'a> {
        Elements { rest: self.content }
    }

    /// A whole number of at most eight bytes.
    pub fn integer(&self) -> Option<i64> {
        if self.content.is_empty() || self.content.len() > 8 || !self.is_whole() {
            return None;
        }
        let sign = if self.content[0] & 0x80 != 0 { -1 } else { 0 };
        Some(self.content.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
    }
}

/// Elements one after the other, as far as there are bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let element = Element::read(self.rest)?;
        self.rest = self.rest.get(element.bytes()..).unwrap_or(&[]);
        Some(element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers() {
        let read = |bytes: &[u8]| {
            Element::read(bytes).map(|e| (e.tag, e.header_bytes, e.content_bytes, e.content.len()))
        };
        assert_eq!(read(b"\x04\x03abc"), Some((4, 2, 3, 3)));
        assert_eq!(read(b"\x30\x82\x01\x00ab"), Some((0x30, 4, 256, 2)));
        assert_eq!(read(b"\x30\x84\xff\xff\xff\xff"), Some((0x30, 6, 0xffff_ffff, 0)));
        for none in
            [&b""[..], b"\x30", b"\x30\x80", b"\x30\x85\0\0\0\0\0", b"\x3f\x01", b"\x30\x82\x01"]
        {
            assert_eq!(read(none), None, "{none:x?}");
        }
        let number = |bytes: &[u8]| Element::read(bytes).and_then(|element| element.integer());
        assert_eq!(number(b"\x02\x01\x7f"), Some(127));
        assert_eq!(number(b"\x02\x02\xff\x7f"), Some(-129));
        assert_eq!(number(b"\x02\x00"), None);
        assert_eq!(number(b"\x02\x02\x01"), None);
    }
}
