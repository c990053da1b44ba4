//! What is kept of flows beside the flow table, and what becomes of what the table gives out.
//!
//! In: packets with what the table said of them; ticks and reports. Out: documents and rows, by
//! the stage. Few flows need anything kept: those with payload, for their conversation, and those
//! with an end on this host, whose owner is looked up.

use std::net::SocketAddr;
use std::rc::Rc;

use flow::{FlowInfo, FlowReport, FlowTable, FlowTick, Sink, Update};
use l7::{
    Conversation, ConversationContext, Direction, Origin, Output, Segment, Shared, Stat, StatKind,
    Transport,
};
use meter::Edge;
use schema::{L7Protocol, SignalSource};
use wire::{Packet, TcpFlags};

use super::l4_rows::{self, Requests};
use super::plugins;
use super::seen::Seen;
use super::sockets::server_key;
use super::stage::Stage;
use crate::telemetry::Losses;

/// `direction_score` from which client and server are certain.
const SCORE_CERTAIN: u8 = 255;

/// What is kept of a flow.
struct Place {
    generation: u32,
    seen: Rc<Seen>,
    conversation: Option<Conversation>,
    requests: Requests,
    /// Whether it stands in the list of those that wait.
    is_waiting: bool,
}

/// Flows of which something is kept, by their slots in the table, and the last stage.
pub(super) struct Followed {
    shared: Option<Shared>,
    places: Vec<Option<Box<Place>>>,
    /// Slots whose conversations wait for something.
    waiting: Vec<u32>,
    conversations: usize,
    output: Output,
    pub(super) stage: Stage,
    now_ns: u64,
    /// Responses may have gone by unseen.
    passes_over: bool,
}

impl Followed {
    /// None. Without `l7` there are no conversations.
    pub fn new(l7: Option<l7::Config>, modules: &[plugin::Module], stage: Stage) -> Self {
        Self {
            shared: l7.map(|config| plugins::shared(config, modules)),
            places: Vec::new(),
            waiting: Vec::new(),
            conversations: 0,
            output: Output::default(),
            stage,
            now_ns: 0,
            passes_over: false,
        }
    }

    /// Says what plug-ins had to say.
    pub fn tell(&self) {
        if let Some(shared) = &self.shared {
            plugins::tell(shared);
        }
    }

    /// Time of what follows. unit ns since the Unix epoch
    pub fn set_time(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Whether conversations that end leave nothing to be said of requests without a response.
    pub fn pass_over(&mut self, passes_over: bool) {
        self.passes_over = passes_over;
    }

    /// Conversations that are followed.
    pub fn conversations(&self) -> usize {
        self.conversations
    }

    /// Requests that wait for a response.
    pub fn sessions(&self) -> usize {
        self.shared.as_ref().map_or(0, Shared::sessions)
    }

    /// Has a packet's payload read, after the table has taken it.
    pub fn on_packet(
        &mut self,
        time_ns: u64,
        packet: &Packet<'_>,
        update: Update,
        flows: &mut FlowTable,
    ) {
        let Some(shared) = &mut self.shared else { return };
        let slot = update.slot;
        let known = place_of(&mut self.places, slot, update.generation);
        let has_conversation = known.is_some_and(|place| place.conversation.is_some());
        let is_ping_read = shared.config().protocols.contains(L7Protocol::Ping);
        let echo = echo_message(packet).filter(|_| is_ping_read);
        let segment = match &echo {
            Some(message) => Some(echo_segment(time_ns, packet, update, message)),
            None => segment(time_ns, packet, update, has_conversation),
        };
        let Some(segment) = segment else { return };
        let Some(info) = flows.flow(slot) else { return };
        let place = open_place(&mut self.places, slot, update.generation, info);
        let conversation = match &mut place.conversation {
            Some(conversation) => conversation,
            none => {
                self.conversations += 1;
                let conversation = none.insert(match echo {
                    Some(_) => Conversation::of(context(info), L7Protocol::Ping, shared),
                    None => Conversation::new(context(info)),
                });
                tell_opening(conversation, shared, flows, update, time_ns, &mut self.output);
                conversation
            }
        };
        conversation.on_segment(shared, &segment, &mut self.output);
        let waits = conversation.pending() > 0;
        if std::mem::take(&mut self.output.reversed) {
            flows.reverse(slot);
            if let Some(info) = flows.flow(slot) {
                place.seen = Rc::new(seen(info));
            }
        }
        if self.output.stats.iter().any(is_good_answer) {
            flows.note_answer(slot);
        }
        place.requests.count(&self.output);
        if waits && !std::mem::replace(&mut place.is_waiting, true) {
            self.waiting.push(slot);
        }
        self.stage.take(time_ns, &place.seen, &mut self.output);
    }

    /// Ends what waited too long.
    pub fn expire(&mut self, losses: &mut Losses) {
        let Some(shared) = &mut self.shared else { return };
        let (places, output, stage) = (&mut self.places, &mut self.output, &mut self.stage);
        let now_ns = self.now_ns;
        // In the order of slots, and once each: a slot may have waited for one flow after another.
        self.waiting.sort_unstable();
        self.waiting.dedup();
        self.waiting.retain(|slot| {
            let place = places.get_mut(*slot as usize).and_then(Option::as_mut);
            let Some(place) = place.filter(|place| place.is_waiting) else { return false };
            if let Some(conversation) = &mut place.conversation {
                conversation.expire(shared, now_ns, output);
                place.requests.count(output);
                place.is_waiting = conversation.pending() > 0;
                stage.take(now_ns, &place.seen, output);
            }
            place.is_waiting
        });
        for (reason, count) in shared.take_drops() {
            losses.add(reason, count);
        }
        plugins::tell(shared);
        self.shrink();
    }

    fn end_conversation(&mut self, slot: u32, time_ns: u64) {
        let place = self.places.get_mut(slot as usize).and_then(Option::as_mut);
        let (Some(place), Some(shared)) = (place, &mut self.shared) else { return };
        let Some(mut conversation) = place.conversation.take() else { return };
        self.conversations -= 1;
        conversation.on_close(shared, time_ns, &mut self.output);
        if self.passes_over {
            self.output.stats.retain(|stat| stat.kind != StatKind::Timeout);
        }
        place.requests.count(&self.output);
        self.stage.take(self.now_ns, &place.seen, &mut self.output);
    }

    /// Gives memory back that is not needed.
    fn shrink(&mut self) {
        while self.places.last().is_some_and(Option::is_none) {
            self.places.pop();
        }
        let is_wasteful = |capacity: usize, len: usize| capacity > 4096.max(len * 8);
        if is_wasteful(self.places.capacity(), self.places.len()) {
            self.places.shrink_to(self.places.len() * 2);
        }
        if is_wasteful(self.waiting.capacity(), self.waiting.len()) {
            self.waiting.shrink_to(self.waiting.len() * 2);
        }
    }
}

impl Sink for Followed {
    fn tick(&mut self, tick: &FlowTick) {
        let FlowTick { info, slot, generation, .. } = tick;
        let is_local = self.stage.owners().has_end_of(info.client.ip, info.server.ip);
        let place = match is_local {
            true => Some(open_place(&mut self.places, *slot, *generation, info)),
            false => place_of(&mut self.places, *slot, *generation),
        };
        match place {
            Some(place) => {
                place.learn(info);
                self.stage.meter_seen(self.now_ns, &place.seen, tick);
            }
            None => self.stage.meter(&Edge::from(info), tick),
        }
        if tick.close.is_some() {
            self.end_conversation(*slot, tick.last_ns);
        }
    }

    fn report(&mut self, report: &FlowReport) {
        let row = match place_of(&mut self.places, report.slot, report.generation) {
            Some(place) => {
                let edge = place.seen.edge(self.stage.owners(), self.now_ns);
                l4_rows::row(report, &edge, place.seen.sockets(), &place.requests.take())
            }
            None => {
                let edge = Edge::from(&report.info);
                l4_rows::row(report, &edge, (0, 0), &Requests::default())
            }
        };
        self.stage.take_flow(row);
        if report.is_last
            && let Some(place) = self.places.get_mut(report.slot as usize)
        {
            *place = None;
        }
    }
}

impl Place {
    /// Takes note of what the table has found out of the flow since.
    fn learn(&mut self, info: &FlowInfo) {
        let seen_now = (self.seen.client, self.seen.point, self.seen.direction_score);
        let client = SocketAddr::new(info.client.ip, info.client.port);
        if seen_now != (client, info.observation_point, info.direction_score) {
            self.seen = Rc::new(seen(info));
        }
    }
}

/// What is kept of this flow.
fn place_of(
    places: &mut [Option<Box<Place>>],
    slot: u32,
    generation: u32,
) -> Option<&mut Box<Place>> {
    let place = places.get_mut(slot as usize)?.as_mut()?;
    (place.generation == generation).then_some(place)
}

/// The same, which begins now where there was nothing.
fn open_place<'a>(
    places: &'a mut Vec<Option<Box<Place>>>,
    slot: u32,
    generation: u32,
    info: &FlowInfo,
) -> &'a mut Box<Place> {
    let index = slot as usize;
    if places.len() <= index {
        places.resize_with(index + 1, || None);
    }
    let place = &mut places[index];
    if place.as_ref().is_some_and(|place| place.generation != generation) {
        *place = None;
    }
    place.get_or_insert_with(|| {
        let (seen, requests) = (Rc::new(seen(info)), Requests::default());
        Box::new(Place { generation, seen, conversation: None, requests, is_waiting: false })
    })
}

/// Tells a conversation that begins with payload where its streams began.
fn tell_opening(
    conversation: &mut Conversation,
    shared: &mut Shared,
    flows: &FlowTable,
    update: Update,
    time_ns: u64,
    out: &mut Output,
) {
    let (syn, syn_ack) = flows.opening_seqs(update.slot);
    let sides = [(Direction::ClientToServer, syn), (Direction::ServerToClient, syn_ack)];
    for (direction, seq) in sides {
        if seq != 0 {
            let segment = Segment {
                time_ns,
                direction,
                seq: Some(seq),
                payload: &[],
                wire_bytes: 0,
                syn: true,
                fin: false,
                origin: Origin::default(),
            };
            conversation.on_segment(shared, &segment, out);
        }
    }
}

fn is_good_answer(stat: &Stat) -> bool {
    matches!(stat.kind, StatKind::Response { error: None, .. })
}

/// What a conversation has to see of a packet: payload, and also how streams begin and end once
/// there is a conversation.
fn segment<'a>(
    time_ns: u64,
    packet: &Packet<'a>,
    update: Update,
    has_conversation: bool,
) -> Option<Segment<'a>> {
    let (seq, flags) = match &packet.transport {
        wire::Transport::Tcp(tcp) => (Some(tcp.seq), tcp.flags),
        wire::Transport::Udp(_) => (None, TcpFlags(0)),
        _ => return None,
    };
    let begins_or_ends = flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
    if packet.payload_bytes == 0 && !(has_conversation && begins_or_ends) {
        return None;
    }
    Some(Segment {
        time_ns,
        direction: direction(update),
        seq,
        payload: packet.payload,
        wire_bytes: packet.payload_bytes,
        syn: flags.contains(TcpFlags::SYN),
        fin: flags.contains(TcpFlags::FIN),
        origin: Origin::default(),
    })
}

fn direction(update: Update) -> Direction {
    match update.direction {
        flow::Direction::ClientToServer => Direction::ClientToServer,
        flow::Direction::ServerToClient => Direction::ServerToClient,
    }
}

/// What an ICMP echo says, as it stands at the start of its message (RFC 792): the packet's
/// payload begins after it.
fn echo_message(packet: &Packet<'_>) -> Option<[u8; 8]> {
    let wire::Transport::Icmp(icmp) = &packet.transport else { return None };
    if !icmp.is_echo_request() && !icmp.is_echo_reply() {
        return None;
    }
    let ([id_0, id_1], [seq_0, seq_1]) = (icmp.id.to_be_bytes(), icmp.sequence.to_be_bytes());
    Some([icmp.kind, icmp.code, 0, 0, id_0, id_1, seq_0, seq_1])
}

fn echo_segment<'a>(
    time_ns: u64,
    packet: &Packet<'_>,
    update: Update,
    message: &'a [u8; 8],
) -> Segment<'a> {
    Segment {
        time_ns,
        direction: direction(update),
        seq: None,
        payload: message,
        wire_bytes: packet.payload_bytes + message.len() as u32,
        syn: false,
        fin: false,
        origin: Origin::default(),
    }
}

fn context(info: &FlowInfo) -> ConversationContext {
    let server = SocketAddr::new(info.server.ip, info.server.port);
    ConversationContext {
        transport: match info.protocol {
            wire::protocol::TCP => Transport::Tcp,
            _ => Transport::Udp,
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
    Seen {
        client: SocketAddr::new(info.client.ip, info.client.port),
        server: SocketAddr::new(info.server.ip, info.server.port),
        protocol: info.protocol,
        signal_source: SignalSource::Packet,
        point: info.observation_point,
        nic: info.nic,
        tunnel: info.tunnel_type(),
        flow_id: info.flow_id,
        direction_score: info.direction_score,
        client_owner: None,
        server_owner: None,
        lookup: Default::default(),
    }
}
