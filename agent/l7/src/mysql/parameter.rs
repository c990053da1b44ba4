//! Values bound to prepared statements, in the binary protocol.
//!
//! In: null bitmap, types and values of a STMT_EXECUTE. Out: each value as text, numbers with
//! their type's name.

use compact_str::format_compact;
use schema::Text;

use crate::bytes::{self, Reader};
use crate::mysql::packet::length_encoded;

/// Reads the values of a STMT_EXECUTE. `types`: as bound last; replaced when bound anew.
pub(crate) fn texts(
    reader: &mut Reader<'_>,
    parameters: u16,
    types: &mut Vec<u16>,
    limit: usize,
) -> Vec<Text> {
    let count = usize::from(parameters);
    let mut values = Vec::new();
    let Some(nulls) = reader.take(count.div_ceil(8)) else { return values };
    match reader.u8() {
        Some(1) => {
            types.clear();
            for _ in 0..count {
                let Some(kind) = reader.u16_le() else { return values };
                types.push(kind);
            }
        }
        Some(0) if count > 0 => {}
        _ => return values,
    }
    let mut shown = 0;
    for (place, kind) in types.iter().take(count).enumerate() {
        let is_null = nulls.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1);
        let value = match is_null {
            true => Some(Text::const_new("NULL")),
            false => value(reader, *kind, limit),
        };
        let Some(value) = value else { break };
        shown += value.len() + 3;
        values.push(value);
        if shown >= limit {
            break;
        }
    }
    values
}

/// What stands after `count` query attributes: the statement.
pub(crate) fn after_attributes(attributes: &[u8], count: u8) -> Option<&[u8]> {
    let mut reader = Reader::new(attributes);
    let nulls = reader.take(usize::from(count).div_ceil(8))?;
    let _bound = reader.u8().filter(|bound| *bound == 1)?;
    let mut kinds = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        kinds.push(reader.u16_le()?);
        let name_bytes = length_encoded(&mut reader)?;
        reader.take(usize::try_from(name_bytes).ok()?)?;
    }
    for (place, kind) in kinds.into_iter().enumerate() {
        if nulls[place / 8] >> (place % 8) & 1 == 0 {
            value(&mut reader, kind, 0)?;
        }
    }
    Some(reader.rest())
}

/// One value. Numbers of types: `enum_field_types` of the server.
fn value(reader: &mut Reader<'_>, kind: u16, limit: usize) -> Option<Text> {
    let is_unsigned = kind & 0x8000 != 0;
    Some(match kind & 0xff {
        1 => {
            let [byte] = reader.array()?;
            integer("Tiny", i64::from(byte as i8), u64::from(byte), is_unsigned)
        }
        2 | 13 => {
            let bits = reader.u16_le()?;
            let name = if kind & 0xff == 2 { "Short" } else { "Year" };
            integer(name, i64::from(bits as i16), u64::from(bits), is_unsigned)
        }
        3 | 9 => {
            let bits = reader.u32_le()?;
            let name = if kind & 0xff == 3 { "Long" } else { "Int24" };
            integer(name, i64::from(bits as i32), u64::from(bits), is_unsigned)
        }
        4 => format_compact!("Float({})", f32::from_bits(reader.u32_le()?)),
        5 => format_compact!("Double({})", f64::from_bits(reader.u64_le()?)),
        6 => Text::const_new("NULL"),
        8 => {
            let bits = reader.u64_le()?;
            integer("LongLong", bits as i64, bits, is_unsigned)
        }
        7 | 10 | 12 => date(reader)?,
        11 => time(reader)?,
        _ => {
            let length = length_encoded(reader)?;
            let text = reader.take_up_to(usize::try_from(length).unwrap_or(usize::MAX));
            bytes::text(text, limit)
        }
    })
}

fn integer(name: &str, signed: i64, unsigned: u64, is_unsigned: bool) -> Text {
    match is_unsigned {
        true => format_compact!("{name}({unsigned})"),
        false => format_compact!("{name}({signed})"),
    }
}

/// `len: u8 [year: u16 month day [hour minute second [micros: u32]]]`.
fn date(reader: &mut Reader<'_>) -> Option<Text> {
    let length = reader.u8()?;
    let mut rest = Reader::new(reader.take(usize::from(length))?);
    if length == 0 {
        return Some(Text::const_new("0000-00-00"));
    }
    let (year, month, day) = (rest.u16_le()?, rest.u8()?, rest.u8()?);
    let mut text = format_compact!("{year:04}-{month:02}-{day:02}");
    if let (Some(hour), Some(minute), Some(second)) = (rest.u8(), rest.u8(), rest.u8()) {
        text.push_str(&format_compact!(" {hour:02}:{minute:02}:{second:02}"));
    }
    if let Some(micros) = rest.u32_le() {
        text.push_str(&format_compact!(".{micros:06}"));
    }
    Some(text)
}

/// `len: u8 [negative: u8 days: u32 hour minute second [micros: u32]]`.
fn time(reader: &mut Reader<'_>) -> Option<Text> {
    let length = reader.u8()?;
    let mut rest = Reader::new(reader.take(usize::from(length))?);
    if length == 0 {
        return Some(Text::const_new("00:00:00"));
    }
    let sign = if rest.u8()? == 1 { "-" } else { "" };
    let days = rest.u32_le()?;
    let (hour, minute, second) = (rest.u8()?, rest.u8()?, rest.u8()?);
    let hours = u64::from(days) * 24 + u64::from(hour);
    let mut text = format_compact!("{sign}{hours:02}:{minute:02}:{second:02}");
    if let Some(micros) = rest.u32_le() {
        text.push_str(&format_compact!(".{micros:06}"));
    }
    Some(text)
}
