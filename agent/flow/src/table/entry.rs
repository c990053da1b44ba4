//! One flow in the table.

use std::sync::Arc;

use schema::{CloseType, ObservationPoint};
use wire::{Packet, TcpFlags, Transport, protocol};

use super::key::PacketKey;
use crate::SECOND_NS;
use crate::expiry::Link;
use crate::icmp::IcmpPerf;
use crate::info::{Direction, Endpoint, FlowInfo, FlowTick, Sink, Tunnels};
use crate::minute::{self, FlowReport};
use crate::point::{self, End, LocalAddresses, Nearness};
use crate::tally::{Count, Parts, Tally};
use crate::tcp::close::Ending;
use crate::tcp::state::State;
use crate::tcp::{Kind, TcpPerf, Verdict};
use crate::udp::UdpPerf;

/// A flow: what it is, what was counted of it, and its protocol's state. In the order in which a
/// packet asks for it: of a million flows none is in the cache, and each line of it costs.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Flow {
    pub(crate) info: FlowInfo,
    /// Time at which it ends unless there is another packet.
    pub(crate) deadline_ns: u64,
    /// Time of its last packet.
    pub(crate) seen_ns: u64,
    /// The second of `second`, handed out when it is over.
    pub(crate) tick_s: u32,
    pub(crate) generation: u32,
    second: Tally,
    pub(crate) link: Link,
    pub(crate) state: State,
    /// Whether there is a second to hand out.
    pub(crate) is_active: bool,
    /// Whether a request was answered with success.
    pub(crate) answered: bool,
    has_payload: bool,
    /// Whether the client, the server has sent.
    met: [bool; 2],
    /// Client's and server's.
    flags: [TcpFlags; 2],
    perf: Perf,
    /// Packets and bytes of the seconds handed out.
    totals: [Totals; 2],
    /// The minute until `due_s`; none is open when that is 0.
    minute: Tally,
    due_s: u32,
    /// Last minute in which it had a tick, by its lowest bits.
    ticked_minute: u16,
    is_new: bool,
    is_new_in_minute: bool,
    ends: [End; 2],
    pub(crate) syn_seq: u32,
    pub(crate) syn_ack_seq: u32,
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
        let (src_end, dst_end) = local.ends(key.nic, packet);
        let endpoint = |(ip, port), mac, end: End| Endpoint {
            ip,
            port,
            mac,
            l2_end: end.nearness != Nearness::Apart,
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
            deadline_ns: u64::MAX,
            seen_ns: opening.time_ns,
            tick_s: (opening.time_ns / SECOND_NS) as u32,
            generation: opening.generation,
            second: Tally::default(),
            link: Link::default(),
            state: State::Raw,
            is_active: false,
            answered: false,
            has_payload: false,
            met: [false; 2],
            flags: [TcpFlags::default(); 2],
            perf: match key.protocol {
                protocol::TCP => Perf::Tcp(TcpPerf::default()),
                protocol::UDP => Perf::Udp(UdpPerf::default()),
                protocol::ICMP | protocol::ICMPV6 => Perf::Icmp(Box::default()),
                _ => Perf::None,
            },
            totals: [Totals::default(); 2],
            minute: Tally::default(),
            due_s: 0,
            ticked_minute: 0,
            is_new: true,
            is_new_in_minute: false,
            ends: [src_end, dst_end],
            syn_seq: 0,
            syn_ack_seq: 0,
            last_keepalive_seq: 0,
            last_keepalive_ack: 0,
        };
        if point::is_local(local, key.nic, packet) {
            flow.info.observation_point = ObservationPoint::Local;
        }
        if !opening.src_is_client {
            flow.info.reverse();
            flow.ends.swap(0, 1);
        }
        flow
    }

    /// Whether a packet with this key belongs here.
    #[inline]
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

    /// Its key, as a packet from the client has it.
    pub(crate) fn key(&self) -> PacketKey {
        PacketKey {
            src: (self.info.client.ip, self.info.client.port),
            dst: (self.info.server.ip, self.info.server.port),
            nic: self.info.nic,
            network_id: self.info.network_id,
            protocol: self.info.protocol,
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
    pub(crate) fn reverse(&mut self, parts: &mut Parts) {
        self.info.reverse();
        self.flags.swap(0, 1);
        self.met.swap(0, 1);
        self.ends.swap(0, 1);
        self.totals.swap(0, 1);
        self.second.reverse(parts);
        self.minute.reverse(parts);
        match &mut self.perf {
            Perf::Tcp(tcp) => tcp.reverse(),
            Perf::Udp(udp) => udp.reverse(),
            Perf::Icmp(_) | Perf::None => {}
        }
    }

    /// When it has to be looked at: at its end, or when a minute is over that has or will have
    /// something in it.
    pub(crate) fn due_ns(&self) -> u64 {
        let due_s = match self.due_s {
            0 if self.is_active => minute::due_second(self.info.start_ns, self.tick_s),
            0 => return self.deadline_ns,
            due_s => due_s,
        };
        self.deadline_ns.min(minute::begin_ns(due_s))
    }

    /// Counts a packet in its second, which `is_active` by now.
    pub(crate) fn take(
        &mut self,
        time_ns: u64,
        direction: Direction,
        packet: &Packet<'_>,
        local: &LocalAddresses,
        parts: &mut Parts,
    ) -> Verdict {
        self.seen_ns = self.seen_ns.max(time_ns);
        let sender = direction.sender();
        if !std::mem::replace(&mut self.met[sender], true) {
            self.meet(direction, packet, local);
        }
        self.count(sender, packet, parts);
        let mut count = Count::new(parts, &mut self.second);
        match (&mut self.perf, &packet.transport) {
            (Perf::Tcp(perf), Transport::Tcp(tcp)) => {
                let kind = Kind::of(tcp.flags, packet.payload_bytes);
                self.flags[sender] = self.flags[sender] | tcp.flags;
                match kind {
                    Kind::Syn => self.syn_seq = tcp.seq,
                    Kind::SynAck => self.syn_ack_seq = tcp.seq,
                    _ => {}
                }
                self.state = self.state.next(kind, direction);
                let verdict =
                    perf.on_segment(time_ns, direction, tcp, packet.payload_bytes, &mut count);
                if verdict.keepalive {
                    self.last_keepalive_seq = tcp.seq;
                    self.last_keepalive_ack = tcp.ack;
                }
                verdict
            }
            (Perf::Udp(perf), Transport::Udp(_)) => {
                if let Some(art_ns) = perf.on_packet(time_ns, direction)
                    && direction == Direction::ServerToClient
                {
                    count.latency().art.add(art_ns);
                }
                Verdict::default()
            }
            (Perf::Icmp(perf), Transport::Icmp(icmp)) => {
                if let Some(srt_ns) = perf.on_packet(time_ns, icmp) {
                    count.latency().srt.add(srt_ns);
                }
                Verdict::default()
            }
            _ => Verdict::default(),
        }
    }

    /// What the flow's end is judged by.
    pub(crate) fn ending(&self, parts: &Parts) -> Ending {
        Ending {
            state: self.state,
            flags: self.flags,
            has_payload: self.has_payload,
            server_packets: self.totals[1].packets + self.second.counters(parts).packet_rx,
            answered: self.answered,
        }
    }

    /// Opens the second of a packet of this time; another one that was open is handed out. Whether
    /// it was not open yet.
    pub(crate) fn begin_second(
        &mut self,
        slot: u32,
        time_ns: u64,
        parts: &mut Parts,
        out: &mut impl Sink,
    ) -> bool {
        let second = (time_ns / SECOND_NS) as u32;
        if self.is_active {
            if self.tick_s == second {
                return false;
            }
            self.hand_out(slot, None, parts, out);
        }
        self.tick_s = second;
        self.is_active = true;
        true
    }

    /// Hands out the second: a tick; and reports of the minute before it and of the one that ends
    /// with it, if there are any.
    pub(crate) fn hand_out(
        &mut self,
        slot: u32,
        close: Option<CloseType>,
        parts: &mut Parts,
        out: &mut impl Sink,
    ) {
        let minute = (self.tick_s / minute::PERIOD_S) as u16;
        let tick = FlowTick {
            slot,
            generation: self.generation,
            info: self.info.clone(),
            time_s: self.tick_s.into(),
            last_ns: self.seen_ns,
            is_new: self.is_new,
            is_first_of_minute: self.is_new || self.ticked_minute != minute,
            close,
            counters: self.second.counters(parts),
        };
        self.ticked_minute = minute;
        self.is_active = false;
        let says_something = self.is_new || close.is_some() || !self.second.is_empty();
        let due_s = minute::due_second(self.info.start_ns, self.tick_s);
        if says_something && self.due_s != 0 && self.due_s < due_s {
            self.report(slot, None, parts, out);
        }
        out.tick(&tick);
        if !says_something {
            return; // only that the flow is alive
        }
        let c = &tick.counters;
        for (totals, packets, bytes) in [(0, c.packet_tx, c.byte_tx), (1, c.packet_rx, c.byte_rx)] {
            self.totals[totals].packets += packets;
            self.totals[totals].bytes += bytes;
        }
        if self.due_s == 0 {
            self.due_s = due_s;
        }
        self.is_new_in_minute |= std::mem::take(&mut self.is_new);
        self.second.move_to(&mut self.minute, parts);
        if close.is_some() {
            self.report(slot, close, parts, out);
        }
    }

    /// Reports a minute that is over.
    pub(crate) fn end_minute(
        &mut self,
        slot: u32,
        now_s: u32,
        parts: &mut Parts,
        out: &mut impl Sink,
    ) {
        if self.due_s != 0 && self.due_s <= now_s {
            self.report(slot, None, parts, out);
        }
    }

    /// The last ticks of a flow that ends at `end_ns`: what was counted, then the end, in one where
    /// both fall into the same second.
    pub(crate) fn end(
        &mut self,
        slot: u32,
        end_ns: u64,
        close: CloseType,
        parts: &mut Parts,
        out: &mut impl Sink,
    ) {
        let second = u32::try_from(end_ns / SECOND_NS).unwrap_or(u32::MAX);
        if self.is_active && self.tick_s != second {
            self.hand_out(slot, None, parts, out);
        }
        self.tick_s = second;
        self.hand_out(slot, Some(close), parts, out);
    }

    /// Reports the open minute, which is over: it is due, or the flow has ended like this.
    fn report(
        &mut self,
        slot: u32,
        close: Option<CloseType>,
        parts: &mut Parts,
        out: &mut impl Sink,
    ) {
        let start_ns = match self.is_new_in_minute {
            true => self.info.start_ns,
            false => minute::begin_ns(self.due_s.saturating_sub(minute::PERIOD_S)),
        };
        let end_ns = match close {
            None => minute::begin_ns(self.due_s),
            Some(_) => self.seen_ns,
        };
        let [client, server] = self.totals;
        out.report(&FlowReport {
            slot,
            generation: self.generation,
            info: self.info.clone(),
            start_ns,
            end_ns: end_ns.max(start_ns),
            is_new_flow: self.is_new_in_minute,
            close_type: close.unwrap_or(CloseType::ForcedReport),
            is_last: close.is_some(),
            counters: self.minute.counters(parts),
            total_packet_tx: client.packets,
            total_packet_rx: server.packets,
            total_byte_tx: client.bytes,
            total_byte_rx: server.bytes,
            syn_seq: self.syn_seq,
            syn_ack_seq: self.syn_ack_seq,
            last_keepalive_seq: self.last_keepalive_seq,
            last_keepalive_ack: self.last_keepalive_ack,
        });
        self.minute.clear(parts);
        self.due_s = 0;
        self.is_new_in_minute = false;
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
        self.ends[sender] = local.ends(self.info.nic, packet).0;
        let [client, server] = self.ends;
        let tier = self.info.tunnel.as_ref().map_or(0, |tunnel| tunnel.tier);
        self.info.observation_point = point::observe(client, server, tier);
    }

    #[inline]
    fn count(&mut self, sender: usize, packet: &Packet<'_>, parts: &mut Parts) {
        let l4_bytes = match packet.transport {
            Transport::Tcp(_) | Transport::Udp(_) => u64::from(packet.payload_bytes),
            _ => 0,
        };
        self.has_payload |= l4_bytes > 0;
        let mut count = Count::new(parts, &mut self.second);
        let volume = count.volume();
        volume.packets[sender] = volume.packets[sender].saturating_add(1);
        volume.bytes[sender] += u64::from(packet.frame_bytes);
        volume.l3_bytes[sender] += u64::from(packet.ip.payload_bytes);
        volume.l4_bytes[sender] += l4_bytes;
        if let Transport::Tcp(tcp) = &packet.transport {
            volume.flags[sender] = volume.flags[sender] | tcp.flags;
        }
    }
}
