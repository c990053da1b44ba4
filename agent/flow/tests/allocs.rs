//! Memory: no allocation for a packet of a known flow, and none kept after many short flows.

#![expect(unsafe_code, reason = "a counting allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use flow::{FlowConfig, FlowReport, FlowTable, FlowTick, Sink};
use wire::build::{self, Tcp};
use wire::{DecapConfig, LinkType, TcpFlags};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD_BYTES: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        HELD_BYTES.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD_BYTES.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Counts what comes out and keeps nothing.
#[derive(Default)]
struct Counted {
    ticks: u64,
    reports: u64,
}

impl Sink for Counted {
    fn tick(&mut self, _: &FlowTick) {
        self.ticks += 1;
    }

    fn report(&mut self, _: &FlowReport) {
        self.reports += 1;
    }
}

const START_NS: u64 = 1_700_000_000_000_000_000;

fn frame(flow: u32, seq: u32, flags: TcpFlags, payload: &[u8]) -> Vec<u8> {
    let client = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + (flow >> 12)));
    let server = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));
    let src_port = 10_000 + (flow & 0xfff) as u16;
    let tcp = Tcp { src_port, dst_port: 80, seq, ack: 1, flags, window: 512, options: Vec::new() };
    build::ip_frame(client, server, 6, &tcp.with(payload))
}

/// One test: the counters are the process's.
#[test]
fn packets_of_known_flows_cost_no_memory_and_ended_flows_keep_none() {
    let mut table = FlowTable::new(FlowConfig { max_flows: 1_000_000, ..FlowConfig::default() });
    let mut out = Counted::default();
    let data = TcpFlags::PSH | TcpFlags::ACK;
    let mut now_ns = START_NS;
    let mut run = |table: &mut FlowTable, flow, seq, flags, payload: &[u8], now_ns: u64| {
        let frame = frame(flow, seq, flags, payload);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let packet = wire::parse(LinkType::Ethernet, &frame, 0, &DecapConfig::all());
        let packet = packet.expect("a packet");
        assert!(table.on_packet(now_ns, 0, &packet, &mut out).is_some());
        let after = ALLOCATIONS.load(Ordering::Relaxed);
        after - before
    };
    for (seq, payload) in [(1, &b"first"[..]), (6, b"more")] {
        now_ns += 1_000_000_000;
        for flow in 0..1000 {
            run(&mut table, flow, seq, data, payload, now_ns);
        }
    }
    let mut allocations = 0;
    for round in 0..100u32 {
        now_ns += 40_000_000; // four seconds in all
        for flow in 0..1000 {
            allocations += run(&mut table, flow, 10 + round * 4, data, b"more", now_ns);
        }
    }
    assert_eq!(allocations, 0, "in 100,000 packets");

    // Let the first ones end, then a million short ones come and go.
    let settle = |table: &mut FlowTable, now_ns: &mut u64| {
        let mut out = Counted::default();
        for _ in 0..310 {
            *now_ns += 1_000_000_000;
            table.tick(*now_ns, &mut out);
        }
        assert_eq!(table.stats().held, 0);
        HELD_BYTES.load(Ordering::Relaxed)
    };
    let level_bytes = settle(&mut table, &mut now_ns);
    let mut peak_bytes = 0;
    for flow in 0..1_000_000 {
        now_ns += 20_000;
        run(&mut table, flow, 1, TcpFlags::SYN, b"", now_ns);
        run(&mut table, flow, 2, TcpFlags::RST, b"", now_ns);
        peak_bytes = peak_bytes.max(HELD_BYTES.load(Ordering::Relaxed));
    }
    let after_bytes = settle(&mut table, &mut now_ns);
    println!("held: {level_bytes} bytes before, {peak_bytes} at most, {after_bytes} after");
    assert!(peak_bytes > level_bytes + 10_000_000, "the flows were held at some time");
    assert!(after_bytes <= level_bytes + 500_000, "{after_bytes} held after {level_bytes}");
}
