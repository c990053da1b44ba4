//! Properties of the packet pipeline: documents, flow logs and packets say the same, whatever comes
//! in which order within the tolerance; two replays are equal, and one in two parts is as a whole.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use flow::FlowConfig;
use proptest::prelude::*;
use schema::{Batch, Column, Table};
use wire::build::{self, Tcp};
use wire::{DecapConfig, LinkType, TcpFlags};

use super::*;

const START_NS: u64 = 1_700_000_040_000_000_000;
const MS: u64 = 1_000_000;
const SECOND_NS: u64 = 1000 * MS;

/// A frame at a time.
type Frame = (u64, Vec<u8>);

/// A pipeline, and the batches that came out of it.
struct Lab {
    pipeline: PacketPipeline,
    batches: Rc<RefCell<Vec<Batch>>>,
    now_ns: u64,
}

impl Lab {
    fn new() -> Self {
        let batches = Rc::new(RefCell::new(Vec::new()));
        let outlet = Rc::clone(&batches);
        let push = move |batch| outlet.borrow_mut().push(batch);
        let settings = PacketSettings {
            plugins: Vec::new(),
            flow: FlowConfig::default(),
            l7: Some(l7::Config::replay()),
            decap: DecapConfig::all(),
            merges_health_checks: false,
        };
        let stage = Stage::new(Owners::default(), 0, Box::new(push));
        Self { pipeline: PacketPipeline::new(settings, stage), batches, now_ns: 0 }
    }

    /// Feeds frames in this order, ticking whenever a second has begun, as a replay does.
    fn feed(&mut self, frames: &[Frame]) {
        for (time_ns, frame) in frames {
            if time_ns / SECOND_NS > self.now_ns / SECOND_NS {
                self.now_ns = *time_ns;
                self.pipeline.tick(time_ns / SECOND_NS * SECOND_NS);
            }
            let from = (0, LinkType::Ethernet, None);
            self.pipeline.on_frame(*time_ns, from, frame, frame.len() as u32);
        }
    }

    fn end(mut self) -> Vec<Batch> {
        self.pipeline.finish(self.now_ns, End::OfCapture);
        drop(self.pipeline);
        Rc::into_inner(self.batches).expect("nobody else").into_inner()
    }
}

fn run(frames: &[Frame]) -> Vec<Batch> {
    let mut lab = Lab::new();
    lab.feed(frames);
    lab.end()
}

/// The numbers of a column in all rows of a table.
fn numbers(batches: &[Batch], table: Table, name: &str) -> Vec<u64> {
    let is_agents = |def: &&schema::ColumnDef| def.origin == schema::Origin::Agent;
    let at = table.columns().iter().filter(is_agents).position(|def| def.name == name);
    let at = at.expect("a column of the table");
    let of_table = batches.iter().filter(|batch| batch.table == table);
    let values = |batch: &Batch| match &batch.columns[at] {
        Column::U8(v) => v.iter().map(|n| u64::from(*n)).collect::<Vec<_>>(),
        Column::U32(v) => v.iter().map(|n| u64::from(*n)).collect(),
        Column::U64(v) => v.clone(),
        other => panic!("{name} is {other:?}"),
    };
    of_table.flat_map(values).collect()
}

fn sum(batches: &[Batch], table: Table, name: &str) -> u64 {
    numbers(batches, table, name).iter().sum()
}

/// Packets and bytes by second.
fn volume_by_second(batches: &[Batch]) -> BTreeMap<u64, (u64, u64)> {
    let column = |name| numbers(batches, Table::Network1s, name);
    let (times, packets, bytes) = (column("time"), column("packet_tx"), column("byte_tx"));
    let mut volumes = BTreeMap::new();
    for ((time, packets), bytes) in times.into_iter().zip(packets).zip(bytes) {
        let volume: &mut (u64, u64) = volumes.entry(time).or_default();
        volume.0 += packets;
        volume.1 += bytes;
    }
    volumes.retain(|_, volume| volume.0 > 0);
    volumes
}

prop_compose! {
    /// A segment or datagram of a small world, some time after the one before.
    fn step()(
        after_ms in prop_oneof![8 => 0u64..80, 3 => 0u64..2_500, 1 => 0u64..90_000],
        hosts in (1u8..5, 1u8..3), port in 0u16..4, back in any::<bool>(),
        flags in prop_oneof![Just(2u8), Just(0x12), Just(0x10), Just(0x18), Just(0x11), Just(4)],
        seq in 0u32..2_000, payload in 0usize..90, udp in prop::bool::weighted(0.3),
    ) -> (u64, Vec<u8>) {
        let ip = |net, host| IpAddr::V4(Ipv4Addr::new(10, net, 0, host));
        let (client, server) = (ip(1, hosts.0), ip(2, hosts.1));
        let ports = (40_000 + port, 80);
        let (src, dst) = if back { (server, client) } else { (client, server) };
        let (src_port, dst_port) = if back { (ports.1, ports.0) } else { ports };
        let payload = vec![0xff; payload];
        let frame = if udp {
            build::ip_frame(src, dst, 17, &build::udp(src_port, dst_port, &payload))
        } else {
            let flags = TcpFlags(flags);
            let tcp =
                Tcp { src_port, dst_port, seq, ack: 1, flags, window: 9, options: Vec::new() };
            build::ip_frame(src, dst, 6, &tcp.with(&payload))
        };
        (after_ms, frame)
    }
}

fn timed(steps: &[(u64, Vec<u8>)]) -> Vec<Frame> {
    let mut now_ns = START_NS;
    let mut at = |after_ms: u64| {
        now_ns += after_ms * MS;
        now_ns
    };
    steps.iter().map(|(after_ms, frame)| (at(*after_ms), frame.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn metrics_logs_and_packets_add_up(steps in prop::collection::vec(step(), 1..150)) {
        let frames = timed(&steps);
        let batches = run(&frames);
        let bytes: u64 = frames.iter().map(|(_, frame)| frame.len() as u64).sum();
        for table in [Table::Network1s, Table::Network1m, Table::NetworkMap1s,
            Table::NetworkMap1m, Table::L4FlowLog]
        {
            let of = |tx, rx| sum(&batches, table, tx) + sum(&batches, table, rx);
            prop_assert_eq!(of("packet_tx", "packet_rx"), frames.len() as u64, "{:?}", table);
            prop_assert_eq!(of("byte_tx", "byte_rx"), bytes, "{:?}", table);
        }
        for name in ["l4_byte_tx", "retrans_tx", "ooo_rx", "syn_count", "synack_count",
            "zero_win_tx", "rtt_count", "art_count", "cit_count", "new_flow", "closed_flow"]
        {
            let seconds = sum(&batches, Table::Network1s, name);
            prop_assert_eq!(sum(&batches, Table::Network1m, name), seconds, "{}", name);
            prop_assert_eq!(sum(&batches, Table::NetworkMap1s, name), seconds, "{}", name);
        }
        for name in ["syn_count", "synack_count", "art_count", "cit_count", "srt_count"] {
            let metrics = sum(&batches, Table::Network1s, name);
            prop_assert_eq!(sum(&batches, Table::L4FlowLog, name), metrics, "{}", name);
        }
        let opened = sum(&batches, Table::Network1s, "new_flow");
        prop_assert_eq!(sum(&batches, Table::Network1s, "closed_flow"), opened);
        prop_assert_eq!(sum(&batches, Table::L4FlowLog, "is_new_flow"), opened);
    }

    #[test]
    fn two_replays_are_equal_and_so_is_one_in_two_parts(
        steps in prop::collection::vec(step(), 2..100), cut in any::<prop::sample::Index>(),
    ) {
        let frames = timed(&steps);
        let whole = run(&frames);
        prop_assert_eq!(&run(&frames), &whole);
        let (first, second) = frames.split_at(cut.index(frames.len()));
        let mut lab = Lab::new();
        lab.feed(first);
        lab.feed(second);
        prop_assert_eq!(lab.end(), whole);
    }

    /// Flows of which the direction is certain, and packets of which each counts for itself: only
    /// then does the order say nothing.
    #[test]
    fn late_packets_go_to_their_second(
        steps in prop::collection::vec((0u64..400, 1u8..5, 0usize..60), 2..150),
        keys in prop::collection::vec(0..METRICS_DELAY_S * 900, 150),
    ) {
        let (mut now_ns, mut frames) = (START_NS, Vec::new());
        for (after_ms, host, payload) in steps {
            now_ns += after_ms * MS;
            let client = IpAddr::V4(Ipv4Addr::new(10, 1, 0, host));
            let server = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
            let datagram = build::udp(40_000, 53, &vec![0xff; payload]);
            frames.push((now_ns, build::ip_frame(client, server, 17, &datagram)));
        }
        let expected = volume_by_second(&run(&frames));
        // Each packet comes up to the tolerance late.
        let mut late: Vec<(u64, Frame)> =
            frames.into_iter().zip(keys).map(|(frame, key)| (frame.0 + key * MS, frame)).collect();
        late.sort_by_key(|(arrival_ns, _)| *arrival_ns);
        let late: Vec<Frame> = late.into_iter().map(|(_, frame)| frame).collect();
        prop_assert_eq!(volume_by_second(&run(&late)), expected);
    }
}
