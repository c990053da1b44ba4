//! LDAP version 2 and 3: RFC 4511, filters as RFC 4515 writes them, StartTLS RFC 4513; and its
//! datagrams (CLDAP).
//!
//! ```text
//! message := SEQUENCE { id: INTEGER, operation, [0] controls }          (BER, RFC 4511 5.1)
//! ```
//! Requests and responses are paired by their id. A search is answered by what ends it; entries
//! are counted and passed over, and the time is that of the first. UNBIND and ABANDON are
//! sessions by themselves, and so is what the server says unasked. Passwords and values of
//! attributes are never shown. After StartTLS the connection speaks TLS.

mod filter;
mod name;
mod operation;
mod probe;

use std::collections::BTreeMap;

use compact_str::format_compact;
use schema::{L7Protocol, ResponseStatus, Text};

use crate::ber::Element;
use crate::bytes;
use crate::ldap::operation::Message;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::stream::Mark;

/// One connection to a directory server.
#[derive(Debug, Default)]
pub(crate) struct Ldap {
    /// Searches whose entries come, by id.
    searches: BTreeMap<u64, Search>,
    /// Id of a request for TLS.
    start_tls: Option<u64>,
    /// A method that may encrypt was used: what has no BER is a buffer of its.
    has_sasl: bool,
}

/// A search that is being answered.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// Of the first answer.
    mark: Mark,
    captured_bytes: u32,
    /// Length of the answers so far. unit byte
    bytes: i64,
    entries: u64,
}

/// Searches under way that are remembered.
const SEARCHES: usize = 1024;

/// Longest message that is believed. unit byte
const MESSAGE_BYTES_MAX: usize = 64 << 20;

impl Protocol for Ldap {
    const ID: L7Protocol = L7Protocol::Ldap;
    type Frame<'a> = Message<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe::first_bytes(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Message<'a>> {
        if self.has_sasl && input.bytes[0] == 0 {
            return match input.bytes.first_chunk::<4>() {
                Some(length) => Step::Skip(4 + u64::from(u32::from_be_bytes(*length))),
                None => Step::Need(4),
            };
        }
        if input.bytes[0] != crate::ber::SEQUENCE {
            return Step::Lost;
        }
        let Some(outer) = Element::read(input.bytes) else {
            return if input.bytes.len() < 6 {
                Step::Need(input.bytes.len() + 1)
            } else {
                Step::Lost
            };
        };
        if outer.bytes() > MESSAGE_BYTES_MAX {
            return Step::Lost;
        }
        let wanted = outer.header_bytes + input.text_bytes + 1024;
        input.message(outer.bytes() as u64, wanted).read(Message::read)
    }

    fn pair(&mut self, direction: Direction, message: Message<'_>, out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => self.request(&message, out),
            Direction::ServerToClient => self.response(&message, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        matches!(probe::first_bytes(direction, bytes, true), Probe::Certain | Probe::Possible)
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        if direction == Direction::ServerToClient {
            self.searches.clear();
        }
    }

    fn held_bytes(&self) -> usize {
        self.searches.len() * (size_of::<Search>() + 16)
    }
}

impl Ldap {
    fn request(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) {
        let mut record = out.record();
        record.request_id = Some(message.id);
        record.request_bytes = Some(message.bytes as i64);
        let is_known = operation::describe(message, &mut record, out);
        if !is_known {
            return;
        }
        self.searches.remove(&message.id);
        match message.tag {
            operation::UNBIND => out.one_way(record),
            operation::ABANDON => {
                out.one_way(record);
                // Nothing answers it any more (RFC 4511 section 4.11).
                if let Some(id) = operation::abandoned_id(message) {
                    self.searches.remove(&id);
                    out.let_go(id);
                }
            }
            operation::BIND => {
                self.has_sasl |= operation::is_sasl(message);
                out.request(Key::Id(message.id), record, 0);
            }
            _ => {
                if record.request_resource == operation::START_TLS {
                    self.start_tls = Some(message.id);
                }
                out.request(Key::Id(message.id), record, 0);
            }
        }
    }

    fn response(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) {
        if message.id == 0 {
            return unasked(message, out);
        }
        match message.tag {
            operation::ENTRY | operation::REFERENCE => self.entry(message, out),
            operation::INTERMEDIATE => {}
            _ => self.result(message, out),
        }
    }

    /// One of the answers to a search.
    fn entry(&mut self, message: &Message<'_>, out: &Pairing<'_>) {
        if !self.searches.contains_key(&message.id) && self.searches.len() >= SEARCHES {
            self.searches.pop_first();
        }
        let search = self.searches.entry(message.id).or_insert(Search {
            mark: out.mark,
            captured_bytes: out.captured_bytes,
            bytes: 0,
            entries: 0,
        });
        search.entries += u64::from(message.tag == operation::ENTRY);
        search.bytes += message.bytes as i64;
    }

    /// What ends an operation.
    fn result(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) {
        let search = self.searches.remove(&message.id);
        let entries = search.map_or(0, |search| search.entries);
        let mut response = out.answer(ResponseStatus::Ok);
        response.bytes = Some(message.bytes as i64);
        if let Some(search) = search {
            response.mark = search.mark;
            response.captured_bytes = search.captured_bytes;
            response.bytes = Some(search.bytes + message.bytes as i64);
        }
        if message.tag == operation::SEARCH_DONE {
            response.affected_rows = Some(entries);
        }
        response.echo = out.echo_of_id(message.id, message.id).map(|mut echo| {
            echo.request_type = Text::const_new(operation::answered_name(message.tag));
            echo
        });
        let result = operation::result(message);
        if let Some((code, text)) = result {
            response.status = operation::status(code);
            response.code = i32::try_from(code).ok();
            let name = match operation::result_name(code) {
                Some(name) => Text::const_new(name),
                None => format_compact!("result {code}"),
            };
            if response.status == ResponseStatus::Ok {
                response.result = name;
            } else {
                response.exception = name;
                if !text.is_empty() {
                    response.exception.push_str(": ");
                    response.exception.push_str(&bytes::text(text, 1024));
                }
            }
        }
        out.response(Key::Id(message.id), response);
        if self.start_tls == Some(message.id) {
            self.start_tls = None;
            out.handover = result.is_some_and(|(code, _)| code == 0);
        }
    }
}

/// An unsolicited notification (RFC 4511 section 4.4): the server is about to close.
fn unasked(message: &Message<'_>, out: &mut Pairing<'_>) {
    let mut record = out.record();
    record.request_type = Text::const_new("NOTIFICATION");
    record.request_bytes = Some(message.bytes as i64);
    record.is_reversed = true;
    if let Some((_, text)) = operation::result(message) {
        record.request_resource = bytes::text(text, 1024);
    }
    out.one_way(record);
}

#[cfg(test)]
mod tests;
