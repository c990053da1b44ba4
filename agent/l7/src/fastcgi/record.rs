//! FastCGI records on the wire.

use crate::bytes::{self, Reader};
use crate::fastcgi::parameters::Parameters;
use crate::protocol::{Input, Probe, Step};
use crate::segment::Direction;

/// A record, as far as its content is wanted.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub kind: Kind,
    pub id: u16,
    pub content: &'a [u8],
    /// Of the whole content.
    pub content_bytes: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Begin,
    End,
    Params,
    Stdout,
    Stderr,
    /// Input of the program, management, or an abort, which END_REQUEST answers.
    Other,
}

const HEADER_BYTES: usize = 8;

/// Content of BEGIN_REQUEST and END_REQUEST. unit byte
const BODY_BYTES: u16 = 8;

/// Kinds of records that ask for the program's limits, and that tell them.
const GET_VALUES: u8 = 9;
const GET_VALUES_RESULT: u8 = 10;

/// So much of an output's head is read from one record. unit byte
pub(crate) const HEAD_BYTES: usize = 8 << 10;

/// So much of an error output is read. unit byte
pub(crate) const STDERR_BYTES: usize = 1024;

struct Header {
    kind: Kind,
    id: u16,
    content_bytes: u16,
    bytes: u64,
}

fn header(bytes: &[u8]) -> Option<Header> {
    let mut reader = Reader::new(bytes);
    let (version, kind) = (reader.u8()?, reader.u8()?);
    let (id, content_bytes) = (reader.u16_be()?, reader.u16_be()?);
    let padding_bytes = reader.u8()?;
    reader.u8()?;
    let kind = match kind {
        1 => Kind::Begin,
        3 => Kind::End,
        4 => Kind::Params,
        6 => Kind::Stdout,
        7 => Kind::Stderr,
        2 | 5 | 8..=11 => Kind::Other,
        _ => return None,
    };
    let is_sound = version == 1 && (id > 0 || kind == Kind::Other);
    let is_sound = is_sound && (content_bytes == BODY_BYTES || !kind.has_body());
    let bytes = HEADER_BYTES as u64 + u64::from(content_bytes) + u64::from(padding_bytes);
    is_sound.then_some(Header { kind, id, content_bytes, bytes })
}

impl Kind {
    fn has_body(self) -> bool {
        matches!(self, Self::Begin | Self::End)
    }
}

/// Cuts a record. `wants_head`: whether the output of a request is still in its head.
pub(crate) fn cut<'a>(input: Input<'a>, wants_head: impl Fn(u16) -> bool) -> Step<Frame<'a>> {
    if input.bytes.len() < HEADER_BYTES {
        return match input.bytes[0] {
            1 => Step::Need(HEADER_BYTES),
            _ => Step::Lost,
        };
    }
    let Some(header) = header(input.bytes) else { return Step::Lost };
    let Header { kind, id, content_bytes, bytes } = header;
    let wanted = usize::from(content_bytes).min(match kind {
        Kind::Begin | Kind::End | Kind::Params => usize::MAX,
        Kind::Stdout if wants_head(id) => HEAD_BYTES,
        Kind::Stderr => STDERR_BYTES,
        Kind::Stdout => 0,
        Kind::Other => return Step::Skip(bytes),
    });
    input.message(bytes, HEADER_BYTES + wanted).read(|record| {
        let content = record.get(HEADER_BYTES..)?;
        Some(Frame { kind, id, content, content_bytes })
    })
}

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn probe(first: &[u8], direction: Direction, cut: bool) -> Probe {
    let sides = match direction {
        Direction::ClientToServer => [1, 4, 4],
        Direction::ServerToClient => [6, 7, 3],
    };
    let is_management = |bytes: &[u8]| match direction {
        Direction::ClientToServer => bytes.get(1) == Some(&GET_VALUES),
        Direction::ServerToClient => bytes.get(1) == Some(&GET_VALUES_RESULT),
    };
    let mut rest = first;
    while is_management(rest) && rest.get(2..4) == Some(&[0, 0]) {
        let Some(header) = header(rest) else { break };
        match rest.get(header.bytes as usize..) {
            Some(b"") => return Probe::Possible,
            Some(after) => rest = after,
            None => break,
        }
    }
    if rest.first() != Some(&1)
        || rest.get(1).is_some_and(|kind| !sides.contains(kind) && !is_management(rest))
    {
        return Probe::No;
    }
    if rest.len() < HEADER_BYTES {
        return if cut { Probe::No } else { Probe::Short };
    }
    let Some(header) = header(rest).filter(|_| rest[7] == 0) else { return Probe::No };
    let content = &rest[HEADER_BYTES..];
    let content = &content[..content.len().min(usize::from(header.content_bytes))];
    let is_whole = content.len() == usize::from(header.content_bytes);
    let found = match header.kind {
        Kind::Begin => is_begin(content),
        Kind::End => match content.len() == 8 && content[4] <= 3 && content[5..] == [0; 3] {
            true => Probe::Possible,
            false => Probe::No,
        },
        Kind::Params => are_parameters(content),
        Kind::Stdout => is_head(content),
        Kind::Stderr => Probe::Possible,
        Kind::Other => Probe::Short,
    };
    match found {
        Probe::No | Probe::Short if is_whole || cut => Probe::No,
        found => found,
    }
}

/// Whether a record plausibly starts here.
pub(crate) fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    let of_side = |kind: u8| match direction {
        Direction::ClientToServer => matches!(kind, 1 | 2 | 4 | 5 | 8 | 9),
        Direction::ServerToClient => matches!(kind, 3 | 6 | 7 | 10 | 11),
    };
    bytes.len() >= HEADER_BYTES && bytes[7] == 0 && of_side(bytes[1]) && header(bytes).is_some()
}

/// A role of 1 to 3, a flag, and five zeros.
fn is_begin(content: &[u8]) -> Probe {
    let pattern: [fn(u8) -> bool; 8] = [
        |byte| byte == 0,
        |role| (1..=3).contains(&role),
        |flags| flags <= 1,
        |byte| byte == 0,
        |byte| byte == 0,
        |byte| byte == 0,
        |byte| byte == 0,
        |byte| byte == 0,
    ];
    match content.iter().zip(pattern).all(|(byte, is_right)| is_right(*byte)) {
        true if content.len() == 8 => Probe::Certain,
        true => Probe::Short,
        false => Probe::No,
    }
}

/// Names in capitals, as CGI has them; two are enough.
fn are_parameters(content: &[u8]) -> Probe {
    let is_name = |name: &[u8]| {
        let is_right =
            |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_' || byte.is_ascii_digit();
        name.len() >= 2 && name.iter().all(is_right)
    };
    let mut names = 0;
    for (name, _) in Parameters::of(content).take(3) {
        if !is_name(name) {
            return Probe::No;
        }
        names += 1;
    }
    if names >= 2 { Probe::Certain } else { Probe::Short }
}

/// The name of a header and a colon.
fn is_head(content: &[u8]) -> Probe {
    let name = &content[..content.len().min(64)];
    match bytes::find(name, b':') {
        Some(end) => match end >= 2 && name[..end].iter().all(is_token) {
            true => Probe::Certain,
            false => Probe::No,
        },
        None if name.len() < 64 && name.iter().all(is_token) => Probe::Short,
        None => Probe::No,
    }
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'-'
}
