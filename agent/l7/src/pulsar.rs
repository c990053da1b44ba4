//! Apache Pulsar's binary protocol: pulsar.apache.org/docs/next/developing-binary-protocol
//!
//! ```text
//! frame := len: u32 be (of what follows)  command_len: u32 be  command: protobuf  payload
//! ```
//! One session for each command that is answered: by request id, a SEND by producer and sequence,
//! PING and AUTH_CHALLENGE by either end's next answer. What the broker sends of its own is
//! marked as reversed; MESSAGE, FLOW, ACK without a request id and notices are one-way. Commands
//! that name a producer or a consumer are shown with its topic.

mod command;
mod payload;

use std::collections::BTreeMap;

use compact_str::{ToCompactString, format_compact};
use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::pulsar::command::{Command, Role, number};
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::trace::TraceContext;

/// One connection to a broker or proxy.
#[derive(Debug, Default)]
pub(crate) struct Pulsar {
    /// Broker that the client asked a proxy for.
    broker: Text,
    /// Version of the protocol that the client speaks.
    version: Text,
    /// Topics of producers and of consumers, by id.
    producers: BTreeMap<u64, Text>,
    consumers: BTreeMap<u64, Text>,
}

/// One frame, or its start.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    command: Command<'a>,
    payload: &'a [u8],
    frame_bytes: usize,
}

/// Bytes before a command.
const PREFIX_BYTES: usize = 8;

/// Longest frame that is believed: far more than the 5 MiB of a message by default. unit byte
const FRAME_MAX: usize = 1 << 28;

/// So much of a command, and of a payload, is read. unit byte
const COMMAND_MAX: usize = 32 << 10;
const PAYLOAD_MAX: usize = 8 << 10;

/// Longest topic or broker that is kept. unit byte
const NAME_BYTES: usize = 1024;

/// Producers and consumers that are remembered.
const REMEMBERED_MAX: usize = 1024;

/// Sessions without a request id of their own.
const SEND_IDS: u64 = 1 << 63;
const OWN_IDS: u64 = 1 << 62;

impl Protocol for Pulsar {
    const ID: L7Protocol = L7Protocol::Pulsar;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe(first, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        if input.bytes.len() < PREFIX_BYTES {
            return Step::Need(PREFIX_BYTES);
        }
        let Some((frame_bytes, command_bytes)) = prefix(input.bytes) else { return Step::Lost };
        let command_end = PREFIX_BYTES + command_bytes.min(COMMAND_MAX);
        let payload_bytes = match command_bytes <= COMMAND_MAX {
            true => (frame_bytes - 4 - command_bytes).min(PAYLOAD_MAX),
            false => 0,
        };
        let wanted = command_end + payload_bytes;
        if input.bytes.len() < wanted && !input.cut {
            return Step::Need(wanted);
        }
        let all = &input.bytes[..wanted.min(input.bytes.len())];
        let (command, payload) = all.split_at(command_end.min(all.len()));
        match Command::read(&command[PREFIX_BYTES..], command_bytes) {
            Ok(command) => {
                let frame = Frame { command, payload, frame_bytes };
                Step::Frame { frame, used: 4 + frame_bytes as u64 }
            }
            Err(_) => Step::Lost,
        }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        let command = &frame.command;
        match command.kind.role {
            Role::Own => self.own(direction, &frame, out),
            Role::OneWay => {
                let record = self.record(direction, &frame, out);
                out.one_way(record);
            }
            Role::Request(field) | Role::MaybeRequest(field) => {
                // Of a broker that closes what it no longer serves the request id is -1.
                let id = command.number(field).filter(|id| *id < OWN_IDS);
                let mut record = self.record(direction, &frame, out);
                record.request_id = id;
                match id {
                    Some(id) => out.request(Key::Id(id), record, 0),
                    None => out.one_way(record),
                }
            }
            Role::Response(field) => {
                let is_final =
                    command.kind.number != number::PRODUCER_SUCCESS || command.number(6) != Some(0);
                match command.number(field) {
                    // A producer that waits for its turn is told again.
                    Some(_) if !is_final => {}
                    // An error before there are requests answers the login.
                    Some(id) if id < OWN_IDS => self.answer(direction, &frame, id, out),
                    Some(_) => self.answer(direction, &frame, OWN_IDS | number::CONNECT, out),
                    None => {}
                }
            }
        }
    }

    fn resync(&self, _direction: Direction, bytes: &[u8]) -> bool {
        probe(bytes, true) == Probe::Certain
    }

    fn held_bytes(&self) -> usize {
        let topics = self.producers.values().chain(self.consumers.values());
        topics.map(|topic| topic.len() + 48).sum()
    }
}

impl Pulsar {
    /// Commands with a rule of their own.
    fn own(&mut self, direction: Direction, frame: &Frame<'_>, out: &mut Pairing<'_>) {
        let command = &frame.command;
        let own = |number: u64, asker: Direction| OWN_IDS | (asker.index() as u64) << 32 | number;
        match command.kind.number {
            number::CONNECT => {
                *self = Self::default();
                self.broker = text(command.text(6));
                self.version = command.number(4).unwrap_or(0).to_compact_string();
                let record = self.record(direction, frame, out);
                out.request(Key::Id(OWN_IDS | number::CONNECT), record, 0);
            }
            number::CONNECTED => {
                self.answer(direction, frame, OWN_IDS | number::CONNECT, out);
            }
            number::SEND => {
                let mut record = self.record(direction, frame, out);
                record.request_id = Some(send_number(command));
                out.request(Key::Id(send_id(command)), record, 0);
            }
            number::SEND_RECEIPT | number::SEND_ERROR => {
                self.answer(direction, frame, send_id(command), out);
            }
            number::PONG => {
                self.answer(direction, frame, own(number::PING, direction.opposite()), out);
            }
            number::AUTH_RESPONSE => {
                let asked = own(number::AUTH_CHALLENGE, direction.opposite());
                self.answer(direction, frame, asked, out);
            }
            asked => {
                let record = self.record(direction, frame, out);
                out.request(Key::Id(own(asked, direction)), record, 0);
            }
        }
    }

    fn record(
        &mut self,
        direction: Direction,
        frame: &Frame<'_>,
        out: &mut Pairing<'_>,
    ) -> Box<Record> {
        let command = &frame.command;
        let mut record = out.record();
        record.is_reversed = direction == Direction::ServerToClient;
        record.version = self.version.clone();
        record.request_type = Text::const_new(command.kind.name);
        record.request_domain = self.broker.clone();
        record.request_bytes = Some(frame.frame_bytes as i64);
        record.endpoint = self.topic(command);
        let short = record.endpoint.rsplit('/').next().unwrap_or_default();
        record.request_resource = short.into();
        if command.kind.number == number::SUBSCRIBE {
            let subscription = text(command.text(2));
            record.attributes.push((Text::const_new("subscription"), subscription));
        }
        if matches!(command.kind.number, number::SEND | number::MESSAGE) {
            let config = &out.config.trace;
            let mut context = TraceContext::default();
            payload::properties(frame.payload, &mut |name, value| {
                context.header(config, name, value);
            });
            context.fill(config, &mut record);
        }
        record
    }

    /// The topic that a command is about: its own, or that of its producer or consumer.
    fn topic(&mut self, command: &Command<'_>) -> Text {
        let topic = text(command.text(command.kind.topic));
        let first = || command.number(1).unwrap_or(0);
        match command.kind.number {
            number::PRODUCER => {
                remember(&mut self.producers, command.number(2), &topic);
                topic
            }
            number::SUBSCRIBE => {
                remember(&mut self.consumers, command.number(4), &topic);
                topic
            }
            number::SEND => self.producers.get(&first()).cloned().unwrap_or_default(),
            number::CLOSE_PRODUCER => self.producers.remove(&first()).unwrap_or_default(),
            number::CLOSE_CONSUMER => self.consumers.remove(&first()).unwrap_or_default(),
            number::CONSUMER_STATS => {
                let id = command.number(4).unwrap_or(0);
                self.consumers.get(&id).cloned().unwrap_or_default()
            }
            // The consumer's id is the first field of whatever a consumer does.
            number::MESSAGE | 10..=12 | 20 | 27..=29 | 31 => {
                self.consumers.get(&first()).cloned().unwrap_or_default()
            }
            _ => topic,
        }
    }

    fn answer(&mut self, direction: Direction, frame: &Frame<'_>, id: u64, out: &mut Pairing<'_>) {
        let command = &frame.command;
        let mut response = out.answer(ResponseStatus::Ok);
        response.bytes = Some(frame.frame_bytes as i64);
        let (code_field, text_field) = command.kind.error;
        if code_field > 0
            && let Some(code) = command.number(code_field)
        {
            response.status = match command::is_of_server(code) {
                true => ResponseStatus::ServerError,
                false => ResponseStatus::ClientError,
            };
            response.code = i32::try_from(code).ok();
            let words = bytes::text(
                command.text(text_field).unwrap_or_default(),
                out.config.limits.text_bytes,
            );
            response.result = match command::error_name(code) {
                "" => format_compact!("{code}"),
                name => Text::const_new(name),
            };
            response.exception = if words.is_empty() { response.result.clone() } else { words };
        }
        let mut echo = out.record();
        echo.is_reversed = direction == Direction::ClientToServer;
        echo.version = self.version.clone();
        echo.request_domain = self.broker.clone();
        echo.request_id = match command.kind.number {
            number::SEND_RECEIPT | number::SEND_ERROR => Some(send_number(command)),
            _ => (id < OWN_IDS).then_some(id),
        };
        response.echo = Some(echo);
        out.response(Key::Id(id), response);
    }
}

/// What the first bytes of a direction are. `cut`: more will not come.
fn probe(first: &[u8], cut: bool) -> Probe {
    let short = if cut { Probe::No } else { Probe::Short };
    if first.len() < PREFIX_BYTES {
        // Frames and commands are far shorter than their lengths could say.
        let fits = first.first().is_none_or(|byte| *byte < 16)
            && first.get(4).is_none_or(|byte| *byte == 0);
        return if fits { short } else { Probe::No };
    }
    let Some((_, command_bytes)) = prefix(first) else { return Probe::No };
    let rest = &first[PREFIX_BYTES..];
    let captured = &rest[..rest.len().min(command_bytes)];
    match Command::read(captured, command_bytes) {
        Ok(command) if captured.len() < command_bytes || command.is_sound() => Probe::Certain,
        Err(true) => short,
        Ok(_) | Err(false) => Probe::No,
    }
}

/// Lengths of a frame, behind its length, and of its command.
fn prefix(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut reader = Reader::new(bytes);
    let frame_bytes = reader.u32_be()? as usize;
    let command_bytes = reader.u32_be()? as usize;
    // A command has at least its number and the length of its fields.
    let fits = command_bytes >= 4 && frame_bytes <= FRAME_MAX;
    (fits && command_bytes + 4 <= frame_bytes).then_some((frame_bytes, command_bytes))
}

/// The id of a SEND's session: the producer and the message's number.
fn send_id(command: &Command<'_>) -> u64 {
    let (producer, sequence) = sent(command);
    SEND_IDS | (producer & 0x7fff) << 48 | sequence & 0xffff_ffff_ffff
}

/// The id of a SEND as it is shown: the lower halves of producer and message's number.
fn send_number(command: &Command<'_>) -> u64 {
    let (producer, sequence) = sent(command);
    (producer & 0xffff) << 16 | sequence & 0xffff
}

fn sent(command: &Command<'_>) -> (u64, u64) {
    (command.number(1).unwrap_or(0), command.number(2).unwrap_or(0))
}

fn remember(topics: &mut BTreeMap<u64, Text>, id: Option<u64>, topic: &Text) {
    let Some(id) = id else { return };
    if topics.len() >= REMEMBERED_MAX && !topics.contains_key(&id) {
        topics.pop_first();
    }
    topics.insert(id, topic.clone());
}

fn text(bytes: Option<&[u8]>) -> Text {
    bytes::text(bytes.unwrap_or_default(), NAME_BYTES)
}

#[cfg(test)]
mod tests;
