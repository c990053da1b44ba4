//! Packets per second through `wire` and `flow` on one core, and allocations per packet:
//! `pps [FLOWS] [SECONDS]`. Traffic is generated: FLOWS connections, each packet of the next one.

#![expect(unsafe_code, reason = "a counting allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flow::{FlowConfig, FlowReport, FlowTable, FlowTick, Sink};
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

/// Counts what comes out and keeps nothing.
#[derive(Default)]
struct Counted {
    ticks: u64,
    reports: u64,
}

impl Sink for Counted {
    fn tick(&mut self, tick: &FlowTick) {
        self.ticks += u64::from(black_box(tick).time_s > 0);
    }

    fn report(&mut self, report: &FlowReport) {
        self.reports += u64::from(black_box(report).end_ns > 0);
    }
}

const START_NS: u64 = 1_700_000_000_000_000_000;
/// Offset of the sequence number in an Ethernet frame with IPv4 and TCP.
const SEQ_AT: usize = 14 + 20 + 4;

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
    let mut frames: Vec<Vec<u8>> = (0..flows).map(|flow| frame(flow, payload_bytes)).collect();
    let mut table = FlowTable::new(FlowConfig { max_flows: flows, ..FlowConfig::default() });
    let mut out = Counted::default();
    let decap = DecapConfig::default();
    let mut now_ns = START_NS;
    let mut packets = 0u64;
    let (mut began, mut allocations, mut warm) = (cpu_time(), 0u64, false);
    loop {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for frame in &mut frames {
            // Every packet carries new data, a microsecond after the one before.
            now_ns += 1_000;
            let seq = u32::from_be_bytes([
                frame[SEQ_AT],
                frame[SEQ_AT + 1],
                frame[SEQ_AT + 2],
                frame[SEQ_AT + 3],
            ]);
            let next = seq.wrapping_add(payload_bytes as u32);
            frame[SEQ_AT..SEQ_AT + 4].copy_from_slice(&next.to_be_bytes());
            let wire_bytes = frame.len() as u32;
            let packet = wire::parse(LinkType::Ethernet, frame, wire_bytes, &decap);
            let packet = packet.expect("a sound packet");
            black_box(table.on_packet(now_ns, 1, &packet, &mut out));
            packets += 1;
        }
        allocations += ALLOCATIONS.load(Ordering::Relaxed) - before;
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
         {allocations} allocations in {packets} packets",
        packets as f64 / seconds / 1e6,
        packets as f64 * frame_bytes as f64 * 8.0 / seconds / 1e9,
        seconds * 1e9 / packets as f64,
    );
}

/// Time that this process has had on a processor, so that a busy machine does not count.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.expect("a number"))
}

fn frame(flow: u32, payload_bytes: usize) -> Vec<u8> {
    let client = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + (flow >> 12)));
    let server = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));
    let tcp = Tcp {
        src_port: 10_000 + (flow & 0xfff) as u16,
        dst_port: 80,
        seq: 1,
        ack: 1,
        flags: TcpFlags::PSH | TcpFlags::ACK,
        window: 512,
        options: Vec::new(),
    };
    build::ip_frame(client, server, 6, &tcp.with(&vec![1; payload_bytes]))
}
