//! Microsoft SQL Server's Tabular Data Stream, 7.0 to 7.4: [MS-TDS],
//! learn.microsoft.com/openspecs/windows_protocols/ms-tds.
//!
//! ```text
//! message := packet+                                    (the last has EOM in its status)
//! packet  := kind: u8  status: u8  length: u16 be  spid: u16  id: u8  window: u8  payload
//! ```
//! One session for each message of the client and the server's answer: batches, procedure calls,
//! logins, transactions. Statements that were prepared are shown where they are executed. An
//! attention is a session by itself and makes the answer under way that of a client that gave up.
//! Passwords are never shown; rows are passed over. Of TLS, which is inside of packets or around
//! them, nothing is read. Several sessions in a connection (MARS) are not told apart.

mod login;
mod packet;
mod parameter;
mod probe;
mod request;
mod response;
mod token;
mod types;
mod utf16;

use std::collections::BTreeMap;

use schema::{L7Protocol, Text};

use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Pairing, Response};
use crate::stream::Mark;
use crate::tds::packet::Packet;
use crate::tds::token::Tokens;

/// One connection to a server.
#[derive(Debug, Default)]
pub(crate) struct Tds {
    /// The client's message of which more is to come.
    message: Option<Message>,
    /// The answer that is being read.
    open: Option<Response>,
    tokens: Tokens,
    /// Version of the protocol, once it is known.
    version: Text,
    /// Statements by handle.
    statements: BTreeMap<i32, Text>,
    /// The statement that the answer gives a handle to.
    preparing: Option<Text>,
}

/// Start of a message of several packets.
#[derive(Debug)]
struct Message {
    kind: u8,
    mark: Mark,
    payload: Vec<u8>,
    /// Length of the packets so far. unit byte
    bytes: u64,
}

impl Protocol for Tds {
    const ID: L7Protocol = L7Protocol::Tds;
    type Frame<'a> = Packet<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe::first_bytes(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Packet<'a>> {
        packet::cut(input)
    }

    fn pair(&mut self, direction: Direction, packet: Packet<'_>, out: &mut Pairing<'_>) {
        if packet.holds_tls() {
            return;
        }
        match direction {
            Direction::ClientToServer => self.read_client(&packet, out),
            Direction::ServerToClient => self.read_server(&packet, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        packet::may_start(direction, bytes)
    }

    fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => self.message = None,
            Direction::ServerToClient => {
                self.tokens.lose();
                self.finish(out);
            }
        }
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        self.finish(out);
    }

    fn held_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.payload.capacity());
        let texts: usize = self.statements.values().map(|text| text.len() + 48).sum();
        message + texts + self.tokens.held_bytes()
    }
}

impl Tds {
    /// Puts the packets of a message together, as far as a record needs them.
    fn read_client(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        let is_next = self.message.as_ref().is_some_and(|message| message.kind == packet.kind);
        if !is_next {
            self.message = None;
        }
        if self.message.is_none() && packet.is_last() {
            let bytes = packet.bytes as u64;
            return self.request(packet.kind, packet.payload, bytes, out.mark, out);
        }
        let wanted = 2 * out.config.limits.text_bytes + 2048;
        let message = self.message.get_or_insert_with(|| Message {
            kind: packet.kind,
            mark: out.mark,
            payload: Vec::new(),
            bytes: 0,
        });
        message.bytes += packet.bytes as u64;
        let room = wanted.saturating_sub(message.payload.len());
        message.payload.extend_from_slice(&packet.payload[..packet.payload.len().min(room)]);
        if packet.is_last()
            && let Some(message) = self.message.take()
        {
            self.request(message.kind, &message.payload, message.bytes, message.mark, out);
        }
    }
}

#[cfg(test)]
mod tests;
