//! The threads of packets: AF_PACKET ring → pipeline, once for each shard.
//!
//! Shards share nothing but what all threads do. A flow's packets all come out of one ring, so that
//! rows and sums are those of one thread; only what is learned of services is each shard's own.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use schema::{Drop, metrics};
use source::packet::{AfPacket, Frame, OwnPort, PacketConfig, PacketError};
use wire::LinkType;

use super::budget::ALL;
use super::limit::RateLimit;
use super::share::Portion;
use super::{Shared, now_ns};
use crate::config::Config;
use crate::pipeline::{End, PacketPipeline, PacketSettings};
use crate::telemetry::Losses;

/// Name on the status board.
const NAME: &str = "packets";
const POLL: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(100);
/// Ring of a small host. A larger one takes memory that most hosts never use. unit MiB
const RING_MIB: u32 = 8;

/// Runs until the stop flag is set.
pub fn run(shared: &Shared) {
    match open(shared) {
        Ok(rings) => {
            let interfaces = rings.first().map_or(0, |ring| ring.capture.captured().len());
            tracing::info!(interfaces, threads = rings.len(), "watching packets");
            std::thread::scope(|scope| {
                let mut rings = rings.into_iter();
                let first = rings.next();
                for ring in rings {
                    let thread =
                        std::thread::Builder::new().name(format!("packets-{}", ring.number));
                    let body = || Shard::new(ring, shared).watch(shared);
                    if let Err(error) = thread.spawn_scoped(scope, body) {
                        tell_problem(shared, &format!("a thread of packets is missing: {error}"));
                    }
                }
                if let Some(first) = first {
                    Shard::new(first, shared).watch(shared);
                }
            });
        }
        Err(error) => tell_problem(shared, &format!("packets are not watched: {error:#}")),
    }
}

/// Whether packets can be captured here; why not, in words for the user.
pub fn probe() -> Result<(), PacketError> {
    let config = PacketConfig { ring_mib: 1, ..PacketConfig::default() };
    AfPacket::open(config).map(drop)
}

fn tell_problem(shared: &Shared, problem: &str) {
    tracing::warn!("{problem}");
    shared.board.update(NAME, |status| status.problems = vec![problem.to_owned()]);
}

/// What a thread begins with.
struct OpenRing {
    number: u8,
    capture: AfPacket,
    settings: PacketSettings,
}

fn open(shared: &Shared) -> Result<Vec<OpenRing>> {
    let settings = settings(shared)?;
    let count = shared.config.packets.threads;
    let captures =
        AfPacket::open_shards(&capture_config(&shared.config)?, count).context("AF_PACKET")?;
    let ring = |(number, capture): (u8, AfPacket)| OpenRing {
        number,
        capture,
        settings: settings.clone().shard(number, count),
    };
    Ok((0..).zip(captures).map(ring).collect())
}

fn capture_config(config: &Config) -> Result<PacketConfig> {
    let pattern = regex_lite::Regex::new(&config.packets.interface_regex)
        .context("inputs.cbpf.af_packet.interface_regex")?;
    let own = |port: &u16| [OwnPort::Tcp(*port), OwnPort::Udp(*port)];
    Ok(PacketConfig {
        interfaces: Arc::new(move |name| pattern.is_match(name)),
        ring_mib: config.packets.ring_blocks.unwrap_or(RING_MIB),
        snap_bytes: config.packets.snap_bytes,
        own_ports: config.own_ports.iter().flat_map(own).collect(),
    })
}

fn settings(shared: &Shared) -> Result<PacketSettings> {
    let (_, known) = shared.surroundings.get();
    let hash_seed = RandomState::new().hash_one(shared.host.boot_id.as_str());
    Ok(PacketSettings::new(&shared.config)?.on_host(known.local.clone(), hash_seed))
}

/// One ring with its pipeline.
struct Shard {
    number: u8,
    capture: AfPacket,
    pipeline: PacketPipeline,
    limit: RateLimit,
    losses: Losses,
    bytes_total: u64,
    narrowed: Narrowed,
}

/// What portion of the flows is captured, and what was passed over for that.
#[derive(Default)]
struct Narrowed {
    /// How far: a quarter of the flows for each.
    quarters: u32,
    /// The flows that are not captured any more are still to be let go.
    lets_go: bool,
    /// Counts when it was looked last: packets that passed, packets that came through the filter.
    last: Option<(u64, u64)>,
    /// Packets that passed while not all flows were captured.
    passed: u64,
}

impl Shard {
    fn new(ring: OpenRing, shared: &Shared) -> Self {
        let packets = &shared.config.packets;
        Self {
            narrowed: Narrowed::default(),
            number: ring.number,
            capture: ring.capture,
            pipeline: PacketPipeline::new(ring.settings, shared.stage()),
            limit: RateLimit::new(packets.pps_max.div_ceil(packets.threads.into())),
            losses: Losses::default(),
            bytes_total: 0,
        }
    }

    fn watch(mut self, shared: &Shared) {
        shared.board.update_shard(NAME, self.number, |status| status.works = true);
        let mut last_tick = Instant::now();
        while !shared.stopping() {
            match self.poll() {
                Ok(frames) => shared.portion.copied_packets(frames as u64),
                Err(error) => {
                    self.fail(shared, &error);
                    break;
                }
            }
            if last_tick.elapsed() >= TICK {
                last_tick = Instant::now();
                self.pipeline.tick(now_ns());
                if let Err(error) = self.narrow(&shared.portion) {
                    tracing::warn!(%error, "another portion of packets cannot be captured");
                }
                self.tell(shared);
            }
        }
        if let Err(error) = self.drain() {
            self.fail(shared, &error);
        }
        self.pipeline.finish(now_ns(), End::OfAgent);
        self.tell(shared);
    }

    /// How many frames came.
    fn poll(&mut self) -> Result<usize, PacketError> {
        let Self { capture, pipeline, limit, bytes_total, .. } = self;
        capture.poll(POLL, |frame| take(pipeline, limit, bytes_total, &frame))
    }

    /// Captures as large a portion of the flows as is wanted now. It changes in large steps, since flows
    /// that are let go are cut.
    fn narrow(&mut self, portion: &Portion) -> Result<(), PacketError> {
        let narrowed = &mut self.narrowed;
        if std::mem::take(&mut narrowed.lets_go) {
            self.pipeline.let_go(now_ns());
        }
        if narrowed.quarters > 0 {
            let now = (self.capture.passed()?, self.capture.stats()?.kernel_packets);
            if let Some(last) = narrowed.last.replace(now) {
                narrowed.passed += now.0.saturating_sub(last.0);
                portion.let_through(now.1.saturating_sub(last.1));
            }
        }
        let quarters = quarters(portion.get());
        if quarters != narrowed.quarters {
            let parts = AfPacket::PARTS >> (2 * quarters);
            // So few flows say nothing of the load, and each packet would still be looked at.
            self.capture.capture_portion(if quarters == NONE { 0 } else { parts })?;
            // Once the ring is empty of them.
            narrowed.lets_go = quarters > narrowed.quarters;
            narrowed.quarters = quarters;
            narrowed.last = None;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), PacketError> {
        let Self { capture, pipeline, limit, bytes_total, .. } = self;
        capture.drain(|frame| take(pipeline, limit, bytes_total, &frame))
    }

    fn fail(&self, shared: &Shared, error: &PacketError) {
        tracing::error!(%error, "packets are watched no longer");
        let problem = format!("packets are watched no longer: {error}");
        shared.board.update_shard(NAME, self.number, |status| {
            status.works = false;
            status.problems.push(problem);
        });
    }

    fn tell(&mut self, shared: &Shared) {
        self.losses.join(&self.pipeline.take_losses());
        self.losses.add(Drop::CaptureLimited, self.limit.take_refused());
        let stats = self.capture.stats().unwrap_or_default();
        let load = self.pipeline.load();
        let mut losses = self.losses.clone();
        losses.add(Drop::CaptureKernel, stats.kernel_drops);
        losses.add(Drop::PacketUnsupported, stats.unsupported_link);
        if self.number == 0 {
            let let_through = shared.portion.let_through(0);
            losses.add(Drop::UnwatchedPacket, self.narrowed.passed.saturating_sub(let_through));
        }
        shared.board.update_shard(NAME, self.number, |status| {
            status.metrics = [
                (metrics::AGENT_PACKETS_TOTAL.name, stats.frames as f64),
                (metrics::AGENT_PACKET_BYTES_TOTAL.name, self.bytes_total as f64),
                (metrics::AGENT_FLOWS.name, load.flows as f64),
                (metrics::AGENT_CONVERSATIONS.name, load.conversations as f64),
                (metrics::AGENT_SESSIONS_PENDING.name, load.sessions as f64),
            ]
            .into();
            status.losses = losses;
        });
    }
}

/// Quartered so often no flow is captured.
const NONE: u32 = 4;

/// How often the flows are quartered, so that what is left is the portion or up to twice as much.
fn quarters(portion: u32) -> u32 {
    (0..NONE).find(|quarters| portion >= (ALL >> (2 * quarters)) / 2).unwrap_or(NONE)
}

fn take(
    pipeline: &mut PacketPipeline,
    limit: &mut RateLimit,
    bytes_total: &mut u64,
    frame: &Frame<'_>,
) {
    *bytes_total += u64::from(frame.wire_bytes);
    if !limit.admits(frame.time_ns) {
        return;
    }
    if let Some(link) = LinkType::from_pcap(frame.link_type) {
        let from = (frame.nic, link, frame.vlan);
        pipeline.on_frame(frame.time_ns, from, frame.bytes, frame.wire_bytes);
    }
}
