//! ISO 8583, versions 1987, 1993 and 2003: messages of card payments.
//!
//! ```text
//! message := length  [header]  type: 4 digits  bitmap: 64 or 128 bits  field*
//! ```
//! The standard leaves open how lengths, digits, letters and bitmaps are written, and each network
//! has its own header: the first message tells, since its fields fill it exactly in one way only.
//! A response has the type of its request but for the function, and repeats its trace number
//! (field 11). Both ends may ask. Notifications are sessions by themselves. Of a card's number
//! only the first six and the last four digits are ever shown, of PINs, tracks and amounts nothing.

mod code;
mod field;
mod frame;
mod layout;
mod message;

use schema::L7Protocol;

use crate::iso8583::layout::{Found, Layout};
use crate::iso8583::message::Message;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};

/// One connection between two ends of a payment network.
#[derive(Debug, Default)]
pub(crate) struct Iso8583 {
    /// How messages are written here.
    layout: Option<Layout>,
    /// A message starts where the last one of a direction ended.
    is_sure: [bool; 2],
}

impl Protocol for Iso8583 {
    const ID: L7Protocol = L7Protocol::Iso8583;
    type Frame<'a> = Message<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        layout::probe(first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Message<'a>> {
        if self.layout.is_none() {
            match layout::find(input.bytes) {
                Found::Layout(layout) => self.layout = Some(layout),
                Found::Short(bytes) if !input.cut => return Step::Need(bytes),
                _ => {}
            }
        }
        match self.layout {
            Some(layout) => frame::cut(input, layout, self.is_sure[direction.index()]),
            None => frame::pass_empty(input.bytes),
        }
    }

    fn pair(&mut self, direction: Direction, message: Message<'_>, out: &mut Pairing<'_>) {
        self.is_sure[direction.index()] = true;
        let asker = match message.kind.is_request() {
            true => direction,
            false => direction.opposite(),
        };
        let id = message.key() << 1 | asker.index() as u64;
        if message.kind.is_request() {
            let mut record = out.record();
            message.describe(&mut record);
            record.is_reversed = direction == Direction::ServerToClient;
            match message.kind.is_answered() {
                true => out.request(Key::Id(id), record, 0),
                false => out.one_way(record),
            }
            return;
        }
        let mut response = out.answer(message.status());
        message.answer(&mut response);
        if out.waiting(id).is_none() {
            let mut echo = out.record();
            message.describe(&mut echo);
            echo.request_bytes = None;
            echo.is_reversed = asker == Direction::ServerToClient;
            response.echo = Some(echo);
        }
        out.response(Key::Id(id), response);
    }

    fn resync(&self, _direction: Direction, bytes: &[u8]) -> bool {
        match self.layout {
            Some(layout) => frame::may_start(bytes, layout),
            None => layout::probe(bytes, true) == Probe::Certain,
        }
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        self.is_sure[direction.index()] = false;
    }
}

#[cfg(test)]
mod tests;
