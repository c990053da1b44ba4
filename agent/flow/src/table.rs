//! The flow table.

mod clock;
mod entry;
mod index;
mod key;

use schema::CloseType;
use wire::{Packet, Transport, protocol};

use self::entry::{Flow, Opening};
use self::index::Index;
use self::key::PacketKey;
use crate::SECOND_NS;
use crate::config::FlowConfig;
use crate::direction::{SCORE_APPLICATION, SCORE_HANDSHAKE, Services};
use crate::expiry::{Link, Links, Wheel};
use crate::fragment::Fragments;
use crate::info::{Direction, FlowInfo, Sink, Update};
use crate::point::LocalAddresses;
use crate::slab::Slab;
use crate::tally::Parts;
use crate::tcp::Kind;

pub(crate) use self::key::SeededHasher;

/// Times after this are held here: rows have seconds of 32 bits, which end in the year 2106.
const TIME_MAX_NS: u64 = u32::MAX as u64 * SECOND_NS;

/// What the table has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Packets taken.
    pub packets: u64,
    /// Packets dropped because the table was full (`flow_table_full`).
    pub dropped_full: u64,
    /// Flows begun.
    pub opened: u64,
    /// Flows ended.
    pub closed: u64,
    /// Flows held.
    pub held: u64,
    /// Times that the clock was set back.
    pub clock_steps: u64,
}

/// Flows by their key. Time comes with packets and ticks and only goes forward, except for steps
/// of the clock.
#[derive(Debug)]
pub struct FlowTable {
    config: FlowConfig,
    flows: Slab<Flow>,
    parts: Parts,
    index: Index,
    wheel: Wheel,
    services: Services,
    fragments: Fragments,
    /// Slots with a second that has not been handed out, a bit each.
    active: Vec<u64>,
    due: Vec<u32>,
    now_ns: u64,
    generation: u32,
    stats: TableStats,
}

impl FlowTable {
    /// An empty table.
    pub fn new(config: FlowConfig) -> Self {
        Self {
            flows: Slab::new(),
            parts: Parts::new(),
            index: Index::new(),
            wheel: Wheel::new(),
            services: Services::new(config.hash_seed, &config.server_ports),
            fragments: Fragments::new(),
            active: Vec::new(),
            due: Vec::new(),
            now_ns: 0,
            generation: 0,
            stats: TableStats::default(),
            config,
        }
    }

    /// Takes a new configuration; thread and seed stay as they were. Flows above a smaller limit
    /// live on.
    pub fn reconfigure(&mut self, config: FlowConfig) {
        self.services.set_ports(&config.server_ports);
        let (thread, hash_seed) = (self.config.thread, self.config.hash_seed);
        self.config = FlowConfig { thread, hash_seed, ..config };
    }

    /// Takes the host's addresses as they are now; they count for flows that begin from here on.
    pub fn set_local(&mut self, local: LocalAddresses) {
        self.config.local = local;
    }

    /// Takes a packet. What its time makes due is put into `out` first: a flow that ends may give
    /// its slot to this packet's. `None` when the table is full.
    pub fn on_packet(
        &mut self,
        time_ns: u64,
        nic: u32,
        packet: &Packet<'_>,
        out: &mut impl Sink,
    ) -> Option<Update> {
        let time_ns = time_ns.min(TIME_MAX_NS);
        self.tick(time_ns, out);
        let ports = match packet.ip.fragment {
            None => packet.ports(),
            Some(_) => self.fragments.ports(time_ns, nic, packet),
        };
        let key = PacketKey::new(nic, packet, ports);
        let hash = key.hash(self.config.hash_seed);
        let flows = &self.flows;
        let is_of = |slot| flows.get(slot).is_some_and(|flow| flow.is_of(&key));
        let found = self.index.find(hash, is_of);
        let kept = found.filter(|slot| !self.end_if_over(*slot, time_ns, packet, out));
        let new_flow = kept.is_none();
        let slot = match kept {
            Some(slot) => slot,
            None => self.open(time_ns, hash, &key, packet)?,
        };
        let flow = self.flows.get_mut(slot)?;
        let (services, parts) = (&mut self.services, &mut self.parts);
        let direction = flow.direction_of(&key);
        let direction = orient(flow, services, parts, direction, packet);
        let new_second = flow.begin_second(slot, time_ns, parts, out);
        let verdict = flow.take(time_ns, direction, packet, &self.config.local, parts);
        let timeout_ns = flow.state.timeout_ns(&self.config.timeouts);
        flow.deadline_ns = flow.seen_ns.saturating_add(timeout_ns);
        let update = Update {
            slot,
            generation: flow.generation,
            flow_id: flow.info.flow_id,
            direction,
            new_flow,
            retransmitted: verdict.retransmitted,
        };
        let due_ns = if new_second { flow.due_ns() } else { flow.deadline_ns };
        if new_flow {
            self.wheel.insert(&mut self.flows, slot, due_ns);
        } else if flow.link.is_after(due_ns) {
            self.wheel.move_to(&mut self.flows, slot, due_ns);
        }
        if new_second {
            self.mark_active(slot);
        }
        self.stats.packets += 1;
        Some(update)
    }

    /// The flow in a slot, as the last update named it.
    pub fn flow(&self, slot: u32) -> Option<&FlowInfo> {
        self.flows.get(slot).map(|flow| &flow.info)
    }

    /// Sequence numbers of the last SYN and SYN-ACK of the flow in a slot; 0 = not seen.
    pub fn opening_seqs(&self, slot: u32) -> (u32, u32) {
        self.flows.get(slot).map_or((0, 0), |flow| (flow.syn_seq, flow.syn_ack_seq))
    }

    /// Exchanges client and server: the application protocol showed that the server was taken for
    /// the client. Has no effect on what a handshake told; returns whether it had one.
    pub fn reverse(&mut self, slot: u32) -> bool {
        let Some(flow) = self.flows.get_mut(slot) else { return false };
        if flow.info.direction_score == SCORE_HANDSHAKE {
            return false;
        }
        flow.reverse(&mut self.parts);
        flow.info.direction_score = SCORE_APPLICATION;
        true
    }

    /// The application protocol confirmed client and server.
    pub fn confirm(&mut self, slot: u32) {
        if let Some(flow) = self.flows.get_mut(slot) {
            flow.info.direction_score = flow.info.direction_score.max(SCORE_APPLICATION);
        }
    }

    /// A request in this flow was answered with success, so that a later reset by the client is
    /// a normal end.
    pub fn note_answer(&mut self, slot: u32) {
        if let Some(flow) = self.flows.get_mut(slot) {
            flow.answered = true;
        }
    }

    /// What the table has done.
    pub fn stats(&self) -> TableStats {
        TableStats { held: self.flows.len() as u64, ..self.stats }
    }

    /// Ends a flow that timed out before this packet, or whose connection had ended when the
    /// packet begins another one.
    fn end_if_over(
        &mut self,
        slot: u32,
        time_ns: u64,
        packet: &Packet<'_>,
        out: &mut impl Sink,
    ) -> bool {
        let Some(flow) = self.flows.get(slot) else { return false };
        let end_ns = if flow.deadline_ns <= time_ns {
            flow.deadline_ns
        } else if flow.state.is_ended() && flow.is_new_opening(packet) {
            time_ns
        } else {
            return false;
        };
        self.wheel.remove(&mut self.flows, slot);
        self.close(slot, end_ns, None, out);
        true
    }

    fn open(
        &mut self,
        time_ns: u64,
        hash: u32,
        key: &PacketKey,
        packet: &Packet<'_>,
    ) -> Option<u32> {
        if self.flows.len() >= self.config.max_flows as usize {
            self.stats.dropped_full += 1;
            return None;
        }
        let (src_is_client, score) = match &packet.transport {
            Transport::Tcp(tcp) => match Kind::of(tcp.flags, packet.payload_bytes) {
                Kind::Syn => (true, SCORE_HANDSHAKE),
                Kind::SynAck => (false, SCORE_HANDSHAKE),
                _ => self.services.guess(key.src, key.dst),
            },
            Transport::Udp(_) => self.services.guess(key.src, key.dst),
            Transport::Icmp(icmp) => (!icmp.is_echo_reply(), 0),
            Transport::Fragment | Transport::Other => (true, 0),
        };
        if score == SCORE_HANDSHAKE {
            self.services.learn_certain(if src_is_client { key.dst } else { key.src });
        }
        self.generation = self.generation.wrapping_add(1);
        let (generation, thread) = (self.generation, self.config.thread);
        let opening = Opening { time_ns, generation, thread, src_is_client, score };
        let slot = self.flows.insert(Flow::open(&opening, key, packet, &self.config.local));
        self.index.insert(hash, slot);
        self.stats.opened += 1;
        Some(slot)
    }

    /// Ends a flow that is off the wheel.
    fn close(&mut self, slot: u32, end_ns: u64, close: Option<CloseType>, out: &mut impl Sink) {
        let Some(mut flow) = self.flows.remove(slot) else { return };
        self.index.remove(flow.key().hash(self.config.hash_seed), slot);
        let close = close.unwrap_or_else(|| flow.ending(&self.parts).close_type());
        flow.end(slot, end_ns, close, &mut self.parts, out);
        self.unmark_active(slot);
        self.stats.closed += 1;
    }
}

impl Links for Slab<Flow> {
    fn link(&mut self, slot: u32) -> &mut Link {
        &mut self.get_mut(slot).expect("a slot on the wheel is taken").link
    }
}

/// Turns a flow round when a handshake shows that its direction had been guessed wrong; returns
/// the direction of the packet.
fn orient(
    flow: &mut Flow,
    services: &mut Services,
    parts: &mut Parts,
    direction: Direction,
    packet: &Packet<'_>,
) -> Direction {
    if flow.info.direction_score == SCORE_HANDSHAKE || flow.info.protocol != protocol::TCP {
        return direction;
    }
    let Transport::Tcp(tcp) = &packet.transport else { return direction };
    let told = match Kind::of(tcp.flags, packet.payload_bytes) {
        Kind::Syn => Direction::ClientToServer,
        Kind::SynAck => Direction::ServerToClient,
        _ => return direction,
    };
    if told != direction {
        flow.reverse(parts);
    }
    flow.info.direction_score = SCORE_HANDSHAKE;
    services.learn_certain((flow.info.server.ip, flow.info.server.port));
    told
}
