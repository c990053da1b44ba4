//! Where Thrift messages start and end, and what stands before their structs.

use std::borrow::Cow;

use crate::bytes::Reader;
use crate::protocol::{Input, Probe, Step};
use crate::segment::Direction;
use crate::thrift::header::{self, Header, Headers};
use crate::thrift::value::{self, Encoding, Trouble};
use crate::thrift::walk::{self, Walk};

/// A message, as far as it is read.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub kind: Kind,
    pub name: Cow<'a, [u8]>,
    pub seq: u32,
    pub encoding: Encoding,
    /// First bytes of its struct.
    pub body: Cow<'a, [u8]>,
    /// Its length with the frame, where there is one.
    pub bytes: Option<u64>,
    header: Option<Header<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Reply,
    Exception,
    OneWay,
}

impl<'a> Message<'a> {
    /// Names and values that the transport carries.
    pub fn headers(&self) -> Headers<'a> {
        self.header.as_ref().map_or_else(Headers::none, Header::texts)
    }
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Call,
            2 => Self::Reply,
            3 => Self::Exception,
            4 => Self::OneWay,
            _ => return None,
        })
    }

    fn is_request(self) -> bool {
        matches!(self, Self::Call | Self::OneWay)
    }
}

/// So much of a message in a frame is read. unit byte
const FRAME_HEAD_BYTES: usize = 8 << 10;

/// So much of the struct of a response without a frame is waited for. unit byte
const RESULT_BYTES: usize = 1024;

/// Shortest and longest frame (doc/specs/HeaderFormat.md). unit byte
const FRAME_BYTES: std::ops::RangeInclusive<u32> = 5..=0x3fff_ffff;

/// Longest name that is believed. unit byte
const NAME_MAX: u64 = 256;

/// Length before a frame. unit byte
const LENGTH_BYTES: usize = 4;

/// How a message is laid out.
enum Layout {
    Unframed,
    /// With its length without the length itself.
    Framed(u32),
}

/// The layout, by the first bytes. The old head without a frame is the length of a name, then a
/// letter; no frame has a letter there.
fn layout(bytes: &[u8]) -> Result<Layout, Trouble> {
    match bytes {
        [0x80 | 0x82, ..] => Ok(Layout::Unframed),
        [0x40..=0xff, ..] => Err(Trouble::Bad),
        [0, 0, 0, 1..=0xff, letter, ..] if letter.is_ascii_alphabetic() || *letter == b'_' => {
            Ok(Layout::Unframed)
        }
        [a, b, c, d, _, ..] => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]);
            FRAME_BYTES.contains(&length).then_some(Layout::Framed(length)).ok_or(Trouble::Bad)
        }
        _ => Err(Trouble::Short),
    }
}

/// Reads the head of a message that stands here.
fn read(bytes: &[u8]) -> Result<Message<'_>, Trouble> {
    let mut reader = Reader::new(bytes);
    let reader = &mut reader;
    let (kind, name, seq, encoding) = match bytes {
        [] | [0x80] => return Err(Trouble::Short),
        [0x80, 1, ..] => {
            let word = reader.u32_be().ok_or(Trouble::Short)?;
            let kind = Kind::of(word as u8).ok_or(Trouble::Bad)?;
            let name = name(Encoding::Binary, reader)?;
            (kind, name, reader.u32_be().ok_or(Trouble::Short)?, Encoding::Binary)
        }
        [0x82, ..] => {
            reader.u8();
            let byte = reader.u8().ok_or(Trouble::Short)?;
            let kind = Kind::of(byte >> 5).filter(|_| byte & 31 == 1).ok_or(Trouble::Bad)?;
            let seq = u32::try_from(value::varint(reader)?).map_err(|_| Trouble::Bad)?;
            (kind, name(Encoding::Compact, reader)?, seq, Encoding::Compact)
        }
        [0, ..] => {
            let name = name(Encoding::OldBinary, reader)?;
            let kind = reader.u8().ok_or(Trouble::Short)?;
            let kind = Kind::of(kind).ok_or(Trouble::Bad)?;
            (kind, name, reader.u32_be().ok_or(Trouble::Short)?, Encoding::OldBinary)
        }
        _ => return Err(Trouble::Bad),
    };
    let (name, body) = (Cow::Borrowed(name), Cow::Borrowed(reader.rest()));
    Ok(Message { kind, name, seq, encoding, body, bytes: None, header: None })
}

/// A name of letters, digits and the marks that generators leave in.
fn name<'a>(encoding: Encoding, reader: &mut Reader<'a>) -> Result<&'a [u8], Trouble> {
    let length = encoding.text_bytes(reader)?;
    if !(1..=NAME_MAX).contains(&length) {
        return Err(Trouble::Bad);
    }
    let is_right = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-' | b'$')
    };
    let seen = &reader.rest()[..reader.rest().len().min(length as usize)];
    if !seen.iter().all(is_right) || seen.first().is_some_and(u8::is_ascii_digit) {
        return Err(Trouble::Bad);
    }
    reader.take(length as usize).ok_or(Trouble::Short)
}

/// Cuts a message. `walk` is set to what is left of a struct without a frame.
pub(crate) fn cut<'a>(input: Input<'a>, walk: &mut Walk) -> Step<Message<'a>> {
    match layout(input.bytes) {
        Ok(Layout::Unframed) => cut_unframed(input, walk),
        Ok(Layout::Framed(length)) => {
            let bytes = LENGTH_BYTES as u64 + u64::from(length);
            input.message(bytes, FRAME_HEAD_BYTES).read(|frame| {
                let mut message = read_frame(frame.get(LENGTH_BYTES..)?).ok()?;
                message.bytes = Some(bytes);
                Some(message)
            })
        }
        Err(Trouble::Short) => Step::Need(LENGTH_BYTES + 1),
        Err(Trouble::Bad) => Step::Lost,
    }
}

fn cut_unframed<'a>(input: Input<'a>, walk: &mut Walk) -> Step<Message<'a>> {
    let mut message = match read(input.bytes) {
        Ok(message) => message,
        Err(Trouble::Short) if input.bytes.len() < NAME_MAX as usize + walk::LOOK_BYTES => {
            return Step::Need(input.bytes.len() + 1);
        }
        Err(_) => return Step::Lost,
    };
    let body_bytes = message.body.len();
    // What a response reports stands at the start of its struct.
    let is_enough = message.kind.is_request() || input.cut || body_bytes >= RESULT_BYTES;
    if !is_enough {
        match ends_within(message.encoding, &message.body) {
            Ok(true) => {}
            Ok(false) => return Step::Need(input.bytes.len() + 1),
            Err(_) => return Step::Lost,
        }
    }
    let used = (input.bytes.len() - body_bytes) as u64;
    let read_bytes = if message.kind.is_request() { 0 } else { body_bytes.min(RESULT_BYTES) };
    message.body = Cow::Borrowed(&input.bytes[used as usize..][..read_bytes]);
    *walk = Walk::new(message.encoding);
    Step::Frame { frame: message, used }
}

/// Whether a struct ends within these bytes.
fn ends_within(encoding: Encoding, body: &[u8]) -> Result<bool, Trouble> {
    let mut walk = Walk::new(encoding);
    let used = walk.step(body)?;
    Ok(walk.is_over() && used <= body.len() as u64)
}

/// Reads what is in a frame.
fn read_frame(frame: &[u8]) -> Result<Message<'_>, Trouble> {
    if !header::may_start(frame) {
        return read(frame);
    }
    let header = Header::read(frame)?;
    let mut message = match header.payload()? {
        Cow::Borrowed(payload) => read(payload)?,
        Cow::Owned(payload) => read(&payload)?.into_owned(),
    };
    message.header = Some(header);
    Ok(message)
}

impl Message<'_> {
    /// The same, from a payload that was inflated.
    fn into_owned<'b>(self) -> Message<'b> {
        Message {
            kind: self.kind,
            name: Cow::Owned(self.name.into_owned()),
            seq: self.seq,
            encoding: self.encoding,
            body: Cow::Owned(self.body.into_owned()),
            bytes: self.bytes,
            header: None,
        }
    }
}

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn probe(first: &[u8], direction: Direction, cut: bool) -> Probe {
    let found = match layout(first) {
        Ok(Layout::Unframed) => read(first).map(|message| (message, false)),
        Ok(Layout::Framed(length)) => {
            let frame = &first[LENGTH_BYTES..];
            read_frame(&frame[..frame.len().min(length as usize)]).map(|message| (message, true))
        }
        Err(trouble) => Err(trouble),
    };
    match found {
        Ok((message, is_framed)) => {
            if message.kind.is_request() != (direction == Direction::ClientToServer)
                || !starts_a_struct(&message)
            {
                return Probe::No;
            }
            match message.encoding {
                Encoding::OldBinary => Probe::Possible,
                Encoding::Compact if !is_framed && message.name.len() < 3 => Probe::Possible,
                _ => Probe::Certain,
            }
        }
        Err(Trouble::Short) if !cut && first.len() < SHORT_BYTES => Probe::Short,
        Err(_) => Probe::No,
    }
}

/// A head, with the header of a transport before it, is within so many bytes. unit byte
const SHORT_BYTES: usize = 1024;

/// Whether the struct of a message begins with a field that can be, as far as it is there.
fn starts_a_struct(message: &Message<'_>) -> bool {
    let mut reader = Reader::new(&message.body);
    !matches!(message.encoding.field(&mut reader, &mut 0), Err(Trouble::Bad))
}
