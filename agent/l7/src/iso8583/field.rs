//! Fields of a message: which there are, how long each is, and their text.
//!
//! Lengths and kinds are those of ISO 8583:1987 annex A, and of ISO 8583:1993 where that differs.

use schema::Text as ShownText;

use crate::bytes;
use crate::iso8583::layout::Content;

/// How letters and digits are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Ascii,
    Ebcdic,
}

/// When a message was sent: month, day, hour, minute, second.
pub(crate) const TIME: u8 = 7;

/// The systems trace audit number.
pub(crate) const TRACE: u8 = 11;

/// What a field is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Digits.
    N(u16),
    /// Letters, digits, signs.
    A(u16),
    /// Bytes that are bits.
    B(u16),
    /// The code of a currency: letters or digits.
    Currency,
    /// `C` or `D` and digits.
    X(u16),
    /// Digits after a length of two digits; the number is the longest.
    Lln(u16),
    /// Other signs after a length of two or three digits.
    Lla(u16),
    Llla(u16),
    /// Data of a track: digits and a separator.
    Llz(u16),
    Lllz(u16),
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub number: u8,
    kind: Kind,
    /// Digits or signs, where it has a length.
    length: usize,
    bytes: &'a [u8],
}

/// The message is too short for its bitmap.
#[derive(Debug)]
pub(crate) struct Missing;

/// Fields one after the other, as far as they are there.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    bitmap: u128,
    content: Content,
    is_new: bool,
    wrong: bool,
}

impl<'a> Fields<'a> {
    /// Reads the bitmap. `is_new`: version 1993 or later.
    pub fn read(bytes: &'a [u8], content: Content, is_new: bool) -> Result<Self, Missing> {
        let (first, rest) = bitmap_part(bytes, content).ok_or(Missing)?;
        let mut bitmap = u128::from(first) << 64;
        let mut rest = rest;
        if first >> 63 == 1 {
            let (second, after) = bitmap_part(rest, content).ok_or(Missing)?;
            bitmap |= u128::from(second);
            rest = after;
        }
        // The first bit tells of the second half.
        bitmap &= u128::MAX >> 1;
        // Digits in place of bits: this is the middle of something.
        let is_text = !content.hex_bitmap && bytes[..8].iter().all(is_any_digit);
        Ok(Self { rest, bitmap, content, is_new, wrong: bitmap == 0 || is_text })
    }

    /// All fields of the bitmap were there.
    pub fn ended(&self) -> bool {
        self.bitmap == 0
    }

    /// A field was not what it must be.
    pub fn is_wrong(&self) -> bool {
        self.wrong
    }

    pub fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    /// Length of a field in digits or signs, and what follows its length; `None`: too short, or
    /// (`wrong`) no length of such a field.
    fn length(&mut self, digits: usize, max: u16) -> Option<(usize, &'a [u8])> {
        let content = self.content;
        let bytes = match (content.packed, content.binary_lengths) {
            (true, true) => digits - 1,
            (true, false) => digits.div_ceil(2),
            (false, _) => digits,
        };
        let (front, rest) = self.rest.split_at_checked(bytes)?;
        let length = match (content.packed, content.binary_lengths) {
            (true, true) => Some(front.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))),
            (true, false) => front.iter().try_fold(0, |sum, byte| {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                (high < 10 && low < 10).then_some(sum * 100 + high * 10 + low)
            }),
            (false, _) => front
                .iter()
                .try_fold(0, |sum, byte| Some(sum * 10 + usize::from(digit(*byte, content.text)?))),
        };
        match length.filter(|length| *length <= usize::from(max)) {
            Some(length) => Some((length, rest)),
            None => {
                self.wrong = true;
                None
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.bitmap == 0 || self.wrong {
            return None;
        }
        let number = self.bitmap.leading_zeros() as u8 + 1;
        let kind = kind_of(number, self.is_new);
        let content = self.content;
        let packed = |digits: usize| if content.packed { digits.div_ceil(2) } else { digits };
        let bits = |bytes: usize| if content.hex_bits { 2 * bytes } else { bytes };
        let (length, rest) = match kind {
            Kind::N(length) | Kind::A(length) | Kind::B(length) => (usize::from(length), self.rest),
            Kind::Currency => (3, self.rest),
            Kind::X(length) => (usize::from(length) + 1, self.rest),
            Kind::Lln(max) | Kind::Lla(max) | Kind::Llz(max) => self.length(2, max)?,
            Kind::Llla(max) | Kind::Lllz(max) => self.length(3, max)?,
        };
        let bytes = match kind {
            Kind::N(_) | Kind::Lln(_) | Kind::Llz(_) | Kind::Lllz(_) => packed(length),
            Kind::Currency if content.packed_currency => packed(length),
            Kind::X(length) => 1 + packed(usize::from(length)),
            Kind::B(_) => bits(length),
            _ => length,
        };
        let (bytes, rest) = rest.split_at_checked(bytes)?;
        self.rest = rest;
        self.bitmap &= !(1 << (128 - u32::from(number)));
        Some(Field { number, kind, length, bytes })
    }
}

impl Field<'_> {
    /// Digits of numbers, signs of texts, that can be told from others.
    pub fn has_right_signs(&self, content: Content) -> bool {
        match self.kind {
            Kind::N(_) | Kind::Lln(_) => match content.packed {
                true => self.has_packed_digits(),
                false => self.bytes.iter().all(|byte| digit(*byte, content.text).is_some()),
            },
            Kind::Currency if content.packed_currency => self.has_packed_digits(),
            Kind::A(_) | Kind::Currency => self.bytes.iter().all(|byte| match content.text {
                Text::Ascii => *byte >= b' ' && *byte != 0x7f || *byte == 0,
                Text::Ebcdic => *byte >= 0x40 || *byte == 0,
            }),
            _ => true,
        }
    }

    /// Packed digits; of an odd number one half byte is a filler.
    fn has_packed_digits(&self) -> bool {
        let halves = self.bytes.len() * 2;
        let odd = halves - self.length.min(halves);
        let is_digit =
            |(at, half): (usize, u8)| half < 10 || odd == 1 && (at == 0 || at + 1 == halves);
        let all = self.bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).enumerate();
        all.into_iter().all(is_digit)
    }

    /// How many digits it has that could have been something else.
    pub fn digits(&self) -> usize {
        match self.kind {
            Kind::N(_) | Kind::Lln(_) => self.length,
            _ => 0,
        }
    }

    /// Whether there is nothing but zeros in it.
    pub fn is_zero(&self) -> bool {
        self.bytes.iter().all(|byte| matches!(byte, 0 | b'0' | 0xf0))
    }

    /// Its text without blanks at its end.
    pub fn text(&self, content: Content) -> ShownText {
        let is_packed = content.packed
            && match self.kind {
                Kind::N(_) | Kind::Lln(_) => true,
                Kind::Currency => content.packed_currency,
                _ => false,
            };
        let mut text = ShownText::default();
        if is_packed {
            // Fixed lengths are filled from the left, others from the right.
            let halves = self.bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let filler = (self.bytes.len() * 2).saturating_sub(self.length);
            let skipped = if matches!(self.kind, Kind::N(_)) { filler } else { 0 };
            for half in halves.skip(skipped).take(self.length) {
                text.push(char::from_digit(u32::from(half), 16).unwrap_or('?'));
            }
            return text;
        }
        match content.text {
            Text::Ascii => bytes::text(self.bytes.trim_ascii_end(), 128),
            Text::Ebcdic => {
                text.extend(self.bytes.iter().take(128).map(|byte| from_ebcdic(*byte)));
                text.truncate(text.trim_end().len());
                text
            }
        }
    }
}

/// One half of a bitmap.
fn bitmap_part(bytes: &[u8], content: Content) -> Option<(u64, &[u8])> {
    if !content.hex_bitmap {
        let (part, rest) = bytes.split_first_chunk::<8>()?;
        return Some((u64::from_be_bytes(*part), rest));
    }
    let (part, rest) = bytes.split_at_checked(16)?;
    let digits = std::str::from_utf8(part).ok()?;
    Some((u64::from_str_radix(digits, 16).ok()?, rest))
}

fn is_any_digit(byte: &u8) -> bool {
    digit(*byte, Text::Ascii).or(digit(*byte, Text::Ebcdic)).is_some()
}

/// A digit's value.
pub(crate) fn digit(byte: u8, text: Text) -> Option<u8> {
    let zero = match text {
        Text::Ascii => b'0',
        Text::Ebcdic => 0xf0,
    };
    byte.checked_sub(zero).filter(|digit| *digit < 10)
}

/// Letters, digits and blank of EBCDIC (code page 037); other signs as `.`.
fn from_ebcdic(byte: u8) -> char {
    let letter = |first: u8, start: u8| char::from(first + (byte - start));
    match byte {
        0x40 => ' ',
        0x60 => '-',
        0x61 => '/',
        0x81..=0x89 => letter(b'a', 0x81),
        0x91..=0x99 => letter(b'j', 0x91),
        0xa2..=0xa9 => letter(b's', 0xa2),
        0xc1..=0xc9 => letter(b'A', 0xc1),
        0xd1..=0xd9 => letter(b'J', 0xd1),
        0xe2..=0xe9 => letter(b'S', 0xe2),
        0xf0..=0xf9 => letter(b'0', 0xf0),
        _ => '.',
    }
}

/// Kind of a field. `is_new`: in version 1993 or later.
fn kind_of(number: u8, is_new: bool) -> Kind {
    if is_new && let Some(kind) = new_kind_of(number) {
        return kind;
    }
    match number {
        2 => Kind::Lln(19),
        3 | 11 | 12 | 73 => Kind::N(6),
        4..=6 | 82..=85 => Kind::N(12),
        7 | 74..=81 => Kind::N(10),
        8..=10 => Kind::N(8),
        13..=18 | 71 | 72 => Kind::N(4),
        19..=24 | 68..=70 => Kind::N(3),
        25 | 26 | 67 => Kind::N(2),
        27 | 66 => Kind::N(1),
        28..=31 => Kind::X(8),
        32 | 33 | 99 | 100 => Kind::Lln(11),
        34 => Kind::Lla(28),
        35 => Kind::Llz(37),
        36 => Kind::Lllz(104),
        37 => Kind::A(12),
        38 => Kind::A(6),
        39 | 92 => Kind::A(2),
        40 => Kind::A(3),
        41 => Kind::A(8),
        42 => Kind::A(15),
        43 => Kind::A(40),
        44 => Kind::Lla(25),
        45 => Kind::Lla(76),
        49..=51 => Kind::Currency,
        52 | 64 | 65 | 96 | 128 => Kind::B(8),
        53 | 86..=89 => Kind::N(16),
        90 => Kind::N(42),
        91 => Kind::A(1),
        93 => Kind::A(5),
        94 => Kind::A(7),
        95 => Kind::A(42),
        97 => Kind::X(16),
        98 => Kind::A(25),
        101 => Kind::Lla(17),
        102 | 103 => Kind::Lla(28),
        104 => Kind::Llla(100),
        _ => Kind::Llla(999),
    }
}

/// Fields that version 1993 changed.
fn new_kind_of(number: u8) -> Option<Kind> {
    Some(match number {
        12 => Kind::N(12),
        22 => Kind::A(12),
        25 | 26 => Kind::N(4),
        28 => Kind::N(6),
        29 | 39 | 40 | 57 => Kind::N(3),
        30 => Kind::N(24),
        31 | 43 | 44 => Kind::Lla(99),
        53 => Kind::Lla(48),
        56 => Kind::Lln(58),
        58 => Kind::Lln(11),
        _ => return None,
    })
}
