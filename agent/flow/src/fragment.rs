//! Ports of fragments: they stand in the first one only.

use std::net::IpAddr;

use wire::{Packet, Transport};

use crate::SECOND_NS;

/// Datagrams remembered at a time; an older one gives way, and its later fragments make a flow
/// without ports.
const ENTRIES: usize = 64;

/// Time for which a datagram is remembered; the kernel's own reassembly waits as long.
const LIFE_NS: u64 = 30 * SECOND_NS;

/// Recent datagrams that came in fragments.
#[derive(Debug)]
pub(crate) struct Fragments {
    recent: Vec<Datagram>,
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Datagram {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    id: u32,
    nic: u32,
    time_ns: u64,
    ports: (u16, u16),
}

impl Fragments {
    /// Remembers none.
    pub(crate) fn new() -> Self {
        Self { recent: Vec::with_capacity(ENTRIES), next: 0 }
    }

    /// Ports of the packet, by its datagram's first fragment where it is a later one.
    pub(crate) fn ports(&mut self, time_ns: u64, nic: u32, packet: &Packet<'_>) -> (u16, u16) {
        let ports = packet.ports();
        let Some(fragment) = packet.ip.fragment else { return ports };
        let datagram = Datagram {
            src: packet.ip.src,
            dst: packet.ip.dst,
            protocol: packet.ip.protocol,
            id: fragment.id,
            nic,
            time_ns,
            ports,
        };
        if packet.transport != Transport::Fragment {
            self.remember(datagram);
            return ports;
        }
        self.recent.iter().find(|known| known.is_of(&datagram)).map_or((0, 0), |known| known.ports)
    }

    fn remember(&mut self, datagram: Datagram) {
        if let Some(known) = self.recent.iter_mut().find(|known| known.is_of(&datagram)) {
            *known = datagram;
        } else if self.recent.len() < ENTRIES {
            self.recent.push(datagram);
        } else {
            self.recent[self.next] = datagram;
            self.next = (self.next + 1) % ENTRIES;
        }
    }
}

impl Datagram {
    fn is_of(&self, other: &Self) -> bool {
        self.id == other.id
            && self.src == other.src
            && self.dst == other.dst
            && self.protocol == other.protocol
            && self.nic == other.nic
            && other.time_ns.saturating_sub(self.time_ns) < LIFE_NS
    }
}
