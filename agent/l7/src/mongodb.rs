//! MongoDB: wire protocol, github.com/mongodb/docs/…/reference/mongodb-wire-protocol and the driver
//! specifications for OP_MSG, OP_COMPRESSED and command monitoring; BSON, bsonspec.org.
//!
//! ```text
//! message    := length: i32 le  request_id: i32  response_to: i32  opcode: i32  body
//! OP_MSG     := flags: u32  section+  [checksum: u32]
//! section    := 0 document | 1 size: i32 name NUL document*
//! compressed := opcode: i32  plain_length: i32  method: u8  body
//! ```
//! One session for each message that is answered; replies name the request's id. Writes that
//! nobody acknowledges (moreToCome, OP_INSERT and the like) are sessions by themselves. Of a
//! stream of replies to one request (exhaust) the first is its response, the others are
//! responses alone. Credentials are never shown.

mod bson;
mod command;
mod compression;
mod reply;
mod text;
mod wire;

use schema::L7Protocol;

use crate::mongodb::wire::Message;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::record::Record;
use crate::segment::Direction;
use crate::session::{Key, Pairing};

/// One connection to a MongoDB server.
#[derive(Debug, Default)]
pub(crate) struct Mongodb {
    exhaust: Option<Exhaust>,
}

/// A request whose answers go on.
#[derive(Debug)]
struct Exhaust {
    /// Id of the reply that the next one names.
    last_reply: u32,
    /// The request.
    record: Box<Record>,
}

impl Protocol for Mongodb {
    const ID: L7Protocol = L7Protocol::Mongodb;
    type Frame<'a> = Message<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        wire::probe(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Message<'a>> {
        wire::cut(input)
    }

    fn pair(&mut self, direction: Direction, message: Message<'_>, out: &mut Pairing<'_>) {
        let inflated;
        let message = match message.opcode {
            wire::COMPRESSED => {
                inflated = compression::inflate(&message, out.config.limits.text_bytes);
                inflated.message(&message)
            }
            _ => message,
        };
        match direction {
            Direction::ClientToServer => command::request(&message, out),
            Direction::ServerToClient => self.reply(&message, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        !matches!(wire::probe(direction, bytes, true), Probe::No)
    }

    fn lost(&mut self, _direction: Direction, _out: &mut Pairing<'_>) {
        self.exhaust = None;
    }

    fn held_bytes(&self) -> usize {
        let texts = |exhaust: &Exhaust| size_of::<Record>() + exhaust.record.request_resource.len();
        self.exhaust.as_ref().map_or(0, texts)
    }
}

impl Mongodb {
    fn reply(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) {
        let mut response = reply::response(message, out);
        let goes_on = message.is_more_to_come();
        if let Some(exhaust) = self.exhaust.take_if(|e| e.last_reply == message.response_to) {
            response.echo = Some(exhaust.record.clone());
            out.lone_response(response);
            if goes_on {
                self.exhaust = Some(Exhaust { last_reply: message.request_id, ..exhaust });
            }
            return;
        }
        let id = u64::from(message.response_to);
        if goes_on && let Some(request) = out.waiting(id) {
            let record = Box::new(request.clone());
            self.exhaust = Some(Exhaust { last_reply: message.request_id, record });
        }
        out.response(Key::Id(id), response);
    }
}

#[cfg(test)]
mod tests;
