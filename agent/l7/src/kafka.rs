//! Apache Kafka, its wire protocol: kafka.apache.org/protocol, all versions up to Kafka 4.2.
//!
//! ```text
//! message := size: i32 be  head  body: by key and version
//! ```
//! One session for each request, paired by correlation id. A Produce that wants no
//! acknowledgement is one-way. Of topics, partitions and errors that a message lists, the first
//! is shown; of errors, the first that is one. Topics that are named by id are shown by name once
//! the connection told it, until then by id. Only the first bytes of a message are read: records
//! are passed over but for the headers of the first. Tokens of a SASL login without frames of
//! their own (SaslHandshake v0) are no records.

mod admin;
mod api;
mod cluster;
mod data;
mod error;
mod group;
mod header;
mod layout;
mod member;
mod records;
mod share;
mod topics;

use std::collections::VecDeque;

use compact_str::{ToCompactString, format_compact};
use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::config::TraceConfig;
use crate::kafka::header::{Head, REQUEST_BYTES, SIZE_BYTES};
use crate::kafka::layout::Found;
use crate::kafka::topics::TopicNames;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::trace::TraceContext;

/// One connection to a Kafka broker.
#[derive(Debug, Default)]
pub(crate) struct Kafka {
    topics: TopicNames,
    /// Correlation ids of requests without response, oldest first.
    awaited: VecDeque<i32>,
    /// Correlation id of the last request.
    last: Option<i32>,
    /// Tokens without heads may follow, until the next request.
    sasl_tokens: bool,
}

/// One message, or its start.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Request { head: Head, message: &'a [u8], size: usize },
    Response { message: &'a [u8], size: usize },
}

/// So much of a message is read. unit byte
const HEAD_BYTES: usize = 32 << 10;

/// Correlation ids that are remembered.
const AWAITED_MAX: usize = 1024;

/// A response's correlation id is at most so far from the last request's.
const CORRELATION_REACH: u32 = 1 << 16;

/// So much of what may be a token of a SASL login tells whether it is one. unit byte
const TOKEN_BYTES: usize = 4096;

/// Longest group, client or transaction that is shown. unit byte
const NAME_BYTES: usize = 512;

impl Protocol for Kafka {
    const ID: L7Protocol = L7Protocol::Kafka;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        match context.direction {
            Direction::ClientToServer => header::probe_request(first, context.cut),
            Direction::ServerToClient => header::probe_response(first, context.cut),
        }
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        let is_request = direction == Direction::ClientToServer;
        let least = SIZE_BYTES + if is_request { REQUEST_BYTES } else { SIZE_BYTES };
        if self.sasl_tokens
            && let Some(step) = self.token(is_request, input)
        {
            return step;
        }
        if input.bytes.len() < least {
            return Step::Need(least);
        }
        let Some(size) = header::size(input.bytes, is_request) else { return Step::Lost };
        let wanted = SIZE_BYTES + size.min(HEAD_BYTES);
        if input.bytes.len() < wanted && !input.cut {
            return Step::Need(wanted);
        }
        let message = &input.bytes[SIZE_BYTES..wanted.min(input.bytes.len())];
        let used = (SIZE_BYTES + size) as u64;
        if !is_request {
            return match self.is_near(message) {
                true => Step::Frame { frame: Frame::Response { message, size }, used },
                false => Step::Lost,
            };
        }
        match header::request(message) {
            Some(head) if head.api.is_some() || self.follows(&head) => {
                Step::Frame { frame: Frame::Request { head, message, size }, used }
            }
            _ => Step::Lost,
        }
    }

    fn pair(&mut self, _direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame {
            Frame::Request { head, message, size } => self.request(&head, message, size, out),
            Frame::Response { message, size } => self.response(message, size, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        let is_request = direction == Direction::ClientToServer;
        if header::size(bytes, is_request).is_none() {
            return false;
        }
        match is_request {
            true => matches!(header::probe_request(bytes, true), Probe::Certain | Probe::Possible),
            false => self.is_near(&bytes[SIZE_BYTES..]),
        }
    }

    fn held_bytes(&self) -> usize {
        self.topics.held_bytes() + self.awaited.capacity() * size_of::<i32>()
    }
}

impl Kafka {
    /// A token of a SASL login, which is passed over; `None`: it is a message.
    fn token<'a>(&self, is_request: bool, input: Input<'a>) -> Option<Step<Frame<'a>>> {
        let Some(size) = Reader::new(input.bytes).u32_be() else {
            return Some(Step::Need(SIZE_BYTES));
        };
        let wanted = SIZE_BYTES + (size as usize).min(TOKEN_BYTES);
        if input.bytes.len() < wanted && !input.cut {
            return Some(Step::Need(wanted));
        }
        let message = &input.bytes[SIZE_BYTES..];
        let is_message = match is_request {
            true => {
                header::request(message).is_some_and(|head| self.follows(&head))
                    || header::probe_request(input.bytes, true) == Probe::Certain
            }
            false => {
                size as usize >= SIZE_BYTES
                    && correlation(message).is_some_and(|id| self.awaited.contains(&id))
            }
        };
        let used = SIZE_BYTES as u64 + u64::from(size);
        if is_message { None } else { Some(Step::Skip(used)) }
    }

    /// Whether a request may come next: most clients count.
    fn follows(&self, head: &Head) -> bool {
        self.last.is_some_and(|last| head.correlation.wrapping_sub(last) == 1)
    }

    /// Whether a response may answer a request of this connection.
    fn is_near(&self, message: &[u8]) -> bool {
        let Some(id) = correlation(message) else { return false };
        self.last.is_none_or(|last| id.abs_diff(last) <= CORRELATION_REACH)
            || self.awaited.contains(&id)
    }

    fn request(&mut self, head: &Head, message: &[u8], size: usize, out: &mut Pairing<'_>) {
        self.last = Some(head.correlation);
        self.sasl_tokens = (head.key, head.version) == (api::SASL_HANDSHAKE, 0);
        let mut record = out.record();
        record.version = head.version.to_compact_string();
        record.request_type = match head.api {
            Some(api) => Text::const_new(api.name),
            None => format_compact!("ApiKey{}", head.key),
        };
        record.request_id = Some(session_id(head.correlation));
        record.request_bytes = Some(size as i64);
        let mut acks = None;
        if let Ok((client, body)) = header::client(head, message) {
            attribute(&mut record, "client_id", client);
            if let Some(api) = head.api.filter(|_| head.is_known()) {
                let body_bytes = size - (message.len() - body.len());
                let flexible = head.is_flexible();
                let fields = api.layout.request;
                let (found, _) = layout::walk(fields, head.version, flexible, body, body_bytes);
                acks = found.acks;
                self.fill(&found, &mut record);
                fill_trace(&found, &mut record, &out.config.trace);
            }
        }
        if record.x_request_id_0.is_empty() {
            record.x_request_id_0 = head.correlation.to_compact_string();
        }
        if head.key == api::PRODUCE && acks == Some(0) {
            out.one_way(record);
            return;
        }
        if self.awaited.len() >= AWAITED_MAX {
            self.awaited.pop_front();
        }
        self.awaited.push_back(head.correlation);
        let tag = (head.key as u64) << 16 | head.version as u64;
        out.request(Key::Id(session_id(head.correlation)), record, tag);
    }

    fn response(&mut self, message: &[u8], size: usize, out: &mut Pairing<'_>) {
        let Some(correlation) = correlation(message) else { return };
        if let Some(place) = self.awaited.iter().position(|id| *id == correlation) {
            self.awaited.remove(place);
        }
        let id = session_id(correlation);
        let tag = out.waiting_tag(id);
        let mut response = out.answer(ResponseStatus::Unknown);
        response.bytes = Some(size as i64);
        response.x_request_id = correlation.to_compact_string();
        let Some(tag) = tag else {
            // Without its request nothing tells what it is.
            let mut echo = out.record();
            echo.request_id = Some(id);
            response.echo = Some(echo);
            out.response(Key::Id(id), response);
            return;
        };
        let (key, version) = ((tag >> 16) as i16, tag as i16);
        let found = body_of_response(key, version, message, size);
        for (id, name) in &found.named {
            self.topics.learn(*id, name);
        }
        let config = out.config;
        if let Some(record) = out.waiting(id) {
            self.complete(key, &found, record);
            fill_trace(&found, record, &config.trace);
        }
        if let Some(code) = found.error {
            response.code = Some(i32::from(code));
            response.status = match code {
                0 => ResponseStatus::Ok,
                _ => ResponseStatus::ServerError,
            };
            response.exception = match error::name_of(code) {
                Some(name) => Text::const_new(name),
                None if code == 0 => Text::default(),
                None => format_compact!("ERROR_{code}"),
            };
            if let Some(message) = found.message {
                response.result = bytes::text(message, out.config.limits.text_bytes);
            }
        }
        out.response(Key::Id(id), response);
    }

    /// Writes what a request says.
    fn fill(&self, found: &Found<'_>, record: &mut Record) {
        let (group, transaction) = match found.key_kind {
            0 => (found.group, found.transaction),
            // FindCoordinator for a transaction.
            1 => (None, found.group),
            _ => (None, None),
        };
        attribute(record, "group_id", group.unwrap_or_default());
        attribute(record, "transactional_id", transaction.unwrap_or_default());
        record.request_domain = self.topic(found);
        if let Some(id) = found.topic_id {
            record.attributes.push((Text::const_new("topic_id"), topics::id_text(id)));
        }
        place(found, record);
    }

    /// Adds to a request what only its response says: the offset, and of a fetch in a session
    /// (KIP-227), which names no topics, the topic.
    fn complete(&self, key: i16, found: &Found<'_>, record: &mut Record) {
        let is_fetch = matches!(key, api::FETCH | api::SHARE_FETCH);
        if record.request_domain.is_empty() && is_fetch {
            record.request_domain = self.topic(found);
            let offset = found.records.and_then(records::first_offset);
            place(&Found { offset, ..found.clone() }, record);
        } else if record.request_resource.is_empty() && self.topic(found) == record.request_domain {
            let mut answered = Record::new(record.protocol);
            answered.request_domain = record.request_domain.clone();
            place(found, &mut answered);
            if answered.endpoint == record.endpoint {
                record.request_resource = answered.request_resource;
            }
        }
    }

    /// The first topic by name, or else by id.
    fn topic(&self, found: &Found<'_>) -> Text {
        match (found.topic, found.topic_id) {
            (Some(name), _) => bytes::text(name, NAME_BYTES),
            (None, Some(id)) => match self.topics.name_of(id) {
                Some(name) => name.clone(),
                None => topics::id_text(id),
            },
            (None, None) => Text::default(),
        }
    }
}

/// Writes where the first partition and offset are: topic-partition, topic-partition:offset.
fn place(found: &Found<'_>, record: &mut Record) {
    let topic = &record.request_domain;
    if topic.is_empty() {
        return;
    }
    record.endpoint = match found.partition {
        Some(partition) => format_compact!("{topic}-{partition}"),
        None => topic.clone(),
    };
    if let (Some(_), Some(offset @ 0..)) = (found.partition, found.offset) {
        record.request_resource = format_compact!("{}:{offset}", record.endpoint);
    }
}

/// Writes what the headers of the first record say.
fn fill_trace(found: &Found<'_>, record: &mut Record, config: &TraceConfig) {
    let Some(all) = found.records else { return };
    let mut context = TraceContext::default();
    records::first_headers(all, &mut |name, value| context.header(config, name, value));
    context.offer_x_request_id(std::mem::take(&mut record.x_request_id_0));
    context.fill(config, record);
}

/// What a response says.
fn body_of_response(key: i16, version: i16, message: &[u8], size: usize) -> Found<'_> {
    let Some(api) = api::of(key).filter(|api| version <= api.last) else {
        return Found::default();
    };
    let is_flexible = version >= api.flexible;
    let mut reader = Reader::new(message.get(SIZE_BYTES..).unwrap_or_default());
    if is_flexible && key != api::API_VERSIONS && header::pass_tagged(&mut reader).is_none() {
        return Found::default();
    }
    let body = reader.rest();
    let body_bytes = size - (message.len() - body.len());
    layout::walk(api.layout.response, version, is_flexible, body, body_bytes).0
}

fn correlation(message: &[u8]) -> Option<i32> {
    Reader::new(message).array().map(i32::from_be_bytes)
}

/// Correlation ids as ids of sessions.
fn session_id(correlation: i32) -> u64 {
    u64::from(correlation as u32)
}

fn attribute(record: &mut Record, name: &'static str, value: &[u8]) {
    if !value.is_empty() {
        record.attributes.push((Text::const_new(name), bytes::text(value, NAME_BYTES)));
    }
}

#[cfg(test)]
mod tests;
