//! AMQP 0-9-1, with RabbitMQ's extensions, and AMQP 1.0, which is another protocol with the same
//! name: specification 0-9-1 (frames in §4.2, classes and methods in the XML that belongs to it),
//! https://www.rabbitmq.com/docs/extensions, OASIS AMQP 1.0 (ISO/IEC 19464).
//!
//! ```text
//! 0-9-1: stream  := "AMQP" 0 0 9 1  frame*           (the header from the client only)
//!        frame   := kind: u8  channel: u16  size: u32  payload  0xce
//!        payload := class: u16 method: u16 arguments | class 0 length: u64 properties | body
//! 1.0:   stream  := *("AMQP" layer 1 0 0  frame*)    (layers: 3 SASL, 2 TLS, 0 AMQP)
//!        frame   := size: u32  doff: u8  type: u8  channel: u16  performative  payload
//! ```
//! The first byte of a frame tells them apart: kinds are 1, 2, 3 and 8, sizes are less than 2^24.
//! One record for each method or performative that is no reply: see `channels` and `links`.
//! Heartbeats and bodies are passed over.

mod channels;
mod close;
mod content;
mod fault;
mod field;
mod frame;
mod header;
mod key;
mod links;
mod method;
mod performative;
mod section;
mod transfer;
mod value;

use schema::L7Protocol;

use crate::amqp::channels::Channels;
use crate::amqp::header::Header;
use crate::amqp::links::Links;
use crate::amqp::performative::Performative;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::Pairing;

/// One AMQP connection.
#[derive(Debug, Default)]
pub(crate) struct Amqp {
    /// Of version 0-9-1.
    channels: Channels,
    /// Of version 1.0.
    links: Links,
    /// What comes cannot be read: another version, or TLS.
    opaque: bool,
}

/// A protocol header or a frame.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Header(Header),
    Channel(frame::Frame<'a>),
    Link(Performative<'a>),
}

impl Protocol for Amqp {
    const ID: L7Protocol = L7Protocol::Amqp;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        match (header::probe(first), first) {
            (Probe::No, [0, ..]) => performative::probe(context.direction, first, context.cut),
            (Probe::No, _) => frame::probe(context.direction, first, context.cut),
            (probe, _) => probe,
        }
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        match header::cut(input.bytes) {
            Step::Lost if self.opaque => return Step::Skip(u64::MAX),
            Step::Lost => {}
            step => return step,
        }
        match input.bytes[0] {
            0 => performative::cut(input).read(|frame| Some(Frame::Link(frame))),
            _ => frame::cut(input).read(|frame| Some(Frame::Channel(frame))),
        }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame {
            Frame::Header(header) => self.opaque = !header.pair(direction, out),
            Frame::Channel(frame) => self.channels.pair(direction, &frame, out),
            Frame::Link(frame) => self.links.pair(direction, &frame, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        self.opaque
            || match bytes {
                [0, ..] => performative::may_start(direction, bytes),
                _ => frame::may_start(direction, bytes),
            }
    }

    fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        self.channels.lost(direction, out);
        self.links.lost(direction, out);
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        self.channels.close(out);
        self.links.close(out);
    }

    fn held_bytes(&self) -> usize {
        self.channels.held_bytes() + self.links.held_bytes()
    }
}
