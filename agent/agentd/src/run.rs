//! `deepflow-agent run` and `standalone`: the live agent from start to end.

mod liveness;
mod report;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use export::{ExportConfig, Exporter, TokenSource};
use schema::Batch;
use schema::wire::{HostFacts, NetworkInterface, ProcessEvent};

use crate::cli::{RunArguments, StandaloneArguments};
use crate::config::Config;
use crate::live::{Live, Output, StatusBoard};
use crate::standalone::Files;

const PAUSE: Duration = Duration::from_millis(100);
/// Time that the end may take: what the server does not take meanwhile goes to the spool.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Watches this host and sends to the server until SIGINT or SIGTERM.
pub fn run(arguments: &RunArguments) -> Result<()> {
    let stop = stop_flag()?;
    let parent = arguments.exit_with_parent.then(std::os::unix::process::parent_id);
    let config = Arc::new(configure(arguments)?);
    let exporter = Exporter::start(export_config(&config)).context("start export")?;
    tracing::info!(server = ?config.server, agent = %exporter.agent_uuid(), "agent started");
    let output = Arc::new(ToServer { exporter });
    let board = Arc::new(StatusBoard::default());
    let liveness = liveness::start(arguments.liveness_port, Arc::clone(&board), Arc::clone(&stop));
    let live = Live::start(
        Arc::clone(&config),
        Arc::clone(&output) as Arc<dyn Output>,
        Arc::clone(&board),
        Arc::clone(&stop),
    )?;
    let mut reported: Option<Instant> = None;
    while !stop.load(Ordering::Relaxed) {
        if reported.is_none_or(|at| at.elapsed() >= config.telemetry_interval.min(report::EVERY)) {
            reported = Some(Instant::now());
            report::send(&output.exporter, &board);
        }
        if parent.is_some_and(|parent| parent != std::os::unix::process::parent_id()) {
            tracing::info!("the process that started the agent is gone");
            stop.store(true, Ordering::Relaxed);
        }
        std::thread::sleep(PAUSE);
    }
    live.join();
    liveness.join();
    report::send(&output.exporter, &board);
    let output = Arc::into_inner(output).context("a thread still holds the exporter")?;
    let stats = output.exporter.shutdown(SHUTDOWN);
    let waiting: u64 = stats.totals.values().map(|totals| totals.waiting).sum();
    tracing::info!(rows_in_spool = waiting, "agent ended");
    Ok(())
}

/// Watches this host and writes into a folder until SIGINT, SIGTERM or the time given.
pub fn standalone(arguments: &StandaloneArguments) -> Result<()> {
    let stop = stop_flag()?;
    let config = Arc::new(load(arguments.config.as_deref())?);
    let (folder, limit_bytes) = &config.standalone;
    let folder = arguments.folder.as_ref().unwrap_or(folder);
    let files = Files::open(folder, *limit_bytes, arguments.metrics)?;
    tracing::info!(folder = %folder.display(), "agent started, writing files");
    let output = Arc::new(ToFiles {
        files: Mutex::new(files),
        stop: Arc::clone(&stop),
        metrics: arguments.metrics,
    });
    let board = Arc::new(StatusBoard::default());
    let live = Live::start(
        Arc::clone(&config),
        Arc::clone(&output) as Arc<dyn Output>,
        Arc::clone(&board),
        Arc::clone(&stop),
    )?;
    let began = Instant::now();
    let mut reported = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if arguments.seconds.is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds))
        {
            stop.store(true, Ordering::Relaxed);
        }
        if reported.elapsed() >= config.telemetry_interval {
            reported = Instant::now();
            output.submit(report::batch(&board));
        }
        std::thread::sleep(PAUSE);
    }
    live.join();
    output.submit(report::batch(&board));
    for (thread, status) in board.read() {
        for problem in &status.problems {
            tracing::warn!("{thread}: {problem}");
        }
    }
    tracing::info!("agent ended");
    Ok(())
}

fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("watch for signals")?;
    }
    Ok(stop)
}

fn load(path: Option<&Path>) -> Result<Config> {
    let (config, ignored) = Config::load(path)?;
    for key in ignored {
        tracing::warn!("{key} is not acted on by this version");
    }
    // Before any other thread begins: they take it over.
    if let Some(nice) = config.nice
        && let Err(error) = source::priority::set_nice(nice)
    {
        tracing::warn!(nice, %error, "global.tunning.process_scheduling_priority cannot be set");
    }
    Ok(config)
}

fn configure(arguments: &RunArguments) -> Result<Config> {
    let mut config = load(arguments.config.as_deref())?;
    if let Some(server) = &arguments.server {
        let (host, port) = server.rsplit_once(':').context("--server: expected HOST:PORT")?;
        let port = port.parse().with_context(|| format!("--server: {port:?} is not a port"))?;
        config.server = (host.trim_matches(['[', ']']).to_owned(), port);
    }
    if let Some(folder) = &arguments.data_dir {
        config.data_dir.clone_from(folder);
    }
    if arguments.token_file.is_some() {
        config.token_file.clone_from(&arguments.token_file);
    }
    if !arguments.own_ports.is_empty() {
        config.own_ports.clone_from(&arguments.own_ports);
    }
    Ok(config)
}

fn export_config(config: &Config) -> ExportConfig {
    let (host, port) = &config.server;
    let server =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let token = config.token_file.clone().map_or(TokenSource::Absent, TokenSource::File);
    let folder = |name: &str| config.data_dir.join(name);
    let mut out = ExportConfig::new(server, folder("identity"), token, folder("spool"));
    out.spool_bytes_max = config.spool_bytes;
    out.l4_throttle_rows = u32::try_from(config.throttles.0).unwrap_or(u32::MAX);
    out.l7_throttle_rows = u32::try_from(config.throttles.1).unwrap_or(u32::MAX);
    out.agent_version = env!("CARGO_PKG_VERSION").to_owned();
    out.host = host_facts();
    out
}

fn host_facts() -> HostFacts {
    let host = metadata::host::read();
    let interface = |found: metadata::host::Interface| NetworkInterface {
        index: found.index,
        name: found.name,
        mac: found.mac,
        addresses: found.addresses,
    };
    HostFacts {
        hostname: host.name,
        kernel: host.kernel,
        arch: host.architecture.to_owned(),
        os: host.os,
        boot_id: host.boot_id,
        machine_id: host.machine_id,
        cpu_count: host.cpu_count,
        memory_bytes: host.memory_bytes,
        interfaces: host.interfaces.into_iter().map(interface).collect(),
    }
}

struct ToServer {
    exporter: Exporter,
}

impl Output for ToServer {
    fn submit(&self, batch: Batch) {
        self.exporter.submit(batch);
    }

    fn processes(&self, events: Vec<ProcessEvent>) {
        self.exporter.announce(events);
    }
}

struct ToFiles {
    files: Mutex<Files>,
    stop: Arc<AtomicBool>,
    metrics: bool,
}

impl Output for ToFiles {
    fn submit(&self, batch: Batch) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = files.write(&batch) {
            tracing::error!("cannot go on: {error:#}");
            self.stop.store(true, Ordering::Relaxed);
        }
        batch.recycle();
    }

    fn processes(&self, _: Vec<ProcessEvent>) {}

    fn wants_metrics(&self) -> bool {
        self.metrics
    }
}
