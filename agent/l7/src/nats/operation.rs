//! Operations of the NATS protocol: a line, and for messages a payload of the length that it
//! tells.
//!
//! In: bytes from the start of an operation. Out: its parts; of a payload the headers and the
//! first bytes, the rest is passed over.

use crate::bytes;
use crate::protocol::{Input, Probe, Step};
use crate::segment::Direction;

/// An operation.
#[derive(Debug)]
pub(crate) struct Operation<'a> {
    pub verb: Verb,
    /// What follows the verb; for messages the subject alone.
    pub args: &'a [u8],
    pub message: Message<'a>,
}

/// A message's parts; empty for other operations.
#[derive(Debug, Default)]
pub(crate) struct Message<'a> {
    pub subscription: &'a [u8],
    pub reply: &'a [u8],
    /// Headers as far as they were captured, from `NATS/1.0` on.
    pub headers: &'a [u8],
    /// The first bytes of what follows them.
    pub payload: &'a [u8],
    /// Length of both.
    pub total_bytes: u64,
}

/// What an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Info,
    Connect,
    Pub,
    Hpub,
    Sub,
    Unsub,
    Msg,
    Hmsg,
    Ping,
    Pong,
    Ok,
    Err,
    /// Between servers: a message.
    Routed(&'static str),
    /// Between servers: interest.
    Interest(&'static str),
}

const VERBS: [(&str, Verb); 21] = [
    ("INFO", Verb::Info),
    ("CONNECT", Verb::Connect),
    ("PUB", Verb::Pub),
    ("HPUB", Verb::Hpub),
    ("SUB", Verb::Sub),
    ("UNSUB", Verb::Unsub),
    ("MSG", Verb::Msg),
    ("HMSG", Verb::Hmsg),
    ("PING", Verb::Ping),
    ("PONG", Verb::Pong),
    ("+OK", Verb::Ok),
    ("-ERR", Verb::Err),
    ("RMSG", Verb::Routed("RMSG")),
    ("LMSG", Verb::Routed("LMSG")),
    ("RS+", Verb::Interest("RS+")),
    ("RS-", Verb::Interest("RS-")),
    ("LS+", Verb::Interest("LS+")),
    ("LS-", Verb::Interest("LS-")),
    ("LDS", Verb::Interest("LDS")),
    ("A+", Verb::Interest("A+")),
    ("A-", Verb::Interest("A-")),
];

impl Verb {
    /// As the protocol writes it.
    pub fn name(self) -> &'static str {
        VERBS.iter().find(|(_, verb)| *verb == self).map_or("", |(name, _)| name)
    }

    fn has_payload(self) -> bool {
        matches!(self, Self::Pub | Self::Hpub | Self::Msg | Self::Hmsg | Self::Routed(_))
    }

    fn has_headers(self) -> bool {
        matches!(self, Self::Hpub | Self::Hmsg)
    }

    /// Who sends it; `None`: either.
    fn sender(self) -> Option<Direction> {
        match self {
            Self::Connect | Self::Pub | Self::Hpub | Self::Sub | Self::Unsub => {
                Some(Direction::ClientToServer)
            }
            Self::Info | Self::Msg | Self::Hmsg | Self::Ok | Self::Err => {
                Some(Direction::ServerToClient)
            }
            _ => None,
        }
    }
}

/// Longest line (a server's `INFO` lists its cluster). unit byte
const LINE_BYTES: usize = 64 << 10;

/// Longest payload (`max_payload` can be no more). unit byte
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

/// So much of a message without headers is looked at. unit byte
const PEEK_BYTES: usize = 512;

/// A line that was understood.
struct Line<'a> {
    verb: Verb,
    args: &'a [u8],
    /// With its end.
    line_bytes: usize,
    message: Message<'a>,
    header_bytes: usize,
}

enum Reading<'a> {
    Line(Line<'a>),
    /// Right so far.
    Short,
    Bad,
}

fn read_line(bytes: &[u8]) -> Reading<'_> {
    let window = &bytes[..bytes.len().min(LINE_BYTES)];
    let end = bytes::find(window, b'\n');
    let line = &window[..end.unwrap_or(window.len())];
    let word_end = line.iter().take(8).position(|byte| byte.is_ascii_whitespace());
    let word = &line[..word_end.unwrap_or(line.len().min(8))];
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let Some((_, verb)) = VERBS.iter().find(|(name, _)| is(name)) else {
        let starts = |name: &str| {
            name.as_bytes().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        let may_go_on = word_end.is_none() && end.is_none();
        return match may_go_on && VERBS.iter().any(|(name, _)| starts(name)) {
            true => Reading::Short,
            false => Reading::Bad,
        };
    };
    let Some(end) = end else {
        return if bytes.len() < LINE_BYTES { Reading::Short } else { Reading::Bad };
    };
    let args = line[word.len()..].trim_ascii();
    let line = Line {
        verb: *verb,
        args,
        line_bytes: end + 1,
        message: Message::default(),
        header_bytes: 0,
    };
    let read = match verb {
        Verb::Info | Verb::Connect => args.starts_with(b"{").then_some(line),
        Verb::Ping | Verb::Pong | Verb::Ok => args.is_empty().then_some(line),
        verb if verb.has_payload() => read_message(line),
        _ => Some(line),
    };
    read.map_or(Reading::Bad, Reading::Line)
}

/// Subject, subscription, reply and lengths of a message.
fn read_message(mut line: Line<'_>) -> Option<Line<'_>> {
    let mut words = [&b""[..]; 6];
    let mut count = 0;
    for word in line.args.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()) {
        match words.get_mut(count) {
            Some(place) => *place = word,
            // Queues of a routed message: the last word is the length.
            None if matches!(line.verb, Verb::Routed(_)) => words[5] = word,
            None => return None,
        }
        count += 1;
    }
    let words = &words[..count.min(6)];
    let (lengths, names) = match line.verb.has_headers() {
        true => {
            let (total, rest) = words.split_last()?;
            let (headers, rest) = rest.split_last()?;
            ((bytes::decimal(headers)?, bytes::decimal(total)?), rest)
        }
        false => {
            let (total, rest) = words.split_last()?;
            ((0, bytes::decimal(total)?), rest)
        }
    };
    let (header_bytes, total_bytes) = lengths;
    if header_bytes > total_bytes || total_bytes > PAYLOAD_BYTES_MAX {
        return None;
    }
    let nothing = &b""[..];
    let (subject, subscription, reply) = match (line.verb, names) {
        (Verb::Pub | Verb::Hpub, [subject]) => (*subject, nothing, nothing),
        (Verb::Pub | Verb::Hpub, [subject, reply]) => (*subject, nothing, *reply),
        (Verb::Msg | Verb::Hmsg, [subject, sid]) => (*subject, *sid, nothing),
        (Verb::Msg | Verb::Hmsg, [subject, sid, reply]) => (*subject, *sid, *reply),
        (Verb::Routed("RMSG"), [_account, subject, ..]) => (*subject, nothing, nothing),
        (Verb::Routed(_), [subject, ..]) => (*subject, nothing, nothing),
        _ => return None,
    };
    line.header_bytes = header_bytes as usize;
    line.message = Message { subscription, reply, total_bytes, ..Message::default() };
    line.args = subject;
    Some(line)
}

/// Cuts an operation.
pub(crate) fn cut<'a>(input: Input<'a>) -> Step<Operation<'a>> {
    let bytes = input.bytes;
    let line = match read_line(bytes) {
        Reading::Line(line) => line,
        Reading::Short if !input.cut => return Step::Need(bytes.len() + 1),
        Reading::Short | Reading::Bad => return Step::Lost,
    };
    let Line { verb, args, line_bytes, mut message, header_bytes } = line;
    if !verb.has_payload() {
        let frame = Operation { verb, args, message };
        return Step::Frame { frame, used: line_bytes as u64 };
    }
    let after = &bytes[line_bytes..];
    let total_bytes = message.total_bytes as usize;
    let is_ended = after.get(total_bytes).is_none_or(|byte| *byte == b'\r');
    if !is_ended {
        return Step::Lost;
    }
    let wanted = header_bytes.min(LINE_BYTES) + PEEK_BYTES.min(total_bytes - header_bytes);
    if after.len() < wanted && !input.cut {
        return Step::Need(line_bytes + wanted);
    }
    let seen = &after[..after.len().min(wanted)];
    let (headers, payload) = seen.split_at(seen.len().min(header_bytes));
    message.headers = headers;
    message.payload = payload;
    let used = line_bytes as u64 + message.total_bytes + 2;
    Step::Frame { frame: Operation { verb, args, message }, used }
}

/// What the first bytes of a direction are.
pub(crate) fn probe(direction: Direction, bytes: &[u8], cut: bool) -> Probe {
    let line = match read_line(bytes) {
        Reading::Line(line) => line,
        Reading::Short => return probe_start(direction, bytes, cut),
        Reading::Bad => return Probe::No,
    };
    if line.verb.sender().is_some_and(|sender| sender != direction) {
        return Probe::No;
    }
    let total_bytes = line.message.total_bytes as usize;
    let end = bytes.get(line.line_bytes + total_bytes..).unwrap_or(&[]);
    match line.verb {
        Verb::Info => probe_start(direction, bytes, true),
        Verb::Connect => Probe::Certain,
        _ if !bytes[..line.line_bytes].ends_with(b"\r\n") => Probe::No,
        verb if verb.has_payload() => match (bytes::is_name(line.args), end) {
            (false, _) => Probe::No,
            (true, [b'\r', b'\n', ..]) => Probe::Certain,
            (true, [] | [b'\r']) => Probe::Possible,
            (true, _) => Probe::No,
        },
        Verb::Sub | Verb::Unsub if (1..=3).contains(&words(line.args)) => Probe::Possible,
        Verb::Sub | Verb::Unsub => Probe::No,
        Verb::Err if line.args.first() != Some(&b'\'') => Probe::No,
        _ => Probe::Possible,
    }
}

/// A line without its end: what is long tells enough.
fn probe_start(direction: Direction, bytes: &[u8], cut: bool) -> Probe {
    let start = bytes.get(..5).map(<[u8]>::to_ascii_uppercase).unwrap_or_default();
    let is_info = start == b"INFO " && direction == Direction::ServerToClient;
    let window = &bytes[..bytes.len().min(2048)];
    let has = |name: &[u8]| memchr::memmem::find(window, name).is_some();
    match is_info && (has(b"\"server_id\"") || has(b"\"max_payload\"")) {
        true => Probe::Certain,
        false if is_info && cut => Probe::Possible,
        false if cut => Probe::No,
        false => Probe::Short,
    }
}

fn words(args: &[u8]) -> usize {
    args.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).count()
}

/// Whether an operation plausibly starts here.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    matches!(read_line(bytes), Reading::Line(_))
}
