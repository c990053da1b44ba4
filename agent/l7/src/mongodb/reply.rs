//! Replies of servers, and how they ended.
//!
//! In: a reply. Out: the response of a record: an error of the command (`ok: 0`), of its first
//! write (`writeErrors`) or of its write concern, and what it returned.

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::mongodb::bson::Document;
use crate::mongodb::text::{Hide, Writer};
use crate::mongodb::wire::{self, Message, Section};
use crate::session::{Pairing, Response};

/// `CursorNotFound`, which OP_REPLY has a flag for.
const CURSOR_NOT_FOUND: i64 = 43;

/// Codes that blame who asked (error_codes.yml of the server): bad requests, names that are not
/// there or are there already, missing rights, duplicate keys. All others blame the server.
const CLIENT_CODES: [i64; 55] = [
    2,
    4,
    9,
    10,
    11,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
    20,
    21,
    22,
    26,
    27,
    28,
    30,
    31,
    33,
    35,
    38,
    40,
    CURSOR_NOT_FOUND,
    47,
    48,
    51,
    52,
    53,
    54,
    55,
    56,
    57,
    59,
    61,
    65,
    66,
    67,
    68,
    69,
    72,
    73,
    85,
    86,
    103,
    115,
    121,
    168,
    206,
    211,
    238,
    11_000,
    11_001,
    17_280,
];

/// An error that a reply reports.
#[derive(Clone, Copy, Debug, Default)]
struct Fault<'a> {
    code: Option<i64>,
    name: &'a [u8],
    message: &'a [u8],
}

/// What of a reply counts.
#[derive(Debug, Default)]
struct Outcome<'a> {
    fault: Option<Fault<'a>>,
    rows: Option<i64>,
}

/// The response that a reply is.
pub(crate) fn response(message: &Message<'_>, out: &Pairing<'_>) -> Response {
    let mut response = out.answer(ResponseStatus::Ok);
    response.bytes = Some(message.bytes as i64);
    let document = document(message);
    let mut outcome = document.map(outcome).unwrap_or_default();
    if let Some(flags) = reply_flags(message) {
        match flags & 3 {
            1 => {
                let message = b"cursor not found";
                outcome.fault = Some(Fault { code: Some(CURSOR_NOT_FOUND), name: b"", message });
            }
            2 if outcome.fault.is_none() => outcome.fault = Some(Fault::default()),
            _ => {}
        }
    }
    let limit = out.config.limits.text_bytes;
    if let Some(fault) = outcome.fault {
        response.status = match fault.code {
            Some(code) if CLIENT_CODES.contains(&code) => ResponseStatus::ClientError,
            _ => ResponseStatus::ServerError,
        };
        response.code = fault.code.and_then(|code| i32::try_from(code).ok());
        response.exception = bytes::text(fault.message, limit.min(1024));
        if !fault.name.is_empty() {
            let name = bytes::text(fault.name, 128);
            response.attributes.push((Text::const_new("code_name"), name));
        }
    }
    response.affected_rows = outcome.rows.and_then(|rows| u64::try_from(rows).ok());
    if let Some(document) = document {
        let hide = match out.config.redacted.contains(L7Protocol::Mongodb) {
            true => Hide::Values,
            false => Hide::Credentials,
        };
        let mut writer = Writer::new(limit, hide);
        writer.document(document);
        response.result = writer.finish();
    }
    response
}

/// Flags of an OP_REPLY.
fn reply_flags(message: &Message<'_>) -> Option<u32> {
    match message.opcode {
        wire::REPLY => Reader::new(message.body).u32_le(),
        _ => None,
    }
}

/// The first document of a reply.
fn document<'a>(message: &Message<'a>) -> Option<Document<'a>> {
    match message.opcode {
        wire::MSG => message.sections().find_map(|section| match section {
            Section::Body(document) => Some(document),
            Section::Sequence { .. } => None,
        }),
        wire::REPLY => Document::read(message.body.get(20..)?),
        // The metadata come first.
        wire::COMMAND_REPLY => {
            let metadata = Document::read(message.body)?;
            Document::read(message.body.get(metadata.bytes..)?)
        }
        _ => None,
    }
}

fn outcome(document: Document<'_>) -> Outcome<'_> {
    let mut fault = Fault::default();
    let mut outcome = Outcome::default();
    let mut failed = false;
    let mut changed = None;
    for element in document.elements() {
        match element.name {
            b"ok" => failed |= element.number() == Some(0),
            // `$err`: of a query, `err`: of getLastError, where null is none.
            b"errmsg" => fault.message = element.text().unwrap_or_default(),
            b"$err" | b"err" if element.text().is_some() => {
                failed = true;
                fault.message = element.text().unwrap_or_default();
            }
            b"code" => fault.code = element.number(),
            b"codeName" => fault.name = element.text().unwrap_or_default(),
            b"n" => outcome.rows = element.number(),
            b"nModified" => changed = element.number(),
            b"cursor" => outcome.rows = element.document().and_then(batch_rows),
            b"writeErrors" => {
                let errors = element.document().map(Document::elements);
                let first = errors.and_then(|mut errors| errors.next());
                let first = first.and_then(|first| first.document());
                outcome.fault = first.map(fault_of).or(outcome.fault);
            }
            b"writeConcernError" if outcome.fault.is_none() => {
                outcome.fault = element.document().map(fault_of);
            }
            _ => {}
        }
    }
    if failed {
        outcome.fault = Some(fault);
    }
    outcome.rows = changed.or(outcome.rows);
    outcome
}

fn fault_of(document: Document<'_>) -> Fault<'_> {
    let mut fault = Fault::default();
    for element in document.elements() {
        match element.name {
            b"code" => fault.code = element.number(),
            b"codeName" => fault.name = element.text().unwrap_or_default(),
            b"errmsg" => fault.message = element.text().unwrap_or_default(),
            _ => {}
        }
    }
    fault
}

/// Documents in a cursor's batch; `None` where it was not read to its end.
fn batch_rows(cursor: Document<'_>) -> Option<i64> {
    let is_batch = |name: &[u8]| matches!(name, b"firstBatch" | b"nextBatch");
    let batch = cursor.elements().find(|element| is_batch(element.name))?.document()?;
    let mut elements = batch.elements();
    let rows = elements.by_ref().count();
    elements.ended.then_some(rows as i64)
}
