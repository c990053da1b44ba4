//! AMQP 0-9-1, with RabbitMQ's extensions: the specification of version 0-9-1 (frames in §4.2,
//! classes and methods in the XML that belongs to it), https://www.rabbitmq.com/docs/extensions
//!
//! ```text
//! stream  := "AMQP" 0 0 9 1  frame*           (the header from the client only)
//! frame   := kind: u8  channel: u16  size: u32  payload  0xce
//! payload := class: u16 method: u16 arguments | class 0 body-size: u64 flags properties | body
//! ```
//! One record for each method that is no reply: see `channels`. Heartbeats and bodies are passed
//! over.

mod channels;
mod close;
mod content;
mod field;
mod frame;
mod header;
mod key;
mod method;

use schema::L7Protocol;

use crate::amqp::channels::Channels;
use crate::amqp::header::Header;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::{Direction, Transport};
use crate::session::Pairing;

/// One AMQP connection.
#[derive(Debug, Default)]
pub(crate) struct Amqp {
    channels: Channels,
    /// What comes cannot be read: another version, or TLS.
    opaque: bool,
}

/// A protocol header or a frame.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Header(Header),
    Channel(frame::Frame<'a>),
}

impl Protocol for Amqp {
    const ID: L7Protocol = L7Protocol::Amqp;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        if context.transport != Transport::Tcp {
            return Probe::No;
        }
        match header::probe(first) {
            Probe::No => frame::probe(context.direction, first, context.cut),
            probe => probe,
        }
    }

    fn frame<'a>(&mut self, _direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        match header::cut(input.bytes) {
            Step::Lost if self.opaque => return Step::Skip(u64::MAX),
            Step::Lost => {}
            step => return step,
        }
        match frame::cut(input) {
            Step::Frame { frame, used } => Step::Frame { frame: Frame::Channel(frame), used },
            Step::Need(bytes) => Step::Need(bytes),
            Step::Skip(bytes) => Step::Skip(bytes),
            Step::Lost => Step::Lost,
        }
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame {
            Frame::Header(header) => self.opaque = !header.pair(direction, out),
            Frame::Channel(frame) => self.channels.pair(direction, &frame, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        self.opaque || frame::may_start(direction, bytes)
    }

    fn lost(&mut self, direction: Direction, out: &mut Pairing<'_>) {
        self.channels.lost(direction, out);
    }

    fn close(&mut self, out: &mut Pairing<'_>) {
        self.channels.close(out);
    }

    fn held_bytes(&self) -> usize {
        self.channels.held_bytes()
    }
}
