//! The server from start to end.
//!
//! In: the configuration. Out: a server that answers until SIGINT or SIGTERM, then ends its parts
//! in the order of the data's way: agent, HTTP, ingest, names, engine. Never: a part left running.

use std::future::IntoFuture;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use control::Authority;
use ingest::IngestConfig;
use inventory::{Inventory, SqliteRepository, Synchroniser};
use query::Querier;
use store::{ChildConfig, Supervisor, Writer};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::agent::{AgentChild, RunningAgent};
use crate::config::Config;
use crate::http::{self, State};
use crate::metrics::QueryCounters;
use crate::ports;

/// How long ingest may take to hand its log to the store at the end; the rest stays in the log.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long HTTP answers may take at the end.
const HTTP_STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// Processes that ended are forgotten after so long; longer than rows are kept by default.
const PROCESS_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Between two rounds of forgetting.
const FORGET_INTERVAL: Duration = Duration::from_secs(6 * 3600);

/// The agent to run beside the server.
pub struct AgentProgram {
    /// Program.
    pub program: PathBuf,
    /// Configuration file.
    pub config: Option<PathBuf>,
}

/// Runs the server until it is told to end.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut interrupt = signal(SignalKind::interrupt()).context("signal handler")?;
    let mut terminate = signal(SignalKind::terminate()).context("signal handler")?;

    let listener = ports::take_http(config.listen)?;
    ports::check_ingest(config.ingest_listen)?;
    make_data_dir(&config.data_dir)?;
    let _lock = lock(&config.data_dir)?;

    let parts = tokio::select! {
        parts = Parts::start(config, listener) => parts?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    announce(&parts, started);
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("SIGINT: ending"),
        _ = terminate.recv() => tracing::info!("SIGTERM: ending"),
    }
    tokio::select! {
        () = parts.stop() => tracing::info!("ended"),
        _ = interrupt.recv() => tracing::warn!("ended at once: signalled again"),
    }
    Ok(())
}

/// The line that a person, a script and the tests wait for.
fn announce(parts: &Parts, started: Instant) {
    tracing::info!(
        http = %parts.address,
        engine = parts.state.engine.kind(),
        start_ms = started.elapsed().as_millis() as u64,
        "ready"
    );
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "DeepFlow is ready: http://{}{}/", parts.address, parts.base_path);
    let _ = out.flush();
}

fn make_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .with_context(|| format!("data folder {}", data_dir.display()))
}

fn lock(data_dir: &Path) -> anyhow::Result<std::fs::File> {
    let path = data_dir.join("server.lock");
    let file = std::fs::File::create(&path).with_context(|| path.display().to_string())?;
    file.try_lock().with_context(|| {
        format!("data folder {} is in use by another server; --data-dir", data_dir.display())
    })?;
    Ok(file)
}

/// Everything that runs.
struct Parts {
    state: Arc<State>,
    address: std::net::SocketAddr,
    base_path: String,
    stop_http: watch::Sender<bool>,
    http: tokio::task::JoinHandle<()>,
    names: tokio::task::JoinHandle<()>,
    forgetting: tokio::task::JoinHandle<()>,
    agent: Option<RunningAgent>,
}

impl Parts {
    async fn start(config: Config, listener: std::net::TcpListener) -> anyhow::Result<Self> {
        let data_dir = &config.data_dir;
        let authority = Arc::new(Authority::open(&data_dir.join("control"))?);
        let repository = SqliteRepository::open(&data_dir.join("inventory.sqlite")).await?;
        let inventory = Arc::new(Inventory::open(repository).await?);

        let library = config.library.as_deref();
        let program = config.program.clone();
        let engine = ChildConfig::choose(program, library, &config.search_path, data_dir).await?;
        let engine = Supervisor::start(engine).await?;
        for change in store::migrate::run(engine.client()).await? {
            tracing::info!(change, "store");
        }
        let names = Synchroniser::new(inventory.clone(), engine.client().clone());
        let names = tokio::spawn(names.run());
        let forgetting = tokio::spawn(forget_processes(inventory.clone()));

        let mut ingest_config =
            IngestConfig::new(config.ingest_listen, data_dir.join("wal"), authority.clone());
        ingest_config.fsync = config.ingest_fsync;
        ingest_config.wal_bytes_max = config.wal_bytes_max;
        let writer = Arc::new(Writer::new(engine.client().clone()));
        let ingest = ingest::start(ingest_config, writer, inventory.clone()).await?;
        let agents_address = ingest.local_address();

        let listener = TcpListener::from_std(listener).context("HTTP listener")?;
        let address = listener.local_addr().context("HTTP listener")?;
        let state = Arc::new(State {
            querier: Querier::new(engine.client().clone(), config.limits.clone()),
            engine,
            inventory,
            ingest,
            queries: QueryCounters::default(),
            started_us: now_us(),
            allowed_hosts: config.allowed_hosts.clone(),
        });
        let (stop_http, mut stopped) = watch::channel(false);
        let router = http::router(state.clone(), &config.base_path);
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        let http = tokio::spawn(async move {
            if let Err(error) = serving.into_future().await {
                tracing::error!(%error, "HTTP ended");
            }
        });
        let agent = config.agent.map(|agent| AgentChild {
            program: agent.program,
            config: agent.config,
            data_dir: config.data_dir.join("agent"),
            server: agents_address,
            token_file: authority.token_path().to_owned(),
            own_ports: vec![agents_address.port(), address.port()],
        });
        let agent = agent.map(AgentChild::start).transpose()?;
        let base_path = config.base_path;
        Ok(Self { state, address, base_path, stop_http, http, names, forgetting, agent })
    }

    async fn stop(self) {
        if let Some(agent) = self.agent {
            agent.stop().await;
        }
        let _ = self.stop_http.send(true);
        let mut http = self.http;
        if tokio::time::timeout(HTTP_STOP_TIMEOUT, &mut http).await.is_err() {
            http.abort();
            let _ = http.await;
        }
        self.forgetting.abort();
        self.names.abort();
        let _ = self.names.await;
        // HTTP has ended, so that nobody else holds the state for longer than an answer.
        let mut state = self.state;
        let state = loop {
            match Arc::try_unwrap(state) {
                Ok(state) => break state,
                Err(shared) => {
                    state = shared;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        state.ingest.shutdown(DRAIN_TIMEOUT).await;
        state.engine.shutdown().await;
    }
}

async fn forget_processes(inventory: Arc<Inventory<SqliteRepository>>) {
    loop {
        let before_us = now_us() - PROCESS_RETENTION.as_micros() as i64;
        match inventory.forget_processes(before_us).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "processes that ended long ago forgotten"),
            Err(error) => tracing::warn!(%error, "old processes not forgotten"),
        }
        tokio::time::sleep(FORGET_INTERVAL).await;
    }
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
