//! The live agent's threads: system calls, packets, processes; each with its own pipeline.
//!
//! A source that cannot be had (no root, no BPF) is told as a problem and the rest goes on.

mod budget;
mod limit;
mod pace;
mod packets;
mod places;
mod processes;
mod share;
mod sockets;
mod status;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use metadata::SocketTable;
use metadata::host::Host;
use schema::Batch;
use schema::wire::ProcessEvent;

use crate::config::Config;
use crate::pipeline::{Owners, Stage};
use crate::surroundings::Surroundings;
use share::Portion;

pub use packets::probe as probe_packets;
pub use status::StatusBoard;

/// Connections whose owners are remembered.
const OWNERS_MAX: usize = 131_072;
/// How long records wait for the owners of their sockets: BPF events are held 20 ms for order and
/// read every 15 ms. unit ns
const SETTLE_NS: u64 = 150_000_000;

/// Where the threads' work goes.
pub trait Output: Send + Sync {
    /// Takes a batch of rows; never blocks for long.
    fn submit(&self, batch: Batch);
    /// Takes processes that came or went.
    fn processes(&self, events: Vec<ProcessEvent>);
    /// Whether metrics are wanted; without, none are made.
    fn wants_metrics(&self) -> bool {
        true
    }
}

/// What all threads share.
#[derive(Clone)]
pub struct Shared {
    /// Settings.
    pub config: Arc<Config>,
    /// Facts of the host at start.
    pub host: Arc<Host>,
    /// Who owns which connection.
    pub owners: Arc<SocketTable>,
    /// Addresses of the host, as they are now.
    pub surroundings: Arc<Surroundings>,
    /// Where rows go.
    pub output: Arc<dyn Output>,
    /// How much of the traffic is watched.
    pub portion: Arc<Portion>,
    /// What each thread says of itself.
    pub board: Arc<StatusBoard>,
    /// Set when everything has to end.
    pub stop: Arc<AtomicBool>,
}

impl Shared {
    fn stage(&self) -> Stage {
        let owners = Owners::new(Arc::clone(&self.owners), Arc::clone(&self.surroundings));
        let output = Arc::clone(&self.output);
        let metered = output.wants_metrics();
        let stage = Stage::new(owners, SETTLE_NS, Box::new(move |batch| output.submit(batch)));
        if metered { stage } else { stage.without_metrics() }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The running threads.
pub struct Live {
    threads: Vec<JoinHandle<()>>,
    board: Arc<StatusBoard>,
}

impl Live {
    /// Starts them.
    pub fn start(
        config: Arc<Config>,
        output: Arc<dyn Output>,
        board: Arc<StatusBoard>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let host = Arc::new(metadata::host::read());
        let surroundings = Arc::new(Surroundings::default());
        let known = places::look(&config.proc_dir);
        let owners = Arc::new(SocketTable::new(OWNERS_MAX, known.places.own()));
        surroundings.set(known);
        let told = board.clone();
        let portion = Arc::new(Portion::default());
        let context = Shared { config, host, owners, surroundings, output, portion, board, stop };
        let mut threads = Vec::new();
        let mut spawn = |name: &str, body: fn(&Shared)| -> Result<()> {
            let context = context.clone();
            let thread = std::thread::Builder::new().name(name.to_owned());
            let thread = thread.spawn(move || body(&context));
            threads.push(thread.with_context(|| format!("start thread {name}"))?);
            Ok(())
        };
        spawn("share", share::run)?;
        spawn("places", places::run)?;
        spawn("processes", processes::run)?;
        spawn("sockets", sockets::run)?;
        spawn("packets", packets::run)?;
        Ok(Self { threads, board: told })
    }

    /// Waits until all have ended, and logs what was lost; the stop flag must be set.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the agent panicked");
            }
        }
        for (source, status) in self.board.read() {
            for (reason, count) in status.losses.iter() {
                let unit = reason.unit();
                tracing::info!(source, reason = reason.name(), count, unit, "lost since the start");
            }
        }
    }
}

/// Time now. unit ns since the Unix epoch, clock: wall
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
