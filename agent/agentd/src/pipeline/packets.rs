//! The pipeline of packets: frames in, rows out.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::Context as _;
use flow::{
    Counters, FlowConfig, FlowInfo, FlowReport, FlowTable, FlowTick, LocalAddresses, Timeouts,
    Update,
};
use l7::{
    Conversation, ConversationContext, Direction, Origin, Output, Segment, Shared, Stat, StatKind,
    Transport,
};
use meter::{Latency, NetworkSum, Traffic};
use schema::{Batch, Drop, SignalSource, TunnelType};
use wire::{DecapConfig, LinkType, Malformed, Packet, TcpFlags, TrimKind};

use super::l4_rows::{self, Requests};
use super::seen::Seen;
use super::sockets::server_key;
use super::stage::Stage;
use crate::config::Config;
use crate::telemetry::Losses;

const NS_A_SECOND: u64 = 1_000_000_000;
const SECONDS_A_MINUTE: u64 = 60;
/// Seconds of metrics stay open for so long, for packets and owners that come late. unit s
pub const METRICS_DELAY_S: u64 = 3;
/// `direction_score` from which client and server are certain.
const SCORE_CERTAIN: u8 = 255;

/// What a packet pipeline needs to know.
#[derive(Clone, Debug)]
pub struct PacketSettings {
    /// Flow table.
    pub flow: FlowConfig,
    /// Request logs; none: flows only.
    pub l7: Option<l7::Config>,
    /// Tunnels to open.
    pub decap: DecapConfig,
}

impl PacketSettings {
    /// From the configuration, without what is known of the host.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let ns = |duration: std::time::Duration| duration.as_nanos() as u64;
        let timeouts = Timeouts {
            established_ns: ns(config.flow.established),
            closing_rst_ns: ns(config.flow.closing_rst),
            opening_rst_ns: ns(config.flow.opening_rst),
            others_ns: ns(config.flow.others),
            ..Timeouts::default()
        };
        let max_flows = u32::try_from(config.flow.flows)?;
        let decap = DecapConfig::from_ids(&config.packets.decap).map_err(|id| {
            anyhow::anyhow!("inputs.cbpf.preprocess.tunnel_decap_protocols: unknown tunnel {id}")
        })?;
        let decap = config.packets.trim.iter().try_fold(decap, |decap, name| {
            let kind = TrimKind::from_name(name).with_context(|| {
                format!("inputs.cbpf.preprocess.tunnel_trim_protocols: unknown header {name:?}")
            })?;
            anyhow::Ok(decap.trimming(kind))
        })?;
        Ok(Self {
            flow: FlowConfig { max_flows, timeouts, ..FlowConfig::default() },
            l7: config.l7_of_packets.then(|| config.l7.clone()),
            decap,
        })
    }

    /// With the addresses of this host.
    pub fn on_host(mut self, local: LocalAddresses, hash_seed: u64) -> Self {
        self.flow.local = local;
        self.flow.hash_seed = hash_seed;
        self
    }

    /// Of one of `count` threads that share the packets, and with them the limits.
    pub fn shard(mut self, number: u8, count: u8) -> Self {
        self.flow.thread = number;
        self.flow.max_flows = self.flow.max_flows.div_ceil(count.into());
        if let Some(l7) = &mut self.l7 {
            l7.limits.sessions = l7.limits.sessions.div_ceil(count.into());
        }
        self
    }
}

/// Why a pipeline ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing follows, ever.
    OfCapture,
    /// The agent stops while traffic goes on.
    OfAgent,
}

/// What a pipeline holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Flows, as far as it has any.
    pub flows: usize,
    /// Conversations that are followed.
    pub conversations: usize,
    /// Requests that wait for a response.
    pub sessions: usize,
}

/// What is kept of a flow beside the flow table.
struct Place {
    generation: u32,
    seen: Rc<Seen>,
    conversation: Option<Conversation>,
    requests: Requests,
    /// Last minute in which the flow was counted as alive.
    minute: u64,
}

/// The pipeline of packets. One thread.
pub struct PacketPipeline {
    decap: DecapConfig,
    flows: FlowTable,
    minutes: flow::minute::Aggregator,
    shared: Option<Shared>,
    places: Vec<Option<Box<Place>>>,
    ticks: Vec<FlowTick>,
    reports: Vec<FlowReport>,
    output: Output,
    stage: Stage,
    losses: Losses,
    /// Packets dropped by the full flow table that were told already.
    full_told: u64,
}

impl PacketPipeline {
    /// With nothing seen yet.
    pub fn new(settings: PacketSettings, stage: Stage) -> Self {
        Self {
            decap: settings.decap,
            flows: FlowTable::new(settings.flow),
            minutes: flow::minute::Aggregator::new(),
            shared: settings.l7.map(Shared::new),
            places: Vec::new(),
            ticks: Vec::new(),
            reports: Vec::new(),
            output: Output::default(),
            stage,
            losses: Losses::default(),
            full_told: 0,
        }
    }

    /// Takes one frame, in the order of capture.
    /// `from` is the interface (unless the frame says it itself), its link type and a VLAN tag that
    /// the kernel took off.
    pub fn on_frame(
        &mut self,
        time_ns: u64,
        from: (u32, LinkType, Option<u16>),
        bytes: &[u8],
        wire_bytes: u32,
    ) {
        let (nic, link, vlan) = from;
        let mut packet = match wire::parse(link, bytes, wire_bytes, &self.decap) {
            Ok(packet) => packet,
            Err(error) => {
                let unsupported = matches!(error, Malformed::Unsupported(..));
                let reason =
                    if unsupported { Drop::PacketUnsupported } else { Drop::PacketMalformed };
                return self.losses.add(reason, 1);
            }
        };
        packet.link.vlan = packet.link.vlan.or(vlan);
        let nic = packet.link.interface.unwrap_or(nic);
        let update = self.flows.on_packet(time_ns, nic, &packet, &mut self.ticks);
        if !self.ticks.is_empty() {
            // Before the update: a flow that ended may have given its slot to this packet's.
            self.take_ticks(time_ns);
        }
        if let Some(update) = update {
            self.on_update(time_ns, &packet, update);
        }
    }

    /// To be called several times a second with the time of capture: seconds that are over are
    /// counted, silent flows end, and all rows come out.
    pub fn tick(&mut self, now_ns: u64) -> Vec<Batch> {
        self.flows.tick(now_ns, &mut self.ticks);
        self.take_ticks(now_ns);
        self.minutes.advance(now_ns / NS_A_SECOND, &mut self.reports);
        self.take_reports(now_ns);
        if let Some(shared) = &mut self.shared {
            for place in self.places.iter_mut().flatten() {
                let Some(conversation) = &mut place.conversation else { continue };
                if conversation.pending() > 0 {
                    conversation.expire(shared, now_ns, &mut self.output);
                    place.requests.count(&self.output);
                    self.stage.take(now_ns, &place.seen, &mut self.output);
                }
            }
            for (reason, count) in shared.take_drops() {
                self.losses.add(reason, count);
            }
        }
        let second = (now_ns / NS_A_SECOND).saturating_sub(METRICS_DELAY_S);
        self.stage.flush(now_ns, second)
    }

    /// Gives out what there is. `End::OfCapture`: flows end as they would after endless silence;
    /// `End::OfAgent`: they are reported as they stand.
    pub fn finish(&mut self, now_ns: u64, end: End) -> Vec<Batch> {
        match end {
            End::OfCapture => self.flows.flush(now_ns, &mut self.ticks),
            End::OfAgent => self.flows.stop(now_ns, &mut self.ticks),
        }
        self.take_ticks(now_ns);
        self.minutes.flush(&mut self.reports);
        self.take_reports(now_ns);
        self.stage.finish()
    }

    /// What it holds now.
    pub fn load(&self) -> Load {
        Load {
            flows: self.flows.stats().held as usize,
            conversations: self
                .places
                .iter()
                .flatten()
                .filter(|place| place.conversation.is_some())
                .count(),
            sessions: self.shared.as_ref().map_or(0, Shared::sessions),
        }
    }

    /// What was lost since the last call.
    pub fn take_losses(&mut self) -> Losses {
        let full = self.flows.stats().dropped_full;
        self.losses.add(Drop::FlowTableFull, full - std::mem::replace(&mut self.full_told, full));
        std::mem::take(&mut self.losses)
    }

    fn on_update(&mut self, time_ns: u64, packet: &Packet<'_>, update: Update) {
        let slot = update.slot as usize;
        if self.places.len() <= slot {
            self.places.resize_with(slot + 1, || None);
        }
        let Some(info) = self.flows.flow(update.slot) else { return };
        let fresh = self.places[slot].as_ref().is_none_or(|p| p.generation != update.generation);
        if fresh {
            let seen = Rc::new(seen(info));
            let (generation, requests) = (update.generation, Requests::default());
            let place = Place { generation, seen, conversation: None, requests, minute: 0 };
            self.places[slot] = Some(Box::new(place));
        }
        let (Some(shared), Some(place)) = (&mut self.shared, &mut self.places[slot]) else {
            return;
        };
        let Some(segment) = segment(time_ns, packet, update) else { return };
        let conversation =
            place.conversation.get_or_insert_with(|| Conversation::new(context(info)));
        conversation.on_segment(shared, &segment, &mut self.output);
        if std::mem::take(&mut self.output.reversed) {
            self.flows.reverse(update.slot);
            if let Some(info) = self.flows.flow(update.slot) {
                place.seen = Rc::new(seen(info));
            }
        }
        if self.output.stats.iter().any(is_good_answer) {
            self.flows.note_answer(update.slot);
        }
        place.requests.count(&self.output);
        self.stage.take(time_ns, &place.seen, &mut self.output);
    }

    fn take_ticks(&mut self, now_ns: u64) {
        for tick in std::mem::take(&mut self.ticks) {
            self.take_tick(now_ns, tick);
        }
        self.take_reports(now_ns);
    }

    fn take_tick(&mut self, now_ns: u64, tick: FlowTick) {
        let (slot, generation) = (tick.slot as usize, tick.generation);
        let place = self.places.get_mut(slot).and_then(Option::as_mut);
        let Some(place) = place.filter(|place| place.generation == generation) else {
            // A flow that is followed no longer has no requests either.
            return self.minutes.on_tick(&tick, &mut self.reports);
        };
        if (place.seen.client.ip(), place.seen.client.port())
            != (tick.info.client.ip, tick.info.client.port)
        {
            place.seen = Rc::new(seen(&tick.info));
        }
        let edge = place.seen.edge(self.stage.owners(), now_ns);
        let minute = tick.time_s / SECONDS_A_MINUTE;
        let first_of_minute = std::mem::replace(&mut place.minute, minute) != minute;
        let sum = network_sum(&tick, first_of_minute);
        self.stage.meter.on_flow(&edge, tick.time_s, &sum);
        if tick.close.is_some()
            && let (Some(mut conversation), Some(shared)) =
                (place.conversation.take(), &mut self.shared)
        {
            conversation.on_close(shared, tick.last_ns, &mut self.output);
            place.requests.count(&self.output);
            self.stage.take(now_ns, &place.seen, &mut self.output);
        }
        self.minutes.on_tick(&tick, &mut self.reports);
        if tick.close.is_some() {
            self.take_reports(now_ns);
            self.places[slot] = None;
        }
    }

    fn take_reports(&mut self, now_ns: u64) {
        for report in std::mem::take(&mut self.reports) {
            let place = self.places.get_mut(report.slot as usize).and_then(Option::as_mut);
            let place = place.filter(|place| place.generation == report.generation);
            let (edge, requests) = match place {
                Some(place) => {
                    let edge = place.seen.edge(self.stage.owners(), now_ns);
                    (edge, place.requests.take())
                }
                None => (seen(&report.info).edge(self.stage.owners(), now_ns), Requests::default()),
            };
            self.stage.take_flow(l4_rows::row(&report, &edge, &requests));
        }
    }
}

fn is_good_answer(stat: &Stat) -> bool {
    matches!(stat.kind, StatKind::Response { error: None, .. })
}

fn segment<'a>(time_ns: u64, packet: &Packet<'a>, update: Update) -> Option<Segment<'a>> {
    let (seq, flags) = match &packet.transport {
        wire::Transport::Tcp(tcp) => (Some(tcp.seq), tcp.flags),
        wire::Transport::Udp(_) if packet.payload_bytes > 0 => (None, TcpFlags(0)),
        _ => return None,
    };
    let syn = flags.contains(TcpFlags::SYN);
    let fin = flags.intersects(TcpFlags(TcpFlags::FIN.0 | TcpFlags::RST.0));
    if packet.payload_bytes == 0 && !syn && !fin {
        return None;
    }
    let direction = match update.direction {
        flow::Direction::ClientToServer => Direction::ClientToServer,
        flow::Direction::ServerToClient => Direction::ServerToClient,
    };
    Some(Segment {
        time_ns,
        direction,
        seq,
        payload: packet.payload,
        wire_bytes: packet.payload_bytes,
        syn,
        fin: flags.contains(TcpFlags::FIN),
        origin: Origin::default(),
    })
}

fn context(info: &FlowInfo) -> ConversationContext {
    let server = SocketAddr::new(info.server.ip, info.server.port);
    ConversationContext {
        transport: if info.protocol == wire::protocol::UDP {
            Transport::Udp
        } else {
            Transport::Tcp
        },
        client_port: info.client.port,
        server_port: info.server.port,
        server_key: server_key(server, info.protocol, 0),
        signal_source: SignalSource::Packet,
        direction_known: info.direction_score == SCORE_CERTAIN,
        is_tls: false,
    }
}

fn seen(info: &FlowInfo) -> Seen {
    let tunnel = info.tunnel.as_ref().and_then(|tunnels| tunnels.tx.or(tunnels.rx));
    Seen {
        client: SocketAddr::new(info.client.ip, info.client.port),
        server: SocketAddr::new(info.server.ip, info.server.port),
        protocol: info.protocol,
        signal_source: SignalSource::Packet,
        point: info.observation_point,
        nic: info.nic,
        tunnel: tunnel.and_then(|t| TunnelType::from_id(t.kind.id())).unwrap_or(TunnelType::None),
        flow_id: info.flow_id,
        direction_score: info.direction_score,
        client_owner: None,
        server_owner: None,
        lookup: Default::default(),
    }
}

fn network_sum(tick: &FlowTick, first_of_minute: bool) -> NetworkSum {
    let c = &tick.counters;
    let latency = |delay: &flow::Delay| Latency {
        sum_us: delay.sum_us(),
        count: delay.count.into(),
        max_us: delay.max_us,
    };
    let mut sum = NetworkSum {
        tx: traffic_tx(c),
        rx: traffic_rx(c),
        new_flow: tick.is_new.into(),
        flow_load_second: 1,
        flow_load_minute: first_of_minute.into(),
        syn_count: c.syn_count,
        synack_count: c.synack_count,
        retrans_syn: c.retrans_syn,
        retrans_synack: c.retrans_synack,
        rtt: latency(&c.rtt),
        rtt_client: latency(&c.rtt_client),
        rtt_server: latency(&c.rtt_server),
        srt: latency(&c.srt),
        art: latency(&c.art),
        cit: latency(&c.cit),
        ..NetworkSum::default()
    };
    if let Some(close) = tick.close {
        sum.count_close(close);
    }
    sum
}

fn traffic_tx(c: &Counters) -> Traffic {
    Traffic {
        packets: c.packet_tx,
        bytes: c.byte_tx,
        l3_bytes: c.l3_byte_tx,
        l4_bytes: c.l4_byte_tx,
        retrans: c.retrans_tx.into(),
        ooo: c.ooo_tx.into(),
        zero_win: c.zero_win_tx.into(),
    }
}

fn traffic_rx(c: &Counters) -> Traffic {
    Traffic {
        packets: c.packet_rx,
        bytes: c.byte_rx,
        l3_bytes: c.l3_byte_rx,
        l4_bytes: c.l4_byte_rx,
        retrans: c.retrans_rx.into(),
        ooo: c.ooo_rx.into(),
        zero_win: c.zero_win_rx.into(),
    }
}
