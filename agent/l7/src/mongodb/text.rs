//! Documents as text: `{ "find": "orders", "filter": { "n": 1 } }`.
//!
//! In: documents, perhaps cut off, and what of them is to be hidden. Out: one text of at most the
//! given length. Credentials are always hidden; with redaction every value but names of
//! databases and collections is.

use std::fmt::Write;

use schema::Text;

use crate::bytes::Reader;
use crate::mongodb::bson::{self, Document, Element};
use crate::mongodb::wire;

/// Deeper documents are shown as `…`; the server refuses more than 180 levels.
const DEPTH_MAX: u32 = 100;

/// What is shown as `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hide {
    /// Credentials that a reply or `hello` carries.
    Credentials,
    /// All values of a command but its first: the command is about credentials.
    Secrets,
    /// All values but names of databases and collections.
    Values,
}

/// Writes documents.
#[derive(Debug)]
pub(crate) struct Writer {
    text: Text,
    limit: usize,
    hide: Hide,
}

impl Writer {
    pub fn new(limit: usize, hide: Hide) -> Self {
        Self { text: Text::default(), limit, hide }
    }

    /// What was written.
    pub fn finish(mut self) -> Text {
        if self.text.len() > self.limit {
            let is_end = |end: &usize| self.text.is_char_boundary(*end);
            let end = (0..=self.limit).rev().find(is_end).unwrap_or(0);
            self.text.truncate(end);
        }
        self.text
    }

    fn is_full(&self) -> bool {
        self.text.len() > self.limit
    }

    /// A text as it stands.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A document.
    pub fn document(&mut self, document: Document<'_>) {
        self.nested(document, 0);
    }

    /// A command, with the documents that stand for arrays in it.
    pub fn command<'a>(
        &mut self,
        command: Document<'_>,
        sequences: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) {
        let mut sequences = sequences.peekable();
        if sequences.peek().is_none() {
            return self.document(command);
        }
        let (mut count, ended) = self.elements(command, 0);
        if !ended {
            return;
        }
        for (name, documents) in sequences {
            self.text.push_str(if count == 0 { "{ \"" } else { ", \"" });
            count += 1;
            self.bytes(name);
            self.text.push_str("\": [");
            for (place, document) in wire::documents(documents).enumerate() {
                self.text.push_str(if place > 0 { ", " } else { "" });
                if self.is_full() || !self.nested(document, 1) {
                    return;
                }
            }
            self.text.push(']');
        }
        self.text.push_str(" }");
    }

    /// Whether it was shown to its end.
    fn nested(&mut self, document: Document<'_>, depth: u32) -> bool {
        let (count, ended) = self.elements(document, depth);
        if ended {
            self.text.push_str(if count == 0 { "{}" } else { " }" });
        }
        ended
    }

    /// Elements without the closing brace: how many, and whether they are all.
    fn elements(&mut self, document: Document<'_>, depth: u32) -> (usize, bool) {
        let mut elements = document.elements();
        let mut count = 0;
        for element in elements.by_ref() {
            if self.is_full() {
                return (count, false);
            }
            self.text.push_str(if count == 0 { "{ \"" } else { ", \"" });
            self.bytes(element.name);
            self.text.push_str("\": ");
            match self.is_hidden(&element, count, depth) {
                true => self.text.push('?'),
                false => self.value(&element, depth),
            }
            count += 1;
        }
        (count, elements.ended)
    }

    fn is_hidden(&self, element: &Element<'_>, place: usize, depth: u32) -> bool {
        let is_nested = matches!(element.kind, bson::DOCUMENT | bson::ARRAY);
        let is_top = depth == 0;
        match element.name {
            b"speculativeAuthenticate" => return true,
            b"payload" if is_top && element.kind == bson::BINARY => return true,
            _ => {}
        }
        match self.hide {
            Hide::Credentials => false,
            Hide::Secrets => !(is_top && (place == 0 || element.name == b"$db")),
            Hide::Values => {
                let is_name = is_top
                    && element.kind == bson::STRING
                    && (place == 0 || matches!(element.name, b"$db" | b"collection"));
                !is_nested && !is_name
            }
        }
    }

    fn value(&mut self, element: &Element<'_>, depth: u32) {
        let mut reader = Reader::new(element.value);
        match element.kind {
            bson::DOCUMENT | bson::ARRAY if depth >= DEPTH_MAX => self.text.push('…'),
            bson::DOCUMENT => {
                if let Some(document) = element.document() {
                    self.nested(document, depth + 1);
                }
            }
            bson::ARRAY => self.array(element, depth),
            bson::STRING => {
                self.text.push('"');
                self.string(element.value);
                self.text.push_str(if bson::is_whole(element.value) { "\"" } else { "" });
            }
            bson::CODE => self.string(element.value),
            bson::SYMBOL => {
                self.text.push_str("Symbol(\"");
                self.string(element.value);
                self.text.push_str("\")");
            }
            bson::SCOPED_CODE => {
                self.string(element.value.get(4..).unwrap_or(&[]));
            }
            bson::BINARY => self.binary(&mut reader),
            bson::REGEX => {
                for part in [reader.until_nul(), reader.until_nul()] {
                    self.text.push('/');
                    self.bytes(part.unwrap_or_default());
                }
            }
            bson::POINTER => {
                self.text.push_str("DBPointer(\"");
                self.string(element.value);
                self.text.push_str("\")");
            }
            _ => {
                // A number that was cut off is left out.
                let _shown = self.scalar(element.kind, &mut reader);
            }
        }
    }

    fn array(&mut self, element: &Element<'_>, depth: u32) {
        let Some(array) = element.document() else { return };
        self.text.push('[');
        let mut elements = array.elements();
        for (place, element) in elements.by_ref().enumerate() {
            if self.is_full() {
                return;
            }
            self.text.push_str(if place > 0 { ", " } else { "" });
            match self.is_hidden(&element, 1, depth + 1) {
                true => self.text.push('?'),
                false => self.value(&element, depth + 1),
            }
        }
        if elements.ended {
            self.text.push(']');
        }
    }

    /// A value of fixed length.
    fn scalar(&mut self, kind: u8, reader: &mut Reader<'_>) -> Option<()> {
        let text = &mut self.text;
        match kind {
            bson::DOUBLE => write!(text, "{}", f64::from_bits(reader.u64_le()?)),
            bson::INT32 => write!(text, "{}", reader.u32_le()? as i32),
            bson::INT64 => write!(text, "{}", reader.u64_le()? as i64),
            bson::BOOLEAN => write!(text, "{}", reader.u8()? != 0),
            bson::TIMESTAMP => {
                let (increment, seconds) = (reader.u32_le()?, reader.u32_le()?);
                write!(text, "Timestamp({seconds}, {increment})")
            }
            bson::OBJECT_ID => {
                text.push_str("ObjectId(\"");
                reader.take(12)?.iter().try_for_each(|byte| write!(text, "{byte:02x}")).ok()?;
                text.write_str("\")")
            }
            bson::DATE => date(text, reader.u64_le()? as i64),
            bson::DECIMAL => {
                let (low, high) = (reader.u64_le()?, reader.u64_le()?);
                decimal(text, u128::from(high) << 64 | u128::from(low))
            }
            bson::NULL => text.write_str("null"),
            bson::UNDEFINED => text.write_str("undefined"),
            bson::MIN_KEY => text.write_str("MinKey"),
            bson::MAX_KEY => text.write_str("MaxKey"),
            _ => Ok(()),
        }
        .ok()
    }

    fn binary(&mut self, reader: &mut Reader<'_>) {
        let (Some(length), Some(kind)) = (reader.u32_le(), reader.u8()) else { return };
        let data = reader.take_up_to(length as usize);
        let room = self.limit.saturating_sub(self.text.len()) + 4;
        let whole = data.len() == length as usize && data.len() <= room;
        write!(self.text, "Binary({kind:#x}, ").unwrap_or_default();
        base64(&mut self.text, &data[..data.len().min(room)]);
        self.text.push_str(if whole { ")" } else { "" });
    }

    /// A string with its length before it.
    fn string(&mut self, value: &[u8]) {
        self.bytes(bson::string(value));
    }

    /// Bytes as text; what is not UTF-8 is replaced.
    fn bytes(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.text.len()) + 4;
        for chunk in bytes[..bytes.len().min(room)].utf8_chunks() {
            self.text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
}

fn base64(text: &mut Text, data: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in data.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            match place <= group.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
}

/// A time as RFC 3339 has it; milliseconds since the Unix epoch where it is out of its range.
fn date(text: &mut Text, epoch_ms: i64) -> std::fmt::Result {
    let days = epoch_ms.div_euclid(86_400_000);
    let ms = epoch_ms.rem_euclid(86_400_000);
    // Days of the era of 400 years that starts on 1 March of year 0.
    let since = days + 719_468;
    let (era, day) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        return write!(text, "DateTime(\"{epoch_ms}\")");
    }
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1000 % 60, ms % 1000);
    write!(text, "DateTime(\"{year:04}-{month:02}-{of_month:02}T")?;
    write!(text, "{hour:02}:{minute:02}:{second:02}.{ms:03}Z\")")
}

/// IEEE 754-2008 decimal128 with a binary coefficient.
fn decimal(text: &mut Text, bits: u128) -> std::fmt::Result {
    let combination = (bits >> 122) as u32 & 0x1f;
    let sign = if bits >> 127 == 1 { "-" } else { "" };
    match combination {
        0x1f => return text.write_str("NaN"),
        0x1e => return write!(text, "{sign}Infinity"),
        _ => {}
    }
    // A coefficient of the other form is more than 34 digits: it counts as 0.
    let large = combination >> 3 == 3;
    let shift = if large { 111 } else { 113 };
    let exponent = (bits >> shift) as i32 & 0x3fff;
    let exponent = exponent - 6176;
    let coefficient = if large { 0 } else { bits & ((1 << 113) - 1) };
    let digits = schema::Text::from(coefficient.to_string());
    let adjusted = exponent + digits.len() as i32 - 1;
    if exponent <= 0 && adjusted >= -6 {
        let fraction = exponent.unsigned_abs() as usize;
        return match fraction {
            0 => write!(text, "{sign}{digits}"),
            _ if digits.len() > fraction => {
                let (whole, fraction) = digits.split_at(digits.len() - fraction);
                write!(text, "{sign}{whole}.{fraction}")
            }
            _ => write!(text, "{sign}0.{digits:0>fraction$}"),
        };
    }
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    write!(text, "{sign}{first}{dot}{rest}E{adjusted:+}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let shown = |ms| {
            let mut text = Text::default();
            date(&mut text, ms).expect("a text takes all");
            text
        };
        assert_eq!(shown(0), "DateTime(\"1970-01-01T00:00:00.000Z\")");
        assert_eq!(shown(1_709_210_096_789), "DateTime(\"2024-02-29T12:34:56.789Z\")");
        assert_eq!(shown(-1), "DateTime(\"1969-12-31T23:59:59.999Z\")");
        assert_eq!(shown(i64::MAX), "DateTime(\"9223372036854775807\")");
        assert_eq!(shown(i64::MIN), "DateTime(\"-9223372036854775808\")");
    }

    #[test]
    fn decimals() {
        let shown = |high: u64, low: u64| {
            let mut text = Text::default();
            decimal(&mut text, u128::from(high) << 64 | u128::from(low)).expect("a text");
            text
        };
        // Of the decimal128 test set of the BSON specification.
        assert_eq!(shown(0x3040_0000_0000_0000, 1), "1");
        assert_eq!(shown(0xb03c_0000_0000_0000, 0x4d2), "-12.34");
        assert_eq!(shown(0x3036_0000_0000_0000, 12), "0.00012");
        assert_eq!(shown(0x3046_0000_0000_0000, 12), "1.2E+4");
        assert_eq!(shown(0x7c00_0000_0000_0000, 0), "NaN");
        assert_eq!(shown(0xf800_0000_0000_0000, 0), "-Infinity");
        assert_eq!(shown(0x0000_0000_0000_0000, 1), "1E-6176");
    }

    #[test]
    fn base64_as_rfc_4648_has_it() {
        for (data, shown) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            let mut text = Text::default();
            base64(&mut text, data.as_bytes());
            assert_eq!(text, shown);
        }
    }
}
