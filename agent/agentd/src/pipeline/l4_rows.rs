//! Rows of the flow log.

use flow::{Delay, FlowReport};
use l7::StatKind;
use meter::{Edge, RequestSum};
use schema::l4_flow_log::Row;
use schema::{L7Protocol, SignalSource, Text, TunnelType};
use wire::Tunnel;

use super::l7_rows::address;

const NS_A_US: u64 = 1_000;
const US_A_SECOND: u64 = 1_000_000;

/// What the requests of a flow add to its log: since the last report.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    protocol: Option<L7Protocol>,
    domain: Text,
    sum: RequestSum,
    /// Longest TLS handshake that succeeded. unit µs
    tls_rtt_us: u32,
}

impl Requests {
    /// Counts what a conversation yielded.
    pub fn count(&mut self, output: &l7::Output) {
        for stat in &output.stats {
            self.protocol = Some(stat.protocol);
            self.sum.count(stat);
            if let (L7Protocol::Tls, StatKind::Response { rrt_us: Some(rtt_us), error: None }) =
                (stat.protocol, stat.kind)
            {
                let rtt_us = u32::try_from(rtt_us).unwrap_or(u32::MAX);
                self.tls_rtt_us = self.tls_rtt_us.max(rtt_us);
            }
        }
        if let Some(record) =
            output.records.iter().rfind(|record| !record.request_domain.is_empty())
        {
            self.domain = record.request_domain.clone();
        }
    }

    /// Gives out what was counted; protocol and domain are kept.
    pub fn take(&mut self) -> Self {
        let (protocol, domain) = (self.protocol, self.domain.clone());
        let kept = Self { protocol, domain, ..Self::default() };
        std::mem::replace(self, kept)
    }
}

/// The row of a report.
// tidy: long — one line a column
pub fn row(report: &FlowReport, edge: &Edge, sockets: (u64, u64), requests: &Requests) -> Row {
    let info = &report.info;
    let c = &report.counters;
    let (ip4_0, ip6_0) = address(info.client.ip);
    let (ip4_1, ip6_1) = address(info.server.ip);
    let tunnels = info.tunnel.as_deref();
    let (tx, rx) = (tunnels.and_then(|t| t.tx), tunnels.and_then(|t| t.rx));
    let outer = |tunnel: Option<Tunnel>| Outer::from(tunnel);
    let (tx_outer, rx_outer) = (outer(tx), outer(rx));
    let kind = tx.or(rx).and_then(|tunnel| TunnelType::from_id(tunnel.kind.id()));
    let end_us = report.end_ns / NS_A_US;
    let sum_us = |delay: &Delay| u32::try_from(delay.sum_us()).unwrap_or(u32::MAX);
    Row {
        time: (end_us / US_A_SECOND) as u32,
        mac_0: mac(info.client.mac),
        mac_1: mac(info.server.mac),
        eth_type: info.eth_type,
        vlan: info.vlan,
        ip4_0,
        ip4_1,
        ip6_0,
        ip6_1,
        is_ipv4: info.is_ipv4().into(),
        protocol: info.protocol,
        tunnel_tier: tunnels.map_or(0, |tunnels| tunnels.tier),
        tunnel_type: kind.unwrap_or(TunnelType::None).id().into(),
        tunnel_tx_id: tx_outer.id,
        tunnel_rx_id: rx_outer.id,
        tunnel_tx_ip4_0: tx_outer.src.0,
        tunnel_tx_ip4_1: tx_outer.dst.0,
        tunnel_rx_ip4_0: rx_outer.src.0,
        tunnel_rx_ip4_1: rx_outer.dst.0,
        tunnel_tx_ip6_0: tx_outer.src.1,
        tunnel_tx_ip6_1: tx_outer.dst.1,
        tunnel_rx_ip6_0: rx_outer.src.1,
        tunnel_rx_ip6_1: rx_outer.dst.1,
        tunnel_is_ipv4: tx.or(rx).is_some_and(|tunnel| tunnel.src.is_ipv4()).into(),
        tunnel_tx_mac_0: tx_outer.src_mac,
        tunnel_tx_mac_1: tx_outer.dst_mac,
        tunnel_rx_mac_0: rx_outer.src_mac,
        tunnel_rx_mac_1: rx_outer.dst_mac,
        init_ipid: info.init_ipid,
        client_port: info.client.port,
        server_port: info.server.port,
        tcp_flags_bit_0: c.tcp_flags_tx.into(),
        tcp_flags_bit_1: c.tcp_flags_rx.into(),
        syn_seq: report.syn_seq,
        syn_ack_seq: report.syn_ack_seq,
        last_keepalive_seq: report.last_keepalive_seq,
        last_keepalive_ack: report.last_keepalive_ack,
        l7_protocol: requests.protocol.unwrap_or(L7Protocol::Unknown).id(),
        request_domain: requests.domain.clone(),
        process_id_0: edge.client.id,
        process_id_1: edge.server.id,
        process_kname_0: edge.client.name.clone(),
        process_kname_1: edge.server.name.clone(),
        container_id_0: edge.client.container.clone(),
        container_id_1: edge.server.container.clone(),
        socket_id_0: sockets.0,
        socket_id_1: sockets.1,
        start_time: (report.start_ns / NS_A_US) as i64,
        end_time: end_us as i64,
        duration: report.duration_us(),
        close_type: report.close_type.id().into(),
        status: report.status().id(),
        is_new_flow: report.is_new_flow.into(),
        signal_source: SignalSource::Packet.id(),
        flow_id: info.flow_id,
        capture_network_type_id: meter::CLOUD_NETWORK,
        capture_nic: info.nic,
        observation_point: info.observation_point.name().into(),
        l2_end_0: info.client.l2_end.into(),
        l2_end_1: info.server.l2_end.into(),
        l3_end_0: info.client.l3_end.into(),
        l3_end_1: info.server.l3_end.into(),
        direction_score: info.direction_score,
        packet_tx: c.packet_tx,
        packet_rx: c.packet_rx,
        byte_tx: c.byte_tx,
        byte_rx: c.byte_rx,
        l3_byte_tx: c.l3_byte_tx,
        l3_byte_rx: c.l3_byte_rx,
        l4_byte_tx: c.l4_byte_tx,
        l4_byte_rx: c.l4_byte_rx,
        total_packet_tx: report.total_packet_tx,
        total_packet_rx: report.total_packet_rx,
        total_byte_tx: report.total_byte_tx,
        total_byte_rx: report.total_byte_rx,
        l7_request: requests.sum.requests,
        l7_response: requests.sum.responses,
        l7_parse_failed: 0,
        rtt: c.rtt.max_us,
        rtt_client: c.rtt_client.max_us,
        rtt_server: c.rtt_server.max_us,
        tls_rtt: requests.tls_rtt_us,
        srt_sum: sum_us(&c.srt),
        srt_count: c.srt.count,
        srt_max: c.srt.max_us,
        art_sum: sum_us(&c.art),
        art_count: c.art.count,
        art_max: c.art.max_us,
        rrt_sum: requests.sum.rrt.sum_us,
        rrt_count: u32::try_from(requests.sum.rrt.count).unwrap_or(u32::MAX),
        rrt_max: requests.sum.rrt.max_us,
        cit_sum: c.cit.sum_us(),
        cit_count: c.cit.count,
        cit_max: c.cit.max_us,
        retrans_tx: c.retrans_tx,
        retrans_rx: c.retrans_rx,
        zero_win_tx: c.zero_win_tx,
        zero_win_rx: c.zero_win_rx,
        syn_count: c.syn_count,
        synack_count: c.synack_count,
        retrans_syn: c.retrans_syn,
        retrans_synack: c.retrans_synack,
        l7_client_error: requests.sum.client_errors,
        l7_server_error: requests.sum.server_errors,
        l7_server_timeout: requests.sum.timeouts,
        l7_error: requests.sum.errors(),
        ooo_tx: c.ooo_tx,
        ooo_rx: c.ooo_rx,
        fin_count: c.fin_count,
    }
}

/// The outer header of a tunnel as the store has it.
#[derive(Default)]
struct Outer {
    id: u32,
    src: (u32, [u8; 16]),
    dst: (u32, [u8; 16]),
    src_mac: u64,
    dst_mac: u64,
}

impl From<Option<Tunnel>> for Outer {
    fn from(tunnel: Option<Tunnel>) -> Self {
        tunnel.map_or_else(Self::default, |tunnel| Self {
            id: tunnel.id,
            src: address(tunnel.src),
            dst: address(tunnel.dst),
            src_mac: mac(tunnel.src_mac),
            dst_mac: mac(tunnel.dst_mac),
        })
    }
}

/// A MAC address as a number: its bytes from the most significant.
fn mac(bytes: [u8; 6]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(protocol: L7Protocol, rrt_us: u64, error: Option<l7::ErrorSide>) -> l7::Output {
        let kind = StatKind::Response { rrt_us: Some(rrt_us), error };
        let stat = l7::Stat { time_ns: 0, protocol, endpoint: Text::default(), kind };
        l7::Output { stats: vec![stat], ..l7::Output::default() }
    }

    #[test]
    fn handshakes_that_succeed_give_the_tls_rtt_once() {
        let mut requests = Requests::default();
        requests.count(&output(L7Protocol::Tls, 900, Some(l7::ErrorSide::Client)));
        assert_eq!(requests.tls_rtt_us, 0);
        requests.count(&output(L7Protocol::Tls, 700, None));
        requests.count(&output(L7Protocol::Http, 9000, None));
        assert_eq!(requests.take().tls_rtt_us, 700);
        assert_eq!(requests.take().tls_rtt_us, 0);
    }
}
