//! SOME/IP over TCP and UDP: AUTOSAR FO R22-11 PRS_SOMEIPProtocol (messages, segmentation) and
//! PRS_SOMEIPServiceDiscoveryProtocol.
//!
//! ```text
//! message := service: u16  method: u16  length: u32 (of what follows)  client: u16  session: u16
//!            protocol: u8  interface: u8  kind: u8  code: u8  [offset and flags: u32]  payload
//! ```
//! A datagram may hold several. Requests and responses are paired by service, method, client and
//! session; notifications and requests without return are one-way. Of a segmented message (kind
//! bit 0x20) the first segment counts. Service discovery is read too: a subscription and its
//! acknowledgement are a session, offers and searches are one-way.

mod discovery;
mod message;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::{Direction, Transport};
use crate::session::{Key, Pairing, Response};
use crate::some_ip::discovery::{Entry, EntryKind};
use crate::some_ip::message::{HEADER_BYTES, Kind, Message};

/// One conversation of two SOME/IP ends.
#[derive(Debug, Default)]
pub(crate) struct SomeIp;

impl Protocol for SomeIp {
    const ID: L7Protocol = L7Protocol::Someip;
    type Frame<'a> = Message<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        match context.transport {
            Transport::Udp => message::probe_datagram(first, context.direction, context.cut),
            Transport::Tcp => message::probe_stream(first, context.direction, context.cut),
        }
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Message<'a>> {
        if input.bytes.len() < HEADER_BYTES {
            return match message::may_start(input.bytes) {
                true => Step::Need(HEADER_BYTES),
                false => Step::Lost,
            };
        }
        let Some(header) = message::header(input.bytes) else { return Step::Lost };
        if header.is_cookie() {
            return Step::Skip(header.bytes());
        }
        let read_bytes = HEADER_BYTES + if header.is_discovery() { message::HEAD_BYTES } else { 4 };
        input
            .message(header.bytes(), read_bytes)
            .read(|head| Some(Message { header, payload: head.get(HEADER_BYTES..)? }))
    }

    fn pair(&mut self, direction: Direction, message: Message<'_>, out: &mut Pairing<'_>) {
        if message.header.is_discovery() {
            discover(direction, &message, out);
            return;
        }
        if message.is_continuation() {
            return;
        }
        match message.header.kind {
            Kind::Response | Kind::Error => response(&message, out),
            Kind::Request => {
                let record = request(direction, &message, out);
                out.request(Key::Id(message.header.key()), record, 0);
            }
            Kind::RequestNoReturn | Kind::Notification => {
                let record = request(direction, &message, out);
                out.one_way(record);
            }
            Kind::Acknowledgement => {}
        }
    }

    fn resync(&self, _direction: Direction, bytes: &[u8]) -> bool {
        bytes.len() >= HEADER_BYTES && message::header(bytes).is_some()
    }
}

fn request(direction: Direction, message: &Message<'_>, out: &mut Pairing<'_>) -> Box<Record> {
    let mut record = out.record();
    fill_request(message, &mut record);
    // Events come from the server. Of requests it sends those of services that the client offers.
    record.is_reversed =
        direction == Direction::ServerToClient && message.header.kind != Kind::Notification;
    record
}

/// What every message says of the call it belongs to.
fn fill_request(message: &Message<'_>, record: &mut Record) {
    let header = &message.header;
    record.version = compact_str::format_compact!("{}", header.protocol);
    record.request_type = Text::const_new(header.kind.name());
    record.request_resource = compact_str::format_compact!("{}", header.service);
    record.endpoint = compact_str::format_compact!("{}", header.method);
    record.request_id = Some(u64::from(header.session));
    record.request_bytes = message.whole_bytes();
    let number = |number: u32| compact_str::format_compact!("{number}");
    record.attributes.push(("client_id".into(), number(header.client.into())));
    record.attributes.push(("interface_version".into(), number(header.interface.into())));
}

fn response(message: &Message<'_>, out: &mut Pairing<'_>) {
    let header = &message.header;
    let mut response = out.answer(match header.code {
        0 if header.kind != Kind::Error => ResponseStatus::Ok,
        // Unknown service, unknown method, wrong versions, malformed, wrong kind.
        2 | 3 | 7..=10 => ResponseStatus::ClientError,
        _ => ResponseStatus::ServerError,
    });
    response.code = Some(i32::from(header.code));
    response.bytes = message.whole_bytes();
    if response.status != ResponseStatus::Ok {
        response.exception = message::code_name(header.code).into();
    }
    response.attributes.push(("response_type".into(), Text::const_new(header.kind.name())));
    if out.waiting_id(header.key()..=header.key()).is_none() {
        let mut echo = out.record();
        fill_request(message, &mut echo);
        echo.request_type = Text::default();
        echo.request_bytes = None;
        response.echo = Some(echo);
    }
    out.response(Key::Id(header.key()), response);
}

/// Subscriptions and their acknowledgements one by one, everything else as one notification.
fn discover(direction: Direction, message: &Message<'_>, out: &mut Pairing<'_>) {
    let mut rest = Text::default();
    for entry in discovery::entries(message.payload) {
        match entry.kind {
            EntryKind::Subscribe => subscribe(direction, message, &entry, out),
            EntryKind::Acknowledge | EntryKind::Refuse => acknowledge(message, &entry, out),
            _ => entry.show(&mut rest, out.config.limits.text_bytes.min(1024)),
        }
    }
    if !rest.is_empty() {
        let mut record = request(direction, message, out);
        record.is_reversed = false;
        record.attributes.push(("entries".into(), rest));
        out.one_way(record);
    }
}

fn subscribe(direction: Direction, message: &Message<'_>, entry: &Entry, out: &mut Pairing<'_>) {
    let mut record = request(direction, message, out);
    record.is_reversed = direction == Direction::ServerToClient;
    fill_subscription(entry, &mut record);
    out.request(Key::Id(entry.key()), record, 0);
}

fn fill_subscription(entry: &Entry, record: &mut Record) {
    record.request_type = Text::const_new(EntryKind::Subscribe.name());
    record.request_resource = compact_str::format_compact!("{}", entry.service);
    record.endpoint = compact_str::format_compact!("{}", entry.eventgroup);
    let instance = compact_str::format_compact!("{}", entry.instance);
    record.attributes.push(("instance_id".into(), instance));
}

fn acknowledge(message: &Message<'_>, entry: &Entry, out: &mut Pairing<'_>) {
    let mut response: Response = out.answer(match entry.kind {
        EntryKind::Refuse => ResponseStatus::ServerError,
        _ => ResponseStatus::Ok,
    });
    response.bytes = message.whole_bytes();
    response.attributes.push(("response_type".into(), Text::const_new(entry.kind.name())));
    if out.waiting_id(entry.key()..=entry.key()).is_none() {
        let mut echo = out.record();
        fill_subscription(entry, &mut echo);
        response.echo = Some(echo);
    }
    out.response(Key::Id(entry.key()), response);
}
