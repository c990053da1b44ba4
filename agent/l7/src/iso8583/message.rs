//! Messages: their type, and what records show of them.

use compact_str::format_compact;
use schema::{ResponseStatus, Text};

use crate::bytes;
use crate::iso8583::code;
use crate::iso8583::field::{self, Fields};
use crate::iso8583::layout::Content;
use crate::record::Record;
use crate::session::Response;

/// A message type indicator: version, class, function, origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    digits: [u8; 4],
}

/// A message.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub kind: Kind,
    /// Bitmap and fields, as far as they were captured.
    pub fields: &'a [u8],
    pub content: Content,
    /// Length of the whole message with what stands before it. unit byte
    pub bytes: usize,
}

impl Kind {
    /// Version 1993 or later.
    pub fn is_new(self) -> bool {
        self.digits[0] > 0
    }

    /// Not a response to something.
    pub fn is_request(self) -> bool {
        self.digits[2].is_multiple_of(2)
    }

    /// A response comes: to all but notifications.
    pub fn is_answered(self) -> bool {
        self.digits[2] != 4
    }

    fn text(self) -> Text {
        self.digits.iter().map(|digit| char::from(b'0' + digit)).collect()
    }

    /// Version, class and function of the request.
    fn exchange(self) -> u64 {
        let [version, class, function, _] = self.digits.map(u64::from);
        version * 100 + class * 10 + function / 2
    }

    fn name(self) -> &'static str {
        match self.digits[1] {
            1 => "authorization",
            2 => "financial",
            3 => "file action",
            4 => "reversal",
            5 => "reconciliation",
            6 => "administrative",
            7 => "fee collection",
            _ => "network management",
        }
    }
}

/// The type at the front of `bytes`, and what follows it.
pub(crate) fn kind(bytes: &[u8], content: Content) -> Option<(Kind, &[u8])> {
    let (digits, rest) = if content.packed {
        let ([high, low], rest) = bytes.split_first_chunk()?;
        ([high >> 4, high & 15, low >> 4, low & 15], rest)
    } else {
        let (signs, rest) = bytes.split_first_chunk::<4>()?;
        let mut digits = [0; 4];
        for (place, sign) in signs.iter().enumerate() {
            digits[place] = field::digit(*sign, content.text)?;
        }
        (digits, rest)
    };
    let [version, class, function, origin] = digits;
    let fits = version <= 2 && (1..=8).contains(&class) && function <= 7 && origin <= 5;
    fits.then_some((Kind { digits }, rest))
}

/// Whether more bytes may make a type of these.
pub(crate) fn may_become(bytes: &[u8], content: Content) -> bool {
    match content.packed {
        true => bytes.len() < 2 && bytes.iter().all(|byte| byte >> 4 <= 2),
        false => {
            bytes.len() < 4 && bytes.iter().all(|byte| field::digit(*byte, content.text).is_some())
        }
    }
}

/// Fields that become attributes as they stand.
const ATTRIBUTES: [(u8, &str); 7] = [
    (7, "transmission_time"),
    (32, "acquirer"),
    (33, "forwarder"),
    (37, "retrieval_reference"),
    (41, "terminal"),
    (42, "merchant"),
    (70, "network_code"),
];

const CARD: u8 = 2;
const PROCESSING: u8 = 3;
const ACQUIRER: u8 = 32;
const RESPONSE: u8 = 39;
const NETWORK: u8 = 70;

impl Message<'_> {
    fn text(&self, number: u8) -> Text {
        let fields = Fields::read(self.fields, self.content, self.kind.is_new());
        let found = fields.ok().and_then(|mut fields| fields.find(|field| field.number == number));
        found.map(|field| field.text(self.content)).unwrap_or_default()
    }

    fn trace_number(&self) -> Option<u64> {
        bytes::decimal(self.text(field::TRACE).as_bytes())
    }

    /// What a request and its response have in common.
    pub fn key(&self) -> u64 {
        self.kind.exchange() << 40 | self.trace_number().unwrap_or(0)
    }

    /// Writes a request, or what a response repeats of it, into a record.
    pub fn describe(&self, record: &mut Record) {
        record.is_async = true;
        record.request_type = self.kind.text();
        record.version = Text::const_new(match self.kind.digits[0] {
            0 => "1987",
            1 => "1993",
            _ => "2003",
        });
        record.request_bytes = i64::try_from(self.bytes).ok();
        let mut what = Text::default();
        let mut parts = [const { Text::const_new("") }; 4];
        let fields = Fields::read(self.fields, self.content, self.kind.is_new());
        for field in fields.into_iter().flatten() {
            let text = || field.text(self.content);
            if let Some(place) = [7, 11, 32, 33].iter().position(|number| *number == field.number) {
                parts[place] = text();
            }
            match field.number {
                CARD => record.attributes.push((Text::const_new("card"), masked(&text()))),
                PROCESSING | NETWORK => what = text(),
                field::TRACE => record.request_id = bytes::decimal(text().as_bytes()),
                ACQUIRER => record.request_domain = text(),
                _ => {}
            }
            if let Some((_, name)) = ATTRIBUTES.iter().find(|(number, _)| *number == field.number) {
                record.attributes.push((Text::const_new(name), text()));
            }
        }
        record.request_resource = what;
        record.endpoint =
            format_compact!("{} {}", self.kind.name(), endpoint(&record.request_resource));
        record.endpoint.truncate(record.endpoint.trim_end().len());
        // What a transaction is known by on all its connections.
        if !parts[0].is_empty() && !parts[1].is_empty() {
            record.trace_id = parts.iter().filter(|part| !part.is_empty()).fold(
                Text::default(),
                |mut id, part| {
                    if !id.is_empty() {
                        id.push('-');
                    }
                    id.push_str(part);
                    id
                },
            );
        }
    }

    /// How a response ended.
    pub fn status(&self) -> ResponseStatus {
        code::status(&self.text(RESPONSE))
    }

    /// Writes a response's own.
    pub fn answer(&self, response: &mut Response) {
        let code = self.text(RESPONSE);
        response.bytes = i64::try_from(self.bytes).ok();
        response.code = code.parse().ok();
        if code.is_empty() {
            return;
        }
        let name = code::name(&code).unwrap_or_default();
        let mut text = format_compact!("{code} {name}");
        text.truncate(text.trim_end().len());
        match response.is_ok() {
            true => response.result = text,
            false => response.exception = text,
        }
    }
}

/// The kind of transaction: the first digits of a processing code; codes of the network as
/// they are.
fn endpoint(what: &str) -> &str {
    if what.len() == 6 { what.get(..2).unwrap_or_default() } else { what }
}

/// A card's number without its middle (PCI DSS 3.4).
fn masked(number: &str) -> Text {
    if !number.is_ascii() || number.len() < 13 {
        return Text::const_new("?");
    }
    let (start, end) = (&number[..6], &number[number.len() - 4..]);
    format_compact!("{start}{}{end}", "*".repeat(number.len() - 10))
}
