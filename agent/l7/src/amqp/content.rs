//! Messages of AMQP 0-9-1: a method, the content header that follows it, and a body; then the
//! acknowledgement.
//!
//! In: the arguments of `Publish`, `Deliver`, `Return` or `GetOk`, then a content header. Out:
//! halves of sessions with the message's route, length and trace context. Never: its body.

use schema::{ResponseStatus, Text};

use crate::amqp::channels::{Call, Channels};
use crate::amqp::close;
use crate::amqp::field::{Cursor, Properties};
use crate::amqp::key::Waiter;
use crate::amqp::method::{self, Kind, basic};
use crate::bytes;
use crate::config::Config;
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};
use crate::trace::TraceContext;

/// Deliveries without any acknowledgement after which none is expected of a consumer that is not
/// known.
const UNACKNOWLEDGED_MAX: u32 = 256;

/// A message whose header is to come.
#[derive(Debug)]
pub(crate) enum Content {
    /// From a client.
    Published(Box<Record>),
    /// To a consumer, by the hash of its tag.
    Delivered { record: Box<Record>, consumer: u64, tag: u64 },
    /// A publication that had no route. The record is what the response repeats of it.
    Returned(Box<Record>, Response),
    /// What the client asked for.
    Got(Response),
}

/// A content header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    pub body_bytes: u64,
    pub properties: &'a [u8],
}

impl Content {
    /// A message that either end sends by itself; `record` knows its method only.
    pub fn sent(kind: &Kind, args: &[u8], mut record: Box<Record>, out: &Pairing<'_>) -> Self {
        let limit = out.config.limits.text_bytes;
        let mut args = Cursor::new(args);
        let mut refusal = None;
        let (mut consumer, mut tag) = (&b""[..], 0);
        match kind.number {
            basic::DELIVER => {
                consumer = args.short().unwrap_or_default();
                tag = args.u64().unwrap_or(0);
                let _redelivered = args.u8();
            }
            basic::RETURN => {
                let code = args.u16().unwrap_or(0);
                let mut response = out.answer(close::status_of(code));
                response.code = Some(i32::from(code));
                response.exception = bytes::text(args.short().unwrap_or_default(), limit);
                refusal = Some(response);
            }
            _ => {
                let _ticket = args.u16();
            }
        }
        record.request_resource = route(&mut args, limit);
        record.endpoint = record.request_resource.clone();
        match refusal {
            Some(response) => {
                record.is_reversed = false;
                Self::Returned(record, response)
            }
            None if kind.number == basic::PUBLISH => Self::Published(record),
            None => Self::Delivered { record, consumer: bytes::hash(consumer), tag },
        }
    }

    /// What the client asked for.
    pub fn got(args: &[u8], mut response: Response, limit: usize) -> Self {
        let mut args = Cursor::new(args);
        let _tag = args.u64();
        let _redelivered = args.u8();
        response.result = route(&mut args, limit);
        Self::Got(response)
    }
}

fn route(args: &mut Cursor<'_>, limit: usize) -> Text {
    let exchange = args.short().unwrap_or_default();
    method::route(exchange, args.short().unwrap_or_default(), limit)
}

impl Header<'_> {
    /// Length of the body, as records have it.
    pub fn length(&self) -> i64 {
        i64::try_from(self.body_bytes).unwrap_or(i64::MAX)
    }

    /// Writes trace context and names of the message into the record of its method.
    pub fn note(&self, record: &mut Record, config: &Config) {
        let limit = config.limits.text_bytes;
        let properties = Properties::read(self.properties);
        let attributes = [
            ("message_id", properties.message_id),
            ("correlation_id", properties.correlation_id),
            ("reply_to", properties.reply_to),
            ("message_type", properties.kind),
            ("app_id", properties.app_id),
        ];
        for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
            record.attributes.push((name.into(), bytes::text(value, limit)));
        }
        let Some(headers) = properties.headers else { return };
        let mut context = TraceContext::default();
        for (name, value) in headers {
            if let Some(value) = value.text() {
                context.header(&config.trace, name, value);
            }
        }
        context.fill(&config.trace, record);
    }
}

/// Statuses of acknowledgements: a refusal is the fault of who sends it.
fn settled(kind: &Kind, from_server: bool) -> ResponseStatus {
    match kind.number {
        basic::ACK => ResponseStatus::Ok,
        _ if from_server => ResponseStatus::ServerError,
        _ => ResponseStatus::ClientError,
    }
}

impl Channels {
    /// The header of a message was seen, or will not be.
    pub fn finish(
        &mut self,
        channel: u16,
        content: Box<Content>,
        header: Option<Header<'_>>,
        out: &mut Pairing<'_>,
    ) {
        let (config, captured_bytes) = (out.config, out.captured_bytes);
        let fill = |record: &mut Record| {
            if let Some(header) = header {
                record.captured_request_bytes += captured_bytes;
                record.request_bytes = Some(header.length());
                header.note(record, config);
            }
        };
        match *content {
            Content::Published(mut record) => {
                fill(&mut record);
                match self.by_number.get_mut(&channel).and_then(|one| one.next_publication.as_mut())
                {
                    Some(next) => {
                        let id = Waiter::Publish.tag(channel, *next);
                        *next += 1;
                        out.request(Key::Id(id), record, 0);
                    }
                    None => out.one_way(record),
                }
            }
            Content::Delivered { mut record, consumer, tag } => {
                fill(&mut record);
                let known = self.consumers.get(&(channel, consumer)).copied();
                let owes = known.unwrap_or_else(|| {
                    let channel = self.channel(channel);
                    channel.unacknowledged = channel.unacknowledged.saturating_add(1);
                    channel.unacknowledged <= UNACKNOWLEDGED_MAX
                });
                let key = Key::Id(Waiter::Deliver.tag(channel, tag));
                match owes {
                    true => out.quiet_request(key, record, 0),
                    false => out.one_way(record),
                }
            }
            Content::Returned(mut record, mut response) => {
                fill(&mut record);
                response.captured_bytes += record.captured_request_bytes;
                response.bytes = record.request_bytes.take();
                response.echo = Some(record);
                out.lone_response(response);
            }
            Content::Got(mut response) => {
                let Some(kind) = method::kind_of(method::BASIC, basic::GET_OK) else { return };
                let range = Waiter::Client.on_method(channel, method::BASIC, basic::GET);
                if let Some(header) = header {
                    response.captured_bytes += captured_bytes;
                    response.bytes = Some(header.length());
                    if let Some(record) = out.waiting_id(range).and_then(|id| out.waiting(id)) {
                        header.note(record, config);
                    }
                }
                let direction = Direction::ServerToClient;
                let call = Call { direction, channel, kind, args: &[] };
                self.respond(&call, basic::GET, response, out);
            }
        }
    }

    /// An acknowledgement or refusal of messages.
    pub fn settle(&mut self, call: &Call<'_>, out: &mut Pairing<'_>) {
        let mut args = Cursor::new(call.args);
        let tag = args.u64().unwrap_or(0);
        let bits = args.u8().unwrap_or(0);
        let from_server = call.direction == Direction::ServerToClient;
        let waiter = if from_server { Waiter::Publish } else { Waiter::Deliver };
        if !from_server {
            self.channel(call.channel).unacknowledged = 0;
        }
        // Reject has no such bit.
        let multiple = call.kind.number != basic::REJECT && bits & 1 != 0;
        let id = waiter.tag(call.channel, tag);
        let range = if multiple { waiter.up_to(call.channel, tag) } else { id..=id };
        let mut response = out.answer(settled(&call.kind, from_server));
        response.result = Text::const_new(call.kind.name);
        if response.status != ResponseStatus::Ok {
            response.exception = Text::const_new(call.kind.name);
        }
        let mut is_paired = false;
        while let Some(id) = out.waiting_id(range.clone()) {
            is_paired = true;
            out.response(Key::Id(id), response.clone());
        }
        if !is_paired {
            let record = self.plain_record(call, out);
            out.one_way(record);
        }
    }
}
