//! The content of a mail: lines up to one that is a dot (RFC 5321 section 4.1.1.4).
//!
//! In: bytes of it as they come. Out: where it ends, its length, and of its header fields the
//! message id and trace context. Never: its text.

use schema::Text;

use crate::bytes;
use crate::config::Config;
use crate::protocol::{Input, Step};
use crate::record::Record;
use crate::session::Pairing;
use crate::smtp::{Frame, command};
use crate::stream::Mark;
use crate::trace::TraceContext;

/// What ends it.
const END: &[u8] = b"\r\n.\r\n";

/// Header bytes that are kept until it ends.
const HEAD_BYTES: usize = 4096;

/// A mail that is being sent.
#[derive(Debug)]
pub(crate) struct Content {
    mark: Option<Mark>,
    /// Length so far, with its end and what was not seen. unit byte
    bytes: u64,
    /// First bytes: as many as the header fields need, or as are kept.
    head: Vec<u8>,
    /// Last bytes seen; before the first, the end of the command's line.
    tail: [u8; END.len() - 1],
    /// Bytes of it were not seen: its end may be among them.
    has_gap: bool,
    /// The server replied before its end was seen.
    answered: bool,
}

impl Default for Content {
    fn default() -> Self {
        let tail = [0, 0, b'\r', b'\n'];
        Self { mark: None, bytes: 0, head: Vec::new(), tail, has_gap: false, answered: false }
    }
}

impl Content {
    /// Cuts what is there of it.
    pub fn cut<'a>(&self, input: Input<'a>) -> Step<Frame<'a>> {
        let found = self.end(input.bytes);
        let used = found.unwrap_or(input.bytes.len());
        let frame = Frame::Content { bytes: &input.bytes[..used], ends: found.is_some() };
        Step::Frame { frame, used: used as u64 }
    }

    /// Where it ends in bytes that follow what was seen.
    fn end(&self, bytes: &[u8]) -> Option<usize> {
        // The mark may have begun in what was seen before.
        let mut joint = [0; 2 * (END.len() - 1)];
        let fresh = bytes.len().min(END.len() - 1);
        joint[..self.tail.len()].copy_from_slice(&self.tail);
        joint[self.tail.len()..self.tail.len() + fresh].copy_from_slice(&bytes[..fresh]);
        let joint = &joint[..self.tail.len() + fresh];
        if let Some(at) = memchr::memmem::find(joint, END) {
            return Some(at + END.len() - self.tail.len());
        }
        memchr::memmem::find(bytes, END).map(|at| at + END.len())
    }

    /// Takes a part of it.
    pub fn take(&mut self, bytes: &[u8], ends: bool, out: &Pairing<'_>) {
        self.mark.get_or_insert(out.mark);
        self.bytes += bytes.len() as u64;
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        if room > 0 && !self.has_gap {
            self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        if ends {
            return;
        }
        match bytes.last_chunk() {
            Some(last) => self.tail = *last,
            None => {
                self.tail.rotate_left(bytes.len());
                let start = self.tail.len() - bytes.len();
                self.tail[start..].copy_from_slice(bytes);
            }
        }
    }

    /// Bytes of it were not seen.
    pub fn pass_gap(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.tail = [0; END.len() - 1];
        self.has_gap = true;
    }

    /// The server replied.
    pub fn answered(&mut self, mark: Mark) {
        self.answered = true;
        self.mark.get_or_insert(mark);
    }

    /// Whether a record of it was made already.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    pub fn has_begun(&self) -> bool {
        self.bytes > 0
    }

    /// Of its first byte.
    pub fn mark(&self) -> Mark {
        self.mark.unwrap_or_default()
    }

    pub fn held_bytes(&self) -> usize {
        self.head.capacity()
    }

    /// Writes it into a record.
    pub fn describe(&self, record: &mut Record, config: &Config) {
        record.request_type = Text::const_new("MESSAGE");
        record.endpoint = Text::const_new("MESSAGE");
        record.request_bytes = i64::try_from(self.bytes).ok();
        read_fields(&self.head, record, config);
    }
}

/// Takes message id and trace context from header fields, as far as there are any.
pub(crate) fn read_fields(head: &[u8], record: &mut Record, config: &Config) {
    let mut context = TraceContext::default();
    let mut rest = head;
    while let Some(end) = bytes::find(rest, b'\n') {
        let line = command::without_end(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(colon) = bytes::find(line, b':').filter(|_| !line.is_empty()) else { break };
        let name = line[..colon].trim_ascii_end();
        let value = line[colon + 1..].trim_ascii();
        context.header(&config.trace, name, value);
        if name.eq_ignore_ascii_case(b"Message-ID") {
            let id = value.strip_prefix(b"<").unwrap_or(value);
            let id = id.strip_suffix(b">").unwrap_or(id);
            record.request_resource = bytes::text(id, 256);
            context.offer_x_request_id(bytes::text(id, 256));
        }
        // Lines that go on from this one (RFC 5322 section 2.2.3).
        while matches!(rest.first(), Some(b' ' | b'\t')) {
            rest = bytes::find(rest, b'\n').map_or(&[][..], |end| &rest[end + 1..]);
        }
    }
    context.fill(&config.trace, record);
}
