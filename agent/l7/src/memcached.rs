//! Memcached: text protocol with meta commands (github.com/memcached/memcached/doc/protocol.txt),
//! binary protocol (github.com/memcached/memcached/wiki/BinaryProtocolRevamped), TCP and UDP.
//!
//! ```text
//! command  := word *(" " word) CRLF [bytes CRLF]
//! reply    := *("VALUE" " " key " " flags " " len [" " cas] CRLF bytes CRLF) "END" CRLF
//!           | word *(" " word) CRLF  | "VA" " " len *(" " flag) CRLF bytes CRLF
//! binary   := 0x80|0x81 opcode key_len: u16 extras_len: u8 0 status: u16 body_len: u32
//!             opaque: u32 cas: u64 extras key value                         (big endian)
//! datagram := id: u16 number: u16 count: u16 0: u16  command or reply
//! ```
//! One session for each command; replies come in order, of a reply the first line is kept. With
//! `noreply` a command has none; quiet commands (`q`, GETQ …) have one only when there is
//! something to say. Values are passed over and never shown.

mod binary;
mod command;
mod probe;
mod reply;

use schema::{L7Protocol, ResponseStatus};

use crate::bytes;
use crate::memcached::command::Command;
use crate::memcached::reply::Reply;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::{Direction, Transport};
use crate::session::{Key, Pairing, Response};

/// One connection to a memcached server, or its datagrams.
#[derive(Debug, Default)]
pub(crate) struct Memcached {
    /// A reply of many lines is under way (VALUE, STAT).
    listing: bool,
    /// The rest of the client's line is passed over.
    long_line: bool,
    /// The server writes its log from here on (`watch`).
    watching: bool,
    /// Opcode of a binary reply in many messages.
    stats: bool,
}

/// A message, and the id of its datagram.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    datagram: Option<u16>,
    what: What<'a>,
}

#[derive(Debug)]
enum What<'a> {
    Command(Command<'a>),
    Reply(Reply<'a>),
    Binary(binary::Message<'a>),
}

/// Header of a datagram.
const DATAGRAM_BYTES: usize = 8;

impl Protocol for Memcached {
    const ID: L7Protocol = L7Protocol::Memcached;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        match context.transport {
            Transport::Tcp => probe::first_bytes(context.direction, first, context.cut),
            Transport::Udp => match datagram(first) {
                Some((_, rest)) => probe::datagram(context.direction, rest, context.cut),
                None => Probe::No,
            },
        }
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        if !input.datagram {
            return self.message(direction, input);
        }
        let Some((id, rest)) = datagram(input.bytes) else {
            return Step::Skip(input.bytes.len() as u64);
        };
        let whole = input.bytes.len() as u64;
        match self.message(direction, Input { bytes: rest, cut: true, ..input }) {
            Step::Frame { frame, .. } => {
                Step::Frame { frame: Frame { datagram: Some(id), ..frame }, used: whole }
            }
            _ => Step::Skip(whole),
        }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        let datagram = frame.datagram;
        match frame.what {
            What::Command(command) => self.command(&command, datagram, out),
            What::Reply(reply) if datagram.is_some() => {
                let response = text_response(&reply, out);
                out.response(key(datagram), response);
            }
            What::Reply(reply) => self.reply(&reply, out),
            What::Binary(message) => match direction {
                Direction::ClientToServer => message.request(key(datagram), out),
                Direction::ServerToClient => {
                    message.response(key(datagram), &mut self.stats, out);
                }
            },
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        probe::may_start(direction, bytes)
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => self.long_line = false,
            Direction::ServerToClient => {
                self.listing = false;
                self.stats = false;
            }
        }
    }
}

/// Id and content of a datagram that starts a message; the others only go on with values.
fn datagram(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<DATAGRAM_BYTES>()?;
    let field = |place: usize| u16::from_be_bytes([header[2 * place], header[2 * place + 1]]);
    let is_first = field(1) == 0 && field(2) > 0 && field(3) == 0 && !rest.is_empty();
    is_first.then(|| (field(0), rest))
}

fn key(datagram: Option<u16>) -> Key {
    datagram.map_or(Key::Order, |id| Key::Id(u64::from(id)))
}

impl Memcached {
    fn message<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        let frame = |what| Frame { datagram: None, what };
        if self.long_line && direction == Direction::ClientToServer {
            return self.pass_line(input.bytes);
        }
        if matches!(input.bytes[0], binary::REQUEST | binary::RESPONSE) {
            return match binary::cut(input, direction) {
                Step::Frame { frame: message, used } => {
                    Step::Frame { frame: frame(What::Binary(message)), used }
                }
                Step::Need(bytes) => Step::Need(bytes),
                Step::Skip(bytes) => Step::Skip(bytes),
                Step::Lost => Step::Lost,
            };
        }
        match direction {
            Direction::ClientToServer => match command::cut(input, &mut self.long_line) {
                Step::Frame { frame: command, used } => {
                    Step::Frame { frame: frame(What::Command(command)), used }
                }
                Step::Need(bytes) => Step::Need(bytes),
                Step::Skip(bytes) => Step::Skip(bytes),
                Step::Lost => Step::Lost,
            },
            Direction::ServerToClient => match reply::cut(input) {
                Step::Frame { frame: reply, used } => {
                    Step::Frame { frame: frame(What::Reply(reply)), used }
                }
                Step::Need(bytes) => Step::Need(bytes),
                Step::Skip(bytes) => Step::Skip(bytes),
                Step::Lost => Step::Lost,
            },
        }
    }

    fn pass_line<'a>(&mut self, bytes: &[u8]) -> Step<Frame<'a>> {
        let end = bytes::find(bytes, b'\n');
        self.long_line = end.is_none();
        Step::Skip(end.map_or(bytes.len(), |end| end + 1) as u64)
    }

    fn command(&mut self, command: &Command<'_>, datagram: Option<u16>, out: &mut Pairing<'_>) {
        let mut record = out.record();
        record.request_type = bytes::text(command.name, 32);
        record.request_resource = bytes::text(command.line, out.config.limits.text_bytes);
        record.request_bytes = command.bytes.map(|bytes| bytes as i64);
        self.watching |= command.name == b"watch";
        if command.is_one_way {
            out.one_way(record);
        } else if command.is_quiet && datagram.is_none() {
            out.quiet_request(Key::Order, record, command.tag());
        } else {
            out.request(key(datagram), record, command.tag());
        }
    }

    fn reply(&mut self, reply: &Reply<'_>, out: &mut Pairing<'_>) {
        if self.listing {
            self.listing = reply.is_item();
            if reply.is_item() || reply.is_end() {
                return;
            }
        }
        self.listing = reply.is_item();
        while let Some(tag) = out.expected_tag()
            && out.is_quiet_expected()
            && !command::may_answer(tag, reply)
        {
            out.end_quiet();
        }
        let response = text_response(reply, out);
        out.response(Key::Order, response);
        if self.watching {
            out.pass_over = u64::MAX;
        }
    }
}

fn text_response(reply: &Reply<'_>, out: &Pairing<'_>) -> Response {
    let status = reply.status();
    let mut response = out.answer(status);
    response.bytes = reply.bytes.map(|bytes| bytes as i64);
    let line = bytes::text(reply.line, out.config.limits.text_bytes.min(1024));
    match status {
        ResponseStatus::Ok => response.result = line,
        _ => response.exception = line,
    }
    response
}

/// FNV-1a: tells opaque tokens and keys apart in tags. 0 stands for none.
fn fingerprint(bytes: &[u8]) -> u64 {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    u64::from(bytes.iter().fold(0x811c_9dc5, mix).max(1))
}

#[cfg(test)]
mod tests;
