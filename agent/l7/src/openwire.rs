//! OpenWire, the protocol of Apache ActiveMQ:
//! https://activemq.apache.org/components/classic/documentation/openwire-version-2-specification
//! and the marshallers of versions 1 to 12.
//!
//! ```text
//! stream  := WireFormatInfo command*                  (of each end)
//! command := [size: u32]  type: u8  command-id: u32  response-required: bool  fields
//! ```
//! Both ends tell in `WireFormatInfo` what they can do; what both can (tight encoding, caching of
//! values, no size before commands, the lower version) is the format of all that follows. Where
//! that was not seen, the format shows in the first command that has only one. One record for
//! each command that is no response; commands that want one wait for it under their id. Contents
//! and credentials are never read.

mod decoder;
mod format;
mod layout;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::openwire::decoder::{Cache, Format, Found, decode};
use crate::openwire::format::{Map, Offer, Value};
use crate::openwire::layout::kind;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::trace::TraceContext;

/// One OpenWire connection.
#[derive(Debug, Default)]
pub(crate) struct OpenWire {
    offers: [Option<Offer>; 2],
    /// As agreed.
    format: Option<Format>,
    /// As it showed.
    guess: Option<Format>,
    caches: [Cache; 2],
    broker_url: Text,
    version: Text,
}

/// A command.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    kind: u8,
    /// What follows its type, as much as is read.
    body: &'a [u8],
    /// Its length on the wire.
    total_bytes: u64,
}

/// So much of a command is read. unit byte
const COMMAND_BYTES: usize = 128 << 10;

/// Longest command that is believed. unit byte
const COMMAND_BYTES_MAX: u32 = 1 << 30;

/// Longest command without its size before it. unit byte
const UNSIZED_BYTES: usize = 64 << 10;

const PREFIX_BYTES: usize = 4;

/// Ids of requests: of whom, and which.
fn id(direction: Direction, command_id: u32) -> u64 {
    (direction.index() as u64) << 32 | u64::from(command_id)
}

/// The two `WireFormatInfo`s.
const NEGOTIATION: u64 = 1 << 40;

impl Protocol for OpenWire {
    const ID: L7Protocol = L7Protocol::Openwire;
    type Frame<'a> = Command<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Command<'a>> {
        let bytes = input.bytes;
        if bytes[0] == kind::WIRE_FORMAT_INFO && format::is_magic(&bytes[1..]) {
            let Some(length) = Offer::length(&bytes[1..]) else { return Step::Need(1 + 17) };
            let total_bytes = 1 + length as u64;
            return cut(input, 0, total_bytes);
        }
        if let Some(format) = self.format.filter(|format| !format.prefix) {
            return unsized_command(input, format);
        }
        let mut reader = Reader::new(bytes);
        let (Some(size), Some(kind)) = (reader.u32_be(), reader.u8()) else {
            return Step::Need(PREFIX_BYTES + 1);
        };
        if size == 0 || size > COMMAND_BYTES_MAX {
            return Step::Lost;
        }
        let total_bytes = PREFIX_BYTES as u64 + u64::from(size);
        match (kind, layout::name_of(kind)) {
            // Nothing at all.
            (0, _) if size == 1 => Step::Skip(total_bytes),
            (_, Some(_)) => cut(input, PREFIX_BYTES, total_bytes),
            (_, None) => Step::Lost,
        }
    }

    fn pair(&mut self, direction: Direction, command: Command<'_>, out: &mut Pairing<'_>) {
        if command.kind == kind::WIRE_FORMAT_INFO {
            self.negotiate(direction, &command, out);
            return;
        }
        let format = self.format_of(&command);
        let cache = &mut self.caches[direction.index()];
        let found = decode(command.kind, command.body, format, cache);
        match command.kind {
            kind::RESPONSE..=kind::INTEGER_RESPONSE => {
                self.respond(direction, &command, &found, out);
            }
            _ => self.request(direction, &command, &found, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        match self.format.filter(|format| !format.prefix) {
            Some(format) => {
                let Some((kind, body)) = bytes.split_first() else { return false };
                let found = decode(*kind, body, format, &mut Cache::default());
                layout::is_command(*kind) && found.used.is_some()
            }
            None => matches!(probe(direction, bytes, true), Probe::Certain | Probe::Possible),
        }
    }

    fn held_bytes(&self) -> usize {
        self.caches.iter().map(Cache::held_bytes).sum()
    }
}

/// Cuts a command whose length is known; its type stands at `type_at`.
fn cut(input: Input<'_>, type_at: usize, total_bytes: u64) -> Step<Command<'_>> {
    input.message(total_bytes, COMMAND_BYTES).read(|seen| {
        let (kind, body) = seen.get(type_at..)?.split_first()?;
        Some(Command { kind: *kind, body, total_bytes })
    })
}

/// Cuts a command by reading it.
fn unsized_command(input: Input<'_>, format: Format) -> Step<Command<'_>> {
    let Some((kind, body)) = input.bytes.split_first() else { return Step::Need(1) };
    if *kind == 0 {
        return Step::Skip(1);
    }
    if !layout::is_command(*kind) {
        return Step::Lost;
    }
    match decode(*kind, body, format, &mut Cache::default()).used {
        Some(used) => {
            let total_bytes = used as u64 + 1;
            let frame = Command { kind: *kind, body: &body[..used], total_bytes };
            Step::Frame { frame, used: total_bytes }
        }
        None if input.cut || input.bytes.len() >= UNSIZED_BYTES => Step::Lost,
        None => Step::Need(input.bytes.len() + 1),
    }
}

/// What the first bytes of a direction are.
fn probe(direction: Direction, bytes: &[u8], cut: bool) -> Probe {
    if let Some(body) = bytes.strip_prefix(&[kind::WIRE_FORMAT_INFO])
        && format::is_magic(body)
    {
        return if body.len() >= 8 { Probe::Certain } else { Probe::Short };
    }
    let mut reader = Reader::new(bytes);
    let (Some(size), Some(command)) = (reader.u32_be(), reader.u8()) else {
        return if bytes.first().is_none_or(|byte| *byte == 0) { Probe::Short } else { Probe::No };
    };
    let body = reader.rest();
    if command == kind::WIRE_FORMAT_INFO && (17..1 << 16).contains(&size) {
        return match (format::is_magic(body), body.len()) {
            (true, 8..) => Probe::Certain,
            (true, _) => Probe::Short,
            (false, _) => Probe::No,
        };
    }
    let length = size as usize;
    if !layout::is_command(command) || length < 6 || size > 1 << 24 || !may_come(command, direction)
    {
        return Probe::No;
    }
    let Some(whole) = body.get(..length - 1) else {
        return if cut || length > 2000 { Probe::No } else { Probe::Short };
    };
    let Some(format) = format::guess(command, whole) else { return Probe::No };
    let found = decode(command, whole, format, &mut Cache::default());
    match found.is_printable {
        true if found.text_bytes >= 8 => Probe::Certain,
        true => Probe::Possible,
        false => Probe::No,
    }
}

/// Whether an end sends this: brokers that are connected send everything to each other, but are
/// not recognised from the middle.
fn may_come(command: u8, direction: Direction) -> bool {
    match command {
        3..=9 | 20 | 22..=29 => direction == Direction::ClientToServer,
        2 | 16..=19 | 21 | 31 => direction == Direction::ServerToClient,
        _ => true,
    }
}

impl OpenWire {
    /// The format of a command: as agreed, or as it shows. What showed once holds until a command
    /// does not fit it: some look the same in several versions.
    fn format_of(&mut self, command: &Command<'_>) -> Format {
        if let Some(format) = self.format {
            return format;
        }
        let is_whole = command.total_bytes == (command.body.len() + PREFIX_BYTES + 1) as u64;
        let fits = |format: &Format| {
            let found = decode(command.kind, command.body, *format, &mut Cache::default());
            found.used == Some(command.body.len())
        };
        match self.guess {
            Some(format) if !is_whole || fits(&format) => return format,
            _ => {}
        }
        let guess = format::guess(command.kind, command.body).filter(|_| is_whole);
        if guess.is_some() {
            self.guess = guess;
        }
        let tight = command.body.first().is_some_and(|first| *first != 0);
        self.guess.unwrap_or(Format {
            version: 12,
            tight,
            cache: true,
            stack_trace: false,
            prefix: true,
        })
    }

    fn negotiate(&mut self, direction: Direction, command: &Command<'_>, out: &mut Pairing<'_>) {
        let offer = Offer::read(command.body);
        self.offers[direction.index()] = offer;
        if let [Some(client), Some(server)] = self.offers {
            let format = client.agree(server);
            self.format = Some(format);
            self.version = format.version.to_string().into();
        } else if let Some(offer) = offer {
            self.version = offer.version.to_string().into();
        }
        for cache in &mut self.caches {
            cache.clear();
        }
        let is_reversed = direction == Direction::ServerToClient;
        let asked = out.waiting(NEGOTIATION).filter(|asked| asked.is_reversed != is_reversed);
        if let Some(asked) = asked {
            asked.version = self.version.clone();
            let mut response = out.answer(ResponseStatus::Ok);
            response.bytes = i64::try_from(command.total_bytes).ok();
            out.response(Key::Id(NEGOTIATION), response);
            return;
        }
        let record = self.record(direction, command, out);
        out.request(Key::Id(NEGOTIATION), record, 0);
    }

    fn record(
        &self,
        direction: Direction,
        command: &Command<'_>,
        out: &mut Pairing<'_>,
    ) -> Box<Record> {
        let mut record = out.record();
        record.version = self.version.clone();
        record.request_type = Text::const_new(layout::name_of(command.kind).unwrap_or_default());
        record.request_domain = self.broker_url.clone();
        record.request_bytes = i64::try_from(command.total_bytes).ok();
        record.is_reversed = direction == Direction::ServerToClient;
        record
    }

    fn request(
        &mut self,
        direction: Direction,
        command: &Command<'_>,
        found: &Found<'_>,
        out: &mut Pairing<'_>,
    ) {
        let limit = out.config.limits.text_bytes;
        if command.kind == kind::BROKER_INFO && direction == Direction::ServerToClient {
            self.broker_url = bytes::text(found.broker_url, limit.min(1024));
        }
        let mut record = self.record(direction, command, out);
        // 0: it has none.
        record.request_id = (found.command_id != 0).then_some(u64::from(found.command_id));
        record.request_resource = found.destination.name.clone();
        record.endpoint = found.destination.name.clone();
        let attributes = [
            ("destination_type", destination_type(found.destination.kind).as_bytes()),
            ("connection_id", found.connection.name.as_bytes()),
            ("client_id", found.client_id),
            ("broker_name", found.broker_name),
        ];
        for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
            record.attributes.push((name.into(), bytes::text(value, limit)));
        }
        if !found.properties.is_empty() {
            let mut context = TraceContext::default();
            for (name, value) in Map::of(found.properties) {
                if let Value::Text(value) = value {
                    context.header(&out.config.trace, name, value);
                }
            }
            context.fill(&out.config.trace, &mut record);
        }
        if record.x_request_id_0.is_empty() {
            record.x_request_id_0 = bytes::text(found.jms_correlation_id, 256);
        }
        if command.kind == kind::CONNECTION_ERROR {
            let mut response = out.answer(ResponseStatus::ServerError);
            response.exception = bytes::text(found.fault, limit);
            response.attributes.extend(fault_class(found, limit));
            response.bytes = record.request_bytes.take();
            record.is_reversed = false;
            response.echo = Some(record);
            out.lone_response(response);
            return;
        }
        // What keeps a connection open is answered by its like.
        if found.response_required && command.kind != kind::KEEP_ALIVE_INFO {
            out.request(Key::Id(id(direction, found.command_id)), record, 0);
        } else {
            out.one_way(record);
        }
    }

    fn respond(
        &mut self,
        direction: Direction,
        command: &Command<'_>,
        found: &Found<'_>,
        out: &mut Pairing<'_>,
    ) {
        let mut response = out.answer(ResponseStatus::Ok);
        response.version = self.version.clone();
        response.bytes = i64::try_from(command.total_bytes).ok();
        if command.kind == kind::EXCEPTION_RESPONSE {
            let limit = out.config.limits.text_bytes;
            response.status = ResponseStatus::ServerError;
            response.exception = bytes::text(found.fault, limit);
            response.attributes.extend(fault_class(found, limit));
        }
        let asked = id(direction.opposite(), found.answers);
        if out.waiting(asked).is_none() {
            let mut echo = self.record(direction, command, out);
            echo.is_reversed = direction == Direction::ClientToServer;
            echo.request_id = Some(u64::from(found.answers));
            echo.request_bytes = None;
            response.echo = Some(echo);
        }
        out.response(Key::Id(asked), response);
    }
}

fn fault_class(found: &Found<'_>, limit: usize) -> Option<(Text, Text)> {
    let class = found.fault_class;
    (!class.is_empty()).then(|| ("exception_class".into(), bytes::text(class, limit)))
}

fn destination_type(object: u8) -> &'static str {
    const NAMES: [&str; 4] = ["queue", "topic", "temp-queue", "temp-topic"];
    match object {
        kind::QUEUE..=kind::TEMPORARY_TOPIC => NAMES[usize::from(object - kind::QUEUE)],
        _ => "",
    }
}
