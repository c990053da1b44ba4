//! Replies of the text protocol.
//!
//! In: bytes from the start of a line of a reply. Out: the line and how it ended. Data after it
//! are part of its length and are passed over.

use schema::ResponseStatus;

use crate::bytes;
use crate::memcached::command::{without_end, words};
use crate::protocol::{Input, Step};

/// A line of a reply, with its data where it has some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    /// All of it but the line's end.
    pub line: &'a [u8],
    /// Length of the reply; `None` where more lines belong to it. unit byte
    pub bytes: Option<u64>,
}

/// Longest line that is believed. unit byte
const LINE_BYTES: usize = 8 << 10;

/// Longest value (`-I`). unit byte
const VALUE_BYTES: u64 = 1 << 30;

/// Cuts a line of a reply and the data after it.
pub(crate) fn cut(input: Input<'_>) -> Step<Reply<'_>> {
    let bytes = input.bytes;
    let looked = &bytes[..bytes.len().min(LINE_BYTES)];
    let end = match bytes::find(looked, b'\n') {
        Some(end) => end,
        None if !is_start(looked) || looked.len() == LINE_BYTES => return Step::Lost,
        None if input.cut => looked.len(),
        None => return Step::Need(bytes.len() + 1),
    };
    let line = without_end(&looked[..end]);
    if line.is_empty() {
        return Step::Skip(end as u64 + 1);
    }
    if !is_start(line) {
        return Step::Lost;
    }
    let mut reply = Reply { line, bytes: None };
    let place = match reply.code() {
        b"VALUE" => Some(3),
        b"VA" => Some(1),
        _ => None,
    };
    let data = place
        .and_then(|place| words(line).nth(place))
        .and_then(bytes::decimal)
        .filter(|data_bytes| *data_bytes <= VALUE_BYTES);
    let used = (end as u64 + 1).min(bytes.len() as u64) + data.map_or(0, |bytes| bytes + 2);
    if !reply.is_item() {
        reply.bytes = Some(used);
    }
    Step::Frame { frame: reply, used }
}

/// Whether a line may be a reply: printable, a word or a number first.
fn is_start(line: &[u8]) -> bool {
    let first = line.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'[');
    first && without_end(line).iter().all(|byte| *byte >= b' ' && *byte != 0x7f)
}

impl<'a> Reply<'a> {
    /// The first word.
    pub fn code(&self) -> &'a [u8] {
        words(self.line).next().unwrap_or_default()
    }

    /// One of many lines, which END ends.
    pub fn is_item(&self) -> bool {
        matches!(self.code(), b"VALUE" | b"STAT" | b"ITEM" | b"PREFIX")
            || self.line.starts_with(b"key=")
    }

    /// The last of many lines.
    pub fn is_end(&self) -> bool {
        self.line == b"END"
    }

    pub fn is_error(&self) -> bool {
        matches!(self.code(), b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR")
    }

    /// ERROR: the client sent a command that there is none of.
    pub fn status(&self) -> ResponseStatus {
        match self.code() {
            b"ERROR" | b"CLIENT_ERROR" => ResponseStatus::ClientError,
            b"SERVER_ERROR" => ResponseStatus::ServerError,
            _ => ResponseStatus::Ok,
        }
    }

    /// The token of a flag of a meta reply.
    pub fn flag(&self, mark: u8) -> Option<&'a [u8]> {
        let before = if self.code() == b"VA" { 2 } else { 1 };
        let is_marked = |flag: &&[u8]| flag.first() == Some(&mark);
        words(self.line).skip(before).find(is_marked).map(|flag| &flag[1..])
    }
}
