//! Runs segments through conversations, as the agent does.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use l7::{
    Config, Conversation, ConversationContext, Direction, Origin, Output, Record, Segment, Shared,
    Stat, Transport,
};
use schema::{L7Protocol, SignalSource};

use crate::pcap::Captured;

type End = (IpAddr, u16);

/// A conversation and which end its client is.
struct Flow {
    conversation: Conversation,
    client: End,
}

/// Everything that came out of a run.
pub struct Outcome {
    pub records: Vec<Record>,
    pub stats: Vec<Stat>,
    pub drops: Vec<(schema::Drop, u64)>,
    /// What the conversations still hold after they were closed.
    pub left: (usize, usize),
}

/// Runs a capture: flows by addresses and ports, direction by SYN or else by the first packet.
pub fn run(segments: &[Captured], config: Config) -> Outcome {
    let mut shared = Shared::new(config);
    let mut flows: BTreeMap<(End, End, bool), Flow> = BTreeMap::new();
    let mut out = Output::default();
    let mut records = Vec::new();
    let mut stats = Vec::new();
    let mut last_ns = 0;
    for captured in segments {
        let (low, high) = match captured.source <= captured.target {
            true => (captured.source, captured.target),
            false => (captured.target, captured.source),
        };
        let flow = flows
            .entry((low, high, captured.seq.is_some()))
            .or_insert_with(|| new_flow(captured, &shared));
        let direction = match captured.source == flow.client {
            true => Direction::ClientToServer,
            false => Direction::ServerToClient,
        };
        let segment = Segment {
            time_ns: captured.time_ns,
            direction,
            seq: captured.seq,
            payload: &captured.payload,
            wire_bytes: captured.wire_bytes,
            syn: captured.syn,
            fin: captured.fin,
            origin: Origin::default(),
        };
        if captured.time_ns / 1_000_000_000 != last_ns / 1_000_000_000 {
            flow.conversation.expire(&mut shared, captured.time_ns, &mut out);
        }
        last_ns = captured.time_ns;
        flow.conversation.on_segment(&mut shared, &segment, &mut out);
        if out.reversed {
            flow.client =
                if flow.client == captured.source { captured.target } else { captured.source };
        }
        records.extend(out.records.drain(..).map(|record| *record));
        stats.append(&mut out.stats);
        out.clear();
    }
    for flow in flows.values_mut() {
        flow.conversation.on_close(&mut shared, last_ns, &mut out);
        records.extend(out.records.drain(..).map(|record| *record));
        stats.append(&mut out.stats);
    }
    let left = (shared.buffered_bytes(), shared.sessions());
    Outcome { records, stats, drops: shared.take_drops().collect(), left }
}

fn new_flow(first: &Captured, shared: &Shared) -> Flow {
    let is_reply = first.is_icmp && matches!(first.payload.first(), Some(0 | 129));
    let from_server = is_reply || first.syn && first.payload.is_empty() && first.fin;
    let (client, server) = match from_server {
        true => (first.target, first.source),
        false => (first.source, first.target),
    };
    let mut hasher = DefaultHasher::new();
    server.hash(&mut hasher);
    let context = ConversationContext {
        transport: if first.seq.is_some() { Transport::Tcp } else { Transport::Udp },
        client_port: client.1,
        server_port: server.1,
        server_key: hasher.finish(),
        signal_source: SignalSource::Packet,
        direction_known: first.syn,
        is_tls: false,
    };
    let conversation = match first.is_icmp {
        true => Conversation::of(context, L7Protocol::Ping, shared),
        false => Conversation::new(context),
    };
    Flow { conversation, client }
}
