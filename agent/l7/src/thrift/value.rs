//! Values of Thrift's binary and compact protocols, one piece at a time.

use crate::bytes::Reader;
use crate::protobuf;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Binary,
    /// Binary, whose messages begin as they did before versions.
    OldBinary,
    Compact,
}

/// What a value is, as far as its length goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// So many bytes.
    Fixed(u8),
    Varint,
    /// Bytes behind their length.
    Text,
    Struct,
    /// A list or set.
    List,
    Map,
}

/// Why a piece cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It ends beyond the bytes.
    Short,
    /// It makes no sense.
    Bad,
}

/// A field of a struct, before its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub id: i16,
    pub kind: Kind,
}

/// Most elements of a list or map that are believed.
const ELEMENTS_MAX: u64 = 1 << 28;

impl Encoding {
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary | Self::OldBinary => "binary",
            Self::Compact => "compact",
        }
    }

    /// The next field; `None`: the struct ends here. `last_id` is that of the field before.
    pub fn field(
        self,
        reader: &mut Reader<'_>,
        last_id: &mut i16,
    ) -> Result<Option<Field>, Trouble> {
        let byte = reader.u8().ok_or(Trouble::Short)?;
        if byte == 0 {
            return Ok(None);
        }
        let id = match self {
            Self::Binary | Self::OldBinary => reader.u16_be().ok_or(Trouble::Short)? as i16,
            Self::Compact if byte >> 4 == 0 => {
                let id = varint(reader)?;
                (id >> 1) as i16 ^ -((id & 1) as i16)
            }
            Self::Compact => last_id.wrapping_add(i16::from(byte >> 4)),
        };
        *last_id = id;
        let kind = match self {
            Self::Binary | Self::OldBinary => binary_kind(byte)?,
            // The value of a flag stands in its kind.
            Self::Compact if matches!(byte & 15, 1 | 2) => Kind::Fixed(0),
            Self::Compact => compact_kind(byte & 15)?,
        };
        Ok(Some(Field { id, kind }))
    }

    /// Kind and number of the elements of a list.
    pub fn list(self, reader: &mut Reader<'_>) -> Result<(Kind, u64), Trouble> {
        let byte = reader.u8().ok_or(Trouble::Short)?;
        let (kind, count) = match self {
            Self::Binary | Self::OldBinary => {
                (binary_kind(byte)?, reader.u32_be().ok_or(Trouble::Short)?.into())
            }
            Self::Compact if byte >> 4 == 15 => (compact_kind(byte & 15)?, varint(reader)?),
            Self::Compact => (compact_kind(byte & 15)?, u64::from(byte >> 4)),
        };
        Ok((kind, believable(count)?))
    }

    /// Kinds and number of the pairs of a map.
    pub fn map(self, reader: &mut Reader<'_>) -> Result<(Kind, Kind, u64), Trouble> {
        match self {
            Self::Binary | Self::OldBinary => {
                let kinds = reader.array::<2>().ok_or(Trouble::Short)?;
                let count = believable(reader.u32_be().ok_or(Trouble::Short)?.into())?;
                // Kinds of an empty map may be anything.
                let kind = |byte: u8| if count == 0 { Ok(Kind::Varint) } else { binary_kind(byte) };
                Ok((kind(kinds[0])?, kind(kinds[1])?, count))
            }
            Self::Compact => {
                let count = believable(varint(reader)?)?;
                if count == 0 {
                    return Ok((Kind::Varint, Kind::Varint, 0));
                }
                let kinds = reader.u8().ok_or(Trouble::Short)?;
                Ok((compact_kind(kinds >> 4)?, compact_kind(kinds & 15)?, count))
            }
        }
    }

    /// Length of the bytes that follow.
    pub fn text_bytes(self, reader: &mut Reader<'_>) -> Result<u64, Trouble> {
        let length = match self {
            Self::Binary | Self::OldBinary => reader.u32_be().ok_or(Trouble::Short)?.into(),
            Self::Compact => varint(reader)?,
        };
        if length > i32::MAX as u64 { Err(Trouble::Bad) } else { Ok(length) }
    }

    /// A number of 32 bits.
    pub fn int(self, reader: &mut Reader<'_>) -> Result<i32, Trouble> {
        match self {
            Self::Binary | Self::OldBinary => Ok(reader.u32_be().ok_or(Trouble::Short)? as i32),
            Self::Compact => {
                let zigzag = varint(reader)? as u32;
                Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
            }
        }
    }

    /// The kind that a number of 32 bits has.
    pub fn int_kind(self) -> Kind {
        match self {
            Self::Binary | Self::OldBinary => Kind::Fixed(4),
            Self::Compact => Kind::Varint,
        }
    }
}

pub(crate) fn varint(reader: &mut Reader<'_>) -> Result<u64, Trouble> {
    match protobuf::varint(reader.rest()) {
        Some((number, used)) => {
            reader.take_up_to(used);
            Ok(number)
        }
        None if reader.rest().len() < 10 => Err(Trouble::Short),
        None => Err(Trouble::Bad),
    }
}

fn believable(count: u64) -> Result<u64, Trouble> {
    if count <= ELEMENTS_MAX { Ok(count) } else { Err(Trouble::Bad) }
}

fn binary_kind(byte: u8) -> Result<Kind, Trouble> {
    Ok(match byte {
        2 | 3 => Kind::Fixed(1),
        4 | 10 => Kind::Fixed(8),
        6 => Kind::Fixed(2),
        8 => Kind::Fixed(4),
        11 => Kind::Text,
        12 => Kind::Struct,
        13 => Kind::Map,
        14 | 15 => Kind::List,
        16 => Kind::Fixed(16),
        _ => return Err(Trouble::Bad),
    })
}

/// Kinds of elements; those of fields are the same but for flags.
fn compact_kind(byte: u8) -> Result<Kind, Trouble> {
    Ok(match byte {
        1..=3 => Kind::Fixed(1),
        4..=6 => Kind::Varint,
        7 => Kind::Fixed(8),
        8 => Kind::Text,
        9 | 10 => Kind::List,
        11 => Kind::Map,
        12 => Kind::Struct,
        13 => Kind::Fixed(16),
        _ => return Err(Trouble::Bad),
    })
}
