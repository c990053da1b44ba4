//! The flow table.

mod entry;
mod key;

use hashbrown::HashTable;
use schema::CloseType;
use wire::{Packet, Transport, protocol};

use self::entry::{Flow, Opening};
use self::key::PacketKey;
use crate::SECOND_NS;
use crate::config::FlowConfig;
use crate::direction::{SCORE_APPLICATION, SCORE_HANDSHAKE, Services};
use crate::expiry::{Link, Links, Wheel};
use crate::fragment::Fragments;
use crate::info::{Direction, FlowInfo, FlowTick, Update};
use crate::slab::Slab;
use crate::tcp::Kind;

pub(crate) use self::key::SeededHasher;

/// A clock that is this much behind was set back; less is the disorder of several sources.
const CLOCK_STEP_NS: u64 = 10 * SECOND_NS;

/// Entries above which a list or index that is nearly empty is made smaller.
const RESERVE: usize = 4096;

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
    index: HashTable<u32>,
    wheel: Wheel,
    services: Services,
    fragments: Fragments,
    /// Flows with counts of a second that has not been handed out, as slot and generation.
    active: Vec<(u32, u32)>,
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
            index: HashTable::new(),
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

    /// Takes a packet. Ticks that its time makes due are put into `out` first: handle them before
    /// the update, since a flow that ends may give its slot to this packet's. `None` when the table
    /// is full.
    pub fn on_packet(
        &mut self,
        time_ns: u64,
        nic: u32,
        packet: &Packet<'_>,
        out: &mut Vec<FlowTick>,
    ) -> Option<Update> {
        self.tick(time_ns, out);
        let ports = match packet.ip.fragment {
            None => packet.ports(),
            Some(_) => self.fragments.ports(time_ns, nic, packet),
        };
        let key = PacketKey::new(nic, packet, ports);
        let hash = key.hash(self.config.hash_seed);
        let found = self.find(hash, &key);
        let kept = found.filter(|slot| !self.end_if_over(*slot, time_ns, packet, out));
        let new_flow = kept.is_none();
        let slot = match kept {
            Some(slot) => slot,
            None => self.open(time_ns, hash, &key, packet)?,
        };
        let flow = self.flows.get_mut(slot)?;
        let direction = flow.direction_of(&key);
        let direction = orient(flow, &mut self.services, direction, packet);
        if let Some(tick) = flow.begin_second(slot, time_ns) {
            out.push(tick);
        }
        if !std::mem::replace(&mut flow.is_active, true) {
            self.active.push((slot, flow.generation));
        }
        let verdict = flow.take(time_ns, direction, packet, &self.config.local);
        flow.deadline_ns =
            flow.seen_ns.saturating_add(flow.state.timeout_ns(&self.config.timeouts));
        let update = Update {
            slot,
            generation: flow.generation,
            flow_id: flow.info.flow_id,
            direction,
            new_flow,
            retransmitted: verdict.retransmitted,
        };
        let deadline_ns = flow.deadline_ns;
        if new_flow {
            self.wheel.insert(&mut self.flows, slot, deadline_ns);
        } else {
            self.wheel.advance(&mut self.flows, slot, deadline_ns);
        }
        self.stats.packets += 1;
        Some(update)
    }

    /// Lets time pass: hands out seconds that are over and ends flows that were silent for too
    /// long. Every silent flow has a tick in the first second of a minute too, which may be without
    /// packets, so that flows can be counted.
    pub fn tick(&mut self, now_ns: u64, out: &mut Vec<FlowTick>) {
        if now_ns / SECOND_NS <= self.now_ns / SECOND_NS {
            if now_ns.saturating_add(CLOCK_STEP_NS) < self.now_ns {
                self.step_back(now_ns, out);
            }
            return;
        }
        let now_s = now_ns / SECOND_NS;
        let new_minute = self.now_ns != 0 && now_s / 60 != self.now_ns / SECOND_NS / 60;
        if self.now_ns == 0 {
            self.wheel.restart(now_s);
        }
        self.now_ns = now_ns;
        self.hand_out_seconds(now_s, out);
        for second in self.wheel.seconds_until(now_s) {
            self.expire_second(second, now_ns, out);
        }
        if new_minute {
            self.count_silent_flows(now_s);
        }
        self.shrink();
    }

    /// The capture is over: every flow ends as it would after endless silence, in the order of
    /// those ends.
    pub fn flush(&mut self, now_ns: u64, out: &mut Vec<FlowTick>) {
        self.tick(now_ns, out);
        self.hand_out_seconds(u64::MAX, out);
        for second in self.wheel.all_seconds() {
            self.expire_second(second, u64::MAX, out);
        }
    }

    /// The agent stops: every flow is reported as it stands, not judged.
    pub fn stop(&mut self, now_ns: u64, out: &mut Vec<FlowTick>) {
        self.tick(now_ns, out);
        let slots: Vec<u32> = self.flows.slots().collect();
        for slot in slots {
            self.wheel.remove(&mut self.flows, slot);
            self.close(slot, now_ns, Some(CloseType::ForcedReport), out);
        }
    }

    /// The flow in a slot, as the last update named it.
    pub fn flow(&self, slot: u32) -> Option<&FlowInfo> {
        self.flows.get(slot).map(|flow| &flow.info)
    }

    /// Exchanges client and server: the application protocol showed that the server was taken for
    /// the client. Has no effect on what a handshake told; returns whether it had one.
    pub fn reverse(&mut self, slot: u32) -> bool {
        let Some(flow) = self.flows.get_mut(slot) else { return false };
        if flow.info.direction_score == SCORE_HANDSHAKE {
            return false;
        }
        flow.reverse();
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

    fn find(&self, hash: u64, key: &PacketKey) -> Option<u32> {
        self.index
            .find(hash, |slot| self.flows.get(*slot).is_some_and(|flow| flow.is_of(key)))
            .copied()
    }

    /// Ends a flow that timed out before this packet, or whose connection had ended when the
    /// packet begins another one.
    fn end_if_over(
        &mut self,
        slot: u32,
        time_ns: u64,
        packet: &Packet<'_>,
        out: &mut Vec<FlowTick>,
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
        hash: u64,
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
        let opening = Opening {
            time_ns,
            hash,
            generation: self.generation,
            thread: self.config.thread,
            src_is_client,
            score,
        };
        let slot = self.flows.insert(Flow::open(&opening, key, packet, &self.config.local));
        let flows = &self.flows;
        self.index.insert_unique(hash, slot, |slot| flows.get(*slot).map_or(0, |flow| flow.hash));
        self.stats.opened += 1;
        Some(slot)
    }

    /// Ends a flow that is off the wheel.
    fn close(&mut self, slot: u32, end_ns: u64, close: Option<CloseType>, out: &mut Vec<FlowTick>) {
        let Some(mut flow) = self.flows.remove(slot) else { return };
        if let Ok(entry) = self.index.find_entry(flow.hash, |other| *other == slot) {
            entry.remove();
        }
        let close = close.unwrap_or_else(|| flow.ending().close_type());
        flow.end(slot, end_ns, close, out);
        self.stats.closed += 1;
    }

    fn hand_out_seconds(&mut self, now_s: u64, out: &mut Vec<FlowTick>) {
        let flows = &mut self.flows;
        self.active.retain(|(slot, generation)| {
            let Some(flow) = flows.get_mut(*slot).filter(|flow| flow.generation == *generation)
            else {
                return false;
            };
            if flow.tick_s >= now_s {
                return true;
            }
            out.push(flow.hand_out(*slot));
            flow.is_active = false;
            false
        });
    }

    fn expire_second(&mut self, second: u64, now_ns: u64, out: &mut Vec<FlowTick>) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.take(&mut self.flows, second, &mut due);
        let flows = &self.flows;
        due.sort_unstable_by_key(|slot| {
            flows.get(*slot).map(|flow| (flow.deadline_ns, flow.generation))
        });
        for slot in due.drain(..) {
            let Some(flow) = self.flows.get(slot) else { continue };
            let deadline_ns = flow.deadline_ns;
            if deadline_ns > now_ns {
                self.wheel.insert(&mut self.flows, slot, deadline_ns);
            } else {
                self.close(slot, deadline_ns, None, out);
            }
        }
        self.due = due;
    }

    /// Opens the second for flows that have no packets in it yet: what they do in it, their end
    /// included, comes in one tick.
    fn count_silent_flows(&mut self, now_s: u64) {
        let slots: Vec<u32> = self.flows.slots().collect();
        for slot in slots {
            if let Some(flow) = self.flows.get_mut(slot)
                && !std::mem::replace(&mut flow.is_active, true)
            {
                flow.tick_s = now_s;
                flow.first_ns = now_s * SECOND_NS;
                self.active.push((slot, flow.generation));
            }
        }
    }

    /// Gives back the memory of flows that are gone.
    fn shrink(&mut self) {
        self.flows.shrink();
        let is_wasteful = |capacity: usize, len: usize| capacity > RESERVE.max(len * 8);
        if is_wasteful(self.index.capacity(), self.index.len()) {
            let flows = &self.flows;
            let capacity = self.index.len() * 2;
            self.index.shrink_to(capacity, |slot| flows.get(*slot).map_or(0, |flow| flow.hash));
        }
        if is_wasteful(self.active.capacity(), self.active.len()) {
            self.active.shrink_to(self.active.len() * 2);
        }
        if is_wasteful(self.due.capacity(), self.flows.len()) {
            self.due.shrink_to(self.flows.len() / 4);
        }
    }

    /// The clock was set back: deadlines count from now.
    fn step_back(&mut self, now_ns: u64, out: &mut Vec<FlowTick>) {
        self.stats.clock_steps += 1;
        self.hand_out_seconds(u64::MAX, out);
        self.now_ns = now_ns;
        self.wheel.restart(now_ns / SECOND_NS);
        let slots: Vec<u32> = self.flows.slots().collect();
        for slot in slots {
            let Some(flow) = self.flows.get_mut(slot) else { continue };
            flow.seen_ns = flow.seen_ns.min(now_ns);
            flow.deadline_ns = now_ns.saturating_add(flow.state.timeout_ns(&self.config.timeouts));
            let deadline_ns = flow.deadline_ns;
            self.wheel.insert(&mut self.flows, slot, deadline_ns);
        }
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
        flow.reverse();
    }
    flow.info.direction_score = SCORE_HANDSHAKE;
    services.learn_certain((flow.info.server.ip, flow.info.server.port));
    told
}
