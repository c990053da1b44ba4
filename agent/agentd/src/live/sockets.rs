//! The thread of system calls: BPF ring → pipeline.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use schema::{Drop, metrics};
use source::bpf::{BpfConfig, BpfCounters, BpfSource, Event, HookReport, ProcessChange};

use super::pace::Pace;
use super::tls::TlsWatch;
use super::{Shared, now_ns};
use crate::config::Config;
use crate::owners::Processes;
use crate::pipeline::{METRICS_DELAY_S, SocketPipeline};
use crate::telemetry::Losses;

/// Name on the status board.
const NAME: &str = "sockets";
const POLL: Duration = Duration::from_millis(15);
const TICK: Duration = Duration::from_millis(100);
/// How often counters are read out of the kernel. Seldom: while a task of a CPU is in bpf(2), programs on
/// tracepoints of that CPU are left out, and a preemptible kernel may let it wait there.
const TELL: Duration = Duration::from_secs(1);
/// Ring between kernel and agent: more than a second of 50,000 small events a second, for hosts
/// that let the agent wait. Pages count as memory when they are first used. unit byte
const RING_BYTES: u32 = 16 << 20;
/// Executables whose own traffic is left out begin so.
const OWN_PREFIX: &str = "deepflow-";

/// Runs until the stop flag is set.
pub fn run(shared: &Shared) {
    if shared.config.sockets.disabled {
        shared.board.update(NAME, |status| {
            status.problems = vec!["system calls are not watched: inputs.ebpf is disabled".into()];
        });
        return;
    }
    match BpfSource::load(bpf_config(&shared.config)) {
        Ok((source, hooks)) => {
            tell_hooks(shared, &hooks);
            if let Err(why) = source.files() {
                let problem = format!("calls on files are not told: {why}");
                tracing::warn!("{problem}");
                shared.board.update(NAME, |status| status.problems.push(problem));
            }
            watch(shared, source);
        }
        Err(error) => {
            tracing::warn!(%error, "system calls are not watched");
            let problem = format!("system calls are not watched: {error}");
            shared.board.update(NAME, |status| status.problems = vec![problem]);
        }
    }
}

fn bpf_config(config: &Config) -> BpfConfig {
    let ranges = |ports: &[u16]| ports.iter().map(|port| *port..=*port).collect::<Vec<_>>();
    let mut denied = ranges(&config.sockets.denied_ports);
    denied.extend(ranges(&config.own_ports));
    BpfConfig {
        ring_bytes: RING_BYTES,
        payload_bytes_max: config.sockets.payload_bytes,
        sockets_max: config.sockets.sockets,
        excluded_tgids: own_processes(&config.proc_dir),
        files: config.sockets.files,
        tls: config.sockets.tls,
        go: config.sockets.go,
        ports_allowed: ranges(&config.sockets.allowed_ports),
        ports_denied: denied,
        ..BpfConfig::default()
    }
}

/// Server, engine and tools of our own that run on this host.
fn own_processes(proc: &Path) -> Vec<u32> {
    let is_own = |tgid: &u32| {
        std::fs::read_to_string(proc.join(tgid.to_string()).join("comm"))
            .is_ok_and(|name| name.starts_with(OWN_PREFIX))
    };
    metadata::process::list(proc).into_iter().filter(is_own).collect()
}

fn tell_hooks(shared: &Shared, hooks: &[HookReport]) {
    // What is switched off is not missing.
    let failed = hooks.iter().filter(|hook| !hook.attached && !hook.is_off);
    let problems: Vec<String> =
        failed.map(|hook| format!("hook {} is missing: {}", hook.hook, hook.reason)).collect();
    for problem in &problems {
        tracing::warn!("{problem}");
    }
    let attached = hooks.iter().filter(|hook| hook.attached).count();
    tracing::info!(attached, "watching system calls");
    shared.board.update(NAME, |status| {
        status.works = true;
        status.problems = problems;
    });
}

fn watch(shared: &Shared, mut source: BpfSource) {
    let processes = Processes::new(shared.config.proc_dir.clone());
    let config = &shared.config;
    let stage = shared.stage();
    let mut pipeline = SocketPipeline::new(config.l7.clone(), &config.plugins, processes, stage);
    let file_min_ns = config.sockets.files.min_duration.as_nanos();
    pipeline.tell_files(host_ip(shared), u64::try_from(file_min_ns).unwrap_or(u64::MAX));
    let mut losses = Losses::default();
    let mut last_tick = Instant::now();
    let mut last_told = Instant::now();
    let mut own = Vec::new();
    let mut pace = Pace::new();
    let tls = source.take_tls().and_then(|programs| TlsWatch::start(shared, programs));
    while !shared.stopping() {
        let left = pace.step(shared.portion.get(), &mut source, &mut pipeline);
        let polled = left.and_then(|left| {
            source.poll(POLL.min(left), &mut |event| {
                note_own(&event, &mut own);
                if let Some(tls) = &tls {
                    note_exec(&event, tls);
                }
                pipeline.on_event(&event);
            })
        });
        match polled {
            Ok(told) => shared.portion.told_calls(told),
            Err(error) => {
                tracing::error!(%error, "system calls are watched no longer");
                let problem = format!("system calls are watched no longer: {error}");
                shared.board.update(NAME, |status| status.problems.push(problem));
                break;
            }
        }
        for tgid in own.drain(..) {
            if let Err(error) = source.exclude(tgid) {
                tracing::debug!(%error, tgid, "own process not excluded");
            }
        }
        if last_tick.elapsed() >= TICK {
            last_tick = Instant::now();
            let now_ns = now_ns();
            let second = (now_ns / 1_000_000_000).saturating_sub(METRICS_DELAY_S);
            pipeline.tick(now_ns, second);
            losses.join(&pipeline.take_losses());
            if last_told.elapsed() >= TELL {
                last_told = Instant::now();
                tell(shared, &source, &pipeline, &losses, &pace);
            }
        }
    }
    drop(tls);
    pace.finish(&source);
    source.detach();
    source.drain(&mut |event| pipeline.on_event(&event));
    pipeline.finish(now_ns());
    losses.join(&pipeline.take_losses());
    tell(shared, &source, &pipeline, &losses, &pace);
}

/// The address by which others may know this host.
fn host_ip(shared: &Shared) -> IpAddr {
    let addresses = &shared.host.addresses;
    let is_known = |ip: &&IpAddr| !ip.is_loopback() && !ip.is_unspecified();
    let known = addresses.iter().filter(is_known);
    known.min_by_key(|ip| ip.is_ipv6()).copied().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// Has the TLS libraries looked for of a program that begins to run.
fn note_exec(event: &Event<'_>, tls: &TlsWatch) {
    if let Event::Process(process) = event
        && let ProcessChange::Exec { .. } = process.change
    {
        tls.on_exec(process.caller.tgid);
    }
}

/// Notes a program of our own that begins to run.
fn note_own(event: &Event<'_>, own: &mut Vec<u32>) {
    if let Event::Process(process) = event
        && let ProcessChange::Exec { path, .. } = process.change
        && path
            .rsplit(|byte| *byte == b'/')
            .next()
            .is_some_and(|n| n.starts_with(OWN_PREFIX.as_bytes()))
    {
        own.push(process.caller.tgid);
    }
}

fn tell(
    shared: &Shared,
    source: &BpfSource,
    pipeline: &SocketPipeline,
    losses: &Losses,
    pace: &Pace,
) {
    let counters = source.counters().unwrap_or_default();
    let load = pipeline.load();
    let mut losses = losses.clone();
    let BpfCounters { ring_full, payload_unreadable, map_full, hook_missed, .. } = counters;
    let io_uring = counters.io_uring_operations;
    let without_socket = counters.tls_without_socket;
    let rested_ms = pace.rested().as_millis() as f64;
    losses.add(Drop::RingFull, ring_full);
    losses.add(Drop::PayloadUnreadable, payload_unreadable);
    losses.add(Drop::MapFull, map_full);
    losses.add(Drop::HookMissed, hook_missed);
    losses.add(Drop::UnwatchedCall, counters.unwatched + pace.uncounted());
    losses.add(Drop::EventMalformed, counters.malformed);
    shared.board.update(NAME, |status| {
        status.metrics = [
            (metrics::AGENT_SOCKET_EVENTS_TOTAL.name, counters.records as f64),
            (metrics::AGENT_SOCKET_EVENT_BYTES_TOTAL.name, counters.record_bytes as f64),
            (metrics::AGENT_CONVERSATIONS.name, load.conversations as f64),
            (metrics::AGENT_SESSIONS_PENDING.name, load.sessions as f64),
            (metrics::AGENT_TLS_CONNECTIONS_NOT_DECODED.name, pipeline.undecoded() as f64),
            (metrics::AGENT_IO_URING_OPERATIONS_TOTAL.name, io_uring as f64),
            (metrics::AGENT_TLS_CALLS_TOTAL.name, counters.tls_calls as f64),
            (metrics::AGENT_TLS_CALLS_WITHOUT_SOCKET_TOTAL.name, without_socket as f64),
            (metrics::AGENT_RESTED_MILLISECONDS_TOTAL.name, rested_ms),
        ]
        .into();
        status.losses = losses;
    });
}
