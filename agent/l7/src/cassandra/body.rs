//! Notations of bodies (section 3 of the specifications), and bodies that are compressed.

use schema::Text;

use crate::bytes::Reader;
use crate::{lz4, snappy};

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Compression {
    /// The startup was not seen.
    #[default]
    Unknown,
    Lz4,
    Snappy,
}

impl Compression {
    /// By its name in a startup.
    pub fn named(name: &[u8]) -> Self {
        match name.to_ascii_lowercase().as_slice() {
            b"lz4" => Self::Lz4,
            b"snappy" => Self::Snappy,
            _ => Self::Unknown,
        }
    }

    /// The first bytes of a body: as many as `text_bytes` of text need.
    pub fn plain(self, body: &[u8], text_bytes: usize) -> Vec<u8> {
        let wanted = text_bytes + 1024;
        // A length of four bytes starts with 0, a Snappy block does not.
        let is_lz4 = match self {
            Self::Unknown => body.first() == Some(&0),
            known => known == Self::Lz4,
        };
        if !is_lz4 {
            return snappy::decompress(body, wanted);
        }
        let mut reader = Reader::new(body);
        let plain_bytes = reader.u32_be().unwrap_or(0) as usize;
        lz4::decompress(reader.rest(), wanted.min(plain_bytes))
    }
}

/// `[string]`.
pub(crate) fn string<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u16_be()?;
    reader.take(usize::from(length))
}

/// `[long string]`, as much of it as there is.
pub(crate) fn long_string<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u32_be()?;
    Some(reader.take_up_to(length as usize))
}

/// `[bytes]`; a negative length is null.
pub(crate) fn value<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u32_be()? as i32;
    reader.take(usize::try_from(length).unwrap_or(0))
}

/// Name of a `[consistency]`.
pub(crate) fn consistency(number: u16) -> Option<Text> {
    const NAMES: [&str; 11] = [
        "ANY",
        "ONE",
        "TWO",
        "THREE",
        "QUORUM",
        "ALL",
        "LOCAL_QUORUM",
        "EACH_QUORUM",
        "SERIAL",
        "LOCAL_SERIAL",
        "LOCAL_ONE",
    ];
    NAMES.get(usize::from(number)).map(|name| Text::const_new(name))
}

/// `[option]`: a type of columns, nested ones passed over without recursion.
pub(crate) fn pass_type(reader: &mut Reader<'_>) -> Option<()> {
    const TYPES_MAX: usize = 4096;
    let mut left = 1;
    let mut passed = 0;
    while left > 0 {
        left -= 1;
        passed += 1;
        if passed > TYPES_MAX {
            return None;
        }
        match reader.u16_be()? {
            0x0000 => {
                string(reader)?;
            }
            // list, set
            0x0020 | 0x0022 => left += 1,
            0x0021 => left += 2,
            // A user's type: keyspace, name, fields. Their names stand between the types.
            0x0030 => {
                string(reader)?;
                string(reader)?;
                let fields = reader.u16_be()?;
                return pass_fields(reader, fields, left);
            }
            0x0031 => left += usize::from(reader.u16_be()?),
            _ => {}
        }
    }
    Some(())
}

/// Fields of a user's type that are of simple types; others are given up.
fn pass_fields(reader: &mut Reader<'_>, fields: u16, left: usize) -> Option<()> {
    for _ in 0..fields {
        string(reader)?;
        match reader.u16_be()? {
            0x0000 => {
                string(reader)?;
            }
            0x0020 | 0x0022 => {
                reader.u16_be().filter(|inner| *inner < 0x0020)?;
            }
            0x0001..=0x001f => {}
            _ => return None,
        }
    }
    (left == 0).then_some(())
}
