//! Network metrics: sums of what flows did, and their rows.

use std::borrow::Borrow;
use std::sync::Arc;

use flow::{Delay, FlowTick};
use schema::{CloseType, SignalSource, Text, network, network_map};

use crate::edge::{Addresses, Edge};
use crate::point::End;
use crate::requests::RequestSum;
use crate::window::{Document, Sum};

/// Key of a `network_map` document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkKey {
    /// Between whom.
    pub edge: Arc<Edge>,
}

impl Borrow<Edge> for NetworkKey {
    fn borrow(&self) -> &Edge {
        &self.edge
    }
}

impl From<&Edge> for NetworkKey {
    fn from(edge: &Edge) -> Self {
        Self { edge: Arc::new(edge.clone()) }
    }
}

/// Key of a `network` document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SingleKey {
    end: End,
    protocol: u8,
    server_port: u16,
    signal_source: SignalSource,
}

impl From<&NetworkKey> for SingleKey {
    fn from(key: &NetworkKey) -> Self {
        let edge = &key.edge;
        Self {
            end: End::of(edge),
            protocol: edge.protocol,
            server_port: edge.server_port,
            signal_source: edge.signal_source,
        }
    }
}

/// Samples of a latency. unit µs
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Sum of the samples. unit µs
    pub sum_us: u64,
    /// Number of samples.
    pub count: u64,
    /// Largest sample. unit µs
    pub max_us: u32,
}

impl Latency {
    /// One sample; 0 means that there is none.
    pub fn of(sample_us: u32) -> Self {
        Self { sum_us: sample_us.into(), count: u64::from(sample_us > 0), max_us: sample_us }
    }

    fn add(&mut self, delay: &Delay) {
        if delay.count > 0 {
            self.sum_us += delay.sum_us();
            self.count += u64::from(delay.count);
            self.max_us = self.max_us.max(delay.max_us);
        }
    }

    /// Adds the samples of `other`.
    pub fn join(&mut self, other: &Self) {
        self.sum_us += other.sum_us;
        self.count += other.count;
        self.max_us = self.max_us.max(other.max_us);
    }
}

/// Counters of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes with all headers. unit byte
    pub bytes: u64,
    /// IP payload. unit byte
    pub l3_bytes: u64,
    /// TCP or UDP payload. unit byte
    pub l4_bytes: u64,
    /// Segments sent again.
    pub retrans: u64,
    /// Segments out of order.
    pub ooo: u64,
    /// Zero windows told.
    pub zero_win: u64,
}

impl Traffic {
    fn join(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.l3_bytes += other.l3_bytes;
        self.l4_bytes += other.l4_bytes;
        self.retrans += other.retrans;
        self.ooo += other.ooo;
        self.zero_win += other.zero_win;
    }
}

/// What flows did in a period. Fields as the columns of `network`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSum {
    /// From the client.
    pub tx: Traffic,
    /// From the server.
    pub rx: Traffic,
    /// Flows that began.
    pub new_flow: u64,
    /// Flows that ended.
    pub closed_flow: u64,
    /// Flows alive, counted once in each second.
    pub flow_load_second: u64,
    /// Flows alive, counted once in each minute.
    pub flow_load_minute: u64,
    /// SYNs.
    pub syn_count: u32,
    /// SYN-ACKs.
    pub synack_count: u32,
    /// SYNs sent again.
    pub retrans_syn: u32,
    /// SYN-ACKs sent again.
    pub retrans_synack: u32,
    /// Whole handshake.
    pub rtt: Latency,
    /// Client side of the handshake.
    pub rtt_client: Latency,
    /// Server side of the handshake.
    pub rtt_server: Latency,
    /// System response time.
    pub srt: Latency,
    /// Application response time.
    pub art: Latency,
    /// Client idle time.
    pub cit: Latency,
    /// Flows that ended, by `CloseType::id`.
    pub closed: [u32; 21],
    /// Requests and what became of them.
    pub requests: RequestSum,
}

impl NetworkSum {
    /// Adds a second of a flow.
    pub fn add(&mut self, tick: &FlowTick) {
        let c = &tick.counters;
        let (tx, rx) = (&mut self.tx, &mut self.rx);
        tx.packets += c.packet_tx;
        rx.packets += c.packet_rx;
        tx.bytes += c.byte_tx;
        rx.bytes += c.byte_rx;
        tx.l3_bytes += c.l3_byte_tx;
        rx.l3_bytes += c.l3_byte_rx;
        tx.l4_bytes += c.l4_byte_tx;
        rx.l4_bytes += c.l4_byte_rx;
        tx.retrans += u64::from(c.retrans_tx);
        rx.retrans += u64::from(c.retrans_rx);
        tx.ooo += u64::from(c.ooo_tx);
        rx.ooo += u64::from(c.ooo_rx);
        tx.zero_win += u64::from(c.zero_win_tx);
        rx.zero_win += u64::from(c.zero_win_rx);
        self.new_flow += u64::from(tick.is_new);
        self.flow_load_second += 1;
        self.flow_load_minute += u64::from(tick.is_first_of_minute);
        self.syn_count += c.syn_count;
        self.synack_count += c.synack_count;
        self.retrans_syn += c.retrans_syn;
        self.retrans_synack += c.retrans_synack;
        self.rtt.add(&c.rtt);
        self.rtt_client.add(&c.rtt_client);
        self.rtt_server.add(&c.rtt_server);
        self.srt.add(&c.srt);
        self.art.add(&c.art);
        self.cit.add(&c.cit);
        if let Some(close) = tick.close {
            self.count_close(close);
        }
    }

    fn count_close(&mut self, close: CloseType) {
        self.closed_flow += 1;
        if let Some(count) = self.closed.get_mut(usize::from(close.id())) {
            *count += 1;
        }
    }

    fn closed_by(&self, kinds: &[CloseType]) -> u64 {
        kinds.iter().map(|kind| u64::from(self.closed[usize::from(kind.id())])).sum()
    }
}

impl Sum for NetworkSum {
    fn join(&mut self, other: &Self) {
        self.tx.join(&other.tx);
        self.rx.join(&other.rx);
        self.new_flow += other.new_flow;
        self.closed_flow += other.closed_flow;
        self.flow_load_second += other.flow_load_second;
        self.flow_load_minute += other.flow_load_minute;
        self.syn_count += other.syn_count;
        self.synack_count += other.synack_count;
        self.retrans_syn += other.retrans_syn;
        self.retrans_synack += other.retrans_synack;
        self.rtt.join(&other.rtt);
        self.rtt_client.join(&other.rtt_client);
        self.rtt_server.join(&other.rtt_server);
        self.srt.join(&other.srt);
        self.art.join(&other.art);
        self.cit.join(&other.cit);
        for (closed, more) in self.closed.iter_mut().zip(other.closed) {
            *closed += more;
        }
        self.requests.join(&other.requests);
    }
}

/// Flows alive, by the length of the period.
#[derive(Clone, Copy, Debug)]
pub enum Period {
    /// One second.
    Second,
    /// One minute.
    Minute,
}

/// A row of `network` or `network_map`, which have the same measures: fills them from a sum.
macro_rules! row {
    ($row:path, $sum:expr, $period:expr, { $($tag:tt)* }) => {{
        use CloseType as Close;
        use $row as Row;
        let sum: &NetworkSum = $sum;
        let closed = |kinds: &[Close]| sum.closed_by(kinds);
        Row {
            $($tag)*
            packet_tx: sum.tx.packets,
            packet_rx: sum.rx.packets,
            byte_tx: sum.tx.bytes,
            byte_rx: sum.rx.bytes,
            l3_byte_tx: sum.tx.l3_bytes,
            l3_byte_rx: sum.rx.l3_bytes,
            l4_byte_tx: sum.tx.l4_bytes,
            l4_byte_rx: sum.rx.l4_bytes,
            new_flow: sum.new_flow,
            closed_flow: sum.closed_flow,
            flow_load: match $period {
                Period::Second => sum.flow_load_second,
                Period::Minute => sum.flow_load_minute,
            },
            l7_request: sum.requests.requests,
            l7_response: sum.requests.responses,
            syn_count: sum.syn_count,
            synack_count: sum.synack_count,
            retrans_tx: sum.tx.retrans,
            retrans_rx: sum.rx.retrans,
            retrans_syn: sum.retrans_syn,
            retrans_synack: sum.retrans_synack,
            ooo_tx: sum.tx.ooo,
            ooo_rx: sum.rx.ooo,
            zero_win_tx: sum.tx.zero_win,
            zero_win_rx: sum.rx.zero_win,
            rtt_sum: sum.rtt.sum_us as f64,
            rtt_count: sum.rtt.count,
            rtt_max: sum.rtt.max_us,
            rtt_client_sum: sum.rtt_client.sum_us as f64,
            rtt_client_count: sum.rtt_client.count,
            rtt_client_max: sum.rtt_client.max_us,
            rtt_server_sum: sum.rtt_server.sum_us as f64,
            rtt_server_count: sum.rtt_server.count,
            rtt_server_max: sum.rtt_server.max_us,
            srt_sum: sum.srt.sum_us as f64,
            srt_count: sum.srt.count,
            srt_max: sum.srt.max_us,
            art_sum: sum.art.sum_us as f64,
            art_count: sum.art.count,
            art_max: sum.art.max_us,
            rrt_sum: sum.requests.rrt.sum_us as f64,
            rrt_count: sum.requests.rrt.count,
            rrt_max: sum.requests.rrt.max_us,
            cit_sum: sum.cit.sum_us as f64,
            cit_count: sum.cit.count,
            cit_max: sum.cit.max_us,
            client_rst_flow: closed(&[Close::ClientReset]),
            server_rst_flow: closed(&[Close::ServerReset]),
            server_queue_lack: closed(&[Close::ServerQueueOverflow]),
            client_half_close_flow: closed(&[Close::ClientHalfClose]),
            server_half_close_flow: closed(&[Close::ServerHalfClose]),
            tcp_timeout: closed(&[Close::Timeout]),
            client_ack_miss: closed(&[Close::ClientAckMiss]),
            client_source_port_reuse: closed(&[Close::ClientPortReuse]),
            client_establish_other_rst: closed(&[Close::ClientOtherReset]),
            server_syn_miss: closed(&[Close::ServerSynMiss]),
            server_reset: closed(&[Close::ServerDirectReset]),
            server_establish_other_rst: closed(&[Close::ServerOtherReset]),
            client_establish_fail: closed(CLIENT_ESTABLISH_FAIL),
            server_establish_fail: closed(SERVER_ESTABLISH_FAIL),
            tcp_establish_fail: closed(CLIENT_ESTABLISH_FAIL) + closed(SERVER_ESTABLISH_FAIL),
            tcp_transfer_fail: closed(TRANSFER_FAIL),
            tcp_rst_fail: closed(RESET_FAIL),
            l7_client_error: sum.requests.client_errors.into(),
            l7_server_error: sum.requests.server_errors.into(),
            l7_timeout: sum.requests.timeouts.into(),
            l7_error: sum.requests.errors().into(),
        }
    }};
}

const CLIENT_ESTABLISH_FAIL: &[CloseType] =
    &[CloseType::ClientPortReuse, CloseType::ClientOtherReset, CloseType::ClientAckMiss];
const SERVER_ESTABLISH_FAIL: &[CloseType] =
    &[CloseType::ServerSynMiss, CloseType::ServerDirectReset, CloseType::ServerOtherReset];
const TRANSFER_FAIL: &[CloseType] = &[
    CloseType::ClientReset,
    CloseType::ServerReset,
    CloseType::ServerQueueOverflow,
    CloseType::Timeout,
];
const RESET_FAIL: &[CloseType] = &[
    CloseType::ClientOtherReset,
    CloseType::ServerOtherReset,
    CloseType::ServerDirectReset,
    CloseType::ClientReset,
    CloseType::ServerReset,
];

/// Row of `network_map`.
pub fn map_row(document: &Document<NetworkKey, NetworkSum>, period: Period) -> network_map::Row {
    let edge = &*document.key.edge;
    let (client, server) = (Addresses::from(edge.client_ip), Addresses::from(edge.server_ip));
    row!(network_map::Row, &document.sum, period, {
        time: document.start_s as u32,
        ip4_0: client.ip4,
        ip4_1: server.ip4,
        ip6_0: client.ip6,
        ip6_1: server.ip6,
        is_ipv4: client.is_ipv4,
        protocol: edge.protocol,
        server_port: edge.server_port,
        signal_source: edge.signal_source.id(),
        observation_point: edge.point.name().into(),
        capture_nic: edge.nic,
        tunnel_type: edge.tunnel.id(),
        capture_network_type_id: crate::CLOUD_NETWORK,
        process_id_0: edge.client.id,
        process_id_1: edge.server.id,
        process_kname_0: Text::clone(&edge.client.name),
        process_kname_1: Text::clone(&edge.server.name),
        container_id_0: Text::clone(&edge.client.container),
        container_id_1: Text::clone(&edge.server.container),
    })
}

/// Row of `network`.
pub fn single_row(document: &Document<SingleKey, NetworkSum>, period: Period) -> network::Row {
    let key = &document.key;
    let addresses = Addresses::from(key.end.ip);
    row!(network::Row, &document.sum, period, {
        time: document.start_s as u32,
        ip4: addresses.ip4,
        ip6: addresses.ip6,
        is_ipv4: addresses.is_ipv4,
        protocol: key.protocol,
        server_port: key.server_port,
        signal_source: key.signal_source.id(),
        role: key.end.role.id(),
        capture_network_type_id: crate::CLOUD_NETWORK,
        process_id: key.end.process.id,
        process_kname: Text::clone(&key.end.process.name),
    })
}
