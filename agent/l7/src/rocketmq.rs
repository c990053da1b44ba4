//! Apache RocketMQ's remoting protocol: rocketmq.apache.org, org.apache.rocketmq.remoting.
//!
//! ```text
//! command := len: u32  form: u8  header_len: u24  header  body
//! ```
//! One session for each command, paired by its opaque number. Both ends send commands and number
//! them by themselves; those of the broker are marked as reversed. Commands that want no
//! response are one-way. Of a body only the properties of the first message count: its key and
//! its trace context.

mod code;
mod header;
mod json;
mod message;

use std::borrow::Cow;

use compact_str::format_compact;
use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes;
use crate::config::TraceConfig;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::rocketmq::header::{Form, Header, PREFIX_BYTES};
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::trace::TraceContext;

/// One connection to a broker or a name server.
#[derive(Debug, Default)]
pub(crate) struct Rocketmq;

/// One command, or its start.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    form: Form,
    header: &'a [u8],
    /// As much as a record needs.
    body: &'a [u8],
    /// Its length, without that of the length.
    command_bytes: usize,
}

/// So much of a header is read. unit byte
const HEADER_MAX: usize = 64 << 10;

/// So much of a body that may hold messages is read. unit byte
const BODY_MAX: usize = 16 << 10;

/// Longest name that is kept. unit byte
const NAME_BYTES: usize = 512;

impl Protocol for Rocketmq {
    const ID: L7Protocol = L7Protocol::Rocketmq;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        header::probe(first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        if input.bytes.len() < PREFIX_BYTES {
            return Step::Need(PREFIX_BYTES);
        }
        let Some(prefix) = header::prefix(input.bytes) else { return Step::Lost };
        let header_bytes = prefix.header_bytes.min(HEADER_MAX);
        // Messages come from the broker; what a producer sends has its properties in the header.
        let body_bytes = match direction {
            Direction::ServerToClient if header_bytes == prefix.header_bytes => {
                (prefix.command_bytes - 4 - prefix.header_bytes).min(BODY_MAX)
            }
            _ => 0,
        };
        let wanted = PREFIX_BYTES + header_bytes + body_bytes;
        if input.bytes.len() < wanted && !input.cut {
            return Step::Need(wanted);
        }
        let rest = &input.bytes[PREFIX_BYTES..wanted.min(input.bytes.len())];
        let (header, body) = rest.split_at(header_bytes.min(rest.len()));
        if prefix.form == Form::Json && header.first().is_some_and(|byte| *byte != b'{') {
            return Step::Lost;
        }
        let command_bytes = prefix.command_bytes;
        let frame = Frame { form: prefix.form, header, body, command_bytes };
        Step::Frame { frame, used: 4 + command_bytes as u64 }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        let mut fields = Fields::default();
        let config = &out.config.trace;
        let (header, _) = header::read(frame.form, frame.header, &mut |name, value| {
            fields.take(config, name, value);
        });
        if !header.has_code() {
            return;
        }
        match header.is_response(direction) {
            true => response(direction, &frame, &header, fields, out),
            false => request(direction, &frame, &header, fields, out),
        }
    }

    fn resync(&self, _direction: Direction, bytes: &[u8]) -> bool {
        header::probe(bytes, true) == Probe::Certain
    }
}

/// What the ext fields and the properties of a command say.
#[derive(Debug, Default)]
struct Fields<'a> {
    group: Option<Cow<'a, [u8]>>,
    topic: Option<Cow<'a, [u8]>>,
    queue: Option<Cow<'a, [u8]>>,
    properties: Option<Cow<'a, [u8]>>,
    /// `a`, `b`, `e` and `i` of the commands that save on names.
    letters: [Option<Cow<'a, [u8]>>; 4],
    context: TraceContext,
    /// Keys of the message: the one that is unique, and the application's.
    unique_key: Text,
    keys: Text,
}

impl<'a> Fields<'a> {
    fn take(&mut self, config: &TraceConfig, name: &[u8], value: Cow<'a, [u8]>) {
        match name {
            b"a" => self.letters[0] = Some(value),
            b"b" => self.letters[1] = Some(value),
            b"e" => self.letters[2] = Some(value),
            b"i" => self.letters[3] = Some(value),
            b"producerGroup" | b"consumerGroup" | b"group" => self.group = Some(value),
            b"topic" => self.topic = Some(value),
            b"originTopic" => self.topic = self.topic.take().or(Some(value)),
            b"queueId" => self.queue = Some(value),
            b"properties" => self.properties = Some(value),
            _ => self.context.header(config, name, &value),
        }
    }

    /// Puts the fields of one letter in their places.
    fn spell_out(&mut self) {
        let [group, topic, queue, properties] = std::mem::take(&mut self.letters);
        self.group = group;
        self.topic = topic;
        self.queue = queue;
        self.properties = properties;
    }

    fn take_properties(&mut self, config: &TraceConfig, all: &[u8]) {
        message::properties(all, &mut |name, value| match name {
            b"UNIQ_KEY" => self.unique_key = bytes::text(value, NAME_BYTES),
            b"KEYS" => self.keys = bytes::text(value, NAME_BYTES),
            _ => self.context.header(config, name, value),
        });
    }

    /// What identifies the message.
    fn key(&mut self) -> Text {
        match self.unique_key.is_empty() {
            true => std::mem::take(&mut self.keys),
            false => std::mem::take(&mut self.unique_key),
        }
    }
}

fn request(
    direction: Direction,
    frame: &Frame<'_>,
    header: &Header<'_>,
    mut fields: Fields<'_>,
    out: &mut Pairing<'_>,
) {
    let config = out.config;
    if matches!(
        header.code,
        code::SEND_MESSAGE_V2 | code::SEND_BATCH_MESSAGE | code::SEND_REPLY_MESSAGE_V2
    ) {
        fields.spell_out();
    }
    let properties = fields.properties.take();
    let properties = properties.as_deref().or_else(|| message::first_properties(frame.body));
    fields.take_properties(&config.trace, properties.unwrap_or_default());
    let mut record = out.record();
    record.is_reversed = direction == Direction::ServerToClient;
    record.version = version(header);
    record.request_type = match code::request_name(header.code) {
        Some(name) => Text::const_new(name),
        None => format_compact!("{}", header.code),
    };
    record.request_id = number(header);
    record.request_bytes = Some(frame.command_bytes as i64);
    record.request_domain = name(fields.group.as_deref());
    record.request_resource = name(fields.topic.as_deref());
    record.endpoint = match (&record.request_resource, fields.queue.as_deref()) {
        (topic, Some(queue)) if !topic.is_empty() && !queue.starts_with(b"-") => {
            format_compact!("{topic}-{}", bytes::text(queue, 16))
        }
        (topic, _) => topic.clone(),
    };
    let key = fields.key();
    fields.context.offer_x_request_id(key);
    fields.context.fill(&config.trace, &mut record);
    if header.is_one_way() {
        out.one_way(record);
        return;
    }
    out.request(Key::Id(session_id(direction, header)), record, 0);
    if !header.has_opaque() {
        out.let_go(session_id(direction, header));
    }
}

fn response(
    direction: Direction,
    frame: &Frame<'_>,
    header: &Header<'_>,
    mut fields: Fields<'_>,
    out: &mut Pairing<'_>,
) {
    let config = out.config;
    let consumed = message::first_properties(frame.body);
    fields.take_properties(&config.trace, consumed.unwrap_or_default());
    let id = session_id(direction.opposite(), header);
    let mut response = out.answer(code::status_of(header.code));
    response.code = Some(header.code);
    response.bytes = Some(frame.command_bytes as i64);
    response.version = version(header);
    response.x_request_id = fields.key();
    let remark = bytes::text(&header.remark, config.limits.text_bytes);
    match response.status {
        ResponseStatus::Ok => response.result = remark,
        _ => {
            let name = Text::const_new(code::response_name(header.code).unwrap_or_default());
            response.exception = if remark.is_empty() { name.clone() } else { remark };
            response.result = name;
        }
    }
    let mut echo = out.record();
    echo.request_id = number(header);
    echo.is_reversed = direction == Direction::ClientToServer;
    if consumed.is_some() {
        // What was consumed was sent by somebody else, whose trace it is.
        let asked: &mut Record = match out.waiting(id) {
            Some(record) => record,
            None => &mut echo,
        };
        fields.context.offer_x_request_id(std::mem::take(&mut asked.x_request_id_0));
        fields.context.fill(&config.trace, asked);
    }
    response.echo = Some(echo);
    match header.has_opaque() {
        true => out.response(Key::Id(id), response),
        false => out.lone_response(response),
    }
}

fn version(header: &Header<'_>) -> Text {
    match header.version {
        0 => Text::default(),
        number => code::version_name(number),
    }
}

fn number(header: &Header<'_>) -> Option<u64> {
    header.has_opaque().then_some(u64::from(header.opaque.cast_unsigned()))
}

fn name(text: Option<&[u8]>) -> Text {
    bytes::text(text.unwrap_or_default(), NAME_BYTES)
}

/// The id of a session: who asked, and its number; one that is not known has an id of its own.
fn session_id(direction: Direction, header: &Header<'_>) -> u64 {
    let number = number(header).unwrap_or(1 << 33);
    (direction.index() as u64) << 32 | number
}

#[cfg(test)]
mod tests;
