//! Which packet belongs to which flow of the agent.
//!
//! Flows of one conversation on one interface and overlay network follow each other, so each takes
//! as many of the packets as it says it has. Whether that cut is right shows in everything else.

use std::collections::HashMap;

use crate::agent::{Flow, Key, key};
use crate::packet::Packet;
use crate::quantity::Quantity;

/// A conversation's packets on one interface and overlay network.
type Group = (Key, u64, u64);

/// Packets by flow (indexes into both), and those of no flow.
#[derive(Debug, Default)]
pub struct Assignment {
    /// Of each flow its packets, in order.
    pub of_flow: Vec<Vec<usize>>,
    /// Packets of conversations that the agent does not have.
    pub of_none: Vec<usize>,
}

/// Gives later fragments the ports of the first one of their datagram.
pub fn fill_ports(packets: &mut [Packet]) {
    let mut ports = HashMap::new();
    for packet in packets {
        let Some((id, is_first)) = packet.fragment else { continue };
        let datagram = (packet.src.0, packet.dst.0, packet.protocol, id, packet.interface);
        if is_first {
            ports.insert(datagram, (packet.src.1, packet.dst.1));
        } else if let Some(known) = ports.get(&datagram) {
            (packet.src.1, packet.dst.1) = *known;
        }
    }
}

/// Assigns packets to flows.
pub fn assign(packets: &[Packet], flows: &[Flow]) -> Assignment {
    let mut groups: HashMap<Group, Vec<usize>> = HashMap::new();
    for (at, packet) in packets.iter().enumerate() {
        let (key, _) = key(packet.src, packet.dst, packet.protocol);
        groups.entry((key, packet.interface, packet.network)).or_default().push(at);
    }
    let mut last: HashMap<Group, usize> = HashMap::new();
    let mut out = Assignment { of_flow: vec![Vec::new(); flows.len()], of_none: Vec::new() };
    for (at, flow) in flows.iter().enumerate() {
        let group = (flow.key, flow.nic, flow.network);
        last.insert(group, at);
        let Some(left) = groups.get_mut(&group) else { continue };
        let [a, b] = flow.sums.get(&Quantity::Packets).copied().unwrap_or_default();
        let taken = usize::try_from(a + b).unwrap_or(0).min(left.len());
        out.of_flow[at] = left.drain(..taken).collect();
    }
    for (group, left) in groups {
        match last.get(&group) {
            Some(flow) => out.of_flow[*flow].extend(left),
            None => out.of_none.extend(left),
        }
    }
    out.of_none.sort_unstable();
    out
}
