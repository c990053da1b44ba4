//! Texts of TDS: UTF-16 in little endian, with lengths in characters.

use schema::Text;

use crate::bytes::Reader;

/// Bytes as text of at most `limit` bytes; what is no character is replaced.
pub(crate) fn text(bytes: &[u8], limit: usize) -> Text {
    let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let mut text = Text::default();
    for char in char::decode_utf16(units) {
        let char = char.unwrap_or(char::REPLACEMENT_CHARACTER);
        if text.len() + char.len_utf8() > limit {
            break;
        }
        text.push(char);
    }
    text
}

/// `B_VARCHAR`: the length is a byte.
pub(crate) fn short_name<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u8()?;
    reader.take(2 * usize::from(length))
}

/// `US_VARCHAR`: the length is two bytes.
pub(crate) fn long_name<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u16_le()?;
    reader.take(2 * usize::from(length))
}
