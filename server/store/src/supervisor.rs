//! Keeps a storage engine running as a child process.
//!
//! In: which engine, its data folder. Out: a client that reaches it, its state, a count of
//! restarts. A child that dies is started again after a pause that grows with repeated deaths.
//! Never: an engine that outlives its supervisor, or two at once.

mod child;
mod clickhouse;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::Client;

use child::Running;
pub use child::{ChildConfig, end as end_child};
pub use clickhouse::Installed;

/// First pause before a restart; doubles with each death in a row.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Longest pause before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// An engine that lived so long starts a new row of deaths.
const STEADY_AFTER: Duration = Duration::from_secs(60);
/// Between two looks whether a starting engine answers.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
/// An engine that does not answer so long after its start is killed and started again.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an engine may take to end before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// State of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// Started, does not answer yet.
    Starting,
    /// Answers.
    Ready,
    /// Died; is started again.
    Down(String),
    /// Ended because it was told to.
    Stopped,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The child could not be started, or died before it answered.
    #[error("start of the storage engine: {0}")]
    Start(String),
    /// There is neither an installed ClickHouse nor the library.
    #[error(
        "no storage engine: no `clickhouse` program of version 24 or later, and no libchdb.so in \
         {looked:?}; run `npm ci` in server/store/engine, or set DEEPFLOW_LIBCHDB"
    )]
    NoEngine {
        /// Where the library was looked for.
        looked: Vec<PathBuf>,
    },
}

/// A running supervisor.
pub struct Supervisor {
    client: Client,
    kind: &'static str,
    state: watch::Receiver<EngineState>,
    stop: watch::Sender<bool>,
    restarts: Arc<AtomicU64>,
    process_id: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Starts the engine and returns when it answers.
    pub async fn start(config: ChildConfig) -> Result<Self, SupervisorError> {
        let client = Client::new(config.endpoint(), config.login());
        let (state_sender, state) = watch::channel(EngineState::Starting);
        let (stop, stop_receiver) = watch::channel(false);
        let restarts = Arc::new(AtomicU64::new(0));
        let kind = config.kind();

        let mut child = config.spawn().map_err(SupervisorError::Start)?;
        if let Err(cause) = wait_until_ready(&client, &mut child).await {
            child.end(STOP_TIMEOUT).await;
            return Err(SupervisorError::Start(cause));
        }
        let _ = state_sender.send(EngineState::Ready);
        let process_id = Arc::new(AtomicU32::new(child.child.id().unwrap_or(0)));
        let keeper = Keeper {
            process_id: process_id.clone(),
            config,
            client: client.clone(),
            state: state_sender,
            stop: stop_receiver,
            restarts: restarts.clone(),
        };
        let task = tokio::spawn(keeper.keep(child));
        Ok(Self { client, kind, state, stop, restarts, process_id, task })
    }

    /// A client of the engine.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Which engine runs: `libchdb` or `clickhouse`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// State now.
    pub fn state(&self) -> EngineState {
        self.state.borrow().clone()
    }

    /// Follows the state.
    pub fn watch(&self) -> watch::Receiver<EngineState> {
        self.state.clone()
    }

    /// Restarts since the start.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Process id of the engine that answered last; 0 = none.
    pub fn process_id(&self) -> u32 {
        self.process_id.load(Ordering::Relaxed)
    }

    /// Ends the engine: statements that run are finished, then the child ends.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Waits until the engine answers; says why when it does not.
async fn wait_until_ready(client: &Client, running: &mut Running) -> Result<(), String> {
    let started = Instant::now();
    loop {
        if client.ping().await.is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = running.child.try_wait() {
            return Err(format!("the engine ended with {status} before it answered"));
        }
        if started.elapsed() > START_TIMEOUT {
            return Err(format!("the engine did not answer within {START_TIMEOUT:?}"));
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// Returns when the supervisor was told to stop, or was dropped.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The task that watches the child.
struct Keeper {
    process_id: Arc<AtomicU32>,
    config: ChildConfig,
    client: Client,
    state: watch::Sender<EngineState>,
    stop: watch::Receiver<bool>,
    restarts: Arc<AtomicU64>,
}

impl Keeper {
    async fn keep(mut self, first: Running) {
        let mut running = first;
        let mut pause = BACKOFF_MIN;
        let mut started = Instant::now();
        loop {
            tokio::select! {
                () = told_to_stop(&mut self.stop) => {
                    running.end(STOP_TIMEOUT).await;
                    let _ = self.state.send(EngineState::Stopped);
                    return;
                }
                status = running.child.wait() => {
                    let cause = match status {
                        Ok(status) => format!("ended with {status}"),
                        Err(error) => format!("lost: {error}"),
                    };
                    tracing::warn!(cause, "storage engine died");
                    let _ = self.state.send(EngineState::Down(cause));
                }
            }
            if started.elapsed() > STEADY_AFTER {
                pause = BACKOFF_MIN;
            }
            match self.restart(&mut pause).await {
                Some(next) => running = next,
                None => {
                    let _ = self.state.send(EngineState::Stopped);
                    return;
                }
            }
            started = Instant::now();
        }
    }

    /// Starts children until one answers; `None` when told to stop.
    async fn restart(&mut self, pause: &mut Duration) -> Option<Running> {
        loop {
            tokio::select! {
                () = told_to_stop(&mut self.stop) => return None,
                () = tokio::time::sleep(*pause) => {}
            }
            *pause = (*pause * 2).min(BACKOFF_MAX);
            self.restarts.fetch_add(1, Ordering::Relaxed);
            let _ = self.state.send(EngineState::Starting);
            let mut child = match self.config.spawn() {
                Ok(child) => child,
                Err(cause) => {
                    tracing::error!(cause, "storage engine not started");
                    let _ = self.state.send(EngineState::Down(cause));
                    continue;
                }
            };
            let ready = tokio::select! {
                () = told_to_stop(&mut self.stop) => {
                    child.end(STOP_TIMEOUT).await;
                    return None;
                }
                ready = wait_until_ready(&self.client, &mut child) => ready,
            };
            match ready {
                Ok(()) => {
                    tracing::info!("storage engine ready again");
                    self.process_id.store(child.child.id().unwrap_or(0), Ordering::Relaxed);
                    let _ = self.state.send(EngineState::Ready);
                    return Some(child);
                }
                Err(cause) => {
                    tracing::error!(cause, "storage engine not ready");
                    child.end(STOP_TIMEOUT).await;
                    let _ = self.state.send(EngineState::Down(cause));
                }
            }
        }
    }
}
