//! Where messages begin and end.
//!
//! In: bytes, and how messages are written. Out: messages; those that are empty, which keep a
//! connection open, are passed over.

use crate::bytes;
use crate::iso8583::field::Fields;
use crate::iso8583::layout::{Header, Layout, Length};
use crate::iso8583::message::{self, Message};
use crate::protocol::{Input, Step};

/// Longest message of which all fields are read. unit byte
const READ_BYTES: usize = 16 << 10;

/// A message without content, where lengths are digits.
pub(crate) const IDLE: &[u8] = b"0000";

/// Cuts a message. `is_sure`: the one before it ended here.
pub(crate) fn cut(input: Input<'_>, layout: Layout, is_sure: bool) -> Step<Message<'_>> {
    let Some((prefix, total)) = length(input.bytes, layout.length) else {
        return match may_become(input.bytes, layout.length) {
            true => Step::Need(input.bytes.len() + 1),
            false => Step::Lost,
        };
    };
    if total <= prefix {
        return Step::Skip(prefix as u64);
    }
    let start = prefix + header_bytes(layout.header);
    if !is_sure && !is_readable(&input.bytes[..input.bytes.len().min(total)], start, layout) {
        return Step::Lost;
    }
    input.message(total as u64, total.min(READ_BYTES)).read(|head| {
        let body = head.get(start..)?;
        let (kind, fields) = message::kind(body, layout.content)?;
        Some(Message { kind, fields, content: layout.content, bytes: total })
    })
}

/// Passes over an empty message before the first one.
pub(crate) fn pass_empty<F>(bytes: &[u8]) -> Step<F> {
    match bytes {
        [b'0', b'0', b'0', b'0', ..] => Step::Skip(4),
        [0, 0, ..] => Step::Skip(2),
        _ => Step::Lost,
    }
}

/// Whether a message plausibly starts here.
pub(crate) fn may_start(bytes: &[u8], layout: Layout) -> bool {
    let Some((prefix, total)) = length(bytes, layout.length) else { return false };
    let start = prefix + header_bytes(layout.header);
    total > start && is_readable(&bytes[..bytes.len().min(total)], start, layout)
}

/// Whether type and fields are what they must be, as far as they are there.
fn is_readable(seen: &[u8], start: usize, layout: Layout) -> bool {
    let Some(body) = seen.get(start..) else { return true };
    let Some((kind, fields)) = message::kind(body, layout.content) else {
        return message::may_become(body, layout.content);
    };
    let Ok(mut fields) = Fields::read(fields, layout.content, kind.is_new()) else { return true };
    fields.by_ref().all(|field| field.has_right_signs(layout.content)) && !fields.is_wrong()
}

/// Bytes of the length, and length of the message with it.
pub(crate) fn length(bytes: &[u8], length: Length) -> Option<(usize, usize)> {
    let short = || Some(usize::from(u16::from_be_bytes(*bytes.first_chunk()?)));
    let digits = || Some(bytes::decimal(bytes.get(..4)?)? as usize);
    Some(match length {
        Length::Binary2 => (2, 2 + short()?),
        Length::Binary2Inclusive => (2, short()?),
        Length::Binary4 => {
            let long = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
            (4, long.checked_add(4).filter(|total| *total <= 1 << 20)?)
        }
        Length::Digits4 => (4, 4 + digits()?),
        Length::Digits4Inclusive => (4, digits()?),
        Length::Packed2 => {
            let packed: &[u8; 2] = bytes.first_chunk()?;
            let digits = packed.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let number = digits.clone().fold(0, |number, digit| number * 10 + usize::from(digit));
            (2, 2 + digits.into_iter().all(|digit| digit < 10).then_some(number)?)
        }
    })
}

/// Whether more bytes may make a length of these.
pub(crate) fn may_become(bytes: &[u8], length: Length) -> bool {
    match length {
        Length::Digits4 | Length::Digits4Inclusive => {
            bytes.len() < 4 && bytes.iter().all(u8::is_ascii_digit)
        }
        Length::Binary4 => bytes.len() < 4 && bytes[0] == 0,
        Length::Packed2 => bytes.len() < 2 && bytes[0] >> 4 < 10 && bytes[0] & 15 < 10,
        Length::Binary2 | Length::Binary2Inclusive => bytes.len() < 2 && bytes[0] < 0x10,
    }
}

pub(crate) fn header_bytes(header: Header) -> usize {
    match header {
        Header::None => 0,
        Header::Tpdu => 5,
        Header::TpduAndVersion => 11,
        Header::Base24 => 12,
        Header::Own(bytes) => usize::from(bytes),
    }
}
