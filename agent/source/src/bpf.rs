//! What processes send and receive, seen at their system calls by BPF programs.
//!
//! In: the programs of `bpf/`, built into this crate. Out: events in the order of their timestamps
//! and a report of what could be attached. Never: a change to the traced programs, a look into
//! payloads, anything that stays when `BpfSource` is dropped.

use std::error::Error;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};

use crate::tls;

pub mod abi;
mod config;
pub mod event;
mod hooks;
mod infer;
mod kernel_functions;
mod load;
#[cfg(test)]
mod objects;
mod peek;
mod perf;
mod probe_events;
mod relocate;
mod reorder;
mod requirements;
mod rest;
mod ring;
mod settings;
pub(crate) mod sys;
mod tracefs;

pub use config::{BpfConfig, FileCalls, FileMode};
pub use event::{
    Comm, Data, Direction, Event, FileEvent, FilePath, Hook, ProcessChange, ProcessEvent,
    SocketChange, SocketEvent, SocketRole, Transport, Tuple,
};
pub(crate) use hooks::refusal;
pub use hooks::{HookReport, Mechanism};
pub use load::DIGESTS;
pub(crate) use probe_events::{List, Probe};
pub use reorder::Reorder;
use reorder::Round;
pub use requirements::{Requirement, requirements};
pub(crate) use tracefs::TraceFs;

/// Objects by the oldest kernel series they are for (docs/adr/0004).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Without BTF, global data, loops, ring buffer.
    V310,
    /// With all of them.
    V510,
}

impl Tier {
    /// All, the newest first.
    pub const ALL: [Self; 2] = [Self::V510, Self::V310];

    /// As users see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V310 => "v310",
            Self::V510 => "v510",
        }
    }
}

/// How often the difference between the clocks is measured again.
const CLOCK_PERIOD: Duration = Duration::from_secs(1);
/// After this a call of `poll` comes to its end, whatever waits.
const TURN: Duration = Duration::from_millis(50);
/// Records taken from the ring before what is due is given out.
const RECORDS_PER_ROUND: usize = 4096;

/// `enum tls_count` of bpf/maps/tls.bpf.h.
const TLS_TOLD: u32 = 0;
const TLS_NO_SOCKET: u32 = 1;
const TLS_UNSURE: u32 = 2;
const TLS_BUSY: u32 = 3;

/// Why BPF capture cannot run at all. What fails of single hooks is in their reports.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// Something that capture needs is not there.
    #[error("BPF capture lacks {}: {}; to get it: {}", .0.feature, .0.why_not, .0.how_to_get)]
    Missing(Requirement),
    /// The kernel or aya refused the object.
    #[error("the BPF object cannot be loaded: {0}")]
    Load(String),
    /// Not one hook could be attached.
    #[error("no BPF hook could be attached; the first: {}", .0.first().map_or("none", |r| &r.reason))]
    NothingAttached(Vec<HookReport>),
    /// A map or descriptor of the loaded object failed.
    #[error("BPF {what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's word.
        source: io::Error,
    },
}

/// Losses and amounts since `load`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BpfCounters {
    /// Records lost because the ring was full (`schema::Drop::RingFull`).
    pub ring_full: u64,
    /// System calls whose payload was not, or not wholly, readable (`PayloadUnreadable`).
    pub payload_unreadable: u64,
    /// Calls not traced because a map was full (`MapFull`).
    pub map_full: u64,
    /// Hooks that the kernel did not run (`HookMissed`).
    pub hook_missed: u64,
    /// Sends and receives passed over at rest (`UnwatchedCall`).
    pub unwatched: u64,
    /// Calls of TLS libraries whose plaintext was told.
    pub tls_calls: u64,
    /// Such calls not told, since no socket was certain.
    pub tls_without_socket: u64,
    /// Operations that programs handed to the kernel by io_uring, of which none is seen.
    pub io_uring_operations: u64,
    /// Records of a layout this agent does not know (`EventMalformed`).
    pub malformed: u64,
    /// Events given out after one with a later stamp; not a loss.
    pub late: u64,
    /// Records read from the ring.
    pub records: u64,
    /// Their bytes, headers included.
    pub record_bytes: u64,
}

/// The loaded programs, and the reading end of their ring.
///
/// Not shared between threads: one thread calls `poll` in a loop.
pub struct BpfSource {
    // The order matters when dropped: first the hooks, then the reader, then the maps.
    hooks: rest::Hooks,
    wakeup: sys::WakeupWait,
    ring: Reader,
    drops: PerCpuArray<MapData, u64>,
    tls_counts: PerCpuArray<MapData, u64>,
    ring_operations: PerCpuArray<MapData, u64>,
    tls: Option<Result<tls::Programs, String>>,
    excluded: HashMap<MapData, u32, u8>,
    epochs: Array<MapData, u32>,
    reorder: Reorder,
    clock: Clock,
    counters: BpfCounters,
    tier: Tier,
    offsets: &'static str,
    why_older: String,
    files: Result<(), String>,
    object: Ebpf,
}

/// Where the programs put their records.
enum Reader {
    Ring(ring::Ring),
    Perf(perf::PerfRings),
}

impl Reader {
    fn read(&mut self, records_max: usize, on_record: impl FnMut(&[u8]) -> u64) -> Round {
        // The time before: what is put into a ring while another one is read is not missed by it.
        let round = Round::begun(sys::monotonic_ns());
        match self {
            Self::Ring(ring) => ring.read(records_max, round, on_record),
            Self::Perf(rings) => rings.read(records_max, round, on_record),
        }
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Ring(ring) => vec![ring.as_fd()],
            Self::Perf(rings) => rings.fds(),
        }
    }
}

impl std::fmt::Debug for BpfSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BpfSource")
            .field("hooks", &self.hooks.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl BpfSource {
    /// Loads the programs and attaches what can be attached. Errors only if nothing works; the
    /// reports tell of each hook.
    pub fn load(config: BpfConfig) -> Result<(Self, Vec<HookReport>), BpfError> {
        load::load(&config)
    }

    /// Waits at most `timeout` for the kernel to say that much data waits, then gives every event
    /// that is due to `on_event`. Call it in a loop with 10 to 20 ms: the kernel does not wake the
    /// reader for little data. Ends after 50 ms at most, even if more waits. Returns how many events
    /// were given.
    pub fn poll(
        &mut self,
        timeout: Duration,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<u64, BpfError> {
        self.wakeup.wait(timeout).map_err(|source| BpfError::Io { what: "ring wait", source })?;
        self.clock.refresh();
        let mut given = 0;
        let began = Instant::now();
        loop {
            let round = self.take_records();
            given += self.release(round.until_ns, on_event);
            // Under a load that never ends the caller has other things to do, too.
            if round.records < RECORDS_PER_ROUND || began.elapsed() >= TURN {
                return Ok(given);
            }
        }
    }

    /// Gives out everything that the ring and the reorder stage hold; for the end.
    pub fn drain(&mut self, on_event: &mut dyn FnMut(Event<'_>)) -> u64 {
        let mut given = 0;
        loop {
            let round = self.take_records();
            if round.records < RECORDS_PER_ROUND {
                return given + self.release(u64::MAX, on_event);
            }
            given += self.release(round.until_ns, on_event);
        }
    }

    /// Losses and amounts since `load`.
    pub fn counters(&self) -> Result<BpfCounters, BpfError> {
        let count = |drop| self.dropped(drop);
        Ok(BpfCounters {
            ring_full: count(schema::Drop::RingFull)?,
            payload_unreadable: count(schema::Drop::PayloadUnreadable)?,
            map_full: count(schema::Drop::MapFull)?,
            hook_missed: self.missed(),
            unwatched: count(schema::Drop::UnwatchedCall)?,
            tls_calls: self.tls_count(TLS_TOLD)?,
            tls_without_socket: self.tls_count(TLS_NO_SOCKET)?
                + self.tls_count(TLS_UNSURE)?
                + self.tls_count(TLS_BUSY)?,
            io_uring_operations: self
                .ring_operations
                .get(&0, 0)
                .map_err(map_error("counters"))?
                .iter()
                .sum(),
            late: self.reorder.late(),
            ..self.counters
        })
    }

    /// Of a program that is attached twice, what both missed at most.
    fn missed(&self) -> u64 {
        let misses = |name: &str| {
            let fd = self.object.program(name)?.fd().ok()?;
            sys::program_misses(fd.as_fd()).ok()
        };
        let programs = self.object.programs().filter(|(name, _)| !name.ends_with(hooks::TWIN));
        programs
            .filter_map(|(name, _)| {
                let twin = misses(&format!("{name}{}", hooks::TWIN)).unwrap_or(u64::MAX);
                Some(misses(name)?.min(twin))
            })
            .sum()
    }

    /// Leaves a process out from now on. Fails when 1024 are.
    pub fn exclude(&mut self, tgid: u32) -> Result<(), BpfError> {
        self.excluded.insert(tgid, 1, 0).map_err(map_error("excluding a process"))?;
        self.renew_excluded()
    }

    /// Traces a process again that was left out.
    pub fn include(&mut self, tgid: u32) -> Result<(), BpfError> {
        match self.excluded.remove(&tgid) {
            Ok(()) | Err(MapError::KeyNotFound) => self.renew_excluded(),
            Err(error) => Err(map_error("including a process")(error)),
        }
    }

    /// The programs of TLS libraries, once; `None` where they were not asked for, or were taken.
    pub fn take_tls(&mut self) -> Option<Result<tls::Programs, String>> {
        self.tls.take()
    }

    /// Which objects were loaded.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// Where the places of kernel fields come from: "kernel BTF" or "inference".
    #[must_use]
    pub const fn offsets(&self) -> &'static str {
        self.offsets
    }

    /// Why it is not the newest tier; empty if it is.
    #[must_use]
    pub fn why_older(&self) -> &str {
        &self.why_older
    }

    /// Why calls on files cannot be told on this kernel.
    pub fn files(&self) -> Result<(), &str> {
        self.files.as_ref().copied().map_err(String::as_str)
    }

    /// Hooks end at once; what is in the ring can still be drained.
    pub fn detach(&mut self) {
        self.hooks.detach();
    }

    /// Sends and receives are not watched until `resume`; what is in the ring is still given out.
    pub fn rest(&mut self) -> Result<(), BpfError> {
        self.hooks.rest()
    }

    /// Has them counted from now on, to the end of the rest ([`BpfSource::unwatched`]). `false`: nobody
    /// counts on this kernel, or they are counted from the rest's beginning.
    pub fn count_at_rest(&mut self) -> bool {
        self.hooks.count(&mut self.object)
    }

    /// Sends and receives that were counted at rest, since `load`.
    pub fn unwatched(&self) -> Result<u64, BpfError> {
        self.dropped(schema::Drop::UnwatchedCall)
    }

    /// Ends a rest. What was under way before it is forgotten: a socket goes on as one that was there
    /// before the agent.
    pub fn resume(&mut self) -> Result<(), BpfError> {
        self.hooks.resume(&mut self.object, &mut self.epochs)?;
        // Threads look themselves up, and take note that there was a rest.
        self.renew_excluded()
    }

    fn dropped(&self, reason: schema::Drop) -> Result<u64, BpfError> {
        let values = self.drops.get(&u32::from(reason.id()), 0).map_err(map_error("counters"))?;
        Ok(values.iter().sum())
    }

    fn tls_count(&self, which: u32) -> Result<u64, BpfError> {
        let values = self.tls_counts.get(&which, 0).map_err(map_error("counters"))?;
        Ok(values.iter().sum())
    }

    /// Threads look themselves up again in `excluded`.
    fn renew_excluded(&mut self) -> Result<(), BpfError> {
        let what = "excluding a process";
        self.epochs.set(0, next_epoch(), 0).map_err(map_error(what))
    }

    /// Moves records from the ring to the reorder stage.
    fn take_records(&mut self) -> Round {
        let Self { ring, counters, reorder, .. } = self;
        let round = ring.read(RECORDS_PER_ROUND, |record| {
            counters.record_bytes += record.len() as u64;
            let stamp_ns = Event::mono_ns(record);
            match stamp_ns {
                Some(stamp_ns) => reorder.push(stamp_ns, record),
                None => counters.malformed += 1,
            }
            stamp_ns.unwrap_or(0)
        });
        counters.records += round.records as u64;
        round
    }

    fn release(&mut self, until_ns: u64, on_event: &mut dyn FnMut(Event<'_>)) -> u64 {
        let Self { reorder, counters, clock, .. } = self;
        let mut given = 0;
        reorder.release(until_ns, |record| match Event::decode(record, clock.offset_ns) {
            Some(event) => {
                given += 1;
                on_event(event);
            }
            None => counters.malformed += 1,
        });
        given
    }
}

/// A number that the map `epochs` has not had in its first place, so that threads look at their process again.
pub(crate) fn next_epoch() -> u32 {
    static EPOCH: AtomicU32 = AtomicU32::new(1);
    EPOCH.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1)
}

/// The difference between the kernel's stamps and time since the epoch.
#[derive(Debug)]
struct Clock {
    offset_ns: i64,
    measured: Instant,
}

impl Clock {
    fn new() -> Self {
        Self { offset_ns: sys::epoch_offset_ns(), measured: Instant::now() }
    }

    fn refresh(&mut self) {
        if self.measured.elapsed() >= CLOCK_PERIOD {
            *self = Self::new();
        }
    }
}

fn map_error(what: &'static str) -> impl FnOnce(MapError) -> BpfError {
    move |error| BpfError::Io { what, source: io::Error::other(chain(&error)) }
}

/// An error with all its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
