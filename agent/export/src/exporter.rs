//! The exporter's thread and its handle.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};

use schema::block::Encoder;
use schema::wire::{AgentStatistics, AgentUuid, Configuration, ProcessEvent};
use schema::{Batch, Drop};

use crate::ExportConfig;
use crate::holdings::Holdings;
use crate::identity::{Identity, IdentityError};
use crate::intake::{Intake, Item};
use crate::ledger::Record;
use crate::session;
use crate::totals::{Subject, Totals};

const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// An attempt takes up to 2 s itself.
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// Why the exporter could not start.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The identity folder cannot be used.
    #[error("open the agent's identity")]
    Identity(#[from] IdentityError),
    /// The spool folder cannot be used.
    #[error("open the spool {path}")]
    Spool {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The thread or its runtime could not be made.
    #[error("start the export thread")]
    Thread(#[source] io::Error),
}

/// The exporter at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportStats {
    /// The ledger, per table; balanced at any time.
    pub totals: BTreeMap<Subject, Totals>,
    /// Whether there is a session with the server.
    pub connected: bool,
    /// Number that the server gave the agent; 0 = none yet.
    pub agent_id: u16,
    /// Sessions since the start.
    pub sessions: u64,
    /// Why there is no session; empty when there is one.
    pub problem: String,
    /// Bytes of batches sent since the start, compressed.
    pub sent_bytes: u64,
    /// Bytes in the disk spool.
    pub spool_bytes: u64,
    /// Bytes of encoded batches in memory.
    pub memory_bytes: u64,
    /// Batches that the server has not settled.
    pub outstanding_batches: u64,
}

/// Hands batches to the server. Dropping it without `shutdown` ends its thread soon, with what is
/// outstanding in the spool.
pub struct Exporter {
    shared: Arc<Shared>,
    uuid: AgentUuid,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the threads share. Locks are taken in this order: intake, holdings, link.
pub(crate) struct Shared {
    pub config: ExportConfig,
    pub intake: Mutex<Intake>,
    pub holdings: Mutex<Holdings>,
    pub link: Mutex<Link>,
    /// Something was pushed, or the exporter is to end.
    pub pushed: Notify,
    /// Changes with each sealed batch.
    pub sealed: watch::Sender<u64>,
    pub statistics: watch::Sender<Option<AgentStatistics>>,
    /// When set: seal what is there and end by then.
    pub stop_by: watch::Sender<Option<Instant>>,
}

/// State of the connection, for `stats`.
#[derive(Default)]
pub(crate) struct Link {
    pub connected: bool,
    pub agent_id: u16,
    pub sessions: u64,
    pub attempts: u64,
    pub problem: String,
    pub sent_bytes: u64,
    pub configuration: Configuration,
}

impl Exporter {
    /// Opens identity, ledger and spool and starts the thread. Does not wait for the server.
    pub fn start(config: ExportConfig) -> Result<Self, ExportError> {
        let identity = Identity::open(&config.identity_dir)?;
        let uuid = identity.uuid;
        let clock = SystemTime::now().duration_since(UNIX_EPOCH);
        let clock = clock.map_or(0, |age| age.as_micros() as u64);
        let holdings = Holdings::open(&config, clock)
            .map_err(|source| ExportError::Spool { path: config.spool_dir.clone(), source })?;
        let encoder = Encoder::new().map_err(ExportError::Thread)?;
        let shared = Arc::new(Shared {
            intake: Mutex::new(Intake::new(&config, Instant::now())),
            holdings: Mutex::new(holdings),
            link: Mutex::default(),
            pushed: Notify::new(),
            sealed: watch::Sender::new(0),
            statistics: watch::Sender::new(None),
            stop_by: watch::Sender::new(None),
            config,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(ExportError::Thread)?;
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("export".into())
            .spawn(move || runtime.block_on(run(of_thread, identity, encoder)))
            .map_err(ExportError::Thread)?;
        Ok(Self { shared, uuid, thread: Some(thread) })
    }

    /// Takes a batch; never waits for disk or network. Above the queue's limits the least
    /// valuable is dropped and counted.
    pub fn submit(&self, batch: Batch) {
        self.push(Item::Batch(batch));
    }

    /// Takes processes that started or ended. Submit them before rows that name them.
    pub fn announce(&self, events: Vec<ProcessEvent>) {
        self.push(Item::Processes(events));
    }

    /// The agent's own state, sent to the server at once when there is a session; the last one
    /// replaces those before.
    pub fn report(&self, statistics: AgentStatistics) {
        self.shared.statistics.send_replace(Some(statistics));
    }

    /// Configuration that the server gave last; version 0 = none.
    pub fn configuration(&self) -> Configuration {
        lock(&self.shared.link).configuration.clone()
    }

    /// Id of this agent.
    pub fn agent_uuid(&self) -> AgentUuid {
        self.uuid
    }

    /// Counters now.
    pub fn stats(&self) -> ExportStats {
        let intake = lock(&self.shared.intake);
        let holdings = lock(&self.shared.holdings);
        let mut totals = holdings.ledger.state.totals.clone();
        for (subject, more) in &intake.totals {
            let totals = totals.entry(*subject).or_default();
            totals.observed += more.observed;
            totals.waiting += more.waiting;
            more.dropped.iter().for_each(|(reason, rows)| totals.drop_rows(*reason, *rows));
        }
        let link = lock(&self.shared.link);
        ExportStats {
            totals,
            connected: link.connected,
            agent_id: link.agent_id,
            sessions: link.sessions,
            problem: link.problem.clone(),
            sent_bytes: link.sent_bytes,
            spool_bytes: holdings.spool_bytes(),
            memory_bytes: holdings.memory_bytes() as u64,
            outstanding_batches: holdings.outstanding() as u64,
        }
    }

    /// Takes no more, sends what it can until `patience` is over, puts the rest into the spool,
    /// and ends the thread. Returns the last counters.
    pub fn shutdown(mut self, patience: Duration) -> ExportStats {
        self.stop(patience);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the export thread panicked");
        }
        self.stats()
    }

    /// Changes the limits of flow logs and request logs a second; 0 = no limit.
    pub fn set_throttles(&self, l4_rows: u32, l7_rows: u32) {
        lock(&self.shared.intake).set_throttles(l4_rows, l7_rows, Instant::now());
    }

    fn stop(&self, patience: Duration) {
        lock(&self.shared.intake).is_closed = true;
        self.shared.stop_by.send_replace(Some(Instant::now() + patience));
        self.shared.pushed.notify_one();
    }

    fn push(&self, item: Item) {
        lock(&self.shared.intake).push(item, Instant::now());
        self.shared.pushed.notify_one();
    }
}

impl std::ops::Drop for Exporter {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop(Duration::ZERO);
        }
    }
}

/// A panic elsewhere leaves counters whole: a poisoned lock is used on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn run(shared: Arc<Shared>, identity: Identity, encoder: Encoder) {
    let sealing = tokio::spawn(seal_all(shared.clone(), encoder));
    let linking = tokio::spawn(stay_connected(shared.clone(), identity));
    let mut stop_by = shared.stop_by.subscribe();
    let stop_by = match stop_by.wait_for(Option::is_some).await {
        Ok(stop_by) => (*stop_by).unwrap_or_else(Instant::now),
        Err(_) => Instant::now(),
    };
    // Ends by itself once the closed intake is empty.
    let _ = sealing.await;
    while Instant::now() < stop_by && may_settle_more(&shared) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    linking.abort();
    let _ = linking.await;
    lock(&shared.link).connected = false;
    lock(&shared.holdings).put_away();
}

/// Whether waiting helps: something is outstanding, and there is a session or may soon be one.
fn may_settle_more(shared: &Shared) -> bool {
    let outstanding = lock(&shared.holdings).outstanding() > 0;
    let link = lock(&shared.link);
    outstanding && (link.connected || link.attempts <= 1)
}

/// Encodes and seals batches as they are pushed, until the intake is closed and empty.
async fn seal_all(shared: Arc<Shared>, mut encoder: Encoder) {
    loop {
        loop {
            let item = lock(&shared.intake).pop();
            let Some(item) = item else { break };
            seal(&shared, &mut encoder, item);
            // Let senders run between two batches.
            tokio::task::yield_now().await;
        }
        note_drops(&shared);
        if lock(&shared.intake).is_closed {
            return;
        }
        shared.pushed.notified().await;
    }
}

fn seal(shared: &Shared, encoder: &mut Encoder, item: Item) {
    let (subject, signal, rows) = (item.subject(), item.signal(), item.rows());
    let payload = match item {
        Item::Batch(batch) => {
            let payload = encoder.encode(&batch);
            batch.recycle();
            payload
        }
        Item::Processes(events) => Ok(ProcessEvent::encode_all(&events)),
    };
    let mut intake = lock(&shared.intake);
    match payload {
        Ok(payload) => {
            let mut holdings = lock(&shared.holdings);
            holdings.seal(signal, subject, rows as u64, payload);
            intake.handed_over(subject, rows);
        }
        Err(error) => {
            tracing::error!(%error, table = subject.name(), "failed to encode a batch");
            intake.lost(subject, Drop::QueueFull, rows);
        }
    }
    drop(intake);
    shared.sealed.send_modify(|count| *count += 1);
}

/// Tells the ledger what was dropped before it was sealed.
fn note_drops(shared: &Shared) {
    let mut intake = lock(&shared.intake);
    let mut holdings = lock(&shared.holdings);
    for (subject, reason, rows) in intake.take_drops() {
        holdings.ledger.step(Record::Dropped { subject, reason, rows });
    }
}

/// Connects again and again.
async fn stay_connected(shared: Arc<Shared>, identity: Identity) {
    let mut pause = BACKOFF_MIN;
    loop {
        let sessions = lock(&shared.link).sessions;
        let error = session::run(&shared, &identity).await;
        if note_end(&shared, &error.to_string()) > sessions {
            pause = BACKOFF_MIN;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}

/// Notes why there is no session; returns how many there have been.
fn note_end(shared: &Shared, problem: &str) -> u64 {
    let mut link = lock(&shared.link);
    link.attempts += 1;
    if link.problem != problem {
        tracing::warn!(server = shared.config.server, problem, "no session with the server");
        link.problem = problem.to_owned();
    }
    link.sessions
}
