//! The server's own certificate (RFC 5280): whom it names, who signed it, when it is valid.
//!
//! In: a Certificate message of TLS up to 1.2, perhaps cut off. Out: attributes. Never: a check
//! of signatures or names.

use compact_str::format_compact;
use schema::Text;

use crate::ber::{self, Element};
use crate::bytes::{self, Reader};

/// Object ids of the parts of names (RFC 4514 section 3), as they are encoded.
const NAME_PARTS: [(&[u8], &str); 9] = [
    (b"\x55\x04\x03", "CN"),
    (b"\x55\x04\x06", "C"),
    (b"\x55\x04\x07", "L"),
    (b"\x55\x04\x08", "ST"),
    (b"\x55\x04\x0a", "O"),
    (b"\x55\x04\x0b", "OU"),
    (b"\x55\x04\x05", "serialNumber"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", "emailAddress"),
];

/// Longest name that is shown. unit byte
const NAME_BYTES: usize = 512;

/// What is shown of a certificate.
#[derive(Debug, Default)]
struct Shown {
    subject: Text,
    issuer: Text,
    not_before: Text,
    not_after: Text,
}

/// Adds what the first certificate says.
pub(crate) fn describe(body: &[u8], attributes: &mut Vec<(Text, Text)>) {
    let mut shown = Shown::default();
    // What is there of a certificate that was cut off is shown.
    let _read = first(body).and_then(|certificate| read(certificate, &mut shown));
    let fields = [
        ("certificate_subject", shown.subject),
        ("certificate_issuer", shown.issuer),
        ("certificate_not_before", shown.not_before),
        ("certificate_not_after", shown.not_after),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        attributes.push((Text::const_new(name), value));
    }
}

/// `list_length: u24  length: u24  certificate …`.
fn first(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    let _list_bytes = reader.take(3)?;
    let [a, b, c] = reader.array()?;
    Some(reader.take_up_to(u32::from_be_bytes([0, a, b, c]) as usize))
}

/// `Certificate ::= SEQUENCE { SEQUENCE { [0] version, serial, algorithm, issuer, validity,
/// subject, … } … }`.
fn read(certificate: &[u8], shown: &mut Shown) -> Option<()> {
    let outer = Element::read(certificate).filter(|outer| outer.tag == ber::SEQUENCE)?;
    let signed = outer.elements().next().filter(|signed| signed.tag == ber::SEQUENCE)?;
    let mut parts = signed.elements().skip_while(|part| part.tag != ber::INTEGER);
    let _serial = parts.next()?;
    let _algorithm = parts.next()?;
    shown.issuer = name(&parts.next()?);
    let validity = parts.next()?;
    let mut times = validity.elements();
    shown.not_before = time(&times.next()?).unwrap_or_default();
    shown.not_after = time(&times.next()?).unwrap_or_default();
    shown.subject = name(&parts.next()?);
    Some(())
}

/// `Name ::= SEQUENCE OF SET OF SEQUENCE { type, value }` as `C=DE, O=Example, CN=example.org`.
fn name(element: &Element<'_>) -> Text {
    let mut shown = Text::default();
    for part in element.elements().flat_map(|set| set.elements()) {
        let mut pair = part.elements();
        let (Some(kind), Some(value)) = (pair.next(), pair.next()) else { break };
        if !value.is_whole() {
            break;
        }
        let known = NAME_PARTS.iter().find(|(id, _)| *id == kind.content);
        let Some((_, label)) = known.filter(|_| kind.tag == ber::OBJECT_ID) else { continue };
        if !shown.is_empty() {
            shown.push_str(", ");
        }
        shown.push_str(label);
        shown.push('=');
        match value.tag {
            ber::BMP_STRING => {
                let units = value.content.chunks_exact(2);
                let units = units.map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
                shown.extend(char::decode_utf16(units).map(|char| char.unwrap_or('?')).take(256));
            }
            _ => shown.push_str(&bytes::text(value.content, 256)),
        }
        if shown.len() > NAME_BYTES {
            break;
        }
    }
    shown
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ` as RFC 3339 has it.
fn time(element: &Element<'_>) -> Option<Text> {
    let text = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    let (year, rest) = match element.tag {
        // Years from 50 on are those of the last century (RFC 5280 section 4.1.2.5.1).
        ber::UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let century = if year >= "50" { "19" } else { "20" };
            (format_compact!("{century}{year}"), rest)
        }
        ber::GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (Text::from(year), rest)
        }
        _ => return None,
    };
    let is_time = rest.len() == 10 && rest.bytes().chain(year.bytes()).all(|b| b.is_ascii_digit());
    let part = |at: usize| &rest[at..at + 2];
    is_time.then(|| {
        let (month, day) = (part(0), part(2));
        let (hour, minute, second) = (part(4), part(6), part(8));
        format_compact!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")
    })
}
