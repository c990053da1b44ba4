//! How messages are written on a connection: found by trying which way a message's fields fill it.
//!
//! In: the first bytes of a direction. Out: the layout. Never: a layout for bytes whose digits are
//! not digits.

use crate::bytes;
use crate::iso8583::field::{self, Text};
use crate::iso8583::frame;
use crate::iso8583::message;
use crate::protocol::Probe;

/// What stands before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Two bytes.
    Binary2,
    /// Two bytes, which count themselves.
    Binary2Inclusive,
    /// Four bytes.
    Binary4,
    /// Four digits.
    Digits4,
    /// Four digits, which count themselves.
    Digits4Inclusive,
    /// Two bytes of packed digits.
    Packed2,
}

/// What stands between the length and the message's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    None,
    /// Addresses of a terminal's message: `60` and four bytes.
    Tpdu,
    /// The same, and six bytes of what the terminal can do.
    TpduAndVersion,
    /// `ISO` and nine digits.
    Base24,
    /// Its own length, a version, the length of the whole, and more.
    Own(u8),
}

/// How type, bitmap and fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub text: Text,
    /// The bitmap is written in hexadecimal digits.
    pub hex_bitmap: bool,
    /// So are fields of bits.
    pub hex_bits: bool,
    /// Numbers are packed, two digits a byte.
    pub packed: bool,
    /// Lengths of fields are binary numbers.
    pub binary_lengths: bool,
    /// Codes of currencies are numbers.
    pub packed_currency: bool,
}

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub length: Length,
    pub header: Header,
    pub content: Content,
}

/// What came of looking for a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Layout(Layout),
    /// Not before there are so many bytes.
    Short(usize),
    None,
}

const LENGTHS: [Length; 6] = [
    Length::Digits4,
    Length::Digits4Inclusive,
    Length::Binary2,
    Length::Binary2Inclusive,
    Length::Packed2,
    Length::Binary4,
];

const PLAIN: Content = Content {
    text: Text::Ascii,
    hex_bitmap: false,
    hex_bits: false,
    packed: false,
    binary_lengths: false,
    packed_currency: false,
};

/// Contents in the order in which they are tried.
const CONTENTS: [Content; 8] = [
    PLAIN,
    Content { hex_bitmap: true, hex_bits: true, ..PLAIN },
    Content { hex_bitmap: true, ..PLAIN },
    Content { hex_bits: true, ..PLAIN },
    Content { packed: true, ..PLAIN },
    Content { packed: true, packed_currency: true, ..PLAIN },
    Content { text: Text::Ebcdic, ..PLAIN },
    Content {
        text: Text::Ebcdic,
        packed: true,
        binary_lengths: true,
        packed_currency: true,
        ..PLAIN
    },
];

/// Digits that prove a message of which more is to come. In packed numbers zeros are digits as
/// well, so such a message has to be all there.
const PROOF_DIGITS: usize = 14;

/// Longest message that is believed before its layout is known. unit byte
const FIRST_BYTES_MAX: usize = 4096;

/// How well a layout fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// So far, but too little was seen.
    Open,
    /// What was seen is beyond doubt; more is to come.
    Proven,
    /// The fields fill the message.
    Exact,
}

/// What first bytes are.
pub(crate) fn probe(first: &[u8], cut: bool) -> Probe {
    let mut first = first;
    while let Some(rest) = first.strip_prefix(frame::IDLE) {
        first = rest;
    }
    if first.is_empty() {
        return Probe::Short;
    }
    match find(first) {
        _ if has_union_header(first) => Probe::Certain,
        Found::Layout(_) => Probe::Certain,
        Found::Short(_) if !cut => Probe::Short,
        _ => Probe::No,
    }
}

/// The layout of the message at the front of `bytes`.
pub(crate) fn find(bytes: &[u8]) -> Found {
    let mut best: Option<(Fit, Layout)> = None;
    for length in LENGTHS {
        let Some((prefix, total)) = frame::length(bytes, length) else {
            if frame::may_become(bytes, length) {
                best = best
                    .or(Some((Fit::Open, Layout { length, header: Header::None, content: PLAIN })));
            }
            continue;
        };
        if total <= prefix || total > FIRST_BYTES_MAX {
            continue;
        }
        let whole = &bytes[..bytes.len().min(total)];
        for header in headers(&whole[prefix..], total) {
            for content in CONTENTS {
                let layout = Layout { length, header, content };
                let fit = fit(whole, prefix, total, layout);
                if fit == Some(Fit::Exact) {
                    return Found::Layout(layout);
                }
                if fit.is_some() && best.is_none_or(|(known, _)| fit > Some(known)) {
                    best = fit.map(|fit| (fit, layout));
                }
            }
        }
    }
    match best {
        Some((Fit::Proven, layout)) => Found::Layout(layout),
        Some(_) if bytes.len() < FIRST_BYTES_MAX => Found::Short(bytes.len() + 1),
        _ => Found::None,
    }
}

/// Headers that may stand at the front of `rest`.
fn headers(rest: &[u8], total: usize) -> impl Iterator<Item = Header> {
    let own = own_header(rest, total);
    let tpdu = rest.first().is_none_or(|first| *first == 0x60);
    let base24 = rest.iter().zip(b"ISO").all(|(byte, letter)| byte == letter);
    [
        Some(Header::None),
        tpdu.then_some(Header::Tpdu),
        tpdu.then_some(Header::TpduAndVersion),
        base24.then_some(Header::Base24),
        own,
    ]
    .into_iter()
    .flatten()
}

/// A header that begins with its own length and tells the message's: that of UnionPay (46 bytes,
/// length in digits) or of Visa (22 bytes, length in binary).
fn own_header(rest: &[u8], total: usize) -> Option<Header> {
    let bytes = *rest.first()?;
    let fits = match (bytes, rest) {
        (0x2e, [_, version, digits @ ..]) => {
            version & 0x7f <= 2
                && digits.get(..4).is_none_or(|digits| digits.iter().all(u8::is_ascii_digit))
        }
        (0x16, [_, 1 | 2, _, high, low, ..]) => {
            usize::from(u16::from_be_bytes([*high, *low])).abs_diff(total) <= 4
        }
        (0x2e | 0x16, _) => rest.len() < 5,
        _ => false,
    };
    fits.then_some(Header::Own(bytes))
}

/// UnionPay's header, which tells the same length as the digits before it.
fn has_union_header(first: &[u8]) -> bool {
    let Some((length, [0x2e, version, digits @ ..])) = first.split_at_checked(4) else {
        return false;
    };
    let (length, own) = (bytes::decimal(length), digits.get(..4).and_then(bytes::decimal));
    let is_same = length.zip(own).is_some_and(|(length, own)| length.abs_diff(own) <= 4);
    version & 0x7f <= 2 && is_same && length >= Some(46)
}

/// How well a layout fits a message, as far as it is there.
fn fit(whole: &[u8], prefix: usize, total: usize, layout: Layout) -> Option<Fit> {
    let start = prefix + frame::header_bytes(layout.header);
    if start >= total {
        return None;
    }
    let Some(rest) = whole.get(start..) else { return Some(Fit::Open) };
    let Some((kind, after)) = message::kind(rest, layout.content) else {
        return message::may_become(rest, layout.content).then_some(Fit::Open);
    };
    let mut fields = match field::Fields::read(after, layout.content, kind.is_new()) {
        Ok(fields) => fields,
        Err(field::Missing) => return (whole.len() < total).then_some(Fit::Open),
    };
    let (mut digits, mut has_trace, mut has_time) = (0, false, false);
    for field in fields.by_ref() {
        if !field.has_right_signs(layout.content) {
            return None;
        }
        if field.number == field::TIME {
            has_time = is_time(&field.text(layout.content));
            if !has_time {
                return None;
            }
        }
        digits += field.digits();
        has_trace |= field.number == field::TRACE && !field.is_zero();
    }
    match fields.ended() {
        _ if fields.is_wrong() => None,
        true if whole.len() == total => {
            (fields.rest_bytes() == 0 && has_trace && digits >= 6).then_some(Fit::Exact)
        }
        false if whole.len() < total => {
            let has_proof = has_trace && digits >= PROOF_DIGITS || layout.header == Header::Base24;
            let is_proven = has_time && has_proof && !layout.content.packed;
            Some(if is_proven { Fit::Proven } else { Fit::Open })
        }
        _ => None,
    }
}

/// Whether a text is month, day, hour, minute and second.
fn is_time(text: &str) -> bool {
    let part = |start: usize| text.get(start..start + 2).and_then(|part| part.parse::<u8>().ok());
    let is_in = |start: usize, low: u8, high: u8| {
        part(start).is_some_and(|part| (low..=high).contains(&part))
    };
    is_in(0, 1, 12) && is_in(2, 1, 31) && is_in(4, 0, 23) && is_in(6, 0, 59) && is_in(8, 0, 59)
}
