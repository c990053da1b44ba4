//! Keys: who sends to whom, on which interface and overlay network.

use std::hash::Hasher;
use std::net::IpAddr;

use wire::Packet;

use crate::direction::Place;

/// The key of a packet; that of the opposite direction has the same hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketKey {
    /// Sender.
    pub(crate) src: Place,
    /// Receiver.
    pub(crate) dst: Place,
    /// Interface.
    pub(crate) nic: u32,
    /// Ids of the overlay networks; 0 outside of one.
    pub(crate) network_id: u64,
    /// IP protocol.
    pub(crate) protocol: u8,
}

impl PacketKey {
    /// The key of a packet with these ports.
    pub(crate) fn new(nic: u32, packet: &Packet<'_>, (src_port, dst_port): (u16, u16)) -> Self {
        Self {
            src: (packet.ip.src, src_port),
            dst: (packet.ip.dst, dst_port),
            nic,
            network_id: packet.network_id,
            protocol: packet.ip.protocol,
        }
    }

    /// Hash, the same for both directions.
    pub(crate) fn hash(&self, seed: u64) -> u32 {
        let ends = hash_place(self.src, seed).wrapping_add(hash_place(self.dst, seed));
        let rest = (u64::from(self.nic) << 32).wrapping_add(self.network_id) ^ seed;
        (fold(ends ^ u64::from(self.protocol), rest ^ ODD_2) >> 32) as u32
    }
}

const ODD_1: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD_2: u64 = 0xd6e8_feb8_6659_fd93;

fn hash_place((ip, port): Place, seed: u64) -> u64 {
    let (high, low) = match ip {
        IpAddr::V4(v4) => (0, u64::from(v4.to_bits())),
        IpAddr::V6(v6) => ((v6.to_bits() >> 64) as u64, v6.to_bits() as u64),
    };
    fold(fold(low ^ seed, high ^ ODD_1) ^ u64::from(port), ODD_2 ^ seed.rotate_left(32))
}

/// Both halves of the product, so that every bit of the result depends on every bit of both.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ ODD_1) * u128::from(b | 1);
    product as u64 ^ (product >> 64) as u64
}

/// A quick hash of a few integers, with a seed against chosen collisions.
#[derive(Debug)]
pub(crate) struct SeededHasher {
    state: u64,
}

impl SeededHasher {
    /// A hash that depends on `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed ^ ODD_2 }
    }
}

impl Hasher for SeededHasher {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.state = fold(self.state, u64::from_le_bytes(word) ^ ODD_1);
        }
    }
}
