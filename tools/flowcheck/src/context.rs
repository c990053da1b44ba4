//! What is known of segments beyond their flow: earlier copies in what tshark takes for the same
//! connection.

use std::collections::HashMap;

use crate::agent::key;
use crate::bytes::{Exact, Seen};
use crate::packet::{Packet, Tcp};

/// Where an earlier copy of a segment was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// In the same overlay network.
    SameNetwork,
    /// In another one.
    OtherNetwork,
}

/// Earlier copies by frame.
#[derive(Debug, Default)]
pub struct Context {
    earlier: HashMap<u64, Earlier>,
}

/// What was seen of one sender.
#[derive(Default)]
struct Sent {
    bytes: Exact,
    syn: bool,
    syn_ack: bool,
}

impl Sent {
    fn is_again(&mut self, packet: &Packet, tcp: &Tcp) -> bool {
        if tcp.is(Tcp::SYN | Tcp::ACK, 0) {
            std::mem::replace(&mut self.syn_ack, true)
        } else if tcp.is(Tcp::SYN, 0) {
            std::mem::replace(&mut self.syn, true)
        } else {
            let len = packet.payload_bytes;
            len > 0 && self.bytes.insert(tcp.seq, len) == Seen::Before
        }
    }
}

impl Context {
    /// Of a capture.
    pub fn new(packets: &[Packet]) -> Self {
        let mut everywhere: HashMap<(u64, usize), Sent> = HashMap::new();
        let mut here: HashMap<(u64, usize, u64), Sent> = HashMap::new();
        let mut out = Self::default();
        for packet in packets {
            let Some(tcp) = &packet.tcp else { continue };
            let (_, side) = key(packet.src, packet.dst, packet.protocol);
            let in_stream = everywhere.entry((tcp.stream, side)).or_default().is_again(packet, tcp);
            let place = (tcp.stream, side, packet.network);
            let in_place = here.entry(place).or_default().is_again(packet, tcp);
            if in_place {
                out.earlier.insert(packet.frame, Earlier::SameNetwork);
            } else if in_stream {
                out.earlier.insert(packet.frame, Earlier::OtherNetwork);
            }
        }
        out
    }

    /// Where all of a segment was seen before, whatever the agent's flows are.
    pub fn earlier(&self, packet: &Packet) -> Option<Earlier> {
        self.earlier.get(&packet.frame).copied()
    }
}
