//! One DNS message (RFC 1035 §4.1).
//!
//! In: its bytes. Out: header, first question, and the records of the answer as text. A message
//! is read to its end, so that bytes which are none are not taken for one.

use std::net::{Ipv4Addr, Ipv6Addr};

use compact_str::format_compact;
use schema::Text;

use crate::bytes::Reader;
use crate::dns::{name, types};

/// Bytes before the questions.
pub(crate) const HEADER_BYTES: usize = 12;

/// A message that was read to its end, or to where it was cut off.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    pub id: u16,
    flags: u16,
    counts: [u16; 4],
    pub question: Option<Question>,
    records_at: usize,
    /// Upper bits of the response code, of an OPT record.
    extended_code: u16,
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub name_at: usize,
    pub kind: u16,
    pub class: u16,
}

/// A resource record, of which data may be cut off.
struct Answer<'a> {
    kind: u16,
    ttl_s: u32,
    data_at: usize,
    data: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message. `cut`: its end may be missing.
    pub fn read(bytes: &'a [u8], cut: bool) -> Option<Self> {
        if !may_start(bytes) {
            return None;
        }
        let mut header = Reader::new(bytes);
        let (id, flags) = (header.u16_be()?, header.u16_be()?);
        let counts = [header.u16_be()?, header.u16_be()?, header.u16_be()?, header.u16_be()?];
        let mut message = Self {
            bytes,
            id,
            flags,
            counts,
            question: None,
            records_at: HEADER_BYTES,
            extended_code: 0,
        };
        let mut at = HEADER_BYTES;
        for _ in 0..counts[0] {
            let Some((question, end)) = message.question_at(at) else {
                return (cut && message.question.is_some()).then_some(message);
            };
            message.question.get_or_insert(question);
            at = end;
        }
        message.records_at = at;
        let records: u32 = counts[1..].iter().map(|count| u32::from(*count)).sum();
        for _ in 0..records {
            let Some((record, end)) = message.record_at(at) else {
                return cut.then_some(message);
            };
            if record.kind == types::OPT {
                message.extended_code = (record.ttl_s >> 24 << 4) as u16;
            }
            at = end;
        }
        (at == bytes.len() || cut).then_some(message)
    }

    pub fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub fn is_transfer(&self) -> bool {
        let kind = self.question.map(|question| question.kind);
        matches!(kind, Some(types::AXFR | types::IXFR))
    }

    pub fn response_code(&self) -> u16 {
        self.extended_code | self.flags & 0xf
    }

    /// Whether it asks for something that exists; a response may leave the question out.
    pub fn has_known_question(&self) -> bool {
        match self.question {
            Some(question) => {
                types::is_type(question.kind)
                    && matches!(question.class & 0x7fff, 1..=4 | 254..=255)
            }
            None => self.is_response() && self.counts[1] > 0,
        }
    }

    /// Id and question as one number.
    pub fn key(&self) -> u64 {
        let mut hash = 0x811c_9dc5_u32;
        let mut mix = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        if let Some(question) = self.question {
            name::walk(self.bytes, question.name_at, |label| {
                mix(label.len() as u8);
                label.iter().for_each(|byte| mix(byte.to_ascii_lowercase()));
            });
            question.kind.to_be_bytes().into_iter().for_each(mix);
        } else {
            hash = 0;
        }
        u64::from(self.id) << 32 | u64::from(hash)
    }

    pub fn name_at(&self, at: usize, limit: usize) -> Text {
        name::text(self.bytes, at, limit)
    }

    /// The answers as `A=192.0.2.1 TTL=60`, or the authority's where there is none.
    pub fn result(&self, limit: usize) -> Text {
        let mut result = Text::default();
        let mut at = self.records_at;
        let count = match self.counts[1] {
            0 => self.counts[2],
            answers => answers,
        };
        for _ in 0..count {
            let Some((record, end)) = self.record_at(at) else { break };
            at = end;
            if result.len() >= limit {
                break;
            }
            if !result.is_empty() {
                result.push_str(", ");
            }
            self.push_record(&record, &mut result);
        }
        result
    }

    fn push_record(&self, record: &Answer<'_>, result: &mut Text) {
        let value = match record.kind {
            types::A => record
                .data
                .first_chunk::<4>()
                .map(|octets| format_compact!("{}", Ipv4Addr::from(*octets))),
            types::AAAA => record
                .data
                .first_chunk::<16>()
                .map(|octets| format_compact!("{}", Ipv6Addr::from(*octets))),
            types::NS | types::CNAME | types::SOA | types::PTR | types::DNAME => {
                Some(self.name_at(record.data_at, 255))
            }
            _ => None,
        };
        result.push_str(&types::type_name(record.kind));
        if let Some(value) = value {
            result.push('=');
            result.push_str(&value);
            result.push_str(&format_compact!(" TTL={}", record.ttl_s));
        }
    }

    fn question_at(&self, at: usize) -> Option<(Question, usize)> {
        let end = name::walk(self.bytes, at, |_| {})?;
        let mut rest = Reader::new(self.bytes.get(end..)?);
        let question = Question { name_at: at, kind: rest.u16_be()?, class: rest.u16_be()? };
        Some((question, end + 4))
    }

    fn record_at(&self, at: usize) -> Option<(Answer<'a>, usize)> {
        let end = name::walk(self.bytes, at, |_| {})?;
        let mut rest = Reader::new(self.bytes.get(end..)?);
        let kind = rest.u16_be()?;
        let _class = rest.u16_be()?;
        let ttl_s = rest.u32_be()?;
        let length = usize::from(rest.u16_be()?);
        let data = rest.take(length)?;
        let data_at = end + 10;
        Some((Answer { kind, ttl_s, data_at, data }, data_at + length))
    }
}

/// Whether the first name of a message is a NetBIOS name (RFC 1001 §14.1): 16 bytes, each as two
/// letters from A to P. The name service of RFC 1002 has the form of DNS and other types. Of a name
/// with damage most letters are enough.
pub(crate) fn is_netbios(bytes: &[u8]) -> bool {
    let name = bytes.get(HEADER_BYTES..).and_then(|rest| rest.strip_prefix(&[32]));
    let letters = name.and_then(|name| name.get(..32)).unwrap_or_default();
    letters.iter().filter(|letter| matches!(letter, b'A'..=b'P')).count() >= 24
}

/// Whether a header may start here: an opcode and counts that occur (RFC 1035 §4.1.1). As few
/// bytes as there are.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    let pair = |at: usize| match bytes.get(at..at + 2) {
        Some(pair) => u16::from_be_bytes([pair[0], pair[1]]),
        None => 0,
    };
    let flags = pair(2);
    let is_response = flags & 0x8000 != 0;
    let opcode = flags >> 11 & 0xf;
    let (questions, answers, authorities, additionals) = (pair(4), pair(6), pair(8), pair(10));
    matches!(opcode, 0 | 1 | 2 | 4 | 5)
        && flags & 0x40 == 0
        && (is_response || flags & 0xf == 0)
        && questions <= 32
        && (bytes.len() < 6 || questions >= 1 || is_response)
        && answers <= 4096
        && authorities <= 512
        && additionals <= 512
}
