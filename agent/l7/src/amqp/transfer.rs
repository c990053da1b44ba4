//! Messages of AMQP 1.0, and their outcomes.
//!
//! In: `transfer`, of which several may make one message, and `disposition`. Out: halves of
//! sessions. Never: a body.

use schema::{ResponseStatus, Text};

use crate::amqp::fault::Fault;
use crate::amqp::links::{KNOWN_MAX, Links, Part, id, waiter, within};
use crate::amqp::performative::{Performative, code};
use crate::amqp::section;
use crate::amqp::value::Value;
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};

impl Links {
    pub fn transfer(
        &mut self,
        direction: Direction,
        frame: &Performative<'_>,
        out: &mut Pairing<'_>,
    ) {
        let mut fields = frame.fields;
        let handle = fields.next().and_then(Value::unsigned).unwrap_or(0) as u32;
        let delivery = fields.next().and_then(Value::unsigned);
        let _tag_and_format = (fields.next(), fields.next());
        let settled = fields.next().is_some_and(Value::is_true);
        let more = fields.next().is_some_and(Value::is_true);
        let _mode_state_resume = (fields.next(), fields.next(), fields.next());
        let aborted = fields.next().is_some_and(Value::is_true);
        let session = self.session(direction, frame.channel);
        let key = (session, direction, handle);
        let payload_bytes = i64::try_from(frame.payload_bytes).unwrap_or(i64::MAX);
        let mut part = match self.parts.remove(&key) {
            Some(mut part) => {
                let record = &mut part.record;
                record.request_bytes = record.request_bytes.map(|bytes| bytes + payload_bytes);
                record.captured_request_bytes += out.captured_bytes;
                part
            }
            None => {
                let mut record = self.record(direction, code::TRANSFER, out);
                if let Some(link) = self.links.get(&key) {
                    record.request_resource = link.address.clone();
                    record.endpoint = link.address.clone();
                }
                record.request_id = delivery;
                record.request_bytes = Some(payload_bytes);
                section::note(frame.payload, &mut record, out.config);
                Part { record, delivery: delivery.unwrap_or(0) as u32, settled: false }
            }
        };
        part.settled |= settled;
        if aborted {
            part.settled = true;
            part.record.response_result = Text::const_new("aborted");
        }
        match more && !aborted && self.parts.len() < KNOWN_MAX {
            true => {
                self.parts.insert(key, part);
            }
            false => self.finish(key, part, out),
        }
    }

    pub fn finish(&mut self, key: (u16, Direction, u32), part: Part, out: &mut Pairing<'_>) {
        if part.settled {
            out.one_way(part.record);
            return;
        }
        let (session, direction, _) = key;
        let identity = within(session, u64::from(part.delivery));
        let key = Key::Id(id(waiter::TRANSFER, direction, identity));
        match direction {
            Direction::ClientToServer => out.request(key, part.record, 0),
            // A consumer may take its time.
            Direction::ServerToClient => out.quiet_request(key, part.record, 0),
        }
    }

    /// The outcome of messages of the other end.
    pub fn disposition(
        &mut self,
        direction: Direction,
        frame: &Performative<'_>,
        out: &mut Pairing<'_>,
    ) {
        let mut fields = frame.fields;
        let is_receiver = fields.next().is_some_and(Value::is_true);
        let first = fields.next().and_then(Value::unsigned).unwrap_or(0) & 0xffff_ffff;
        let last = fields.next().and_then(Value::unsigned).unwrap_or(first).max(first);
        let settled = fields.next().is_some_and(Value::is_true);
        let state = fields.next();
        if !is_receiver {
            // A sender forgets its own messages: their outcome was seen.
            return;
        }
        let mut response = out.answer(ResponseStatus::Ok);
        let from_server = direction == Direction::ServerToClient;
        if !outcome(state, from_server, &mut response, out) && !settled {
            return;
        }
        let session = self.session(direction, frame.channel);
        let id = |delivery| id(waiter::TRANSFER, direction.opposite(), within(session, delivery));
        let range = id(first)..=id(last.min(0xffff_ffff));
        let mut is_paired = false;
        while let Some(id) = out.waiting_id(range.clone()) {
            is_paired = true;
            out.response(Key::Id(id), response.clone());
        }
        if !is_paired {
            let record = self.record(direction, code::DISPOSITION, out);
            out.one_way(record);
        }
    }
}

/// Writes the outcome of a message into its response; `false`: it is not final.
fn outcome(
    state: Option<Value<'_>>,
    from_server: bool,
    response: &mut Response,
    out: &Pairing<'_>,
) -> bool {
    let Some(Value::Described(state, mut fields)) = state else { return false };
    let failed =
        if from_server { ResponseStatus::ServerError } else { ResponseStatus::ClientError };
    let (name, status) = match state {
        0x24 => ("accepted", ResponseStatus::Ok),
        0x25 => ("rejected", failed),
        // No queue took it, or a consumer gives it back.
        0x26 => ("released", ResponseStatus::ClientError),
        0x27 => ("modified", failed),
        // The state of a transaction, with the outcome in it.
        0x34 => ("transactional", ResponseStatus::Ok),
        0x33 => ("declared", ResponseStatus::Ok),
        _ => return false,
    };
    response.status = status;
    response.result = Text::const_new(name);
    if status != ResponseStatus::Ok {
        response.exception = Text::const_new(name);
    }
    if state == 0x25
        && let Some(fault) = Fault::read(fields.next(), out.config.limits.text_bytes)
    {
        fault.fill(response);
    }
    true
}
