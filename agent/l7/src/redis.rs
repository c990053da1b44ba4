//! Redis: RESP2 and RESP3, https://redis.io/docs/latest/develop/reference/protocol-spec/
//!
//! ```text
//! command := "*" n CRLF n*("$" len CRLF bytes CRLF) | word *(" " word) CRLF     (inline)
//! reply   := ("+" | "-" | ":" | "_" | "#" | "," | "(") text CRLF
//!          | ("$" | "!" | "=") len CRLF bytes CRLF
//!          | ("*" | "~" | ">" | "%") n CRLF n*reply (2n for maps)  | "|" n CRLF 2n*reply reply
//! ```
//! One session for each command; replies answer in order. Of a reply only its first line counts;
//! the rest is passed over. Messages that the server pushes (publish/subscribe, client-side
//! caching, MONITOR) answer nothing and are no records. `CLIENT REPLY OFF|SKIP` makes commands
//! one-way. After SYNC and PSYNC the connection carries replication and is not read on.

mod command;
mod frame;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::redis::command::{Class, Redaction};
use crate::redis::frame::{Args, Frame};
use crate::segment::Direction;
use crate::session::{Key, Pairing};

/// One Redis connection.
#[derive(Debug, Default)]
pub(crate) struct Redis {
    /// Values to pass over before the next command or reply.
    values_left: [u64; 2],
    /// Confirmations that belong to a SUBSCRIBE answered already.
    confirmations_left: u64,
    subscribed: bool,
    monitoring: bool,
    replicating: bool,
    replies: Replies,
}

/// Whether the server replies (CLIENT REPLY).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Replies {
    #[default]
    On,
    Off,
    /// Not to this command and the next.
    Skip,
}

/// Tags of requests that change how replies are read.
mod tag {
    pub const PLAIN: u64 = 0;
    pub const MONITOR: u64 = 1;
    /// And above: a SUBSCRIBE of `tag - SUBSCRIBE` channels.
    pub const SUBSCRIBE: u64 = 16;
}

impl Protocol for Redis {
    const ID: L7Protocol = L7Protocol::Redis;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        match context.direction {
            Direction::ClientToServer => frame::probe_command(first, context.cut),
            Direction::ServerToClient => frame::probe_reply(first),
        }
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        let left = &mut self.values_left[direction.index()];
        if *left > 0 {
            return frame::pass_values(input.bytes, left);
        }
        match direction {
            Direction::ClientToServer => frame::command(input, left),
            Direction::ServerToClient if self.replicating => Step::Skip(u64::MAX),
            Direction::ServerToClient => frame::reply(input, left, self.subscribed),
        }
    }

    fn pair(&mut self, _direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame {
            Frame::Command(args) => self.command(args, out),
            Frame::Reply { kind, text, first } => self.reply(kind, text, first, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        match direction {
            Direction::ClientToServer => frame::probe_command(bytes, false) != Probe::No,
            Direction::ServerToClient => frame::probe_reply(bytes) != Probe::No,
        }
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        self.values_left[direction.index()] = 0;
        self.confirmations_left = 0;
    }
}

impl Redis {
    fn command(&mut self, args: Args<'_>, out: &mut Pairing<'_>) {
        let name = args.name();
        let class = command::class_of(name);
        let limit = out.config.limits.text_bytes;
        let redaction = match out.config.redacted.contains(L7Protocol::Redis) {
            true => command::redaction_of(name),
            false => Redaction::None,
        };
        let mut record = out.record();
        record.request_type = bytes::text(name, 32);
        record.request_type.make_ascii_uppercase();
        record.request_resource = command::text(args.clone(), redaction, limit);
        if class == Class::Replication {
            self.replicating = true;
            out.pass_over = u64::MAX;
            out.one_way(record);
            return;
        }
        let silent = self.replies != Replies::On;
        let silent = match (class, args.clone().nth(2).map(<[u8]>::to_ascii_uppercase).as_deref()) {
            (Class::Client, Some(mode)) if is_reply_mode(&args) => {
                self.replies = match mode {
                    b"OFF" => Replies::Off,
                    b"SKIP" => Replies::Skip,
                    _ => Replies::On,
                };
                mode != b"ON"
            }
            _ => {
                if self.replies == Replies::Skip {
                    self.replies = Replies::On;
                }
                silent
            }
        };
        if silent {
            out.one_way(record);
            return;
        }
        let tag = match class {
            Class::Subscribe => {
                self.subscribed = true;
                tag::SUBSCRIBE + args.count().saturating_sub(1) as u64
            }
            Class::Monitor => tag::MONITOR,
            _ => tag::PLAIN,
        };
        out.request(Key::Order, record, tag);
    }

    fn reply(&mut self, kind: u8, text: &[u8], first: &[u8], out: &mut Pairing<'_>) {
        let is_pushed = kind == b'>' || kind == b'*' && self.subscribed && !first.is_empty();
        match command::message_of(first).filter(|_| is_pushed) {
            Some(command::Message::Pushed) => return,
            Some(command::Message::Confirmation) if self.confirmations_left > 0 => {
                self.confirmations_left -= 1;
                return;
            }
            Some(command::Message::Confirmation) => {
                let tag = out.expected_tag().unwrap_or(tag::PLAIN);
                if tag < tag::SUBSCRIBE {
                    return;
                }
                self.confirmations_left = (tag - tag::SUBSCRIBE).saturating_sub(1);
            }
            None if kind == b'>' => return,
            None => {}
        }
        if self.monitoring && kind == b'+' && text.first().is_some_and(u8::is_ascii_digit) {
            return;
        }
        if kind == b'+' {
            self.monitoring |= out.expected_tag() == Some(tag::MONITOR);
        }
        let is_error = matches!(kind, b'-' | b'!');
        let mut response = out.answer(match is_error {
            true => ResponseStatus::ServerError,
            false => ResponseStatus::Ok,
        });
        if is_error {
            response.exception = Text::const_new("-");
            response.exception.push_str(&bytes::text(text, 512));
        }
        out.response(Key::Order, response);
    }
}

fn is_reply_mode(args: &Args<'_>) -> bool {
    args.clone().nth(1).is_some_and(|word| word.eq_ignore_ascii_case(b"REPLY"))
}

#[cfg(test)]
mod tests;
