//! What ends a response: a status, or the summary of a call with its error.
//!
//! ```text
//! status  := 0x09  call status: n  sequence: n                  (n: a number after its length)
//! summary := 0x04  call status: n  sequence, row, error, 2 of arrays, cursor, position: n
//!            sql type, fatal, flags, options, parameter, warning: u8
//!            row id: n n u8 n n  system error: n  statement, call: u8  padding, iterations: n
//!            logical row id, errors of a batch: n (0)  error: n  rows: n  [n n]  [text]
//! ```
//! What stands before it depends on everything that was agreed on, so it is looked for from the
//! end: it fills the rest of the packet exactly, and nothing else does.

use crate::bytes::{self, Reader};
use crate::oracle::call::number;

const SUMMARY: u8 = 0x04;
/// Parameters that a call returns.
const RETURNED: u8 = 0x08;
const STATUS: u8 = 0x09;
const END_OF_RESPONSE: u8 = 0x1d;

/// Longest status. unit byte
const STATUS_BYTES_MAX: usize = 9;

/// Bytes before the error's text in which the summary starts.
const SUMMARY_BYTES_MAX: usize = 160;

/// Longest text of an error that is looked for. unit byte
const TEXT_BYTES_MAX: usize = 2048;

/// How an error's text begins.
const MARK: &[u8] = b"ORA-";

/// What a response ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status<'a> {
    /// Number of the error; 0: none.
    pub code: u64,
    pub text: &'a [u8],
    /// Rows changed, or fetched so far.
    pub rows: Option<u64>,
    /// Cursor of the call.
    pub cursor: Option<u32>,
}

/// The status at the end of a packet's payload; `None`: the response goes on.
pub(crate) fn find(payload: &[u8], is_whole: bool) -> Option<Status<'_>> {
    if !is_whole {
        // Its end was cut off: the start of a summary tells the error's number.
        return payload
            .strip_prefix(&[SUMMARY])
            .and_then(|rest| error_text(payload, false).or_else(|| cut_summary(rest)));
    }
    let payload = payload.strip_suffix(&[END_OF_RESPONSE]).unwrap_or(payload);
    let error = error_text(payload, true);
    let looked = &payload[payload.len().saturating_sub(TEXT_BYTES_MAX)..];
    let mark = memchr::memmem::find(looked, MARK);
    let text_bytes = mark.map_or(0, |at| looked.len() - at + 4);
    let start = payload.len().saturating_sub(SUMMARY_BYTES_MAX + text_bytes);
    let found = (start..payload.len()).find_map(|at| match payload[at] {
        SUMMARY => summary(&payload[at + 1..]),
        _ => None,
    });
    found.or(error).or_else(|| plain_status(payload))
}

/// Call status, sequence, row and error at the start of a summary.
fn cut_summary(bytes: &[u8]) -> Option<Status<'static>> {
    let mut reader = Reader::new(bytes);
    for _ in 0..3 {
        number(&mut reader)?;
    }
    let code = number(&mut reader).filter(|code| *code <= 0xffff)?;
    Some(Status { code: u64::from(code), ..Status::default() })
}

/// A status that is all there is, or that follows what a call returns.
fn plain_status(payload: &[u8]) -> Option<Status<'static>> {
    let start = match payload[0] {
        STATUS => 0,
        RETURNED => payload.len().saturating_sub(STATUS_BYTES_MAX),
        _ => return None,
    };
    let last = if payload[0] == STATUS { 1 } else { payload.len() };
    (start..last).find_map(|at| {
        let mut reader = Reader::new(payload[at..].strip_prefix(&[STATUS])?);
        number(&mut reader)?;
        number(&mut reader)?;
        reader.rest().is_empty().then(Status::default)
    })
}

/// An error's text at the end of a payload, or (`at_end`: false) anywhere in it.
fn error_text(payload: &[u8], at_end: bool) -> Option<Status<'_>> {
    let looked = &payload[payload.len().saturating_sub(TEXT_BYTES_MAX)..];
    let mut rest = looked;
    while let Some(at) = memchr::memmem::find(rest, MARK) {
        let before = looked.len() - rest.len() + at;
        let text = &rest[at..];
        rest = &rest[at + MARK.len()..];
        let Some(code) = text.get(4..9).and_then(bytes::decimal) else { continue };
        // Its length stands before it, and it ends with the packet.
        let ends = match before.checked_sub(1).map(|place| looked[place]) {
            _ if !at_end => true,
            Some(length) if usize::from(length) == text.len() => true,
            Some(length) => usize::from(length) + 1 == text.len() && text.last() == Some(&0),
            None => false,
        };
        if ends {
            return Some(Status { code, text, ..Status::default() });
        }
    }
    None
}

/// A summary that fills `bytes`.
fn summary(bytes: &[u8]) -> Option<Status<'_>> {
    let plain = Reader::new(bytes);
    // An option of old servers: one byte more at its start.
    let shifted = bytes.get(1..).map(Reader::new);
    [Some(plain), shifted].into_iter().flatten().find_map(|reader| {
        let (mut status, reader) = fields(reader)?;
        // Since Oracle 20 the type of the statement and a checksum follow.
        [false, true].into_iter().find_map(|is_new| {
            let mut reader = reader;
            if is_new {
                number(&mut reader)?;
                number(&mut reader)?;
            }
            status.text = if status.code == 0 { &[] } else { error_of(&mut reader)? };
            reader.rest().is_empty().then_some(status)
        })
    })
}

/// The fields of a summary up to the number of rows.
fn fields(mut reader: Reader<'_>) -> Option<(Status<'_>, Reader<'_>)> {
    let short = |reader: &mut Reader<'_>| number(reader).filter(|number| *number <= 0xffff);
    number(&mut reader)?;
    short(&mut reader)?;
    number(&mut reader)?;
    let error = short(&mut reader)?;
    short(&mut reader)?;
    short(&mut reader)?;
    let cursor = short(&mut reader)?;
    short(&mut reader)?;
    reader.take(6)?;
    number(&mut reader)?;
    short(&mut reader)?;
    reader.take(1)?;
    number(&mut reader)?;
    short(&mut reader)?;
    number(&mut reader)?;
    reader.take(2)?;
    short(&mut reader)?;
    number(&mut reader)?;
    // A logical row id; codes, offsets and texts of the errors of a batch: rare, and not read.
    for _ in 0..4 {
        number(&mut reader).filter(|count| *count == 0)?;
    }
    let code = number(&mut reader)?;
    let rows = long(&mut reader)?;
    if code & 0xffff != error {
        return None;
    }
    let status = Status {
        code: u64::from(code),
        text: &[],
        rows: Some(rows),
        cursor: (cursor > 0).then_some(cursor),
    };
    Some((status, reader))
}

/// The text of an error, which may be in chunks.
fn error_of<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    match reader.u8()? {
        0 | 0xff => Some(&[]),
        0xfe => {
            let length = number(reader)? as usize;
            let text = reader.take(length)?;
            (number(reader)? == 0).then_some(text)
        }
        length => reader.take(usize::from(length)),
    }
}

fn long(reader: &mut Reader<'_>) -> Option<u64> {
    let length = reader.u8().filter(|length| *length <= 8)?;
    let digits = reader.take(usize::from(length))?;
    Some(digits.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
