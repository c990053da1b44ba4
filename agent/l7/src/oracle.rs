//! Oracle's Net8 transport (TNS) and the two-task calls in it (TTC), as Oracle's own
//! python-oracledb (github.com/oracle/python-oracledb, thin mode) writes and reads them.
//!
//! ```text
//! packet := length: u16, checksum: u16 | length: u32   kind: u8  flags: u8  checksum: u16  body
//! data   := flags: u16  message+            (of the last packets of a message only a piece of it)
//! call   := 0x03  function: u8  number: u8  arguments
//! ```
//! One session for the connect, and one for each message of the client that is answered: calls,
//! and what is agreed before them. Calls that ride on others are not told apart from those. A
//! response runs to its status or error, its time is that of its first packet; rows are passed
//! over. Cursors show the statement they were opened for. Passwords and bound values are never
//! shown. Of what native encryption hides nothing is read.

mod call;
mod connect;
mod fault;
mod packet;
mod probe;
mod statement;
mod status;

use std::collections::BTreeMap;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::oracle::call::Message;
use crate::oracle::packet::Packet;
use crate::oracle::status::Status;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing, Response};
use crate::stream::Mark;

/// One connection to a database or its listener.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    wire: packet::Wire,
    /// Longest packet that was agreed on. unit byte
    packet_bytes_max: Option<u32>,
    /// A connect whose text comes in a packet of its own.
    connect: Option<Box<Record>>,
    /// The connect is to be sent again.
    resend: bool,
    /// A message of the client of which more may come.
    message: Option<Partial>,
    /// The response that is being read.
    open: Option<Response>,
    /// Version that the server accepted.
    version: Text,
    /// Statements by cursor.
    statements: BTreeMap<u32, Text>,
    /// Encryption was negotiated.
    may_be_encrypted: bool,
    /// Packets of the client in a row that make no sense since then.
    unread: u8,
}

/// First packets of a message.
#[derive(Debug)]
struct Partial {
    mark: Mark,
    payload: Vec<u8>,
    /// Length of the packets so far. unit byte
    bytes: u64,
}

/// Kinds of requests.
mod tag {
    pub const CONNECT: u64 = 1;
    pub const AGREEMENT: u64 = 2;
    pub const CALL: u64 = 3;
    /// May open a cursor.
    pub const EXECUTE: u64 = 4;
}

/// Shortest packets that can be agreed on: of a smaller number nothing is known. unit byte
const PACKET_BYTES_MIN: u32 = 512;

/// So many packets in a row that make no sense are encrypted.
const UNREAD_MAX: u8 = 8;

impl Protocol for Oracle {
    const ID: L7Protocol = L7Protocol::Oracle;
    type Frame<'a> = Packet<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe::first_bytes(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Packet<'a>> {
        if self.unread >= UNREAD_MAX {
            return Step::Skip(u64::MAX);
        }
        packet::cut(input, self.wire)
    }

    fn pair(&mut self, direction: Direction, packet: Packet<'_>, out: &mut Pairing<'_>) {
        self.wire = self.wire.max(packet.wire);
        match direction {
            Direction::ClientToServer => self.read_client(&packet, out),
            Direction::ServerToClient => self.read_server(&packet, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        packet::may_start(direction, bytes, self.wire)
    }

    fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => self.end_message(out),
            Direction::ServerToClient => self.finish(out),
        }
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        self.end_message(out);
        self.finish(out);
    }

    fn held_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.payload.capacity());
        let texts: usize = self.statements.values().map(|text| text.len() + 48).sum();
        let connect = self.connect.as_ref().map_or(0, |_| size_of::<Record>());
        message + texts + connect
    }
}

impl Oracle {
    fn read_client(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        match packet.kind {
            packet::CONNECT => self.connect(packet, out),
            packet::DATA => self.read_data(packet, out),
            // Markers cancel a call or confirm that it was: the response tells.
            _ => {}
        }
    }

    fn connect(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        if std::mem::take(&mut self.resend) && out.expected_tag() == Some(tag::CONNECT) {
            return;
        }
        self.end_message(out);
        let mut record = out.record();
        record.request_type = Text::const_new("CONNECT");
        record.request_bytes = Some(packet.bytes as i64);
        match connect::text(packet.body) {
            Some(text) if !text.is_empty() => {
                connect::describe(text, &mut record, out.config.limits.text_bytes);
                out.request(Key::Order, record, tag::CONNECT);
            }
            _ => self.connect = Some(record),
        }
    }

    /// Puts the packets of a message together, as far as a record needs them.
    fn read_data(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        let Some(payload) = packet.payload().filter(|payload| !payload.is_empty()) else { return };
        if let Some(mut record) = self.connect.take() {
            let bytes = record.request_bytes.unwrap_or(0) + packet.bytes as i64;
            record.request_bytes = Some(bytes);
            let text_bytes = out.config.limits.text_bytes;
            connect::describe(connect::trimmed(payload), &mut record, text_bytes);
            out.request(Key::Order, record, tag::CONNECT);
            return;
        }
        let is_full = self.packet_bytes_max.is_some_and(|max| packet.bytes as u64 >= max.into());
        if self.open.is_some() {
            self.finish(out);
        }
        match &mut self.message {
            Some(message) => {
                let wanted = out.config.limits.text_bytes + call::LOOK_BYTES;
                let room = wanted.saturating_sub(message.payload.len());
                message.payload.extend_from_slice(&payload[..payload.len().min(room)]);
                message.bytes += packet.bytes as u64;
            }
            None if !is_full => {
                let bytes = packet.bytes as u64;
                return self.request(payload, bytes, out.mark, out);
            }
            None => {
                let wanted = out.config.limits.text_bytes + call::LOOK_BYTES;
                let payload = payload[..payload.len().min(wanted)].to_vec();
                let bytes = packet.bytes as u64;
                self.message = Some(Partial { mark: out.mark, payload, bytes });
            }
        }
        if !is_full {
            self.end_message(out);
        }
    }

    /// No more of what is held of a message will come.
    fn end_message(&mut self, out: &mut Pairing<'_>) {
        if let Some(record) = self.connect.take() {
            out.request(Key::Order, record, tag::CONNECT);
        }
        if let Some(message) = self.message.take() {
            self.request(&message.payload, message.bytes, message.mark, out);
        }
    }

    fn request(&mut self, payload: &[u8], bytes: u64, mark: Mark, out: &mut Pairing<'_>) {
        let Some(message) = call::read(payload) else {
            // More of a message whose packets' length is not known, or encrypted.
            self.unread = self.unread.saturating_add(u8::from(self.may_be_encrypted));
            return;
        };
        self.unread = 0;
        let mut record = out.record_at(mark);
        record.request_bytes = i64::try_from(bytes).ok();
        record.version = self.version.clone();
        match message {
            Message::Agreement(name) => {
                self.may_be_encrypted |= name == call::NETWORK_SERVICES_NAME;
                record.request_type = Text::const_new(name);
                out.request(Key::Order, record, tag::AGREEMENT);
            }
            Message::OneWay(call) => {
                call.describe(&mut record, out.config, None);
                out.one_way(record);
            }
            Message::Call(call) => {
                let known = call.cursor().and_then(|cursor| self.statements.get(&cursor));
                call.describe(&mut record, out.config, known);
                let tag = if call.opens_cursor() { tag::EXECUTE } else { tag::CALL };
                out.request(Key::Order, record, tag);
            }
        }
    }

    fn read_server(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        if packet.kind == packet::RESEND {
            self.resend = true;
            return;
        }
        self.end_message(out);
        match packet.kind {
            packet::ACCEPT | packet::REFUSE | packet::REDIRECT => self.connected(packet, out),
            packet::DATA => self.read_answer(packet, out),
            _ => {}
        }
    }

    /// The answer to a connect.
    fn connected(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        let mut response = out.answer(ResponseStatus::Ok);
        response.bytes = Some(packet.bytes as i64);
        match packet.kind {
            packet::ACCEPT => {
                let accepted = connect::accepted(packet.body);
                let max = accepted.map(|accepted| accepted.packet_bytes_max);
                self.packet_bytes_max = max.filter(|max| *max >= PACKET_BYTES_MIN);
                if let Some(accepted) = accepted {
                    self.version = accepted.version();
                    self.wire = packet::Wire::after(accepted.version);
                }
                response.version = self.version.clone();
            }
            packet::REFUSE => connect::refused(packet.body, &mut response),
            _ => {
                response.result = Text::const_new("redirect");
                let address = connect::redirected(packet.body);
                response.attributes.push((Text::const_new("redirected_to"), address));
            }
        }
        out.response(Key::Order, response);
    }

    /// A packet of a response.
    fn read_answer(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        let Some(payload) = packet.payload().filter(|payload| !payload.is_empty()) else { return };
        let tag = out.expected_tag();
        let status = match tag {
            Some(tag::AGREEMENT) => Some(Status::default()),
            _ => status::find(payload, packet.is_whole()),
        };
        // Of a response whose request was not seen only its end says anything.
        if tag.is_none() && self.open.is_none() && status.is_none() {
            return;
        }
        let mut response = self.open.take().unwrap_or_else(|| out.answer(ResponseStatus::Ok));
        response.bytes = Some(response.bytes.unwrap_or(0) + packet.bytes as i64);
        let Some(status) = status else {
            self.open = Some(response);
            return;
        };
        let is_shown = |rows: &u64| *rows > 0 || tag == Some(tag::EXECUTE) && status.code == 0;
        response.affected_rows = status.rows.filter(is_shown);
        if status.code != 0 {
            response.status = fault::status(status.code);
            response.code = i32::try_from(status.code).ok();
            if !response.is_ok() {
                response.exception = fault::text(status.code, status.text);
            }
        }
        if tag == Some(tag::EXECUTE)
            && let Some(cursor) = status.cursor
            && let Some(statement) = out.expected().map(|record| record.request_resource.clone())
            && !statement.is_empty()
        {
            self.remember(cursor, statement, out);
        }
        self.open = Some(response);
        self.finish(out);
    }

    /// The response has ended.
    fn finish(&mut self, out: &mut Pairing<'_>) {
        if let Some(response) = self.open.take() {
            out.response(Key::Order, response);
        }
    }

    fn remember(&mut self, cursor: u32, statement: Text, out: &Pairing<'_>) {
        if self.statements.len() >= out.config.limits.statements {
            self.statements.pop_first();
        }
        self.statements.insert(cursor, statement);
    }
}

#[cfg(test)]
mod tests;
