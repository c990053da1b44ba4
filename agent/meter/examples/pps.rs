//! Packets per second through `wire`, `flow` and `meter` on one core, allocations and memory:
//! `pps [FLOWS] [SECONDS]`. Traffic is generated: FLOWS connections, each packet of the next one.

#![expect(unsafe_code, reason = "a counting allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flow::{FlowConfig, FlowReport, FlowTable, FlowTick, Sink};
use meter::{Edge, Meter};
use wire::build::{self, Tcp};
use wire::{DecapConfig, LinkType, TcpFlags};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Meters seconds of flows and keeps nothing of what comes out.
#[derive(Default)]
struct Metered {
    meter: Meter,
    rows: u64,
}

impl Metered {
    fn finish(&mut self, second: u64) {
        let rows = &mut self.rows;
        self.meter.finish(second, &mut |batch| *rows += black_box(batch).rows as u64);
    }
}

impl Sink for Metered {
    fn tick(&mut self, tick: &FlowTick) {
        self.meter.on_tick(&Edge::from(&tick.info), tick);
        let rows = &mut self.rows;
        self.meter.bound(&mut |batch| *rows += black_box(batch).rows as u64);
    }

    fn report(&mut self, report: &FlowReport) {
        self.rows += u64::from(black_box(report).end_ns > 0);
    }
}

/// As the agent closes seconds.
const METRICS_DELAY_S: u64 = 3;
const START_NS: u64 = 1_700_000_000_000_000_000;
/// Offsets in an Ethernet frame with IPv4 and TCP.
const SOURCE_AT: usize = 14 + 12;
const PORT_AT: usize = 14 + 20;
const SEQ_AT: usize = PORT_AT + 4;
/// Frames in memory at once, as a ring has them.
const FRAMES: usize = 256;

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    let flows: u32 = arguments.next().unwrap_or(1000);
    let seconds = Duration::from_secs(arguments.next().unwrap_or(3).into());
    for frame_bytes in [64, 1500] {
        measure(flows, frame_bytes, seconds);
    }
}

fn measure(flows: u32, frame_bytes: usize, duration: Duration) {
    let payload_bytes = frame_bytes - 54;
    let mut frames = vec![frame(payload_bytes); FRAMES];
    let mut table = FlowTable::new(FlowConfig { max_flows: flows, ..FlowConfig::default() });
    let mut out = Metered::default();
    let decap = DecapConfig::default();
    let (mut now_ns, mut seq, mut packets) = (START_NS, 1u32, 0u64);
    let (mut began, mut allocations, mut warm) = (cpu_time(), 0u64, false);
    loop {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        // Every packet carries new data, a microsecond after the one before.
        seq = seq.wrapping_add(payload_bytes as u32);
        for flow in 0..flows {
            now_ns += 1_000;
            let frame = &mut frames[flow as usize % FRAMES];
            of_flow(frame, flow, seq);
            let packet = wire::parse(LinkType::Ethernet, frame, frame_bytes as u32, &decap);
            let packet = packet.expect("a sound packet");
            black_box(table.on_packet(now_ns, 1, &packet, &mut out));
            packets += 1;
        }
        allocations += ALLOCATIONS.load(Ordering::Relaxed) - before;
        out.finish((now_ns / 1_000_000_000).saturating_sub(METRICS_DELAY_S));
        if !warm && now_ns > START_NS + 61_000_000_000_u64.min(u64::from(flows) * 8_000) {
            (began, packets, allocations, warm) = (cpu_time(), 0, 0, true);
        }
        if warm && cpu_time() - began >= duration {
            break;
        }
    }
    let seconds = (cpu_time() - began).as_secs_f64();
    println!(
        "{frame_bytes} bytes, {flows} flows: {:.2} Mpps, {:.1} Gbit/s, {:.0} ns a packet, \
         {allocations} allocations in {packets} packets, {} rows, {} MB resident",
        packets as f64 / seconds / 1e6,
        packets as f64 * frame_bytes as f64 * 8.0 / seconds / 1e9,
        seconds * 1e9 / packets as f64,
        out.rows,
        resident_bytes() / 1_000_000,
    );
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = text.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * 4096
}

/// Time that this process has had on a processor, so that a busy machine does not count.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.expect("a number"))
}

/// Makes the frame one of this flow.
fn of_flow(frame: &mut [u8], flow: u32, seq: u32) {
    frame[SOURCE_AT..SOURCE_AT + 4].copy_from_slice(&(0x0a00_0000 + (flow >> 12)).to_be_bytes());
    frame[PORT_AT..PORT_AT + 2].copy_from_slice(&(10_000 + (flow & 0xfff) as u16).to_be_bytes());
    frame[SEQ_AT..SEQ_AT + 4].copy_from_slice(&seq.to_be_bytes());
}

fn frame(payload_bytes: usize) -> Vec<u8> {
    let ip = |text: &str| text.parse().expect("an address");
    let tcp = Tcp {
        src_port: 1,
        dst_port: 80,
        seq: 1,
        ack: 1,
        flags: TcpFlags::PSH | TcpFlags::ACK,
        window: 512,
        options: Vec::new(),
    };
    build::ip_frame(ip("10.0.0.0"), ip("192.168.0.1"), 6, &tcp.with(&vec![1; payload_bytes]))
}
