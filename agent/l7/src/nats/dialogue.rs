//! What a NATS client and its server say to each other, as sessions.
//!
//! In: operations. Out: halves of sessions.
//!
//! - `CONNECT` is answered by the first thing that the server sends because of it. `PING` by
//!   `PONG`, of either end.
//! - A message with a reply subject that the client subscribed to is a request; the message that
//!   comes by that subject is its response. So is one to the client, if it answers; JetStream's
//!   acknowledgements are such answers.
//! - Of a verbose connection the server confirms each operation of the client, in order, by `+OK`
//!   or `-ERR`. Everything else is one-way.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use schema::{ResponseStatus, Text};

use crate::bytes;
use crate::nats::answer;
use crate::nats::header::Headers;
use crate::nats::json::Members;
use crate::nats::operation::{Message, Operation, Verb};
use crate::nats::subscription::Subscriptions;
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::trace::TraceContext;

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    server_name: Text,
    version: Text,
    /// `CONNECT` was seen.
    connected: bool,
    verbose: Verbose,
    subscriptions: Subscriptions,
    /// What the server is to confirm, in order.
    confirmations: VecDeque<Confirmation>,
    /// Operations that were given a number.
    numbered: u64,
    /// Requests for messages of a consumer, which come by a subscription under other subjects.
    pulls: VecDeque<(u64, u64)>,
    /// Messages to the client that wait since it last answered one.
    unanswered: u32,
}

/// Whether the server confirms operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Verbose {
    #[default]
    Off,
    On,
    /// It does, but how many confirmations are to come is not known before the next `PONG`.
    Unsynced,
}

#[derive(Clone, Copy, Debug)]
enum Confirmation {
    /// `PONG` for a request.
    Pong(u64),
    /// `+OK` for a request.
    Ok(u64),
    /// `+OK` for a request whose response is a message.
    OkBefore(u64),
    /// `+OK` for what is no request.
    Nothing,
}

/// Confirmations that may be expected.
const CONFIRMATIONS_MAX: usize = 65_536;

/// Pulls that are remembered.
const PULLS_MAX: usize = 64;

/// Messages to a client without any answer after which none is expected.
const UNANSWERED_MAX: u32 = 256;

/// The subject of requests for messages.
const PULL: &[u8] = b"$JS.API.CONSUMER.MSG.NEXT.";

/// Subjects of acknowledgements.
const ACKNOWLEDGEMENT: &[u8] = b"$JS.ACK.";

/// What waits; the highest four bits of an id.
mod waiter {
    pub const NUMBERED: u64 = 1;
    pub const SERVER_PING: u64 = 2;
    pub const REQUEST: u64 = 3;
    pub const MESSAGE: u64 = 4;
    pub const INFO: u64 = 5;
    pub const CONNECT: u64 = 6;
}

const KIND_SHIFT: u32 = 60;
const REST: u64 = (1 << KIND_SHIFT) - 1;

fn id(kind: u64, rest: u64) -> u64 {
    kind << KIND_SHIFT | rest & REST
}

fn all(kind: u64) -> RangeInclusive<u64> {
    id(kind, 0)..=id(kind, REST)
}

fn by_subject(kind: u64, subject: &[u8]) -> u64 {
    id(kind, bytes::hash(subject))
}

impl Dialogue {
    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.subscriptions.held_bytes()
            + self.confirmations.len() * size_of::<Confirmation>()
            + self.pulls.len() * 16
    }

    /// An operation of the client.
    pub fn client(&mut self, operation: &Operation<'_>, out: &mut Pairing<'_>) {
        let args = operation.args;
        match operation.verb {
            Verb::Connect => self.connect(args, out),
            Verb::Pong => {
                if let Some(id) = out.waiting_id(all(waiter::SERVER_PING)) {
                    let response = out.answer(ResponseStatus::Ok);
                    out.response(Key::Id(id), response);
                }
            }
            Verb::Ping => {
                let record = self.record(operation, Direction::ClientToServer, out);
                let id = self.number(waiter::NUMBERED);
                self.expect(Confirmation::Pong(id), out);
                out.request(Key::Id(id), record, 0);
            }
            Verb::Pub | Verb::Hpub => self.publish(operation, out),
            verb => {
                let record = self.record(operation, Direction::ClientToServer, out);
                self.note_subscription(verb, args);
                self.confirmed_or_one_way(record, out);
            }
        }
    }

    /// An operation of the server.
    pub fn server(&mut self, operation: &Operation<'_>, out: &mut Pairing<'_>) {
        let direction = Direction::ServerToClient;
        if !matches!(operation.verb, Verb::Info | Verb::Err | Verb::Ok) {
            self.accepted(out);
        }
        match operation.verb {
            Verb::Info => self.info(operation, out),
            Verb::Ok => self.confirm(None, out),
            Verb::Err => {
                let text = operation.args.trim_ascii();
                let text = text.strip_prefix(b"'").unwrap_or(text);
                self.error(text.strip_suffix(b"'").unwrap_or(text), operation, out);
            }
            Verb::Pong => self.pong(out),
            Verb::Ping => {
                let record = self.record(operation, direction, out);
                let id = self.number(waiter::SERVER_PING);
                out.request(Key::Id(id), record, 0);
            }
            Verb::Msg | Verb::Hmsg => self.message(operation, out),
            _ => {
                let record = self.record(operation, direction, out);
                out.one_way(record);
            }
        }
    }

    /// Bytes of a direction were lost.
    pub fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        if self.verbose == Verbose::On {
            self.verbose = Verbose::Unsynced;
        }
        self.confirmations.clear();
        self.pulls.clear();
        out.let_go_all(all(waiter::NUMBERED));
        if direction == Direction::ClientToServer {
            self.subscriptions.is_partial = true;
        }
    }

    fn number(&mut self, kind: u64) -> u64 {
        self.numbered += 1;
        id(kind, self.numbered)
    }

    /// A record of an operation, with what its message says.
    fn record(
        &self,
        operation: &Operation<'_>,
        direction: Direction,
        out: &mut Pairing<'_>,
    ) -> Box<Record> {
        let limit = out.config.limits.text_bytes;
        let mut record = out.record();
        record.version = self.version.clone();
        record.request_type = Text::const_new(operation.verb.name());
        record.request_domain = self.server_name.clone();
        record.is_reversed = direction == Direction::ServerToClient;
        let mut words = words(operation.args);
        let subject = match operation.verb {
            Verb::Info | Verb::Connect | Verb::Err => &[][..],
            Verb::Unsub => {
                let sid = words.next().unwrap_or_default();
                self.subscriptions.subject(sid).map(|text| text.as_bytes()).unwrap_or_default()
            }
            // The account comes first.
            Verb::Interest("RS+" | "RS-") => words.nth(1).unwrap_or_default(),
            _ => words.next().unwrap_or_default(),
        };
        record.request_resource = bytes::text(subject, limit);
        let end = bytes::find(subject, b'.').unwrap_or(subject.len());
        record.endpoint = bytes::text(&subject[..end], limit);
        if operation.verb == Verb::Sub
            && let (Some(queue), Some(_sid)) = (words.next(), words.next())
        {
            record.attributes.push(("queue_group".into(), bytes::text(queue, limit)));
        }
        let message = &operation.message;
        if matches!(
            operation.verb,
            Verb::Pub | Verb::Hpub | Verb::Msg | Verb::Hmsg | Verb::Routed(_)
        ) {
            record.request_bytes = i64::try_from(message.total_bytes).ok();
        }
        if !message.reply.is_empty() {
            record.attributes.push(("reply_to".into(), bytes::text(message.reply, limit)));
        }
        if let Some(headers) = Headers::read(message.headers) {
            let mut context = TraceContext::default();
            for (name, value) in headers {
                context.header(&out.config.trace, name, value);
                answer::note_header(&mut record.attributes, name, value, limit);
            }
            context.fill(&out.config.trace, &mut record);
        }
        record
    }
}

// === the connection ===

impl Dialogue {
    fn info(&mut self, operation: &Operation<'_>, out: &mut Pairing<'_>) {
        let (mut host, mut port) = (&b""[..], &b""[..]);
        for (name, value) in Members::of(operation.args) {
            match name {
                b"server_name" => self.server_name = bytes::text(value.text(), 255),
                b"version" => self.version = bytes::text(value.text(), 64),
                b"host" => host = value.text(),
                b"port" => port = value.text(),
                _ => {}
            }
        }
        let mut record = self.record(operation, Direction::ServerToClient, out);
        record.request_resource = bytes::text(host, 255);
        record.request_resource.push(':');
        record.request_resource.push_str(&bytes::text(port, 16));
        match self.connected {
            // News of the cluster.
            true => out.one_way(record),
            false => out.quiet_request(Key::Id(id(waiter::INFO, 0)), record, 0),
        }
    }

    fn connect(&mut self, args: &[u8], out: &mut Pairing<'_>) {
        let limit = out.config.limits.text_bytes;
        let info = id(waiter::INFO, 0);
        if out.waiting(info).is_some() {
            let response = out.answer(ResponseStatus::Ok);
            out.response(Key::Id(info), response);
        }
        self.connected = true;
        self.verbose = Verbose::Off;
        let connect = Operation { verb: Verb::Connect, args, message: Message::default() };
        let mut record = self.record(&connect, Direction::ClientToServer, out);
        for (name, value) in Members::of(args) {
            let text = |bytes| bytes::text(bytes, limit);
            match name {
                b"verbose" if value.text() == b"true" => self.verbose = Verbose::On,
                b"name" => record.request_resource = text(value.text()),
                b"lang" => record.attributes.push(("client_lang".into(), text(value.text()))),
                b"version" => record.attributes.push(("client_version".into(), text(value.text()))),
                _ => {}
            }
        }
        let connect = id(waiter::CONNECT, 0);
        if self.verbose == Verbose::On {
            self.expect(Confirmation::Ok(connect), out);
        }
        out.request(Key::Id(connect), record, 0);
    }

    /// The server went on after `CONNECT`.
    fn accepted(&mut self, out: &mut Pairing<'_>) {
        let connect = id(waiter::CONNECT, 0);
        if self.verbose != Verbose::On && out.waiting(connect).is_some() {
            let response = out.answer(ResponseStatus::Ok);
            out.response(Key::Id(connect), response);
        }
    }

    fn pong(&mut self, out: &mut Pairing<'_>) {
        while let Some(expected) = self.confirmations.pop_front() {
            match expected {
                Confirmation::Pong(id) => {
                    let response = out.answer(ResponseStatus::Ok);
                    out.response(Key::Id(id), response);
                    if self.verbose == Verbose::Unsynced {
                        self.verbose = Verbose::On;
                    }
                    return;
                }
                Confirmation::Ok(id) => out.let_go(id),
                Confirmation::OkBefore(_) | Confirmation::Nothing => {}
            }
        }
    }

    fn expect(&mut self, confirmation: Confirmation, out: &mut Pairing<'_>) {
        if self.confirmations.len() >= CONFIRMATIONS_MAX {
            self.lost(Direction::ServerToClient, out);
        }
        self.confirmations.push_back(confirmation);
    }

    /// `+OK`, or the error that came instead.
    fn confirm(&mut self, fault: Option<&[u8]>, out: &mut Pairing<'_>) {
        let Some(expected) = self.confirmations.front().copied() else {
            if !self.connected && self.verbose == Verbose::Off {
                self.verbose = Verbose::Unsynced;
            }
            return;
        };
        let id = match expected {
            // Nothing is to be confirmed before the PONG.
            Confirmation::Pong(_) => return,
            Confirmation::Ok(id) => Some(id),
            Confirmation::OkBefore(id) => fault.map(|_| id),
            Confirmation::Nothing => None,
        };
        self.confirmations.pop_front();
        if let Some(id) = id {
            let mut response = out.answer(ResponseStatus::Ok);
            if let Some(text) = fault {
                answer::fill_error(text, &mut response, out);
            }
            out.response(Key::Id(id), response);
        }
    }

    fn error(&mut self, text: &[u8], operation: &Operation<'_>, out: &mut Pairing<'_>) {
        let is_confirmation = self.verbose == Verbose::On
            && !matches!(self.confirmations.front(), None | Some(Confirmation::Pong(_)));
        if is_confirmation {
            self.confirm(Some(text), out);
            return;
        }
        let mut response = out.answer(ResponseStatus::Ok);
        answer::fill_error(text, &mut response, out);
        let connect = id(waiter::CONNECT, 0);
        if out.waiting(connect).is_some() {
            out.response(Key::Id(connect), response);
            return;
        }
        let mut echo = self.record(operation, Direction::ServerToClient, out);
        echo.is_reversed = false;
        response.echo = Some(echo);
        out.lone_response(response);
    }

    fn note_subscription(&mut self, verb: Verb, args: &[u8]) {
        let mut words = words(args);
        match verb {
            Verb::Sub => {
                if let (Some(subject), Some(sid)) = (words.next(), words.last()) {
                    self.subscriptions.add(subject, sid);
                }
            }
            Verb::Unsub => {
                if let Some(sid) = words.next() {
                    self.subscriptions.end(sid, words.next().and_then(bytes::decimal));
                }
            }
            _ => {}
        }
    }

    fn confirmed_or_one_way(&mut self, record: Box<Record>, out: &mut Pairing<'_>) {
        if self.verbose != Verbose::On {
            out.one_way(record);
            return;
        }
        let id = self.number(waiter::NUMBERED);
        self.expect(Confirmation::Ok(id), out);
        out.request(Key::Id(id), record, 0);
    }
}

// === messages ===

impl Dialogue {
    fn publish(&mut self, operation: &Operation<'_>, out: &mut Pairing<'_>) {
        let (subject, message) = (operation.args, &operation.message);
        let answered = by_subject(waiter::MESSAGE, subject);
        let is_progress = subject.starts_with(ACKNOWLEDGEMENT) && message.payload == b"+WPI";
        if out.waiting(answered).is_some() && !is_progress {
            self.unanswered = 0;
            let response =
                answer::answer(&self.version, message, subject.starts_with(ACKNOWLEDGEMENT), out);
            out.response(Key::Id(answered), response);
            if self.verbose == Verbose::On {
                self.expect(Confirmation::Nothing, out);
            }
            return;
        }
        let record = self.record(operation, Direction::ClientToServer, out);
        let reply = message.reply;
        let is_known = self.connected && !self.subscriptions.is_partial;
        let sid = self.subscriptions.reached(reply).map(|sid| bytes::hash(sid.as_bytes()));
        let is_request = sid.is_some() || !is_known && reply.starts_with(b"_INBOX.");
        if !is_request {
            self.confirmed_or_one_way(record, out);
            return;
        }
        let id = by_subject(waiter::REQUEST, reply);
        if let Some(sid) = sid.filter(|_| subject.starts_with(PULL)) {
            if self.pulls.len() >= PULLS_MAX {
                self.pulls.pop_front();
            }
            self.pulls.push_back((sid, id));
        }
        if self.verbose == Verbose::On {
            self.expect(Confirmation::OkBefore(id), out);
        }
        out.request(Key::Id(id), record, 0);
    }

    fn message(&mut self, operation: &Operation<'_>, out: &mut Pairing<'_>) {
        let (subject, message) = (operation.args, &operation.message);
        self.subscriptions.note_message(message.subscription);
        let asked = by_subject(waiter::REQUEST, subject);
        if out.waiting(asked).is_some() {
            let response = answer::answer(&self.version, message, false, out);
            out.response(Key::Id(asked), response);
            return;
        }
        self.answer_pull(message, out);
        let mut record = self.record(operation, Direction::ServerToClient, out);
        let response = answer::answer(&self.version, message, false, out);
        if response.code.is_some_and(|code| code >= 400) {
            // The state of a subscription, which nobody asked for.
            let mut response = response;
            response.attributes = std::mem::take(&mut record.attributes);
            record.request_bytes = None;
            response.echo = Some(record);
            out.lone_response(response);
            return;
        }
        record.response_code = response.code;
        record.response_result = response.result;
        if message.reply.is_empty() || self.unanswered >= UNANSWERED_MAX {
            out.one_way(record);
            return;
        }
        self.unanswered += 1;
        out.quiet_request(Key::Id(by_subject(waiter::MESSAGE, message.reply)), record, 0);
    }

    /// A message of a consumer is the response to the pull that its subscription waits for.
    fn answer_pull(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) {
        if self.pulls.is_empty() {
            return;
        }
        self.pulls.retain(|(_, id)| out.waiting_id(*id..=*id).is_some());
        let sid = bytes::hash(message.subscription);
        let Some(place) = self.pulls.iter().position(|(known, _)| *known == sid) else { return };
        if let Some((_, id)) = self.pulls.remove(place) {
            let mut response = out.answer(ResponseStatus::Ok);
            response.bytes = i64::try_from(message.total_bytes).ok();
            out.response(Key::Id(id), response);
        }
    }
}

fn words(args: &[u8]) -> impl Iterator<Item = &[u8]> {
    args.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty())
}
