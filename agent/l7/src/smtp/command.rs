//! Commands: a line each, after BDAT with a chunk of content.
//!
//! In: the client's bytes. Out: verb and arguments, and what a record shows of them. Never: the
//! credentials of an AUTH.

use schema::{L7Protocol, Text};

use crate::bytes;
use crate::config::Config;
use crate::protocol::{Input, Step};
use crate::record::Record;
use crate::smtp::{Frame, address, content};

/// Longest line that is waited for: AUTH may be long (RFC 4954 section 4). unit byte
pub(crate) const LINE_BYTES_MAX: usize = 16 << 10;

/// Bytes of a chunk that are looked at for header fields.
const CHUNK_HEAD_BYTES: usize = 2048;

/// A command.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    /// In upper case where it is a known one.
    pub verb: &'a [u8],
    arguments: &'a [u8],
    /// First bytes of the chunk.
    chunk: &'a [u8],
    /// Length of the line and the chunk. unit byte
    pub bytes: u64,
}

/// Verbs of RFC 5321 and of the extensions above.
const VERBS: [&[u8]; 18] = [
    b"EHLO",
    b"HELO",
    b"LHLO",
    b"MAIL",
    b"RCPT",
    b"DATA",
    b"BDAT",
    b"RSET",
    b"QUIT",
    b"NOOP",
    b"VRFY",
    b"EXPN",
    b"HELP",
    b"AUTH",
    b"STARTTLS",
    b"ETRN",
    b"BURL",
    b"TURN",
];

/// Longest word that is taken for a verb. unit byte
const VERB_BYTES_MAX: usize = 16;

/// Cuts a line; the frame is the line without its end.
pub(crate) fn line(input: Input<'_>) -> Step<&[u8]> {
    match bytes::find(input.bytes, b'\n') {
        Some(end) => Step::Frame { frame: without_end(&input.bytes[..end]), used: end as u64 + 1 },
        None if input.cut => Step::Frame { frame: input.bytes, used: input.bytes.len() as u64 },
        None if input.bytes.len() < LINE_BYTES_MAX => Step::Need(input.bytes.len() + 1),
        None => Step::Lost,
    }
}

/// Cuts a command.
pub(crate) fn cut(input: Input<'_>) -> Step<Frame<'_>> {
    let (line, line_bytes) = match line(input) {
        Step::Frame { frame: [], used } => return Step::Skip(used),
        Step::Frame { frame, used } => (frame, used),
        step => return step.read(|_| None),
    };
    let (verb, arguments) = split(line);
    let Some(verb) = known(verb) else {
        let is_word = verb.len() <= VERB_BYTES_MAX && verb.iter().all(u8::is_ascii_alphanumeric);
        let command = Command { verb, arguments, chunk: &[], bytes: line_bytes };
        return match is_word {
            true => Step::Frame { frame: Frame::Command(command), used: line_bytes },
            false => Step::Lost,
        };
    };
    let size = arguments.split(|byte| *byte == b' ').next().and_then(bytes::decimal);
    let chunk_bytes = size.filter(|_| verb == b"BDAT").unwrap_or(0);
    let bytes = line_bytes.saturating_add(chunk_bytes);
    input.message(bytes, line_bytes as usize + CHUNK_HEAD_BYTES).read(|head| {
        let chunk = head.get(line_bytes as usize..).unwrap_or(&[]);
        Some(Frame::Command(Command { verb, arguments, chunk, bytes }))
    })
}

/// Whether a command that is known starts here.
pub(crate) fn is_start(bytes: &[u8]) -> bool {
    let end = bytes::find(bytes, b'\n').unwrap_or(bytes.len());
    let (verb, arguments) = split(without_end(&bytes[..end]));
    let is_whole = end < bytes.len() || bytes.len() > verb.len();
    is_whole
        && match known(verb) {
            Some(b"MAIL") => starts_with(arguments, b"FROM:"),
            Some(b"RCPT") => starts_with(arguments, b"TO:"),
            Some(_) => true,
            None => false,
        }
}

/// Whether more bytes may make a known command of these.
pub(crate) fn may_become(input: Input<'_>) -> bool {
    let is_part = |verb: &&[u8]| {
        let whole: &[u8] = match *verb {
            b"MAIL" => b"MAIL FROM:",
            b"RCPT" => b"RCPT TO:",
            verb => verb,
        };
        let length = input.bytes.len().min(whole.len());
        input.bytes.len() <= whole.len() && starts_with(whole, &input.bytes[..length])
    };
    !input.cut && VERBS.iter().any(is_part)
}

/// A verb that is known, in upper case.
pub(crate) fn known(verb: &[u8]) -> Option<&'static [u8]> {
    VERBS.into_iter().find(|known| known.eq_ignore_ascii_case(verb))
}

/// Whether a verb that is known starts with these letters.
pub(crate) fn starts_known(letters: &[u8]) -> bool {
    VERBS.iter().any(|known| starts_with(known, letters))
}

/// What a greeting's verb says is spoken.
pub(crate) fn version(verb: &[u8]) -> Text {
    Text::const_new(match verb {
        b"EHLO" => "ESMTP",
        b"LHLO" => "LMTP",
        _ => "SMTP",
    })
}

impl Command<'_> {
    /// The content of a mail ends with its chunk.
    pub fn is_last_chunk(&self) -> bool {
        let last = self.arguments.split(|byte| *byte == b' ').nth(1);
        last.is_some_and(|word| word.eq_ignore_ascii_case(b"LAST"))
    }

    /// Writes it into a record.
    pub fn describe(&self, record: &mut Record, config: &Config) {
        let limit = config.limits.text_bytes;
        let hides = config.redacted.contains(L7Protocol::Smtp);
        record.request_type = bytes::text(self.verb, VERB_BYTES_MAX);
        record.request_type.make_ascii_uppercase();
        record.endpoint = record.request_type.clone();
        match self.verb {
            b"MAIL" | b"RCPT" => {
                let (path, parameters) = path(self.arguments);
                record.request_resource = address(path, hides, limit);
                if let Some(at) = memchr::memrchr(b'@', path) {
                    record.request_domain = bytes::text(&path[at + 1..], 256);
                }
                if !parameters.is_empty() && !hides {
                    let parameters = bytes::text(parameters, 512);
                    record.attributes.push((Text::const_new("parameters"), parameters));
                }
            }
            b"EHLO" | b"HELO" | b"LHLO" => {
                record.request_resource = bytes::text(self.arguments, limit);
                record.request_domain = bytes::text(self.arguments, 256);
            }
            // What follows the mechanism is the first of the credentials.
            b"AUTH" => {
                let mechanism = self.arguments.split(|byte| *byte == b' ').next();
                record.request_resource = bytes::text(mechanism.unwrap_or_default(), 64);
            }
            b"VRFY" | b"EXPN" => record.request_resource = address(self.arguments, hides, limit),
            b"BDAT" => {
                record.request_resource = bytes::text(self.arguments, 64);
                content::read_fields(self.chunk, record, config);
            }
            verb if known(verb).is_some() => {
                record.request_resource = bytes::text(self.arguments, limit);
            }
            // Commands that nobody documents may carry whatever.
            _ => {}
        }
    }
}

/// Verb and arguments.
pub(crate) fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match bytes::find(line, b' ') {
        Some(at) => (&line[..at], line[at + 1..].trim_ascii()),
        None => (line.trim_ascii_end(), &[]),
    }
}

/// `FROM:<path> parameters`, the path without its brackets and its route.
fn path(arguments: &[u8]) -> (&[u8], &[u8]) {
    let start = bytes::find(arguments, b':').map_or(0, |at| at + 1);
    let rest = arguments[start..].trim_ascii_start();
    let (path, after) = match rest.strip_prefix(b"<") {
        Some(inner) => {
            let end = bytes::find(inner, b'>').unwrap_or(inner.len());
            (&inner[..end], inner.get(end + 1..).unwrap_or(&[]))
        }
        None => split(rest),
    };
    let route = if path.first() == Some(&b'@') { bytes::find(path, b':') } else { None };
    (&path[route.map_or(0, |at| at + 1)..], after.trim_ascii())
}

pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.len() >= start.len() && text[..start.len()].eq_ignore_ascii_case(start)
}
