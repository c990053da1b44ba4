//! Headers of the transports that have them: THeader (apache/thrift doc/specs/HeaderFormat.md)
//! and TTHeader (Kitex).
//!
//! ```text
//! frame := magic: u16  flags: u16  seq: u32  words: u16  words * 4 bytes of header  payload
//! THeader  (0fff) := protocol: varint  count: varint  *transform: varint  *info
//!                    info := 1 | 2  count: varint  *(len: varint name  len: varint value)
//! TTHeader (1000) := protocol: u8  count: u8  *transform: u8  *info
//!                    info := 01  count: u16  *(len: u16 name  len: u16 value)
//!                          | 10  count: u16  *(key: u16  len: u16 value)  | 11  len: u16 token
//! ```

use std::borrow::Cow;

use crate::bytes::Reader;
use crate::inflate::Inflater;
use crate::protobuf;
use crate::thrift::value::Trouble;

/// A header that was read.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    infos: Headers<'a>,
    payload: &'a [u8],
    transform: Transform,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transform {
    None,
    Zlib,
    /// One that is not undone here.
    Other,
}

/// Keys of TTHeader that have numbers (transmeta of Kitex), under names of ours.
pub(crate) const LOG_ID: &[u8] = b"log-id";
pub(crate) const FROM_SERVICE: &[u8] = b"from-service";
pub(crate) const TO_SERVICE: &[u8] = b"to-service";

const THEADER: [u8; 2] = [0x0f, 0xff];
const TTHEADER: [u8; 2] = [0x10, 0];

/// Magic, flags, sequence number and length. unit byte
const FIXED_BYTES: usize = 10;

/// So much of a payload is inflated. unit byte
const PLAIN_BYTES: usize = 2048;

/// Whether a header plausibly starts here.
pub(crate) fn may_start(frame: &[u8]) -> bool {
    frame.starts_with(&THEADER) || frame.starts_with(&TTHEADER) || matches!(frame, [0x0f | 0x10])
}

impl<'a> Header<'a> {
    /// Reads the header of a frame; as far as the frame goes, its payload.
    pub fn read(frame: &'a [u8]) -> Result<Self, Trouble> {
        let magic = frame.first_chunk::<2>().ok_or(Trouble::Short)?;
        let words = frame.get(FIXED_BYTES - 2..FIXED_BYTES).ok_or(Trouble::Short)?;
        let header_bytes = 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        let rest = &frame[FIXED_BYTES..];
        let (header, payload) = rest.split_at_checked(header_bytes).ok_or(Trouble::Short)?;
        let is_wide = *magic == TTHEADER;
        let mut reader = Reader::new(header);
        let transform = read_transforms(&mut reader, is_wide).ok_or(Trouble::Bad)?;
        Ok(Self {
            infos: Headers { reader, is_wide, group: Group::None, left: 0 },
            payload,
            transform,
        })
    }

    /// Names and values in it.
    pub fn texts(&self) -> Headers<'a> {
        self.infos.clone()
    }

    /// The first bytes of the message, with the transforms undone.
    pub fn payload(&self) -> Result<Cow<'a, [u8]>, Trouble> {
        match self.transform {
            Transform::None => Ok(Cow::Borrowed(self.payload)),
            Transform::Zlib => {
                let mut plain = Vec::new();
                let mut chunk = [0; PLAIN_BYTES];
                let mut inflater = Inflater::new(self.payload);
                while plain.len() < PLAIN_BYTES
                    && let Some(bytes) = inflater.next_chunk(&mut chunk)
                {
                    plain.extend_from_slice(bytes);
                }
                Ok(Cow::Owned(plain))
            }
            Transform::Other => Err(Trouble::Bad),
        }
    }
}

/// Reads protocol and transforms.
fn read_transforms(reader: &mut Reader<'_>, is_wide: bool) -> Option<Transform> {
    let mut number = || match is_wide {
        true => reader.u8().map(u64::from),
        false => varint(reader),
    };
    let protocol = number()?;
    let count = number()?;
    let mut transform = Transform::None;
    for _ in 0..count.min(8) {
        transform = match (number()?, transform) {
            (1, Transform::None) => Transform::Zlib,
            _ => Transform::Other,
        };
    }
    // Binary and compact.
    (protocol <= 3 && count <= 8).then_some(transform)
}

fn varint(reader: &mut Reader<'_>) -> Option<u64> {
    let (number, used) = protobuf::varint(reader.rest())?;
    reader.take(used)?;
    Some(number)
}

/// Names and values; those that are cut off are left out.
#[derive(Clone, Debug)]
pub(crate) struct Headers<'a> {
    reader: Reader<'a>,
    is_wide: bool,
    group: Group,
    /// Pairs left in the group.
    left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    None,
    Named,
    Numbered,
}

impl<'a> Headers<'a> {
    pub fn none() -> Self {
        Self { reader: Reader::new(&[]), is_wide: false, group: Group::None, left: 0 }
    }

    fn next_group(&mut self) -> Option<()> {
        loop {
            let kind = self.reader.u8()?;
            self.group = match (self.is_wide, kind) {
                (false, 1 | 2) | (true, 1) => Group::Named,
                (true, 0x10) => Group::Numbered,
                (true, 0x11) => {
                    self.text()?;
                    continue;
                }
                // Padding, or what is not known.
                _ => return None,
            };
            self.left =
                if self.is_wide { self.reader.u16_be()?.into() } else { varint(&mut self.reader)? };
            if self.left > 0 {
                return Some(());
            }
        }
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = match self.is_wide {
            true => self.reader.u16_be()?.into(),
            false => varint(&mut self.reader)?,
        };
        self.reader.take(usize::try_from(length).ok()?)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            self.next_group()?;
        }
        self.left -= 1;
        let name = match self.group {
            Group::Numbered => match self.reader.u16_be()? {
                2 => LOG_ID,
                3 => FROM_SERVICE,
                6 => TO_SERVICE,
                _ => b"",
            },
            _ => self.text()?,
        };
        Some((name, self.text()?))
    }
}
