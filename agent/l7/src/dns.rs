//! DNS over UDP and TCP, and mDNS: RFC 1035, RFC 6891 (EDNS), RFC 6762 (mDNS), RFC 7766 (TCP).
//!
//! ```text
//! message := [len: u16 be, TCP only] id: u16  flags: u16  counts: 4 × u16  questions  records
//! ```
//! Requests and responses are paired by id and question. Multicast queries are one-way, and so
//! are multicast answers; of a zone transfer the first message is the response.

mod message;
mod name;
mod types;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::dns::message::Message;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::{Direction, Transport};
use crate::session::{Key, Pairing};

/// One DNS conversation.
#[derive(Debug, Default)]
pub(crate) struct Dns {
    /// Id of a zone transfer whose first message was seen.
    transfer: Option<u16>,
}

/// One message, with its length by the protocol.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    message: Message<'a>,
    message_bytes: usize,
}

const MDNS_PORT: u16 = 5353;

impl Protocol for Dns {
    const ID: L7Protocol = L7Protocol::Dns;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        let is_plausible = |bytes: &[u8], cut: bool| {
            Message::read(bytes, cut).is_some_and(|message| {
                let sent_by_server = context.direction == Direction::ServerToClient;
                message.has_known_question()
                    && !message::is_netbios(bytes)
                    && (message.is_response() == sent_by_server || context.server_port == MDNS_PORT)
            })
        };
        if context.transport == Transport::Udp {
            return if is_plausible(first, context.cut) { Probe::Certain } else { Probe::No };
        }
        let Some((length, rest)) = first.split_first_chunk::<2>() else { return Probe::Short };
        let length = usize::from(u16::from_be_bytes(*length));
        match rest.get(..length) {
            Some(whole) if is_plausible(whole, false) => Probe::Certain,
            Some(_) => Probe::No,
            None if context.cut && is_plausible(rest, true) => Probe::Certain,
            None if context.cut || !message::may_start(rest) => Probe::No,
            None if length < message::HEADER_BYTES => Probe::No,
            None => Probe::Short,
        }
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        let (bytes, message_bytes, used) = if input.datagram {
            (input.bytes, input.bytes.len(), input.bytes.len())
        } else {
            let Some((length, rest)) = input.bytes.split_first_chunk::<2>() else {
                return Step::Need(2);
            };
            let length = usize::from(u16::from_be_bytes(*length));
            if rest.len() < length && !input.cut {
                return Step::Need(2 + length);
            }
            (&rest[..length.min(rest.len())], length, 2 + length)
        };
        match Message::read(bytes, input.cut) {
            Some(message) => {
                Step::Frame { frame: Frame { message, message_bytes }, used: used as u64 }
            }
            None => Step::Lost,
        }
    }

    fn pair(&mut self, _direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        let message = &frame.message;
        if message.is_response() {
            self.response(&frame, out);
            return;
        }
        let mut record = out.record();
        fill_request(message, &mut record, out);
        record.request_bytes = Some(frame.message_bytes as i64);
        match out.server_port {
            MDNS_PORT => out.one_way(record),
            _ => out.request(Key::Id(message.key()), record, 0),
        }
    }

    fn resync(&self, _direction: Direction, bytes: &[u8]) -> bool {
        match bytes.split_first_chunk::<2>() {
            Some((_, rest)) => message::may_start(rest) && Message::read(rest, true).is_some(),
            None => false,
        }
    }
}

impl Dns {
    fn response(&mut self, frame: &Frame<'_>, out: &mut Pairing<'_>) {
        let message = &frame.message;
        let key = match message.question.is_some() {
            true => Some(message.key()),
            // Without the question, the id has to do.
            false => out.waiting_id(message.key()..=message.key() | u64::from(u32::MAX)),
        };
        let is_awaited = key.is_some_and(|key| out.waiting_id(key..=key).is_some());
        if !is_awaited && self.transfer == Some(message.id) {
            return;
        }
        if message.is_transfer() {
            self.transfer = Some(message.id);
        }
        let code = message.response_code();
        let mut status = match code {
            0 => ResponseStatus::Ok,
            1 | 3 => ResponseStatus::ClientError,
            _ => ResponseStatus::ServerError,
        };
        if code == 3 && is_unconcerned(message, &out.config.unconcerned_nxdomain_suffixes) {
            status = ResponseStatus::Ok;
        }
        let mut response = out.answer(status);
        response.code = Some(i32::from(code));
        response.result = message.result(out.config.limits.text_bytes.min(1024));
        response.bytes = Some(frame.message_bytes as i64);
        if code != 0 {
            response.exception = types::response_code_name(code);
        }
        if !is_awaited {
            let mut echo = out.record();
            fill_request(message, &mut echo, out);
            response.echo = Some(echo);
        }
        match out.server_port {
            MDNS_PORT if !is_awaited => out.lone_response(response),
            _ => out.response(Key::Id(key.unwrap_or(message.key())), response),
        }
    }
}

fn fill_request(message: &Message<'_>, record: &mut Record, out: &Pairing<'_>) {
    record.request_id = Some(u64::from(message.id));
    let Some(question) = &message.question else { return };
    let name: Text = message.name_at(question.name_at, out.config.limits.text_bytes.min(1024));
    record.request_type = types::type_name(question.kind);
    if matches!(question.kind, types::A | types::AAAA) {
        record.request_domain = name.clone();
    }
    record.endpoint = name.clone();
    record.request_resource = name;
}

/// Whether nobody minds that the name does not exist.
fn is_unconcerned(message: &Message<'_>, suffixes: &[String]) -> bool {
    let Some(question) = &message.question else { return false };
    !suffixes.is_empty() && {
        let name = message.name_at(question.name_at, 1024);
        suffixes.iter().any(|suffix| name.ends_with(suffix.as_str()))
    }
}

#[cfg(test)]
mod tests;
