//! HPACK: header compression of HTTP/2 (RFC 7541).
//!
//! In: header blocks of one direction, in their order. Out: their fields. Of a connection that
//! was joined in its middle, fields that refer to what was sent before are handed out as not
//! known; those that it sends from then on are. Never: an error that climbs; a block that breaks
//! off, or makes no sense, ends there and costs the memory of what came before it.

mod fixed;
mod huffman;
mod table;

use table::{Name, Table};

/// Reads the header blocks of one direction.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    table: Table,
    /// Texts of the current field that were Huffman encoded.
    text: Vec<u8>,
}

/// A header field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Empty: not known.
    pub name: &'a [u8],
    /// `None`: not known. Of a block that was cut off the last one may be, too.
    pub value: Option<&'a [u8]>,
}

/// A block that could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Longest run of bytes of one integer: more than any length or index needs.
const INTEGER_BYTES: usize = 6;

/// Memory that is kept for texts between blocks. unit byte
const TEXT_BYTES: usize = 4096;

impl Decoder {
    /// The connection starts here.
    pub fn start(&mut self) {
        self.table.start();
    }

    /// A block was missed, or a part of one.
    pub fn forget(&mut self) {
        self.table.forget();
    }

    /// Reads one block; the fields that were read before it broke are handed out.
    pub fn decode(&mut self, block: &[u8], mut take: impl FnMut(Field<'_>)) -> Result<(), Broken> {
        let mut rest = block;
        while let Some(first) = rest.first() {
            let read = match first {
                0x80.. => self.indexed(&mut rest, &mut take),
                0x40.. => self.literal(&mut rest, 6, true, &mut take),
                0x20.. => integer(&mut rest, 5).map(|limit| self.table.resize(limit)),
                _ => self.literal(&mut rest, 4, false, &mut take),
            };
            if read.is_none() {
                self.table.forget();
                return Err(Broken);
            }
        }
        self.text.shrink_to(TEXT_BYTES);
        Ok(())
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.table.held_bytes() + self.text.capacity()
    }

    fn indexed(&self, rest: &mut &[u8], take: &mut impl FnMut(Field<'_>)) -> Option<()> {
        let index = usize::try_from(integer(rest, 7)?).ok()?;
        let (name, value) = match index.checked_sub(fixed::FIELDS.len() + 1) {
            None => {
                fixed::FIELDS.get(index.checked_sub(1)?).map(|(name, value)| (*name, *value))?
            }
            Some(place) => match self.table.get(place) {
                Some(field) => field,
                None if self.table.may_have(place) => {
                    take(Field { name: b"", value: None });
                    return Some(());
                }
                None => return None,
            },
        };
        take(Field { name, value: Some(value) });
        Some(())
    }

    fn literal(
        &mut self,
        rest: &mut &[u8],
        prefix_bits: u32,
        is_kept: bool,
        take: &mut impl FnMut(Field<'_>),
    ) -> Option<()> {
        let index = usize::try_from(integer(rest, prefix_bits)?).ok()?;
        self.text.clear();
        let mut given = None;
        if index == 0 {
            given = Some(string(rest, &mut self.text)?).filter(|name| name.is_whole);
            given?;
        }
        let value = string(rest, &mut self.text)?;
        let value_text = value.text(&self.text);
        let entry = index.checked_sub(fixed::FIELDS.len() + 1);
        let name = match (given, entry) {
            (Some(given), _) => given.text(&self.text),
            (None, None) => fixed::FIELDS.get(index - 1)?.0,
            (None, Some(place)) => match self.table.get(place) {
                Some((name, _)) => name,
                None if self.table.may_have(place) => b"",
                None => return None,
            },
        };
        take(Field { name, value: Some(value_text) });
        if is_kept && value.is_whole {
            let name = match entry {
                Some(place) if given.is_none() => Name::Entry(place),
                _ => match given {
                    Some(given) => Name::Text(given.text(&self.text)),
                    None => Name::Text(fixed::FIELDS.get(index - 1)?.0),
                },
            };
            self.table.insert(name, value_text);
        }
        value.is_whole.then_some(())
    }
}

/// An integer whose first byte has `prefix_bits` of it (§5.1).
fn integer(rest: &mut &[u8], prefix_bits: u32) -> Option<u64> {
    let (first, mut after) = rest.split_first()?;
    let most = (1u64 << prefix_bits) - 1;
    let mut number = u64::from(*first) & most;
    if number == most {
        let mut shift = 0;
        loop {
            let (byte, next) = after.split_first()?;
            after = next;
            number += u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift >= 7 * INTEGER_BYTES {
                return None;
            }
        }
    }
    *rest = after;
    Some(number)
}

/// A string literal (§5.2): bytes of the block, or bytes of the decoder's text.
#[derive(Clone, Copy)]
struct Literal<'a> {
    raw: &'a [u8],
    /// Where in the decoder's text it stands, if it was encoded.
    decoded: Option<(usize, usize)>,
    is_whole: bool,
}

impl<'a> Literal<'a> {
    fn text<'b>(&self, text: &'b [u8]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self.decoded {
            Some((start, end)) => &text[start..end],
            None => self.raw,
        }
    }
}

fn string<'a>(rest: &mut &'a [u8], text: &mut Vec<u8>) -> Option<Literal<'a>> {
    let is_encoded = rest.first()? & 0x80 != 0;
    let length = usize::try_from(integer(rest, 7)?).ok()?;
    let (raw, after) = rest.split_at(length.min(rest.len()));
    *rest = after;
    let mut literal = Literal { raw, decoded: None, is_whole: raw.len() == length };
    if is_encoded {
        let start = text.len();
        let is_text = huffman::decode(raw, text);
        if !is_text && literal.is_whole {
            return None;
        }
        literal.decoded = Some((start, text.len()));
    }
    Some(literal)
}

#[cfg(test)]
mod tests;
