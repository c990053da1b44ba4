//! Logins: PRELOGIN and LOGIN7 ([MS-TDS] 2.2.6.4 and 2.2.6.5).
//!
//! In: payloads of these messages. Out: who logs in where, with what. Never: a password.

use compact_str::format_compact;
use schema::Text;

use crate::bytes::Reader;
use crate::record::Record;
use crate::tds::utf16;

/// Option of a PRELOGIN that tells how to encrypt.
const ENCRYPTION: u8 = 1;
const TERMINATOR: u8 = 0xff;

/// `*(option: u8  offset: u16 be  length: u16 be)  0xff`: how to encrypt.
pub(crate) fn encryption(payload: &[u8]) -> Option<Text> {
    let mut reader = Reader::new(payload);
    loop {
        let option = reader.u8().filter(|option| *option != TERMINATOR)?;
        let (offset, length) = (reader.u16_be()?, reader.u16_be()?);
        if option == ENCRYPTION && length == 1 {
            return Some(Text::const_new(match payload.get(usize::from(offset))? {
                0 => "login only",
                1 => "on",
                2 => "not supported",
                3 => "required",
                _ => "other",
            }));
        }
    }
}

/// Whether a payload starts with the options of a PRELOGIN: the version first, with six bytes.
pub(crate) fn is_prelogin(payload: &[u8]) -> bool {
    let mut reader = Reader::new(payload);
    let first = (reader.u8(), reader.u16_be(), reader.u16_be());
    matches!(first, (Some(0), Some(6..=256), Some(6)))
}

/// Version of the protocol as `7.4`, from the four bytes that stand for it.
pub(crate) fn version_name(number: u32) -> Text {
    match number >> 24 {
        0x07 => format_compact!("7.{}", number >> 16 & 0xf),
        major @ 0x70..=0x7f => format_compact!("7.{}", major & 0xf),
        major => format_compact!("{major}"),
    }
}

/// Version that a LOGIN7 asks for; `None`: too short, or none.
pub(crate) fn version(payload: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(payload);
    let _length = reader.u32_le()?;
    let version = reader.u32_le()?;
    // 7.0 and 7.1 are written 0x07000000 and 0x07010000 or 0x71000001.
    matches!(version >> 24, 0x07 | 0x70..=0x7f).then_some(version)
}

/// Places of texts in a LOGIN7: where they start, how many characters they have.
const USER_PLACE: usize = 40;
const HOST_PLACE: usize = 36;
const APPLICATION_PLACE: usize = 48;
const DATABASE_PLACE: usize = 68;

/// Writes who logs in into a record.
pub(crate) fn describe(payload: &[u8], record: &mut Record) {
    let field = |place: usize| -> Text {
        let found = (|| {
            let mut reader = Reader::new(payload.get(place..)?);
            let (offset, length) = (usize::from(reader.u16_le()?), usize::from(reader.u16_le()?));
            payload.get(offset..offset + 2 * length)
        })();
        utf16::text(found.unwrap_or_default(), 256)
    };
    let mut text = Text::const_new("Login username: ");
    text.push_str(&field(USER_PLACE));
    let database = field(DATABASE_PLACE);
    if !database.is_empty() {
        text.push_str(" db: ");
        text.push_str(&database);
    }
    record.request_resource = text;
    let attributes = [("client_host", HOST_PLACE), ("client_application", APPLICATION_PLACE)];
    for (name, place) in attributes {
        let value = field(place);
        if !value.is_empty() {
            record.attributes.push((Text::const_new(name), value));
        }
    }
}
