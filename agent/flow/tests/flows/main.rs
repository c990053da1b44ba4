//! Flows by hand: each close type, quantity and rule with packets made for it.

mod lab;
mod prop;

use std::net::{IpAddr, Ipv4Addr};

use flow::point::Mac;
use flow::{Direction, FlowConfig, FlowTable, Kept, LocalAddresses, Timeouts};
use lab::{CLIENT, Lab, MS, SERVER, START_NS, from_client, from_server};
use schema::{CloseType, FlowStatus, ObservationPoint};
use wire::build::{self, Tcp};
use wire::{DecapConfig, LinkType, TcpFlags, eth_type};

const S: TcpFlags = TcpFlags::SYN;
const SA: TcpFlags = TcpFlags::SYN_ACK;
const A: TcpFlags = TcpFlags::ACK;
const R: TcpFlags = TcpFlags::RST;
const FA: TcpFlags = TcpFlags(0x11);
const PA: TcpFlags = TcpFlags(0x18);

/// Handshake at 0, 10 and 30 ms: client's first byte is 101, the server's 501.
fn opened() -> Lab {
    let mut lab = Lab::new();
    lab.send(0, from_client(100, 0, S), b"");
    lab.send(10, from_server(500, 101, SA), b"");
    lab.send(30, from_client(101, 501, A), b"");
    lab
}

#[test]
fn a_whole_connection() {
    let mut lab = opened();
    lab.send(50, from_client(101, 501, PA), b"request");
    lab.send(51, from_server(501, 108, A), b"");
    lab.send(70, from_server(501, 108, PA), b"response");
    lab.send(71, from_client(108, 509, A), b"");
    lab.send(100, from_client(108, 509, PA), b"again");
    lab.send(130, from_server(509, 113, PA), b"yes");
    lab.send(140, from_client(113, 512, FA), b"");
    lab.send(141, from_server(512, 114, FA), b"");
    lab.send(142, from_client(114, 513, A), b"");
    let report = lab.only_report();
    let counters = &report.counters;
    assert_eq!((counters.packet_tx, counters.packet_rx), (7, 5));
    assert_eq!((counters.l4_byte_tx, counters.l4_byte_rx), (12, 11));
    assert_eq!(counters.byte_tx, 7 * 54 + 12);
    assert_eq!(counters.l3_byte_tx, 7 * 20 + 12);
    assert_eq!((counters.rtt.max_us, counters.rtt.count), (30_000, 1));
    assert_eq!((counters.rtt_client.max_us, counters.rtt_server.max_us), (20_000, 10_000));
    assert_eq!((counters.srt.sum_us(), counters.srt.count), (1_000, 1));
    assert_eq!((counters.art.sum_us(), counters.art.count), (20_000 + 30_000, 2));
    assert_eq!((counters.cit.sum_us(), counters.cit.count), (20_000 + 30_000, 2));
    assert_eq!((counters.syn_count, counters.synack_count, counters.fin_count), (1, 1, 2));
    assert_eq!((report.syn_seq, report.syn_ack_seq), (100, 500));
    assert_eq!((counters.tcp_flags_tx, counters.tcp_flags_rx), (0x1b, 0x1b));
    assert_eq!((report.close_type, report.status()), (CloseType::Finish, FlowStatus::Ok));
    assert_eq!((report.start_ns, report.end_ns), (START_NS, START_NS + 142 * MS));
    assert_eq!((report.duration_us(), report.is_new_flow), (142_000, true));
    assert_eq!(report.info.direction_score, 255);
    assert_eq!((report.info.client.port, report.info.server.port), (40_000, 80));
}

#[test]
fn retransmissions_are_flagged_and_counted_by_direction() {
    let mut lab = opened();
    assert!(!lab.send(40, from_client(101, 501, PA), b"request").retransmitted);
    assert!(lab.send(45, from_client(101, 501, PA), b"request").retransmitted);
    assert!(lab.send(46, from_client(103, 501, PA), b"que").retransmitted);
    assert!(!lab.send(50, from_server(601, 108, PA), b"later").retransmitted);
    assert!(!lab.send(51, from_server(501, 108, PA), &[1; 100]).retransmitted);
    assert!(lab.send(52, from_server(501, 108, PA), &[1; 100]).retransmitted);
    assert!(lab.send(60, from_server(500, 101, SA), b"").retransmitted);
    let counters = lab.first_report_of(1).counters;
    assert_eq!((counters.retrans_tx, counters.retrans_rx), (2, 2));
    assert_eq!((counters.retrans_syn, counters.retrans_synack), (0, 1));
    assert_eq!((counters.ooo_tx, counters.ooo_rx), (0, 1));
    assert_eq!(counters.art.count, 0, "a repeat ends the wait for an answer");
}

#[test]
fn keepalives_are_no_retransmissions() {
    let mut lab = opened();
    lab.send(40, from_client(101, 501, PA), b"request");
    assert!(!lab.send(5_000, from_client(107, 501, A), b"").retransmitted);
    assert!(!lab.send(9_000, from_client(107, 501, A), b"t").retransmitted);
    let report = lab.first_report_of(1);
    assert_eq!((report.last_keepalive_seq, report.last_keepalive_ack), (107, 501));
    assert_eq!(report.counters.retrans_tx, 0);
}

#[test]
fn syn_repeats_late_answers_and_zero_windows() {
    let mut lab = Lab::new();
    lab.send(0, from_client(100, 0, S), b"");
    assert!(lab.send(1_000, from_client(100, 0, S), b"").retransmitted);
    lab.send(1_100, from_server(500, 101, SA), b"");
    lab.send(1_101, Tcp { window: 0, ..from_client(101, 501, A) }, b"");
    lab.send(1_102, Tcp { window: 0, ..from_server(501, 101, A) }, b"");
    lab.send(1_103, Tcp { window: 0, ..from_server(501, 101, R) }, b"");
    let counters = lab.only_report().counters;
    assert_eq!((counters.syn_count, counters.retrans_syn, counters.retrans_tx), (2, 1, 1));
    assert_eq!((counters.zero_win_tx, counters.zero_win_rx), (1, 1));
    assert_eq!((counters.rtt.max_us, counters.rtt_client.max_us), (1_101_000, 1_000));
    let mut slow = Lab::new();
    slow.send(0, from_client(100, 0, S), b"");
    slow.send(4_000, from_client(100, 0, S), b"");
    slow.send(8_000, from_client(100, 0, S), b"");
    slow.send(12_000, from_client(100, 0, S), b"");
    slow.send(16_000, from_client(100, 0, S), b"");
    slow.send(20_000, from_client(100, 0, S), b"");
    slow.send(24_000, from_client(100, 0, S), b"");
    slow.send(28_000, from_client(100, 0, S), b"");
    slow.send(31_000, from_server(500, 101, SA), b"");
    slow.send(31_001, from_client(101, 501, A), b"");
    let counters = slow.first_report_of(1).counters;
    assert_eq!((counters.rtt.count, counters.rtt_server.count), (0, 0), "above 30 s");
}

#[test]
fn heartbeats_of_one_byte_end_no_idle_time() {
    let mut lab = opened();
    lab.send(40, from_client(101, 501, PA), b"request");
    lab.send(50, from_server(501, 108, PA), b"response");
    lab.send(90, from_client(108, 509, PA), b"x");
    lab.send(95, from_client(109, 509, PA), b"next");
    let counters = lab.first_report_of(1).counters;
    assert_eq!((counters.cit.count, counters.cit.sum_us()), (2, 10_000 + 45_000));
}

/// Segments after the handshake, or from the start, and the close type that they lead to.
#[test]
fn close_types() {
    let handshake =
        || vec![from_client(100, 0, S), from_server(500, 101, SA), from_client(101, 501, A)];
    let after =
        |more: &[Tcp]| handshake().into_iter().chain(more.iter().cloned()).collect::<Vec<_>>();
    let fin_c = from_client(101, 501, FA);
    let fin_s = from_server(501, 101, FA);
    let again = from_server(500, 101, SA);
    let rst_c = from_client(101, 501, R);
    let rst_s = from_server(501, 101, R);
    let push = Tcp { flags: PA, ..from_client(101, 501, PA) };
    let cases: Vec<(CloseType, Vec<Tcp>)> = vec![
        (CloseType::ServerSynMiss, handshake()[..1].to_vec()),
        (CloseType::ClientAckMiss, handshake()[..2].to_vec()),
        (CloseType::ServerDirectReset, vec![from_client(100, 0, S), rst_s.clone()]),
        (CloseType::ClientOtherReset, vec![from_client(100, 0, S), rst_c.clone()]),
        (CloseType::ServerOtherReset, [&handshake()[..2], std::slice::from_ref(&rst_s)].concat()),
        (
            CloseType::ClientPortReuse,
            vec![from_client(100, 0, S), from_server(900, 55, A), rst_c.clone()],
        ),
        (CloseType::ClientNormalReset, after(std::slice::from_ref(&rst_c))),
        (CloseType::ServerReset, after(&[push.clone(), rst_s.clone()])),
        (CloseType::ServerHalfClose, after(&[fin_c.clone(), from_server(501, 102, A)])),
        (CloseType::ClientHalfClose, after(&[fin_s.clone(), from_client(101, 502, A)])),
        (CloseType::Finish, after(&[fin_s, fin_c, from_server(502, 102, A)])),
        (CloseType::ServerQueueOverflow, after(&[again.clone(), from_client(101, 501, A)])),
        (
            CloseType::ServerQueueOverflow,
            after(&[again.clone(), again.clone(), again.clone(), rst_s.clone()]),
        ),
        (CloseType::ClientReset, after(&[again, rst_s])),
    ];
    for (close, segments) in cases {
        let mut lab = Lab::new();
        for (at, segment) in segments.iter().enumerate() {
            lab.send(at as u64, segment.clone(), b"");
        }
        let reports = lab.reports();
        assert_eq!(reports.last().map(|report| report.close_type), Some(close), "{segments:?}");
    }
}

#[test]
fn resets_after_data_are_the_clients_unless_its_request_was_answered() {
    for (answered, close) in [(false, CloseType::ClientReset), (true, CloseType::ClientNormalReset)]
    {
        let mut lab = opened();
        let slot = lab.send(40, from_client(101, 501, PA), b"request").slot;
        lab.send(50, from_server(501, 108, PA), b"response");
        if answered {
            lab.table.note_answer(slot);
        }
        lab.send(60, from_client(108, 509, R), b"");
        assert_eq!(lab.only_report().close_type, close);
    }
}

#[test]
fn silence_ends_flows_by_their_state() {
    let mut lab = opened();
    lab.advance(30 + 299_000);
    assert_eq!(lab.table.stats().held, 1);
    lab.advance(30 + 302_000);
    assert_eq!(lab.table.stats().held, 0);
    let reports = lab.reports();
    assert_eq!(reports[0].close_type, CloseType::ForcedReport);
    assert_eq!(reports[0].status(), FlowStatus::Unknown);
    let last = reports.last().expect("a report");
    assert_eq!((last.close_type, last.counters.packets()), (CloseType::Timeout, 0));
    assert_eq!(last.status(), FlowStatus::ServerError);
    let short = FlowConfig {
        timeouts: Timeouts { others_ns: 1_000 * MS, ..Timeouts::default() },
        ..FlowConfig::default()
    };
    let mut lab = Lab::with(short);
    lab.send(0, from_client(100, 0, S), b"");
    lab.advance(2_500);
    assert_eq!(lab.table.stats().held, 0);
}

#[test]
fn a_reused_port_begins_a_new_flow_only_after_the_old_one_ended() {
    let mut lab = opened();
    let old = lab.send(40, from_client(101, 501, FA), b"");
    lab.send(41, from_server(501, 102, FA), b"");
    let same = lab.send(42, from_client(102, 502, A), b"");
    assert_eq!(old.flow_id, same.flow_id);
    let new = lab.send(60, from_client(7000, 0, S), b"");
    assert!(new.new_flow && new.flow_id != old.flow_id);
    lab.send(61, from_server(8000, 7001, SA), b"");
    let reports = lab.reports();
    let closes: Vec<CloseType> = reports.iter().map(|report| report.close_type).collect();
    assert_eq!(closes, [CloseType::Finish, CloseType::ClientAckMiss]);
    assert_eq!(reports[1].counters.rtt_server.max_us, 1_000);
}

#[test]
fn a_reused_port_shows_in_the_server_s_answer_when_only_that_is_captured() {
    let mut lab = Lab::new();
    lab.send(0, from_server(500, 101, SA), b"");
    lab.send(10, from_server(501, 101, R), b"");
    assert!(!lab.send(20, from_server(500, 101, SA), b"").new_flow, "the same one again");
    assert!(lab.send(30, from_server(9000, 301, SA), b"").new_flow);
}

#[test]
fn data_in_a_syn_counts_as_sent() {
    let mut lab = Lab::new();
    lab.send(0, from_client(100, 0, S), b"early");
    lab.send(10, from_server(500, 106, SA), b"");
    assert!(!lab.send(20, from_client(106, 501, PA), b"more").retransmitted);
    let mut lab = Lab::new();
    lab.send(0, from_client(100, 0, S), b"early");
    lab.send(10, from_server(500, 101, SA), b"");
    assert!(lab.send(20, from_client(101, 501, PA), b"early").retransmitted, "not accepted");
}

#[test]
fn a_handshake_from_both_sides_has_no_times() {
    let mut lab = Lab::new();
    lab.send(0, from_client(100, 0, S), b"");
    lab.send(10, from_server(500, 0, S), b"");
    lab.send(20, from_client(100, 501, SA), b"");
    lab.send(30, from_server(501, 101, A), b"");
    let counters = lab.first_report_of(1).counters;
    assert_eq!(
        (counters.rtt.count, counters.rtt_client.count, counters.rtt_server.count),
        (0, 0, 0)
    );
}

#[test]
fn an_acknowledgement_after_data_ends_no_handshake() {
    let mut lab = Lab::new();
    lab.send(0, from_client(100, 0, S), b"");
    lab.send(10, from_server(500, 101, SA), b"");
    lab.send(20, from_client(101, 501, PA), b"request");
    lab.send(25, from_server(501, 108, A), b"");
    lab.send(9_000, from_client(108, 501, A), b"");
    lab.send(9_010, from_client(108, 501, PA), b"again");
    let counters = lab.first_report_of(1).counters;
    assert_eq!((counters.rtt.count, counters.rtt_client.count, counters.cit.count), (0, 0, 0));
}

#[test]
fn direction_is_guessed_corrected_and_reversed() {
    // Caught in the middle, from the server's port: the receiver is the client.
    let mut lab = Lab::new();
    let update = lab.send(0, from_server(501, 101, PA), b"response");
    assert_eq!(update.direction, Direction::ServerToClient);
    // A SYN says otherwise than the guess.
    let mut lab = Lab::new();
    lab.send(0, from_client(101, 501, PA), b"x");
    let update = lab.send(10, from_server(900, 0, S), b"");
    assert_eq!(update.direction, Direction::ClientToServer);
    let info = lab.table.flow(update.slot).expect("a flow");
    assert_eq!((info.client.port, info.direction_score), (80, 255));
    assert!(!lab.table.reverse(update.slot), "a handshake is certain");
    // The application protocol says otherwise.
    let mut lab = Lab::new();
    let update = lab.send(0, from_client(101, 501, PA), b"hello");
    assert!(lab.table.reverse(update.slot));
    let update = lab.send(10, from_client(106, 501, PA), b"x");
    assert_eq!(update.direction, Direction::ServerToClient);
    let report = lab.first_report_of(1);
    assert_eq!((report.info.client.port, report.info.direction_score), (80, 254));
    assert_eq!((report.counters.packet_tx, report.counters.packet_rx), (0, 2));
    assert_eq!(report.total_packet_rx, 2);
}

#[test]
fn udp_icmp_and_others() {
    let mut lab = Lab::new();
    let udp = |src, dst, payload: &[u8]| build::udp(src, dst, payload);
    lab.frame(0, CLIENT, SERVER, 17, &udp(5000, 53, b"one"));
    lab.frame(4, CLIENT, SERVER, 17, &udp(5000, 53, b"two"));
    lab.frame(10, SERVER, CLIENT, 17, &udp(53, 5000, b"first"));
    lab.frame(12, SERVER, CLIENT, 17, &udp(53, 5000, b"second"));
    lab.frame(20, CLIENT, SERVER, 1, &build::icmp_echo(8, 7, 1, b"ping"));
    lab.frame(21, CLIENT, SERVER, 1, &build::icmp_echo(8, 7, 2, b"ping"));
    lab.frame(26, SERVER, CLIENT, 1, &build::icmp_echo(0, 7, 1, b"ping"));
    lab.frame(30, CLIENT, SERVER, 89, b"ospf");
    let reports = lab.reports();
    assert_eq!(reports.iter().map(|r| r.info.protocol).collect::<Vec<_>>(), [17, 1, 89]);
    let udp = &reports[0].counters;
    assert_eq!((udp.art.count, udp.art.max_us, udp.l4_byte_rx), (1, 6_000, 11));
    assert_eq!((reports[0].close_type, reports[0].status()), (CloseType::Other, FlowStatus::Ok));
    let icmp = &reports[1].counters;
    assert_eq!((icmp.srt.count, icmp.srt.max_us, icmp.packet_tx, icmp.packet_rx), (1, 6_000, 2, 1));
    assert_eq!(reports[2].status(), FlowStatus::Unknown);
}

#[test]
fn fragments_join_the_flow_of_their_first() {
    let mut lab = Lab::new();
    let datagram = build::udp(5000, 9000, &[1; 48]);
    let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    for (place, part) in
        [(0x2000, &datagram[..24]), (0x2003, &datagram[24..48]), (6, &datagram[48..])]
    {
        let packet = build::ipv4_fragment(a, b, 17, place, part);
        lab.raw(1, 0, &build::ethernet(eth_type::IPV4, &packet));
    }
    let report = lab.only_report();
    assert_eq!((report.info.server.port, report.counters.packet_tx), (9000, 3));
    assert_eq!(report.counters.l3_byte_tx, 56);
}

#[test]
fn tunnels_and_interfaces_are_part_of_the_key() {
    let mut lab = Lab::new();
    let inner = build::ip_frame(CLIENT, SERVER, 17, &build::udp(5000, 53, b"q"));
    let back = build::ip_frame(SERVER, CLIENT, 17, &build::udp(53, 5000, b"r"));
    let outer = |vni, frame: &[u8]| {
        let payload = build::udp(60_000, 4789, &build::vxlan(vni, frame));
        let (a, b) = (Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(192, 168, 0, 2));
        build::ethernet(eth_type::IPV4, &build::ipv4(a, b, 17, &payload))
    };
    lab.raw(0, 1, &outer(7, &inner));
    lab.raw(1, 1, &outer(7, &back));
    lab.raw(2, 1, &outer(8, &inner));
    lab.raw(3, 1, &inner);
    lab.raw(4, 2, &inner);
    let reports = lab.reports();
    assert_eq!(reports.len(), 4);
    let both = reports.iter().find(|report| report.counters.packets() == 2).expect("the pair");
    let tunnel = both.info.tunnel.as_deref().expect("a tunnel");
    assert_eq!((tunnel.tier, both.info.network_id), (1, 7));
    assert_eq!((tunnel.tx.map(|t| t.id), tunnel.rx.map(|t| t.id)), (Some(7), Some(7)));
}

#[test]
fn observation_points_by_the_hosts_addresses() {
    let mac = Mac { mac: build::SRC_MAC, space: 7, nic: 2 };
    let local = LocalAddresses::new(7, [mac], [(CLIENT, 7)], [1]);
    let point = |nic, src: IpAddr, dst: IpAddr, reverse: bool| {
        let mut lab = Lab::with(FlowConfig { local: local.clone(), ..FlowConfig::default() });
        let mut frame = build::ip_frame(src, dst, 17, &build::udp(5000, 53, b"q"));
        if reverse {
            frame[..6].copy_from_slice(&build::SRC_MAC);
            frame[6..12].copy_from_slice(&build::DST_MAC);
        }
        lab.raw(0, nic, &frame);
        lab.only_report().info.observation_point
    };
    let other = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));
    assert_eq!(point(2, CLIENT, SERVER, false), ObservationPoint::C);
    assert_eq!(point(2, SERVER, CLIENT, true), ObservationPoint::S);
    assert_eq!(point(1, CLIENT, SERVER, false), ObservationPoint::Local);
    assert_eq!(point(2, other, SERVER, true), ObservationPoint::Rest);
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert_eq!(point(2, loopback, loopback, false), ObservationPoint::Local);
}

#[test]
fn addresses_that_appear_later_count_for_later_flows() {
    let mut lab = Lab::new();
    let frame = |port| build::ip_frame(CLIENT, SERVER, 17, &build::udp(port, 53, b"q"));
    lab.raw(0, 2, &frame(5000));
    let mac = Mac { mac: build::SRC_MAC, space: 7, nic: 2 };
    lab.table.set_local(LocalAddresses::new(7, [mac], [(CLIENT, 7)], []));
    lab.raw(10, 2, &frame(5000));
    lab.raw(20, 2, &frame(5001));
    let points: Vec<_> = lab.reports().iter().map(|r| r.info.observation_point).collect();
    assert_eq!(points, [ObservationPoint::Rest, ObservationPoint::C], "a flow keeps its point");
}

#[test]
fn a_full_table_drops_and_counts() {
    let config = FlowConfig { max_flows: 10, ..FlowConfig::default() };
    let mut table = FlowTable::new(config);
    let mut kept = Kept::default();
    for port in 0..15 {
        let frame = build::ip_frame(CLIENT, SERVER, 17, &build::udp(5000 + port, 53, b"q"));
        let packet = wire::parse(LinkType::Ethernet, &frame, 0, &DecapConfig::none());
        let packet = packet.expect("a packet");
        let taken = table.on_packet(START_NS, 0, &packet, &mut kept).is_some();
        assert_eq!(taken, port < 10);
    }
    let stats = table.stats();
    assert_eq!((stats.packets, stats.dropped_full, stats.held), (10, 5, 10));
}

#[test]
fn seconds_minutes_and_silent_flows() {
    let mut lab = Lab::new();
    lab.send(0, from_client(101, 501, PA), b"one");
    lab.send(900, from_client(104, 501, PA), b"two");
    lab.send(1_100, from_client(107, 501, PA), b"three");
    lab.advance(61_000);
    let ticks = lab.kept.ticks.clone();
    let start_s = START_NS / 1_000_000_000;
    let counted: Vec<_> =
        ticks.iter().map(|t| (t.time_s - start_s, t.counters.packet_tx)).collect();
    assert_eq!(counted[..2], [(0, 2), (1, 1)]);
    assert!(ticks[2..].iter().all(|tick| tick.counters.packets() == 0), "only says it is alive");
    assert_eq!((ticks[0].is_new, ticks[1].is_new), (true, false));
    assert_eq!(lab.kept.reports.len(), 1, "its own minute is over");
    assert_eq!(lab.kept.reports[0].counters.packet_tx, 3);
    assert_eq!(lab.kept.reports[0].end_ns, (start_s + 60) * 1_000_000_000);
    lab.send(61_500, from_client(112, 501, PA), b"four");
    lab.table.stop(START_NS + 62_000 * MS, &mut lab.kept);
    let reports = lab.reports();
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[1].close_type, CloseType::ForcedReport);
    assert_eq!((reports[1].counters.packet_tx, reports[1].total_packet_tx), (1, 4));
    assert_eq!(reports[1].start_ns, (start_s + 60) * 1_000_000_000);
}

#[test]
fn a_clock_set_back_keeps_flows_and_their_timeouts() {
    let mut lab = opened();
    let before = lab.send(100_000, from_client(101, 501, PA), b"one");
    let after = lab.send(40_000, from_client(104, 501, PA), b"two");
    assert_eq!((before.flow_id, lab.table.stats().clock_steps), (after.flow_id, 1));
    lab.advance(40_000 + 299_000);
    assert_eq!(lab.table.stats().held, 1);
    lab.advance(40_000 + 301_500);
    assert_eq!(lab.table.stats().held, 0);
}

#[test]
fn kinds_of_tunnel_have_the_numbers_of_the_schema() {
    for kind in wire::TunnelKind::ALL {
        let named = schema::TunnelType::from_id(kind.id());
        assert_eq!(named.map(|kind| format!("{kind:?}")), Some(format!("{kind:?}")));
    }
    assert_eq!(schema::TunnelType::ALL.len(), wire::TunnelKind::ALL.len() + 1);
}
