//! Cassandra's CQL native protocol, versions 3 to 5 and DSE's: native_protocol_v3.spec to
//! native_protocol_v5.spec of github.com/apache/cassandra/doc.
//!
//! ```text
//! envelope := version: u8 (0x80: response)  flags: u8  stream: i16  opcode: u8  length: u32  body
//! segment  := length: u17 [plain_length: u17] self_contained: u1 padding crc24   (little endian)
//!             envelopes, or a piece of one  crc32                    (v5 after the startup)
//! ```
//! Requests and responses are paired by their stream. EXECUTE shows the statement that was
//! prepared on this connection. Events that the server pushes are sessions by themselves. Bodies
//! in LZ4 and Snappy are read; rows are passed over.

mod body;
mod envelope;
mod probe;
mod request;
mod response;
mod segment;

use std::collections::BTreeMap;

use schema::{L7Protocol, Text};

use crate::cassandra::body::Compression;
use crate::cassandra::envelope::Envelope;
use crate::cassandra::segment::Segment;
use crate::inner::Inner;
use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::Pairing;

/// One connection to a Cassandra node.
#[derive(Debug, Default)]
pub(crate) struct Cassandra {
    compression: Compression,
    /// Envelopes that segments hold, by direction.
    inner: [Inner; 2],
    /// Prepared statements by id.
    statements: BTreeMap<Vec<u8>, Text>,
}

/// What was cut from the wire.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Envelope(Envelope<'a>),
    Segment(Segment<'a>),
}

impl Protocol for Cassandra {
    const ID: L7Protocol = L7Protocol::Cassandra;
    type Frame<'a> = Frame<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        probe::first_bytes(context.direction, first, context.cut)
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Frame<'a>> {
        if envelope::may_start(direction, input.bytes) {
            return envelope::cut(direction, input)
                .read(|envelope| Some(Frame::Envelope(envelope)));
        }
        segment::cut(input).read(|segment| Some(Frame::Segment(segment)))
    }

    fn pair(&mut self, direction: Direction, frame: Frame<'_>, out: &mut Pairing<'_>) {
        match frame {
            Frame::Envelope(envelope) => self.pair_envelope(direction, &envelope, out),
            Frame::Segment(segment) => self.pair_segment(direction, &segment, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        segment::may_start(bytes)
            || matches!(
                probe::first_bytes(direction, bytes, true),
                Probe::Certain | Probe::Possible
            )
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        self.inner[direction.index()] = Inner::lost();
    }

    fn held_bytes(&self) -> usize {
        let inner: usize = self.inner.iter().map(Inner::held_bytes).sum();
        let texts = self.statements.iter().map(|(id, text)| id.len() + text.len() + 64);
        inner + texts.sum::<usize>()
    }
}

impl Cassandra {
    fn pair_envelope(
        &mut self,
        direction: Direction,
        envelope: &Envelope<'_>,
        out: &mut Pairing<'_>,
    ) {
        let plain;
        let mut envelope = *envelope;
        if envelope.is_compressed() {
            plain = self.compression.plain(envelope.body, out.config.limits.text_bytes);
            envelope.body = &plain;
        }
        match direction {
            Direction::ClientToServer => self.request(&envelope, out),
            Direction::ServerToClient => self.response(&envelope, out),
        }
    }

    fn pair_segment(&mut self, direction: Direction, segment: &Segment<'_>, out: &mut Pairing<'_>) {
        let inner = &mut self.inner[direction.index()];
        if inner.is_lost && !segment.is_self_contained {
            return;
        }
        inner.is_lost = false;
        match segment.plain_bytes {
            0 => self.pair_inner(direction, segment.payload, out),
            plain_bytes => {
                let plain = crate::lz4::decompress(segment.payload, plain_bytes);
                self.pair_inner(direction, &plain, out);
            }
        }
        if !segment.is_whole {
            self.inner[direction.index()] = Inner::lost();
        }
    }

    /// Reads envelopes of segments; one that is not complete waits for more.
    fn pair_inner(&mut self, direction: Direction, payload: &[u8], out: &mut Pairing<'_>) {
        let side = direction.index();
        let mut inner = std::mem::take(&mut self.inner[side]);
        let text_bytes = out.config.limits.text_bytes;
        let makes_sense = inner.read(payload, |bytes| {
            let input = Input { bytes, cut: false, datagram: false, text_bytes };
            envelope::cut(direction, input).read(|envelope| {
                self.pair_envelope(direction, &envelope, out);
                Some(())
            })
        });
        inner.is_lost |= !makes_sense;
        self.inner[side] = inner;
    }

    fn remember(&mut self, id: &[u8], statement: Text, out: &Pairing<'_>) {
        if self.statements.len() >= out.config.limits.statements {
            self.statements.pop_first();
        }
        self.statements.insert(id.to_vec(), statement);
    }
}

#[cfg(test)]
mod tests;
