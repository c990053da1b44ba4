//! The thread that keeps the agent to its share of the processors, and what the others do by its word.
//!
//! In: the counts of /proc/stat, /proc/pressure/cpu and of this process. Out: a portion, read by the threads
//! that watch: packets of that portion of flows, system calls for that part of the time. Never: a loss untold.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use schema::metrics;
use source::processors;

use super::Shared;
use super::budget::{ALL, Budget, Usage};
use crate::config::ShareConfig;

/// Name on the status board.
const NAME: &str = "share";
const PERIOD: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(100);
/// What two hooks and the copy into the ring take of the program that makes a call with payload: the order
/// of what is measured on this and that machine (docs/perf.md). unit ns
const CALL_NS: u64 = 800;
/// What a packet's copy into the ring of AF_PACKET takes of the program that sends it, or of its
/// receiver: an estimate. unit ns
const PACKET_NS: u64 = 700;

/// What portion of the traffic is watched.
#[derive(Debug)]
pub struct Portion {
    /// Of [`ALL`].
    parts: AtomicU32,
    /// Packets that filters let through while that is not all.
    let_through: AtomicU64,
    /// Processor time that hooks have taken of watched programs, as estimated. unit ns
    caused_ns: AtomicU64,
}

impl Default for Portion {
    /// All.
    fn default() -> Self {
        Self {
            parts: AtomicU32::new(ALL),
            let_through: AtomicU64::new(0),
            caused_ns: AtomicU64::new(0),
        }
    }
}

impl Portion {
    /// Now, of [`ALL`].
    pub fn get(&self) -> u32 {
        self.parts.load(Ordering::Relaxed)
    }

    /// Notes calls of watched programs that were told.
    pub fn told_calls(&self, calls: u64) {
        self.caused_ns.fetch_add(calls.saturating_mul(CALL_NS), Ordering::Relaxed);
    }

    /// Notes packets of which the kernel has made a copy.
    pub fn copied_packets(&self, packets: u64) {
        self.caused_ns.fetch_add(packets.saturating_mul(PACKET_NS), Ordering::Relaxed);
    }

    /// Adds packets that a shard's filter let through; how many that makes with those of all shards.
    pub fn let_through(&self, packets: u64) -> u64 {
        self.let_through.fetch_add(packets, Ordering::Relaxed) + packets
    }
}

/// Runs until the stop flag is set.
pub fn run(shared: &Shared) {
    let limits = shared.config.share;
    let mut budget = Budget::new(limits);
    let mut before = Counts::read(shared);
    let mut told = ALL;
    while !shared.stopping() {
        std::thread::sleep(PAUSE);
        if before.at.elapsed() < PERIOD {
            continue;
        }
        let now = Counts::read(shared);
        let portion = budget.step(now.since(&before));
        before = now;
        shared.portion.parts.store(portion, Ordering::Relaxed);
        tell(shared, limits, std::mem::replace(&mut told, portion), portion);
    }
}

fn tell(shared: &Shared, limits: ShareConfig, before: u32, portion: u32) {
    let percent = f64::from(portion) / f64::from(ALL) * 100.0;
    if before == ALL && portion < ALL {
        let ShareConfig { max_millicpus, contended_percent } = limits;
        tracing::info!(
            max_millicpus,
            contended_percent,
            "watching a part of the traffic, so as to keep to the share of the processors"
        );
    } else if before < ALL && portion == ALL {
        tracing::info!("watching all of the traffic again");
    }
    shared.board.update(NAME, |status| {
        status.works = true;
        status.metrics = [(metrics::AGENT_WATCHED_PERCENT.name, percent)].into();
        status.problems = match portion {
            ALL => Vec::new(),
            _ => vec![format!(
                "{percent:.1} % of the traffic is watched, since the processors are busy and the \
                 agent keeps to its share (agent.contended_percent, global.limits.max_millicpus)"
            )],
        };
    });
}

/// What the kernel has counted.
struct Counts {
    at: Instant,
    own: Duration,
    caused_ns: u64,
    processors: processors::Processors,
}

impl Counts {
    fn read(shared: &Shared) -> Self {
        // Without it nothing seems idle, and the smaller share is kept.
        let processors = processors::read(&shared.config.proc_dir).unwrap_or_default();
        let caused_ns = shared.portion.caused_ns.load(Ordering::Relaxed);
        Self { at: Instant::now(), own: processors::own_time(), caused_ns, processors }
    }

    fn since(&self, before: &Self) -> Usage {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Usage {
            period_ns: ns(self.at - before.at),
            count: self.processors.count.max(1),
            own_ns: ns(self.own.saturating_sub(before.own)),
            caused_ns: self.caused_ns.saturating_sub(before.caused_ns),
            idle_ns: self.processors.idle_ns.saturating_sub(before.processors.idle_ns),
            waited_ns: match (self.processors.waited_ns, before.processors.waited_ns) {
                (Some(now), Some(before)) => now.saturating_sub(before),
                _ => 0,
            },
        }
    }
}
