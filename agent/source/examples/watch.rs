//! Watches one port for some seconds and says what was captured there.
//!
//! In: port, seconds, and bytes to look for in payloads (default `GET`). Out: a line a process and
//! direction: events, bytes, places where the TCP stream has a gap, and how often the bytes were
//! found; then the loss counters and the memory in use. Never: the payloads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use source::bpf::{BpfConfig, BpfSource, Direction, Event};

#[derive(Default)]
struct Sum {
    events: u64,
    bytes: u64,
    copied: u64,
    gaps: u64,
    found: usize,
    next_seq: BTreeMap<u64, u32>,
    tails: BTreeMap<u64, Vec<u8>>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().and_then(|text| text.parse().ok()).expect("a port");
    let seconds: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let pattern = arguments.next().unwrap_or_else(|| "GET".to_owned()).into_bytes();
    let start = Instant::now();
    let (mut source, reports) = BpfSource::load(BpfConfig::default()).expect("run as root");
    for report in reports.iter().filter(|report| !report.attached) {
        println!("{report:?}");
    }
    println!("ready after {} ms by {}", start.elapsed().as_millis(), reports[0].mechanism);
    let mut sums: BTreeMap<(String, bool), Sum> = BTreeMap::new();
    let mut on_event = |event: Event<'_>| {
        let Event::Data(data) = event else { return };
        if data.tuple.local_port != port && data.tuple.remote_port != port {
            return;
        }
        let sent = data.direction == Direction::Egress;
        let sum = sums.entry((data.caller.comm.as_str().to_owned(), sent)).or_default();
        sum.events += 1;
        sum.bytes += u64::from(data.wire_bytes());
        sum.copied += data.payload.len() as u64;
        if let Some(seq) = data.tcp_seq {
            let next = seq.wrapping_add(data.wire_bytes());
            let expected = sum.next_seq.insert(data.socket_id, next);
            sum.gaps += u64::from(expected.is_some_and(|expected| expected != seq));
        }
        let tail = sum.tails.entry(data.socket_id).or_default();
        tail.extend_from_slice(data.payload);
        sum.found += tail.windows(pattern.len()).filter(|window| *window == pattern).count();
        let kept = tail.len().min(pattern.len() - 1);
        tail.drain(..tail.len() - kept);
    };
    while start.elapsed() < Duration::from_secs(seconds) {
        source.poll(Duration::from_millis(10), &mut on_event).expect("the ring can be read");
    }
    let _ = source.drain(&mut on_event);
    for ((comm, sent), sum) in &sums {
        println!(
            "{comm:<16} {} events {} bytes {} copied {} gaps {} found {}",
            if *sent { "sent    " } else { "received" },
            sum.events,
            sum.bytes,
            sum.copied,
            sum.gaps,
            sum.found
        );
    }
    println!("{:?}", source.counters().expect("counters"));
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
    {
        println!("{line}");
    }
}
