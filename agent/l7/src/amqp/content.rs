//! Messages of AMQP 0-9-1: a method, the content header that follows it, and a body.
//!
//! In: the arguments of `Publish`, `Deliver`, `Return` or `GetOk`, then a content header. Out: a
//! record or response with the message's route, length and trace context. Never: its body.

use schema::{ResponseStatus, Text};

use crate::amqp::channels::hash;
use crate::amqp::close;
use crate::amqp::field::{Cursor, Properties};
use crate::amqp::method::{self, Kind, basic};
use crate::bytes;
use crate::config::Config;
use crate::record::Record;
use crate::session::{Pairing, Response};
use crate::trace::TraceContext;

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
            None => Self::Delivered { record, consumer: hash(consumer), tag },
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
pub(crate) fn settled(kind: &Kind, from_server: bool) -> ResponseStatus {
    match kind.number {
        basic::ACK => ResponseStatus::Ok,
        _ if from_server => ResponseStatus::ServerError,
        _ => ResponseStatus::ClientError,
    }
}
