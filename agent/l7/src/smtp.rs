//! SMTP: RFC 5321, with service extensions (RFC 1869), pipelining (RFC 2920), chunks (RFC 3030),
//! STARTTLS (RFC 3207), AUTH (RFC 4954), status codes (RFC 3463); and LMTP (RFC 2033).
//!
//! ```text
//! command := verb [SP arguments] CRLF  [chunk, after BDAT]
//! reply   := *(code "-" text CRLF)  code [SP text] CRLF
//! content := *line "." CRLF                                (after the reply 354 to DATA)
//! ```
//! One session for each command, in order, and one for the content of a mail, which ends with its
//! dot. The challenges of an AUTH belong to it. The server's greeting is a record when it refuses.
//! Credentials and the text of mails are never shown. After STARTTLS the connection speaks TLS.

mod command;
mod content;
mod probe;
mod reply;

use compact_str::format_compact;
use schema::{L7Protocol, Text};

use crate::bytes;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};
use crate::smtp::command::Command;
use crate::smtp::content::Content;
use crate::smtp::reply::Line;

/// One connection to a mail server.
#[derive(Debug, Default)]
pub(crate) struct Smtp {
    phase: Phase,
    content: Content,
    /// What the reply that is being read says so far.
    open: Option<Response>,
    /// What is spoken, by the client's greeting.
    version: Text,
    /// Something of the client or an answer was seen: no greeting comes.
    greeted: bool,
    /// Recipients that were accepted since the last mail. LMTP answers for each.
    recipients: u64,
    /// Replies to a mail's content that are still to come.
    replies_left: u64,
}

/// What the client's next bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Command,
    /// Content, unless DATA is refused.
    Data,
    Content,
    /// Answers to challenges, until the server has decided.
    Auth,
}

/// Kinds of requests.
mod tag {
    pub const PLAIN: u64 = 0;
    pub const HELLO: u64 = 1;
    pub const RECIPIENT: u64 = 2;
    pub const DATA: u64 = 3;
    pub const AUTH: u64 = 4;
    pub const START_TLS: u64 = 5;
    /// And above: a mail's content that is answered so often.
    pub const MAIL: u64 = 16;
}

/// What was cut from the wire.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Command(Command<'a>),
    /// The client's answer to a challenge.
    Secret,
    /// Content of a mail, all of it or a part.
    Content {
        bytes: &'a [u8],
        ends: bool,
    },
    Reply(Line<'a>),
}

impl Protocol for Smtp {
    const ID: L7Protocol = L7Protocol::Smtp;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe::first_bytes(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        if direction == Direction::ServerToClient {
            return reply::cut(input).read(|line| Some(Frame::Reply(line)));
        }
        let is_sure = self.phase == Phase::Content && !self.content.is_answered();
        match self.phase {
            _ if is_sure => self.content.cut(input),
            Phase::Auth => command::line(input).read(|_| Some(Frame::Secret)),
            Phase::Data | Phase::Content if !command::is_start(input.bytes) => {
                match command::may_become(input) {
                    true => Step::Need(input.bytes.len() + 1),
                    false => self.content.cut(input),
                }
            }
            _ => command::cut(input),
        }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        self.greeted |= direction == Direction::ClientToServer;
        match frame {
            Frame::Command(command) => self.command(&command, out),
            Frame::Secret => {}
            Frame::Content { bytes, ends } => {
                self.phase = Phase::Content;
                self.content.take(bytes, ends, out);
                if ends {
                    self.phase = Phase::Command;
                    self.mail(out);
                }
            }
            Frame::Reply(line) => self.line(&line, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        match direction {
            Direction::ClientToServer => command::is_start(bytes),
            Direction::ServerToClient => reply::is_start(bytes),
        }
    }

    fn pass_gap(&mut self, direction: Direction, bytes: u64, _out: &mut Pairing<'_>) -> bool {
        let is_content = direction == Direction::ClientToServer && self.phase == Phase::Content;
        if is_content {
            self.content.pass_gap(bytes);
        }
        is_content
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => {
                self.phase = Phase::Command;
                self.content = Content::default();
            }
            Direction::ServerToClient => {
                self.open = None;
                self.replies_left = 0;
                // The decision may be what is missing.
                if self.phase == Phase::Auth {
                    self.phase = Phase::Command;
                }
            }
        }
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        if self.phase == Phase::Content {
            self.mail(out);
        }
        if let Some(response) = self.open.take() {
            self.finish(response, out);
        }
    }

    fn held_bytes(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| {
            let texts: usize = open.attributes.iter().map(|(_, text)| text.capacity()).sum();
            open.result.capacity() + texts
        });
        self.content.held_bytes() + open
    }
}

impl Smtp {
    fn command(&mut self, command: &Command<'_>, out: &mut Pairing<'_>) {
        if self.phase == Phase::Content {
            self.content = Content::default();
        }
        self.phase = match command.verb {
            b"DATA" => Phase::Data,
            b"AUTH" => Phase::Auth,
            _ => Phase::Command,
        };
        let tag = match command.verb {
            b"EHLO" | b"HELO" | b"LHLO" => {
                self.version = command::version(command.verb);
                self.recipients = 0;
                tag::HELLO
            }
            b"RCPT" => tag::RECIPIENT,
            b"DATA" => tag::DATA,
            b"AUTH" => tag::AUTH,
            b"STARTTLS" => tag::START_TLS,
            b"BDAT" if command.is_last_chunk() => self.mail_tag(),
            _ => tag::PLAIN,
        };
        if matches!(command.verb, b"MAIL" | b"RSET") {
            self.recipients = 0;
        }
        let mut record = out.record();
        record.version = self.version.clone();
        record.request_bytes = Some(command.bytes as i64);
        command.describe(&mut record, out.config);
        out.request(Key::Order, record, tag);
    }

    /// The content of a mail has ended, or no more of it will be seen.
    fn mail(&mut self, out: &mut Pairing<'_>) {
        let content = std::mem::take(&mut self.content);
        if content.is_answered() || !content.has_begun() {
            return;
        }
        let mut record = out.record_at(content.mark());
        record.version = self.version.clone();
        content.describe(&mut record, out.config);
        let tag = self.mail_tag();
        out.request(Key::Order, record, tag);
    }

    fn mail_tag(&mut self) -> u64 {
        let replies = match &*self.version {
            "LMTP" => self.recipients.max(1),
            _ => 1,
        };
        self.recipients = 0;
        tag::MAIL + replies
    }

    /// One line of a reply.
    fn line(&mut self, line: &Line<'_>, out: &mut Pairing<'_>) {
        let is_hello = out.expected_tag() == Some(tag::HELLO);
        let mut response = match self.open.take() {
            // Further replies for one content go with the first.
            Some(mut open) if self.replies_left > 0 => {
                reply::merge(&mut open, line);
                open
            }
            Some(mut open) => {
                reply::extend(&mut open, line, is_hello, out.config.limits.text_bytes);
                open
            }
            None => reply::begin(line, out),
        };
        response.bytes = Some(response.bytes.unwrap_or(0) + line.bytes as i64);
        if !line.is_last {
            self.open = Some(response);
            return;
        }
        if self.replies_left == 0
            && let Some(replies) = out.expected_tag().and_then(|tag| tag.checked_sub(tag::MAIL))
        {
            self.replies_left = replies.min(line.replies_max());
        }
        self.replies_left = self.replies_left.saturating_sub(1);
        match self.replies_left {
            0 => self.finish(response, out),
            _ => self.open = Some(response),
        }
    }

    /// A whole reply.
    fn finish(&mut self, mut response: Response, out: &mut Pairing<'_>) {
        self.replies_left = 0;
        let code = response.code.unwrap_or(0);
        if !response.is_ok() {
            response.exception = std::mem::take(&mut response.result);
        }
        let expected = out.expected_tag();
        let is_open = self.content.has_begun() && !self.content.is_answered();
        if expected.is_none() && self.phase == Phase::Content && is_open {
            // It ended in bytes that were not seen, or was refused before it ended.
            let mark = out.mark;
            self.content.answered(mark);
            let mut record = out.record_at(self.content.mark());
            record.version = self.version.clone();
            self.content.describe(&mut record, out.config);
            out.request(Key::Order, record, tag::MAIL + 1);
            out.response(Key::Order, response);
            return;
        }
        match expected {
            Some(tag::AUTH) if code == 334 => return,
            Some(tag::AUTH) if self.phase == Phase::Auth => self.phase = Phase::Command,
            Some(tag::RECIPIENT) if response.is_ok() => self.recipients += 1,
            Some(tag::DATA) if self.phase == Phase::Data => {
                self.phase = if code == 354 { Phase::Content } else { Phase::Command };
            }
            Some(tag::START_TLS) if code == 220 => out.handover = true,
            None if !self.greeted && matches!(code, 220 | 421 | 554) => {
                self.greeted = true;
                return greeting(response, out);
            }
            // Said unasked: the server is about to close.
            None if code == 421 => return out.lone_response(response),
            _ => {}
        }
        self.greeted = true;
        out.response(Key::Order, response);
    }
}

/// The server's first words: a record only if they are a refusal.
fn greeting(response: Response, out: &mut Pairing<'_>) {
    if response.is_ok() {
        return;
    }
    let mut record = out.record_at(response.mark);
    record.request_type = Text::const_new("CONNECT");
    record.endpoint = Text::const_new("CONNECT");
    record.response_status = response.status;
    record.response_code = response.code;
    record.response_exception = response.exception;
    record.response_bytes = response.bytes;
    record.captured_request_bytes = 0;
    record.captured_response_bytes = response.captured_bytes;
    record.resp_tcp_seq = std::mem::take(&mut record.req_tcp_seq);
    out.one_way(record);
}

/// An address as it is shown; of a redacted one only the domain is.
fn address(path: &[u8], hides: bool, limit: usize) -> Text {
    match memchr::memrchr(b'@', path) {
        Some(at) if hides => format_compact!("?@{}", bytes::text(&path[at + 1..], limit)),
        None if hides && !path.is_empty() => Text::const_new("?"),
        _ => bytes::text(path, limit),
    }
}

#[cfg(test)]
mod tests;
