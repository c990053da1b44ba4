//! What an AMQP 1.0 connection knows of its sessions and links, and the records of both ends.
//!
//! In: performatives. Out: halves of sessions.
//!
//! - `open`, `begin`, `attach`, `detach`, `end` and `close` go both ways: the first is the
//!   request, the peer's the response. Those that a server begins are reversed.
//! - A message (`transfer`, of one or many frames) is one-way where it is settled; else it waits
//!   for the receiver's `disposition`, under its delivery id. One to a consumer that has no
//!   outcome in time is one-way.
//! - An error that the server gives without having been asked is a response without request.

use std::collections::{BTreeMap, BTreeSet};

use schema::{ResponseStatus, Text};

use crate::amqp::fault::Fault;
use crate::amqp::performative::{self, Performative, code};
use crate::amqp::value::{Elements, Value};
use crate::bytes;
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing};

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// From the client's `open`.
    hostname: Text,
    /// Numbers of sessions, by who sends and channel.
    sessions: BTreeMap<(Direction, u16), u16>,
    sessions_begun: u16,
    /// Links by session, who sends, and handle.
    pub links: BTreeMap<(u16, Direction, u32), Link>,
    /// Messages that go on in the next frame.
    pub parts: BTreeMap<(u16, Direction, u32), Part>,
    /// What was closed with an error: that the peer confirms it means nothing.
    refused: BTreeSet<u64>,
}

/// One end of a link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The same for both ends.
    identity: u64,
    pub address: Text,
}

/// A message of which frames are to come.
#[derive(Debug)]
pub(crate) struct Part {
    pub record: Box<Record>,
    pub delivery: u32,
    pub settled: bool,
}

/// Sessions, links, messages or refusals that are remembered, each.
pub(crate) const KNOWN_MAX: usize = 1024;

/// Version of the protocol, as shown.
pub(crate) const VERSION: Text = Text::const_new("1.0");

/// What waits; the highest four bits of an id. 0-9-1 uses 1 to 5.
pub(crate) mod waiter {
    pub const OPEN: u64 = 6;
    pub const BEGIN: u64 = 7;
    pub const ATTACH: u64 = 8;
    pub const DETACH: u64 = 9;
    pub const END: u64 = 10;
    pub const CLOSE: u64 = 11;
    pub const SASL: u64 = 12;
    pub const TRANSFER: u64 = 13;
}

/// `kind: 4 bits  from the server: 1 bit  identity: 59 bits`.
pub(crate) fn id(kind: u64, direction: Direction, identity: u64) -> u64 {
    kind << 60 | (direction.index() as u64) << 59 | identity & ((1 << 59) - 1)
}

/// A session and something in it.
pub(crate) fn within(session: u16, rest: u64) -> u64 {
    u64::from(session) << 40 | rest & ((1 << 40) - 1)
}

impl Links {
    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        let part = size_of::<Part>() + size_of::<Record>();
        self.links.len() * (size_of::<Link>() + 16)
            + self.parts.len() * part
            + (self.sessions.len() + self.refused.len()) * 8
    }

    /// A performative.
    pub fn pair(&mut self, direction: Direction, frame: &Performative<'_>, out: &mut Pairing<'_>) {
        let mut fields = frame.fields;
        match frame.code {
            code::OPEN => {
                let container = text(fields.next(), out);
                let hostname = text(fields.next(), out);
                if direction == Direction::ClientToServer {
                    self.hostname = hostname;
                }
                let mut record = self.record(direction, code::OPEN, out);
                record.request_resource = container;
                self.both_ways(direction, waiter::OPEN, 0, record, None, out);
            }
            code::BEGIN => {
                let session = self.begin(direction, frame.channel, fields.next());
                let record = self.record(direction, code::BEGIN, out);
                self.both_ways(direction, waiter::BEGIN, u64::from(session), record, None, out);
            }
            code::ATTACH => self.attach(direction, frame, out),
            code::DETACH => self.detach(direction, frame, out),
            code::END | code::CLOSE => {
                let fault = Fault::read(fields.next(), out.config.limits.text_bytes);
                let record = self.record(direction, frame.code, out);
                if frame.code == code::END {
                    let session = self.session(direction, frame.channel);
                    self.sessions.remove(&(direction, frame.channel));
                    let identity = u64::from(session);
                    self.both_ways(direction, waiter::END, identity, record, fault, out);
                } else {
                    self.both_ways(direction, waiter::CLOSE, 0, record, fault, out);
                }
            }
            code::FLOW => {
                let session = self.session(direction, frame.channel);
                let handle = fields.nth(4).and_then(Value::unsigned);
                let mut record = self.record(direction, code::FLOW, out);
                if let Some(link) = handle.and_then(|handle| self.link(session, direction, handle))
                {
                    record.request_resource = link.address.clone();
                    record.endpoint = link.address.clone();
                }
                out.one_way(record);
            }
            code::TRANSFER => self.transfer(direction, frame, out),
            code::DISPOSITION => self.disposition(direction, frame, out),
            _ => self.sasl(direction, frame, out),
        }
    }

    /// Bytes of a direction were lost: messages under way end with what was seen.
    pub fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        let parts = std::mem::take(&mut self.parts);
        for (key, part) in parts {
            match key.1 == direction {
                true => self.finish(key, part, out),
                false => {
                    self.parts.insert(key, part);
                }
            }
        }
    }

    /// The connection ends.
    pub fn close(&mut self, out: &mut Pairing<'_>) {
        while let Some((key, part)) = self.parts.pop_first() {
            self.finish(key, part, out);
        }
    }

    pub fn record(&self, direction: Direction, code: u64, out: &mut Pairing<'_>) -> Box<Record> {
        let mut record = out.record();
        record.version = VERSION;
        record.request_type = Text::const_new(performative::name_of(code).unwrap_or_default());
        record.request_domain = self.hostname.clone();
        record.is_reversed = direction == Direction::ServerToClient;
        record
    }

    /// A performative that its peer answers with the same: request or response.
    fn both_ways(
        &mut self,
        direction: Direction,
        kind: u64,
        identity: u64,
        mut record: Box<Record>,
        fault: Option<Fault>,
        out: &mut Pairing<'_>,
    ) {
        let asked = id(kind, direction.opposite(), identity);
        let mine = id(kind, direction, identity);
        if self.refused.remove(&asked) {
            return;
        }
        if let Some(request) = out.waiting(asked) {
            let own = request.response_exception.clone();
            let mut response = out.answer(ResponseStatus::Ok);
            // The one who asked may have had the reason.
            if !own.is_empty() {
                response.status = Fault::status_of(&own);
                response.exception = own;
            }
            if let Some(fault) = fault {
                fault.fill(&mut response);
            }
            out.response(Key::Id(asked), response);
            return;
        }
        match fault {
            Some(fault) if direction == Direction::ServerToClient => {
                record.is_reversed = false;
                let mut response = out.answer(ResponseStatus::Ok);
                fault.fill(&mut response);
                response.echo = Some(record);
                out.lone_response(response);
                if self.refused.len() < KNOWN_MAX {
                    self.refused.insert(mine);
                }
            }
            fault => {
                record.response_exception = fault.map(|fault| fault.text).unwrap_or_default();
                out.request(Key::Id(mine), record, 0);
            }
        }
    }
}

// === sessions and links ===

impl Links {
    /// The number of a session that begins, or that the peer began.
    fn begin(&mut self, direction: Direction, channel: u16, remote: Option<Value<'_>>) -> u16 {
        let remote = remote.and_then(Value::unsigned).and_then(|remote| u16::try_from(remote).ok());
        let known = remote.and_then(|remote| self.sessions.get(&(direction.opposite(), remote)));
        let session = known.copied().unwrap_or_else(|| {
            self.sessions_begun = self.sessions_begun.wrapping_add(1);
            self.sessions_begun
        });
        if self.sessions.len() >= KNOWN_MAX {
            self.sessions.pop_first();
        }
        self.sessions.insert((direction, channel), session);
        session
    }

    /// The session of a channel; from the middle, the channel has to do.
    pub fn session(&self, direction: Direction, channel: u16) -> u16 {
        self.sessions.get(&(direction, channel)).copied().unwrap_or(channel)
    }

    fn link(&self, session: u16, direction: Direction, handle: u64) -> Option<&Link> {
        let handle = u32::try_from(handle).ok()?;
        self.links.get(&(session, direction, handle))
    }

    fn attach(&mut self, direction: Direction, frame: &Performative<'_>, out: &mut Pairing<'_>) {
        let mut fields = frame.fields;
        let name = fields.next().and_then(Value::text).unwrap_or_default();
        let handle = fields.next().and_then(Value::unsigned).unwrap_or(0);
        let is_receiver = fields.next().is_some_and(Value::is_true);
        let _modes = (fields.next(), fields.next());
        let (source, target) = (fields.next(), fields.next());
        // The interesting end of a link is the one at the server.
        let client_sends = is_receiver == (direction == Direction::ServerToClient);
        let terminus = if client_sends { target } else { source };
        let mut address = address(terminus, out);
        let session = self.session(direction, frame.channel);
        let identity = within(session, bytes::hash(name) << 1 | u64::from(client_sends));
        let asked = id(waiter::ATTACH, direction.opposite(), identity);
        let asked = out.waiting(asked);
        let is_reply = asked.is_some();
        match asked {
            // A refusal names no address.
            Some(request) if address.is_empty() => address = request.request_resource.clone(),
            // The server chose the address.
            Some(request) if request.request_resource.is_empty() => {
                request.request_resource = address.clone();
                request.endpoint = address.clone();
            }
            _ => {}
        }
        if self.links.len() >= KNOWN_MAX {
            self.links.pop_first();
        }
        let link = Link { identity, address: address.clone() };
        let handle = handle as u32;
        self.links.insert((session, direction, handle), link);
        let mut record = self.record(direction, code::ATTACH, out);
        record.request_resource = address.clone();
        record.endpoint = address;
        record.attributes.push(("link".into(), text(Some(Value::Text(name)), out)));
        // A reply without the terminus refuses the link; a detach with the reason follows.
        let refused = is_reply && matches!(terminus, None | Some(Value::Null));
        let fault = refused.then(Fault::refusal);
        self.both_ways(direction, waiter::ATTACH, identity, record, fault, out);
    }

    fn detach(&mut self, direction: Direction, frame: &Performative<'_>, out: &mut Pairing<'_>) {
        let mut fields = frame.fields;
        let handle = fields.next().and_then(Value::unsigned).unwrap_or(0) as u32;
        let _closed = fields.next();
        let fault = Fault::read(fields.next(), out.config.limits.text_bytes);
        let session = self.session(direction, frame.channel);
        let key = (session, direction, handle);
        if let Some(part) = self.parts.remove(&key) {
            self.finish(key, part, out);
        }
        let mut record = self.record(direction, code::DETACH, out);
        let link = self.links.remove(&key);
        // From the middle, ends often have the same handle for a link.
        let identity = match link {
            Some(link) => {
                record.request_resource = link.address.clone();
                record.endpoint = link.address;
                link.identity
            }
            None => within(session, u64::from(handle)),
        };
        self.both_ways(direction, waiter::DETACH, identity, record, fault, out);
    }
}

// === the login ===

impl Links {
    fn sasl(&mut self, direction: Direction, frame: &Performative<'_>, out: &mut Pairing<'_>) {
        let mut fields = frame.fields;
        let mut record = self.record(direction, frame.code, out);
        let from_client = |kind: u64| id(waiter::SASL, Direction::ClientToServer, kind);
        let from_server = |kind: u64| id(waiter::SASL, Direction::ServerToClient, kind);
        match frame.code {
            code::SASL_MECHANISMS => {
                record.request_resource = mechanisms(fields.next(), out);
                out.one_way(record);
            }
            code::SASL_INIT => {
                record.request_resource = text(fields.next(), out);
                let _secret = fields.next();
                record.request_domain = text(fields.next(), out);
                out.request(Key::Id(from_client(0)), record, 0);
            }
            code::SASL_CHALLENGE => out.request(Key::Id(from_server(1)), record, 0),
            code::SASL_RESPONSE => {
                let response = out.answer(ResponseStatus::Ok);
                out.response(Key::Id(from_server(1)), response);
            }
            _ => {
                let code = fields.next().and_then(Value::unsigned).unwrap_or(0);
                let mut response = out.answer(match code {
                    0 => ResponseStatus::Ok,
                    1 => ResponseStatus::ClientError,
                    _ => ResponseStatus::ServerError,
                });
                response.code = i32::try_from(code).ok();
                response.version = VERSION;
                if code != 0 {
                    response.exception = Text::const_new(match code {
                        1 => "authentication failed",
                        _ => "system error",
                    });
                }
                out.response(Key::Id(from_client(0)), response);
            }
        }
    }
}

fn text(value: Option<Value<'_>>, out: &Pairing<'_>) -> Text {
    let text = value.and_then(Value::text).unwrap_or_default();
    bytes::text(text, out.config.limits.text_bytes)
}

/// The address of a source or target, which is its first field.
fn address(terminus: Option<Value<'_>>, out: &Pairing<'_>) -> Text {
    match terminus {
        Some(Value::Described(_, mut fields)) => text(fields.next(), out),
        _ => Text::default(),
    }
}

/// One symbol, or an array of them.
fn mechanisms(value: Option<Value<'_>>, out: &Pairing<'_>) -> Text {
    let Some(Value::Elements(symbols)) = value else { return text(value, out) };
    let names: Vec<&[u8]> = Elements::take(symbols, 16).filter_map(Value::text).collect();
    bytes::text(&names.join(&b' '), out.config.limits.text_bytes)
}
