//! One flow in the table.

use std::sync::Arc;

use schema::{CloseType, ObservationPoint};
use wire::{Packet, TcpFlags, Transport, protocol};

use super::key::PacketKey;
use crate::SECOND_NS;
use crate::counters::Counters;
use crate::expiry::Link;
use crate::icmp::IcmpPerf;
use crate::info::{Direction, Endpoint, FlowInfo, FlowTick, Tunnels};
use crate::point::{self, End, LocalAddresses};
use crate::tcp::close::Ending;
use crate::tcp::state::State;
use crate::tcp::{Kind, TcpPerf, Verdict};
use crate::udp::UdpPerf;

/// A flow: what it is, what was counted of it in the current second, and its protocol's state.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) info: FlowInfo,
    pub(crate) hash: u64,
    pub(crate) generation: u32,
    pub(crate) link: Link,
    /// Time at which it ends unless there is another packet.
    pub(crate) deadline_ns: u64,
    /// Time of its last packet.
    pub(crate) seen_ns: u64,
    pub(crate) state: State,
    /// The second of `counters`, handed out when it is over.
    pub(crate) tick_s: u64,
    /// First packet in it.
    pub(crate) first_ns: u64,
    /// Whether there are counts to hand out.
    pub(crate) is_active: bool,
    /// Whether a request was answered with success.
    pub(crate) answered: bool,
    syn_seq: u32,
    is_new: bool,
    has_payload: bool,
    counters: Counters,
    perf: Perf,
    /// Client's and server's.
    flags: [TcpFlags; 2],
    ends: [End; 2],
    totals: [Totals; 2],
    syn_ack_seq: u32,
    last_keepalive_seq: u32,
    last_keepalive_ack: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    packets: u64,
    bytes: u64,
}

#[derive(Debug)]
enum Perf {
    Tcp(TcpPerf),
    Udp(UdpPerf),
    Icmp(Box<IcmpPerf>),
    None,
}

/// What the table knows of a flow when it opens one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) time_ns: u64,
    pub(crate) hash: u64,
    pub(crate) generation: u32,
    pub(crate) thread: u8,
    pub(crate) src_is_client: bool,
    pub(crate) score: u8,
}

impl Opening {
    /// `[time: 32 bit, about seconds][thread: 8 bit][counter: 24 bit]`
    fn flow_id(&self) -> u64 {
        (self.time_ns >> 30) << 32
            | u64::from(self.thread) << 24
            | u64::from(self.generation & 0x00ff_ffff)
    }
}

impl Flow {
    /// A flow by its first packet, which is not yet counted.
    pub(crate) fn open(
        opening: &Opening,
        key: &PacketKey,
        packet: &Packet<'_>,
        local: &LocalAddresses,
    ) -> Self {
        let (src_end, dst_end) = local.ends(packet);
        let endpoint = |(ip, port), mac, end: End| Endpoint {
            ip,
            port,
            mac,
            l2_end: end.mac_is_local,
            l3_end: end.ip_is_local,
        };
        let mut flow = Self {
            info: FlowInfo {
                flow_id: opening.flow_id(),
                start_ns: opening.time_ns,
                client: endpoint(key.src, packet.link.src_mac, src_end),
                server: endpoint(key.dst, packet.link.dst_mac, dst_end),
                tunnel: None,
                nic: key.nic,
                network_id: key.network_id,
                init_ipid: packet.ip.id,
                eth_type: packet.link.eth_type,
                vlan: packet.link.vlan.unwrap_or(0),
                protocol: key.protocol,
                direction_score: opening.score,
                observation_point: ObservationPoint::Rest,
            },
            hash: opening.hash,
            generation: opening.generation,
            link: Link::default(),
            deadline_ns: u64::MAX,
            seen_ns: opening.time_ns,
            state: State::Raw,
            tick_s: opening.time_ns / SECOND_NS,
            first_ns: opening.time_ns,
            is_active: false,
            answered: false,
            syn_seq: 0,
            is_new: true,
            has_payload: false,
            counters: Counters::default(),
            perf: match key.protocol {
                protocol::TCP => Perf::Tcp(TcpPerf::default()),
                protocol::UDP => Perf::Udp(UdpPerf::default()),
                protocol::ICMP | protocol::ICMPV6 => Perf::Icmp(Box::default()),
                _ => Perf::None,
            },
            flags: [TcpFlags::default(); 2],
            ends: [src_end, dst_end],
            totals: [Totals::default(); 2],
            syn_ack_seq: 0,
            last_keepalive_seq: 0,
            last_keepalive_ack: 0,
        };
        if point::is_local(local, key.nic, packet) {
            flow.info.observation_point = ObservationPoint::Local;
        }
        if !opening.src_is_client {
            flow.reverse();
        }
        flow
    }

    /// Whether a packet with this key belongs here.
    pub(crate) fn is_of(&self, key: &PacketKey) -> bool {
        let client = (self.info.client.ip, self.info.client.port);
        let server = (self.info.server.ip, self.info.server.port);
        self.info.protocol == key.protocol
            && self.info.nic == key.nic
            && self.info.network_id == key.network_id
            && ((client == key.src && server == key.dst)
                || (server == key.src && client == key.dst))
    }

    /// Whether a packet opens a connection that is not this one: a SYN or, where that was not seen,
    /// a SYN-ACK with another sequence number.
    pub(crate) fn is_new_opening(&self, packet: &Packet<'_>) -> bool {
        let Transport::Tcp(tcp) = &packet.transport else { return false };
        match Kind::of(tcp.flags, 0) {
            Kind::Syn => tcp.seq != self.syn_seq,
            Kind::SynAck => tcp.seq != self.syn_ack_seq,
            _ => false,
        }
    }

    /// The direction of a packet with this key.
    pub(crate) fn direction_of(&self, key: &PacketKey) -> Direction {
        if (self.info.client.ip, self.info.client.port) == key.src {
            Direction::ClientToServer
        } else {
            Direction::ServerToClient
        }
    }

    /// Exchanges client and server.
    pub(crate) fn reverse(&mut self) {
        self.info.reverse();
        self.flags.swap(0, 1);
        self.ends.swap(0, 1);
        self.totals.swap(0, 1);
        self.counters = self.counters.reversed();
        match &mut self.perf {
            Perf::Tcp(tcp) => tcp.reverse(),
            Perf::Udp(udp) => udp.reverse(),
            Perf::Icmp(_) | Perf::None => {}
        }
    }

    /// Makes ready to count a packet of this time; the counts of another second come out.
    pub(crate) fn begin_second(&mut self, slot: u32, time_ns: u64) -> Option<FlowTick> {
        let second = time_ns / SECOND_NS;
        let other = (self.is_active && self.tick_s != second).then(|| self.hand_out(slot));
        if other.is_some() || !self.is_active || self.counters.packets() == 0 {
            self.tick_s = second;
            self.first_ns = time_ns;
        }
        other
    }

    /// Counts a packet.
    pub(crate) fn take(
        &mut self,
        time_ns: u64,
        direction: Direction,
        packet: &Packet<'_>,
        local: &LocalAddresses,
    ) -> Verdict {
        self.seen_ns = self.seen_ns.max(time_ns);
        if self.totals[direction.sender()].packets == 0 {
            self.meet(direction, packet, local);
        }
        self.count(direction, packet);
        match (&mut self.perf, &packet.transport) {
            (Perf::Tcp(perf), Transport::Tcp(tcp)) => {
                let kind = Kind::of(tcp.flags, packet.payload_bytes);
                let (flags, sender) = (&mut self.flags, direction.sender());
                flags[sender] = flags[sender] | tcp.flags;
                match kind {
                    Kind::Syn => self.syn_seq = tcp.seq,
                    Kind::SynAck => self.syn_ack_seq = tcp.seq,
                    _ => {}
                }
                self.state = self.state.next(kind, direction);
                let counters = &mut self.counters;
                let verdict =
                    perf.on_segment(time_ns, direction, tcp, packet.payload_bytes, counters);
                if verdict.keepalive {
                    self.last_keepalive_seq = tcp.seq;
                    self.last_keepalive_ack = tcp.ack;
                }
                verdict
            }
            (Perf::Udp(perf), Transport::Udp(_)) => {
                let mut other = Default::default();
                let by_server = direction == Direction::ServerToClient;
                let art = if by_server { &mut self.counters.art } else { &mut other };
                perf.on_packet(time_ns, direction, art);
                Verdict::default()
            }
            (Perf::Icmp(perf), Transport::Icmp(icmp)) => {
                perf.on_packet(time_ns, icmp, &mut self.counters.srt);
                Verdict::default()
            }
            _ => Verdict::default(),
        }
    }

    /// What the flow's end is judged by.
    pub(crate) fn ending(&self) -> Ending {
        Ending {
            state: self.state,
            flags: self.flags,
            has_payload: self.has_payload,
            server_packets: self.totals[1].packets,
            answered: self.answered,
        }
    }

    /// The counts of the current second, which begin anew.
    pub(crate) fn hand_out(&mut self, slot: u32) -> FlowTick {
        let [client, server] = self.totals;
        FlowTick {
            slot,
            generation: self.generation,
            info: self.info.clone(),
            time_s: self.tick_s,
            first_ns: self.first_ns,
            last_ns: self.seen_ns,
            is_new: std::mem::take(&mut self.is_new),
            close: None,
            counters: std::mem::take(&mut self.counters),
            total_packet_tx: client.packets,
            total_packet_rx: server.packets,
            total_byte_tx: client.bytes,
            total_byte_rx: server.bytes,
            syn_seq: self.syn_seq,
            syn_ack_seq: self.syn_ack_seq,
            last_keepalive_seq: self.last_keepalive_seq,
            last_keepalive_ack: self.last_keepalive_ack,
        }
    }

    /// The last ticks of a flow that ends at `end_ns`: what was counted, then the end, in one where
    /// both fall into the same second.
    pub(crate) fn end(
        &mut self,
        slot: u32,
        end_ns: u64,
        close: CloseType,
        out: &mut Vec<FlowTick>,
    ) {
        let second = end_ns / SECOND_NS;
        if self.is_active && self.tick_s != second {
            out.push(self.hand_out(slot));
            self.is_active = false;
        }
        if !self.is_active {
            self.tick_s = second;
            self.first_ns = end_ns;
        }
        let mut last = self.hand_out(slot);
        last.close = Some(close);
        out.push(last);
    }

    /// First packet of a side: addresses, tunnel and observation point.
    fn meet(&mut self, direction: Direction, packet: &Packet<'_>, local: &LocalAddresses) {
        let sender = direction.sender();
        if let Some(tunnel) = packet.tunnel {
            let none = Tunnels { tier: packet.tunnel_tier, tx: None, rx: None };
            let known = Arc::make_mut(self.info.tunnel.get_or_insert_with(|| Arc::new(none)));
            match direction {
                Direction::ClientToServer => known.tx = Some(tunnel),
                Direction::ServerToClient => known.rx = Some(tunnel),
            }
        }
        if self.info.observation_point == ObservationPoint::Local {
            for end in [&mut self.info.client, &mut self.info.server] {
                (end.l2_end, end.l3_end) = (true, true);
            }
            return;
        }
        self.ends[sender] = local.ends(packet).0;
        let [client, server] = self.ends;
        let tier = self.info.tunnel.as_ref().map_or(0, |tunnel| tunnel.tier);
        self.info.observation_point = point::observe(client, server, tier);
    }

    fn count(&mut self, direction: Direction, packet: &Packet<'_>) {
        let counters = &mut self.counters;
        let bytes = u64::from(packet.frame_bytes);
        let l3_bytes = u64::from(packet.ip.payload_bytes);
        let l4_bytes = match packet.transport {
            Transport::Tcp(_) | Transport::Udp(_) => u64::from(packet.payload_bytes),
            _ => 0,
        };
        let flags = match &packet.transport {
            Transport::Tcp(tcp) => tcp.flags.0,
            _ => 0,
        };
        match direction {
            Direction::ClientToServer => {
                counters.packet_tx += 1;
                counters.byte_tx += bytes;
                counters.l3_byte_tx += l3_bytes;
                counters.l4_byte_tx += l4_bytes;
                counters.tcp_flags_tx |= flags;
            }
            Direction::ServerToClient => {
                counters.packet_rx += 1;
                counters.byte_rx += bytes;
                counters.l3_byte_rx += l3_bytes;
                counters.l4_byte_rx += l4_bytes;
                counters.tcp_flags_rx |= flags;
            }
        }
        let totals = &mut self.totals[direction.sender()];
        totals.packets += 1;
        totals.bytes += bytes;
        self.has_payload |= l4_bytes > 0;
    }
}
