//! Properties: whatever comes, counts add up, nothing panics, and two runs are equal.

use std::net::{IpAddr, Ipv4Addr};

use flow::{FlowConfig, FlowTable, Kept};
use proptest::prelude::*;
use wire::build::{self, Tcp};
use wire::{DecapConfig, LinkType, TcpFlags};

use crate::lab::{MS, START_NS};

/// A packet of a small world: few hosts and ports, so that flows meet.
#[derive(Clone, Debug)]
struct Event {
    after_ms: u64,
    back: bool,
    src: u8,
    dst: u8,
    ports: (u8, u8),
    flags: u8,
    seq: u16,
    ack: u16,
    window: u8,
    payload: u8,
    udp: bool,
}

prop_compose! {
    fn event()(
        after_ms in prop_oneof![8 => 0u64..50, 2 => 0u64..3_000, 1 => 0u64..400_000],
        back in prop::bool::weighted(0.02),
        src in 1u8..4, dst in 1u8..4, ports in (0u8..3, 0u8..3),
        flags in prop_oneof![Just(2u8), Just(0x12), Just(0x10), Just(0x18), Just(0x11), Just(4), any::<u8>()],
        seq in 0u16..2_000, ack in 0u16..2_000, window in 0u8..2, payload in 0u8..200,
        udp in prop::bool::weighted(0.2),
    ) -> Event {
        Event { after_ms, back, src, dst, ports, flags, seq, ack, window, payload, udp }
    }
}

fn frame(event: &Event) -> Vec<u8> {
    let ip = |host| IpAddr::V4(Ipv4Addr::new(10, 0, 0, host));
    let (src_port, dst_port) = (u16::from(event.ports.0) + 79, u16::from(event.ports.1) + 79);
    let payload = vec![1; event.payload.into()];
    if event.udp {
        let datagram = build::udp(src_port, dst_port, &payload);
        return build::ip_frame(ip(event.src), ip(event.dst), 17, &datagram);
    }
    let tcp = Tcp {
        src_port,
        dst_port,
        seq: event.seq.into(),
        ack: event.ack.into(),
        flags: TcpFlags(event.flags),
        window: event.window.into(),
        options: Vec::new(),
    };
    build::ip_frame(ip(event.src), ip(event.dst), 6, &tcp.with(&payload))
}

/// Runs the events; packets and bytes that went in, and everything that came out.
fn run(events: &[Event], seed: u64) -> ((u64, u64), Vec<flow::FlowTick>, Vec<flow::FlowReport>) {
    let config = FlowConfig { max_flows: 20, hash_seed: seed, ..FlowConfig::default() };
    let mut table = FlowTable::new(config);
    let mut kept = Kept::default();
    let (mut now_ns, mut packets, mut bytes) = (START_NS, 0, 0);
    for event in events {
        if event.back {
            now_ns -= event.after_ms * MS;
        } else {
            now_ns += event.after_ms * MS;
        }
        let frame = frame(event);
        let packet = wire::parse(LinkType::Ethernet, &frame, 0, &DecapConfig::none());
        let Ok(packet) = packet else { continue };
        if let Some(update) = table.on_packet(now_ns, 0, &packet, &mut kept) {
            packets += 1;
            bytes += u64::from(packet.frame_bytes);
            let info = table.flow(update.slot).expect("the flow of the update");
            assert_eq!(info.flow_id, update.flow_id);
        }
    }
    table.flush(now_ns, &mut kept);
    let stats = table.stats();
    assert_eq!((stats.held, stats.opened), (0, stats.closed));
    assert_eq!(stats.packets, packets);
    ((packets, bytes), kept.ticks, kept.reports)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn counts_add_up_in_ticks_and_reports(events in prop::collection::vec(event(), 1..200)) {
        let (went_in, ticks, reports) = run(&events, 0);
        let tick_sum = ticks.iter().fold((0, 0), |(packets, bytes), tick| {
            let c = &tick.counters;
            (packets + c.packets(), bytes + c.byte_tx + c.byte_rx)
        });
        prop_assert_eq!(tick_sum, went_in);
        let report_sum = reports.iter().fold((0, 0), |(packets, bytes), report| {
            let c = &report.counters;
            (packets + c.packets(), bytes + c.byte_tx + c.byte_rx)
        });
        prop_assert_eq!(report_sum, went_in);
        let flows = ticks.iter().filter(|tick| tick.is_new).count();
        prop_assert_eq!(ticks.iter().filter(|tick| tick.close.is_some()).count(), flows);
        prop_assert_eq!(reports.iter().filter(|report| report.is_new_flow).count(), flows);
        let closed = reports.iter().filter(|r| r.close_type != schema::CloseType::ForcedReport);
        prop_assert_eq!(closed.count(), flows);
        for report in &reports {
            prop_assert!(report.start_ns <= report.end_ns);
            let counters = &report.counters;
            let sent_again = u64::from(counters.retrans_tx) + u64::from(counters.retrans_rx);
            prop_assert!(sent_again <= counters.packets());
            prop_assert!(counters.retrans_syn <= counters.syn_count);
            prop_assert!(counters.retrans_synack <= counters.synack_count);
        }
    }

    #[test]
    fn runs_are_equal_whatever_the_seed(events in prop::collection::vec(event(), 1..100)) {
        let (_, ticks, reports) = run(&events, 0);
        let (_, again_ticks, again_reports) = run(&events, 0x5eed);
        prop_assert_eq!(ticks, again_ticks);
        prop_assert_eq!(reports, again_reports);
    }
}
