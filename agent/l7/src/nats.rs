//! NATS client protocol, https://docs.nats.io/reference/reference-protocols/nats-protocol, with
//! headers (ADR-4), JetStream's replies (ADR-1), and the lines that servers send each other.
//!
//! ```text
//! client := CONNECT json | (PUB | HPUB) subject [reply] [header-length] length CRLF payload
//!         | SUB subject [queue] sid | UNSUB sid [max] | PING | PONG          each with CRLF
//! server := INFO json | (MSG | HMSG) subject sid [reply] [header-length] length CRLF payload
//!         | +OK | -ERR 'text' | PING | PONG
//! ```
//! One record for each operation that is no answer to another: see `dialogue`. Payloads are
//! passed over but for the errors that JetStream puts into them; credentials are never read. A
//! client that goes on with TLS after `INFO` is not read on.

mod answer;
mod dialogue;
mod header;
mod json;
mod operation;
mod subscription;

use schema::L7Protocol;

use crate::nats::dialogue::Dialogue;
use crate::nats::operation::Operation;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::Pairing;

/// One NATS connection.
#[derive(Debug, Default)]
pub(crate) struct Nats {
    dialogue: Dialogue,
    encrypted: bool,
}

/// First byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

impl Protocol for Nats {
    const ID: L7Protocol = L7Protocol::Nats;
    type Frame<'a> = Operation<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        operation::probe(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Operation<'a>> {
        let is_hello = direction == Direction::ClientToServer && input.bytes[0] == HANDSHAKE;
        if self.encrypted || is_hello {
            self.encrypted = true;
            return Step::Skip(u64::MAX);
        }
        match input.bytes {
            [b'\r', b'\n', ..] => Step::Skip(2),
            [b'\r'] if !input.cut => Step::Need(2),
            _ => operation::cut(input),
        }
    }

    fn pair(&mut self, direction: Direction, operation: Operation<'_>, out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => self.dialogue.client(&operation, out),
            Direction::ServerToClient => self.dialogue.server(&operation, out),
        }
    }

    fn resync(&self, _direction: Direction, bytes: &[u8]) -> bool {
        self.encrypted || operation::may_start(bytes)
    }

    fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        self.dialogue.lost(direction, out);
    }

    fn held_bytes(&self) -> usize {
        self.dialogue.held_bytes()
    }
}
