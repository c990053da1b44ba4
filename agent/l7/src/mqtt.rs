//! MQTT 3.1, 3.1.1 and 5.0: docs.oasis-open.org/mqtt/
//!
//! ```text
//! packet := kind: u4  flags: u4  len: varint  body: len
//! ```
//! A session each: CONNECT with CONNACK; PUBLISH with PUBACK or PUBREC, PUBREL with PUBCOMP;
//! SUBSCRIBE, UNSUBSCRIBE and PINGREQ with their answers; AUTH with the next AUTH or CONNACK.
//! PUBLISH of quality 0 and DISCONNECT are one-way. Both ends publish and number their packets
//! independently of each other: what the server sends is marked as reversed. The client's id
//! is the domain of everything on its connection; a topic alias is shown as its topic.

mod packet;
mod probe;
mod property;
mod reason;

use std::collections::BTreeMap;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::mqtt::packet::{Front, Header, kind};
use crate::mqtt::property::Property;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};
use crate::trace::TraceContext;

/// One connection of a client to a server.
#[derive(Debug, Default)]
pub(crate) struct Mqtt {
    client_id: Text,
    /// 3: 3.1; 4: 3.1.1; 5; 0: not known.
    level: u8,
    /// Topics by their aliases, by direction.
    aliases: [BTreeMap<u16, Text>; 2],
    /// Topics of messages between PUBREC and PUBREL, by session id of the latter.
    received: BTreeMap<u64, Text>,
}

/// One packet, or its start.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    header: Header,
    body: &'a [u8],
}

/// So much of a packet is read. unit byte
const HEAD_BYTES: usize = 8 << 10;

/// Longest topic, client id or reason that is kept. unit byte
const NAME_BYTES: usize = 1024;

/// Aliases and messages that are remembered.
const REMEMBERED_MAX: usize = 1024;

impl Protocol for Mqtt {
    const ID: L7Protocol = L7Protocol::Mqtt;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe::first_bytes(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        let header = match packet::header(direction, input.bytes) {
            Front::Packet(header) => header,
            Front::Short => return Step::Need(input.bytes.len() + 1),
            Front::Wrong => return Step::Lost,
        };
        let wanted = header.header_bytes + header.body_bytes.min(HEAD_BYTES);
        if input.bytes.len() < wanted && !input.cut {
            return Step::Need(wanted);
        }
        let body = &input.bytes[header.header_bytes..wanted.min(input.bytes.len())];
        Step::Frame { frame: Frame { header, body }, used: header.bytes() as u64 }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        let Frame { header, body } = frame;
        match header.kind {
            kind::CONNECT => self.connect(&header, body, out),
            kind::PUBLISH => self.publish(direction, &header, body, out),
            kind::PUBREL => self.pubrel(direction, &header, body, out),
            kind::SUBSCRIBE | kind::UNSUBSCRIBE => self.subscribe(&header, body, out),
            kind::PINGREQ => {
                let record = self.record(direction, &header, out);
                out.request(Key::Id(session_id(kind::PINGREQ, direction, 0)), record, 0);
            }
            kind::AUTH if direction == Direction::ClientToServer => {
                let record = self.record(direction, &header, out);
                out.request(Key::Id(session_id(kind::AUTH, direction, 0)), record, 0);
            }
            kind::DISCONNECT => self.disconnect(direction, &header, body, out),
            _ => self.answer(direction, &header, body, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        probe::may_start(direction, bytes)
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        self.aliases[direction.index()].clear();
    }

    fn held_bytes(&self) -> usize {
        let aliases = self.aliases.iter().flat_map(BTreeMap::values);
        aliases.chain(self.received.values()).map(|topic| topic.len() + 48).sum()
    }
}

// === requests ===

impl Mqtt {
    fn record(&self, direction: Direction, header: &Header, out: &mut Pairing<'_>) -> Box<Record> {
        let mut record = out.record();
        record.request_type = Text::const_new(packet::name_of(header.kind));
        record.version = Text::const_new(version(self.level));
        record.request_domain = self.client_id.clone();
        record.request_bytes = Some(header.body_bytes as i64);
        record.is_reversed = direction == Direction::ServerToClient;
        record
    }

    fn connect(&mut self, header: &Header, body: &[u8], out: &mut Pairing<'_>) {
        *self = Self::default();
        if let Some(connect) = packet::connect(body) {
            self.level = connect.level;
            self.client_id = bytes::text(connect.client_id, NAME_BYTES);
        }
        let direction = Direction::ClientToServer;
        let record = self.record(direction, header, out);
        out.request(Key::Id(session_id(kind::CONNECT, direction, 0)), record, 0);
    }

    fn publish(
        &mut self,
        direction: Direction,
        header: &Header,
        body: &[u8],
        out: &mut Pairing<'_>,
    ) {
        let mut record = self.record(direction, header, out);
        let mut reader = Reader::new(body);
        let mut topic = packet::text(&mut reader).map(|topic| bytes::text(topic, NAME_BYTES));
        let id = if header.qos() > 0 { reader.u16_be() } else { None };
        let mut context = TraceContext::default();
        let config = &out.config.trace;
        let mut alias = None;
        let mut response_topic = None;
        if self.level == 5 || self.level == 0 && property::are_of_publish(reader.rest()) {
            property::read(&mut reader, &mut |property| match property {
                Property::TopicAlias(number) => alias = Some(number),
                Property::ResponseTopic(topic) => response_topic = Some(topic),
                Property::User(name, value) => context.header(config, name, value),
                _ => {}
            });
        }
        if let (Some(alias), Some(topic)) = (alias, &mut topic) {
            self.resolve(direction, alias, topic);
        }
        record.request_resource = topic.unwrap_or_default();
        record.endpoint = record.request_resource.clone();
        context.fill(config, &mut record);
        if let Some(topic) = response_topic {
            let topic = bytes::text(topic, NAME_BYTES);
            record.attributes.push((Text::const_new("response_topic"), topic));
        }
        match id {
            // Cut off before its id, or quality 0.
            None => out.one_way(record),
            Some(id) => {
                out.request(Key::Id(session_id(kind::PUBLISH, direction, id)), record, 0);
            }
        }
    }

    /// Learns a topic's alias, or fills the topic in.
    fn resolve(&mut self, direction: Direction, alias: u16, topic: &mut Text) {
        let aliases = &mut self.aliases[direction.index()];
        if topic.is_empty() {
            topic.clone_from(aliases.get(&alias).unwrap_or(&Text::default()));
        } else if aliases.len() < REMEMBERED_MAX || aliases.contains_key(&alias) {
            aliases.insert(alias, topic.clone());
        }
    }

    fn pubrel(
        &mut self,
        direction: Direction,
        header: &Header,
        body: &[u8],
        out: &mut Pairing<'_>,
    ) {
        let Some(id) = Reader::new(body).u16_be() else { return };
        let id = session_id(kind::PUBREL, direction, id);
        let mut record = self.record(direction, header, out);
        record.request_resource = self.received.remove(&id).unwrap_or_default();
        record.endpoint = record.request_resource.clone();
        out.request(Key::Id(id), record, 0);
    }

    fn subscribe(&mut self, header: &Header, body: &[u8], out: &mut Pairing<'_>) {
        let mut reader = Reader::new(body);
        let Some(id) = reader.u16_be() else { return };
        let with_options = header.kind == kind::SUBSCRIBE;
        let all = reader.rest();
        match (self.level, probe::filters_of(all, with_options)) {
            (0, Some((true, filters))) => (self.level, reader) = (5, filters),
            (5, _) => drop(property::read(&mut reader, &mut |_| {})),
            _ => {}
        }
        let direction = Direction::ClientToServer;
        let mut record = self.record(direction, header, out);
        let limit = out.config.limits.text_bytes;
        let mut filters = Vec::new();
        while let Some(filter) = packet::text(&mut reader) {
            if with_options {
                reader.take_up_to(1);
            }
            if !filters.is_empty() {
                filters.push(b',');
            }
            filters.extend_from_slice(filter);
            if filters.len() > limit {
                break;
            }
        }
        record.request_resource = bytes::text(&filters, limit);
        record.endpoint = record.request_resource.clone();
        out.request(Key::Id(session_id(header.kind, direction, id)), record, 0);
    }

    fn disconnect(
        &mut self,
        direction: Direction,
        header: &Header,
        body: &[u8],
        out: &mut Pairing<'_>,
    ) {
        let mut record = self.record(direction, header, out);
        let mut reader = Reader::new(body);
        if let Some(code) = reader.u8() {
            let (status, text) = reason::of(code);
            record.response_code = Some(i32::from(code));
            record.response_status = status;
            record.response_exception = Text::const_new(text);
            record.response_result = words(&mut reader);
        }
        out.one_way(record);
    }
}

// === answers ===

impl Mqtt {
    fn answer(
        &mut self,
        direction: Direction,
        header: &Header,
        body: &[u8],
        out: &mut Pairing<'_>,
    ) {
        let asked = match header.kind {
            kind::CONNACK => kind::CONNECT,
            kind::PUBACK | kind::PUBREC => kind::PUBLISH,
            kind::PUBCOMP => kind::PUBREL,
            kind::SUBACK => kind::SUBSCRIBE,
            kind::UNSUBACK => kind::UNSUBSCRIBE,
            kind::PINGRESP => kind::PINGREQ,
            _ => header.kind,
        };
        let mut reader = Reader::new(body);
        let has_id =
            matches!(asked, kind::PUBLISH | kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE);
        let id = match has_id.then(|| reader.u16_be()) {
            Some(Some(id)) => id,
            Some(None) => return,
            None => 0,
        };
        let key = session_id(asked, direction.opposite(), id);
        let mut response = out.answer(ResponseStatus::Ok);
        response.bytes = Some(header.body_bytes as i64);
        match header.kind {
            kind::CONNACK => self.read_connack(&mut reader, key, &mut response, out),
            kind::SUBACK | kind::UNSUBACK => self.read_codes(reader, &mut response),
            kind::PINGRESP => {}
            _ => {
                // MQTT 5 leaves a code of 0 out; MQTT 3 has none.
                if let Some(code) = reader.u8().or((self.level == 5).then_some(0)) {
                    set_code(&mut response, code, reason::of(code));
                    response.result = words(&mut reader);
                }
            }
        }
        match header.kind {
            kind::PUBREC if response.status == ResponseStatus::Ok => {
                self.remember(key, session_id(kind::PUBREL, direction.opposite(), id), out);
            }
            // Authentication within a login goes on: CONNECT waits for CONNACK.
            kind::AUTH if out.waiting(key).is_none() => return,
            kind::CONNACK => {
                let auth = session_id(kind::AUTH, direction.opposite(), 0);
                if out.waiting(auth).is_some() {
                    out.response(Key::Id(auth), response.clone());
                }
            }
            _ => {}
        }
        let mut echo = out.record();
        echo.request_type = Text::const_new(packet::name_of(asked));
        echo.version = Text::const_new(version(self.level));
        echo.request_domain = self.client_id.clone();
        echo.is_reversed = direction == Direction::ClientToServer;
        response.echo = Some(echo);
        out.response(Key::Id(key), response);
    }

    fn read_connack(
        &mut self,
        reader: &mut Reader<'_>,
        key: u64,
        response: &mut Response,
        out: &mut Pairing<'_>,
    ) {
        reader.take_up_to(1);
        let Some(code) = reader.u8() else { return };
        if self.level == 0 && !reader.rest().is_empty() {
            self.level = 5;
        }
        let meaning = match self.level {
            5 => reason::of(code),
            _ => reason::of_connack3(code),
        };
        set_code(response, code, meaning);
        let mut assigned = None;
        property::read(reader, &mut |property| match property {
            Property::AssignedClient(id) => assigned = Some(id),
            Property::Reason(text) => response.result = bytes::text(text, NAME_BYTES),
            _ => {}
        });
        if let Some(id) = assigned.filter(|_| self.client_id.is_empty()) {
            self.client_id = bytes::text(id, NAME_BYTES);
            if let Some(record) = out.waiting(key) {
                record.request_domain = self.client_id.clone();
            }
        }
    }

    /// A code for each filter: of SUBACK what was granted or why not, of UNSUBACK (MQTT 5 only)
    /// whether there was one. The first error counts.
    fn read_codes(&self, mut reader: Reader<'_>, response: &mut Response) {
        let old = reader;
        if self.level == 5 || self.level == 0 && reader.rest().first() == Some(&0) {
            property::read(&mut reader, &mut |property| {
                if let Property::Reason(text) = property {
                    response.result = bytes::text(text, NAME_BYTES);
                }
            });
            if self.level == 0 && reader.rest().is_empty() {
                // One filter, quality 0, without properties.
                reader = old;
            }
        }
        let codes = reader.rest();
        let code = codes.iter().find(|code| **code >= 0x80).or(codes.first()).copied();
        if let Some(code) = code {
            set_code(response, code, reason::of(code));
        }
    }

    /// Remembers the topic of a message for its PUBREL.
    fn remember(&mut self, publish: u64, pubrel: u64, out: &mut Pairing<'_>) {
        let Some(record) = out.waiting(publish) else { return };
        if self.received.len() < REMEMBERED_MAX {
            self.received.insert(pubrel, record.request_resource.clone());
        }
    }
}

fn set_code(response: &mut Response, code: u8, (status, text): (ResponseStatus, &'static str)) {
    response.code = Some(i32::from(code));
    response.status = status;
    response.exception = Text::const_new(text);
}

/// The reason in words among properties.
fn words(reader: &mut Reader<'_>) -> Text {
    let mut words = Text::default();
    property::read(reader, &mut |property| {
        if let Property::Reason(text) = property {
            words = bytes::text(text, NAME_BYTES);
        }
    });
    words
}

fn version(level: u8) -> &'static str {
    match level {
        3 => "3.1",
        4 => "3.1.1",
        5 => "5.0",
        _ => "",
    }
}

/// The id of a session: the kind of its request, who sent that, its packet id.
fn session_id(kind: u8, direction: Direction, id: u16) -> u64 {
    u64::from(kind) << 17 | (direction.index() as u64) << 16 | u64::from(id)
}

#[cfg(test)]
mod tests;
