//! Replies: lines with a code of three digits (RFC 5321 section 4.2).
//!
//! In: the server's bytes. Out: code and text of each line, and the response that they make.

use schema::{ResponseStatus, Text};

use crate::bytes;
use crate::protocol::{Input, Step};
use crate::session::{Pairing, Response};
use crate::smtp::command;

/// A line of a reply.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    code: u16,
    /// No line of the same reply follows.
    pub is_last: bool,
    text: &'a [u8],
    /// Length with its end. unit byte
    pub bytes: u64,
}

/// Extensions that are shown. unit byte
const EXTENSION_BYTES: usize = 512;

/// Replies that answer the mail as a whole, whoever its recipients are.
const FOR_ALL: [u16; 2] = [421, 503];

/// Cuts a line.
pub(crate) fn cut(input: Input<'_>) -> Step<Line<'_>> {
    match command::line(input) {
        Step::Frame { frame, used } => match read(frame, used) {
            Some(line) => Step::Frame { frame: line, used },
            None => Step::Lost,
        },
        step => step.read(|_| None),
    }
}

/// Whether a reply starts here.
pub(crate) fn is_start(bytes: &[u8]) -> bool {
    let end = bytes::find(bytes, b'\n').unwrap_or(bytes.len());
    read(command::without_end(&bytes[..end]), end as u64).is_some()
}

/// Code, whether it is the last line, and text.
pub(crate) fn read(line: &[u8], line_bytes: u64) -> Option<Line<'_>> {
    let (code, rest) = line.split_at_checked(3)?;
    let code = bytes::decimal(code).filter(|code| (200..=599).contains(code))? as u16;
    let (is_last, text) = match rest {
        [] => (true, rest),
        [b' ', text @ ..] => (true, text),
        [b'-', text @ ..] => (false, text),
        _ => return None,
    };
    Some(Line { code, is_last, text: text.trim_ascii(), bytes: line_bytes })
}

impl Line<'_> {
    pub fn code(&self) -> u16 {
        self.code
    }

    pub fn text(&self) -> &[u8] {
        self.text
    }

    /// How many replies there may be to one content.
    pub fn replies_max(&self) -> u64 {
        if FOR_ALL.contains(&self.code) { 1 } else { u64::MAX }
    }
}

/// A reply that starts with this line.
pub(crate) fn begin(line: &Line<'_>, out: &Pairing<'_>) -> Response {
    let mut response = out.answer(status(line));
    response.code = Some(i32::from(line.code));
    response.result = bytes::text(line.text, out.config.limits.text_bytes.min(1024));
    response
}

/// One more line of it: of a greeting an extension, else more text.
pub(crate) fn extend(response: &mut Response, line: &Line<'_>, is_hello: bool, limit: usize) {
    if is_hello && response.is_ok() {
        if response.attributes.is_empty() {
            response.attributes.push((Text::const_new("extensions"), Text::default()));
        }
        if let Some((_, names)) = response.attributes.last_mut()
            && names.len() + line.text.len() < EXTENSION_BYTES
        {
            if !names.is_empty() {
                names.push_str(", ");
            }
            names.push_str(&bytes::text(line.text, EXTENSION_BYTES));
        }
        return;
    }
    let room = limit.min(1024).saturating_sub(response.result.len() + 1);
    // Each line repeats the code of its status.
    let code = enhanced(line.text).map_or(&[][..], |_| first_word(line.text));
    let text = line.text.get(code.len()..).unwrap_or(&[]).trim_ascii();
    if room > 0 && !text.is_empty() {
        response.result.push(' ');
        response.result.push_str(&bytes::text(text, room));
    }
}

/// The reply for one more recipient of the same content: an error goes before what is ok.
pub(crate) fn merge(response: &mut Response, line: &Line<'_>) {
    let status = status(line);
    if response.is_ok() && status != ResponseStatus::Ok {
        response.status = status;
        response.code = Some(i32::from(line.code));
        response.result = bytes::text(line.text, 1024);
    }
}

/// Codes of class 4 are failures of the server that may go away, those of class 5 blame the
/// client, but where the status code says that it is the server's system or network (RFC 3463).
fn status(line: &Line<'_>) -> ResponseStatus {
    match (line.code / 100, enhanced(line.text)) {
        (2 | 3, _) => ResponseStatus::Ok,
        (5, Some(3 | 4)) | (4, _) => ResponseStatus::ServerError,
        _ => ResponseStatus::ClientError,
    }
}

/// The subject of a status code `class.subject.detail` at the start of a text.
fn enhanced(text: &[u8]) -> Option<u64> {
    let mut parts = first_word(text).split(|byte| *byte == b'.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = matches!(class, [b'2' | b'4' | b'5']) && parts.next().is_none();
    bytes::decimal(detail).filter(|_| fits)?;
    bytes::decimal(subject)
}

fn first_word(text: &[u8]) -> &[u8] {
    &text[..bytes::find(text, b' ').unwrap_or(text.len())]
}
