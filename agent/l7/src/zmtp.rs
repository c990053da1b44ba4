//! ZMTP 3.1, 3.0 and 2.0, the protocol of ZeroMQ: https://rfc.zeromq.org/spec/37, 23, 15.
//!
//! Both peers greet, then agree by the commands of a mechanism, then exchange messages of one or
//! more frames. Greetings and `READY` go both ways: the first is the request. `HELLO` is answered
//! by `WELCOME`, `INITIATE` by `READY`, any of them by `ERROR`. A message of a REQ socket is
//! answered by the next of its peer, and that of a DEALER by a REP; all others are one-way.
//! Credentials and bodies are never read, but for the topic of a publication. With CURVE nothing
//! can be read after the handshake.

mod frame;
mod socket;

use std::collections::BTreeSet;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};
use crate::zmtp::frame::{Frame, Greeting};
use crate::zmtp::socket::Socket;

/// One ZMTP connection.
#[derive(Debug, Default)]
pub(crate) struct Zmtp {
    peers: [Peer; 2],
    /// What the subscribing peer wants, as far as it is remembered.
    subscriptions: BTreeSet<Text>,
    pings: u64,
    /// The mechanism encrypts messages.
    encrypts: bool,
    opaque: bool,
}

/// One end.
#[derive(Debug, Default)]
struct Peer {
    greeted: bool,
    version: Text,
    socket: Option<Socket>,
    /// A message of which parts are to come.
    message: Option<Half>,
}

/// A message under way.
#[derive(Debug)]
enum Half {
    Request(Box<Record>),
    Response(Box<Response>),
    OneWay(Box<Record>),
}

/// Subscriptions that are remembered.
const SUBSCRIPTIONS_MAX: usize = 64;

/// Longest topic that is shown. unit byte
const TOPIC_BYTES: usize = 128;

/// What waits, by id.
mod waiter {
    pub const GREETING: u64 = 1;
    pub const READY: u64 = 2;
    pub const HELLO: u64 = 3;
    pub const INITIATE: u64 = 4;
    /// And above, each with a number: of the client, of the server.
    pub const PING: [u64; 2] = [1 << 62, 1 << 63];
}

impl Protocol for Zmtp {
    const ID: L7Protocol = L7Protocol::Zmtp;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        frame::probe(first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        if self.opaque {
            return Step::Skip(u64::MAX);
        }
        let peer = &mut self.peers[direction.index()];
        if !peer.greeted && input.bytes[0] == 0xff {
            return frame::greeting(input);
        }
        frame::cut(input, peer.message.is_none())
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame {
            Frame::Greeting(greeting) => self.greet(direction, &greeting, out),
            Frame::Command { name, data } => self.command(direction, name, data, out),
            Frame::Part { is_last, body, body_bytes } => {
                let mut half = self.half(direction, body, !is_last, out);
                half.add(body_bytes);
                match is_last {
                    true => self.finish(half, out),
                    false => self.peers[direction.index()].message = Some(half),
                }
            }
        }
    }

    fn resync(&self, _direction: Direction, bytes: &[u8]) -> bool {
        self.opaque || frame::may_start(bytes)
    }

    fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        if let Some(half) = self.peers[direction.index()].message.take() {
            self.finish(half, out);
        }
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        for direction in [Direction::ClientToServer, Direction::ServerToClient] {
            self.lost(direction, out);
        }
    }

    fn held_bytes(&self) -> usize {
        let halves = self.peers.iter().filter(|peer| peer.message.is_some()).count();
        self.subscriptions.len() * (size_of::<Text>() + 32)
            + halves * (size_of::<Half>() + size_of::<Record>())
    }
}

impl Half {
    fn add(&mut self, body_bytes: u64) {
        let bytes = match self {
            Self::Request(record) | Self::OneWay(record) => &mut record.request_bytes,
            Self::Response(response) => &mut response.bytes,
        };
        let more = i64::try_from(body_bytes).unwrap_or(i64::MAX);
        *bytes = Some(bytes.unwrap_or(0).saturating_add(more));
    }
}

// === greetings and commands ===

impl Zmtp {
    fn record(&self, direction: Direction, kind: Text, out: &mut Pairing<'_>) -> Box<Record> {
        let mut record = out.record();
        record.version = self.peers[direction.index()].version.clone();
        record.request_type = kind;
        record.is_reversed = direction == Direction::ServerToClient;
        record
    }

    fn greet(&mut self, direction: Direction, greeting: &Greeting<'_>, out: &mut Pairing<'_>) {
        let peer = &mut self.peers[direction.index()];
        peer.greeted = true;
        peer.version = format!("{}.{}", greeting.major, greeting.minor).into();
        peer.socket = greeting.socket_type.map(Socket::numbered);
        self.encrypts |= !matches!(greeting.mechanism, b"" | b"NULL" | b"PLAIN");
        let mechanism = frame::name(greeting.mechanism);
        let mut record = self.record(direction, Text::const_new("GREETING"), out);
        record.request_resource = mechanism.clone();
        let mut response = out.answer(ResponseStatus::Ok);
        response.result = mechanism;
        self.both_ways(direction, waiter::GREETING, record, response, out);
    }

    /// What both peers send: the first is the request, the other the response.
    fn both_ways(
        &mut self,
        direction: Direction,
        id: u64,
        record: Box<Record>,
        response: Response,
        out: &mut Pairing<'_>,
    ) {
        let is_reversed = direction == Direction::ServerToClient;
        match out.waiting(id).is_some_and(|asked| asked.is_reversed != is_reversed) {
            true => out.response(Key::Id(id), response),
            false => out.request(Key::Id(id), record, 0),
        }
    }

    fn command(&mut self, direction: Direction, name: &[u8], data: &[u8], out: &mut Pairing<'_>) {
        let mut record = self.record(direction, frame::name(name), out);
        let mut response = out.answer(ResponseStatus::Ok);
        match name {
            b"READY" => {
                self.note_socket(direction, data);
                record.request_resource = socket_type(data);
                response.result = socket_type(data);
                let initiate = out.waiting(waiter::INITIATE).is_some();
                let id = if initiate { waiter::INITIATE } else { waiter::READY };
                self.both_ways(direction, id, record, response, out);
                self.opaque = self.encrypts;
            }
            b"HELLO" => out.request(Key::Id(waiter::HELLO), record, 0),
            b"WELCOME" => out.response(Key::Id(waiter::HELLO), response),
            b"INITIATE" => {
                if !self.encrypts {
                    self.note_socket(direction, data);
                    record.request_resource = socket_type(data);
                }
                out.request(Key::Id(waiter::INITIATE), record, 0);
            }
            b"ERROR" => self.error(direction, data, record, response, out),
            b"SUBSCRIBE" | b"CANCEL" | b"JOIN" | b"LEAVE" => {
                self.subscribe(name == b"SUBSCRIBE", data, record, out);
            }
            b"PING" => {
                self.pings += 1;
                out.request(Key::Id(waiter::PING[direction.index()] + self.pings), record, 0);
            }
            b"PONG" => {
                let first = waiter::PING[direction.opposite().index()];
                match out.waiting_id(first..=first + (1 << 61)) {
                    Some(id) => out.response(Key::Id(id), response),
                    None => out.one_way(record),
                }
            }
            _ => out.one_way(record),
        }
    }

    fn note_socket(&mut self, direction: Direction, metadata: &[u8]) {
        if let Some(name) = frame::property(metadata, b"Socket-Type") {
            self.peers[direction.index()].socket = Some(Socket::named(name));
        }
    }

    /// A refusal of what the other peer asked for.
    fn error(
        &mut self,
        direction: Direction,
        data: &[u8],
        mut record: Box<Record>,
        mut response: Response,
        out: &mut Pairing<'_>,
    ) {
        let length = data.first().map_or(0, |length| usize::from(*length));
        let reason = data.get(1..).unwrap_or(&[]);
        let reason = &reason[..length.min(reason.len())];
        response.exception = bytes::text(reason, 255);
        response.version = record.version.clone();
        // Often a status of ZAP (RFC 27): 300, 400 or 500.
        let code = bytes::decimal(reason).and_then(|code| i32::try_from(code).ok());
        response.code = code;
        response.status = match code {
            Some(300..400 | 500..) => ResponseStatus::ServerError,
            _ => ResponseStatus::ClientError,
        };
        let is_reversed = direction == Direction::ServerToClient;
        let asked = [waiter::INITIATE, waiter::HELLO, waiter::READY]
            .into_iter()
            .find(|id| out.waiting(*id).is_some_and(|asked| asked.is_reversed != is_reversed));
        match asked {
            Some(id) => out.response(Key::Id(id), response),
            None => {
                record.is_reversed = false;
                response.echo = Some(record);
                out.lone_response(response);
            }
        }
    }

    fn subscribe(
        &mut self,
        is_begin: bool,
        topic: &[u8],
        mut record: Box<Record>,
        out: &mut Pairing<'_>,
    ) {
        let topic = bytes::text(topic, TOPIC_BYTES);
        match is_begin {
            true if self.subscriptions.len() < SUBSCRIPTIONS_MAX => {
                self.subscriptions.insert(topic.clone());
            }
            true => {}
            false => {
                self.subscriptions.remove(&topic);
            }
        }
        record.request_domain = topic.clone();
        record.request_resource = topic;
        out.one_way(record);
    }
}

// === messages ===

impl Zmtp {
    /// The message that a part belongs to: one under way, or a new one.
    fn half(
        &mut self,
        direction: Direction,
        body: &[u8],
        has_more: bool,
        out: &mut Pairing<'_>,
    ) -> Half {
        if let Some(half) = self.peers[direction.index()].message.take() {
            return half;
        }
        let own = self.peers[direction.index()].socket;
        let other = self.peers[direction.opposite().index()].socket;
        let mut record = self.record(direction, Text::const_new("MESSAGE"), out);
        if own.is_some_and(|socket| socket.asks(other)) {
            return Half::Request(record);
        }
        if other.is_some_and(|socket| socket.asks(own)) {
            let mut response = out.answer(ResponseStatus::Ok);
            response.version = record.version.clone();
            return Half::Response(Box::new(response));
        }
        match own {
            // Version 3.0 and before: a subscription is a message.
            Some(socket) if socket.subscribes() => {
                if let [kind @ (0 | 1), topic @ ..] = body {
                    let topic = bytes::text(topic, TOPIC_BYTES);
                    let is_begin = *kind == 1;
                    record.request_type =
                        Text::const_new(if is_begin { "SUBSCRIBE" } else { "CANCEL" });
                    if !is_begin {
                        self.subscriptions.remove(&topic);
                    } else if self.subscriptions.len() < SUBSCRIPTIONS_MAX {
                        self.subscriptions.insert(topic.clone());
                    }
                    record.request_domain = topic.clone();
                    record.request_resource = topic;
                }
            }
            Some(socket) if socket.publishes() => {
                let topic = self.topic(body, has_more);
                record.request_domain = topic.clone();
                record.request_resource = topic;
            }
            _ => {}
        }
        Half::OneWay(record)
    }

    /// The topic of a publication: its first part where there are several, else the longest
    /// subscription that it begins with.
    fn topic(&self, body: &[u8], has_more: bool) -> Text {
        if has_more {
            return match std::str::from_utf8(body) {
                Ok(_) => bytes::text(body, TOPIC_BYTES),
                Err(_) => Text::default(),
            };
        }
        let matching = self.subscriptions.iter().filter(|one| body.starts_with(one.as_bytes()));
        matching.max_by_key(|one| one.len()).cloned().unwrap_or_default()
    }

    fn finish(&mut self, half: Half, out: &mut Pairing<'_>) {
        match half {
            Half::Request(record) => out.request(Key::Order, record, 0),
            Half::Response(response) => out.response(Key::Order, *response),
            Half::OneWay(record) => out.one_way(record),
        }
    }
}

fn socket_type(metadata: &[u8]) -> Text {
    frame::name(frame::property(metadata, b"Socket-Type").unwrap_or_default())
}
