//! The thread of packets: AF_PACKET ring → pipeline.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flow::LocalAddresses;
use schema::{Drop, metrics};
use source::packet::{AfPacket, OwnPort, PacketConfig, PacketError};
use wire::LinkType;

use super::{Shared, now_ns};
use crate::config::Config;
use crate::pipeline::{End, PacketPipeline, PacketSettings};
use crate::telemetry::Losses;

/// Name on the status board.
const NAME: &str = "packets";
const POLL: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(100);
/// Ring of a small host. A larger one takes memory that most hosts never use.
const RING_BLOCKS: u32 = 8;

/// Runs until the stop flag is set.
pub fn run(shared: &Shared) {
    let opened = capture_config(&shared.config)
        .and_then(|config| AfPacket::open(config).context("AF_PACKET"));
    match opened.and_then(|capture| Ok((capture, settings(shared)?))) {
        Ok((capture, settings)) => {
            tracing::info!(interfaces = capture.captured().len(), "watching packets");
            shared.board.update(NAME, |status| status.works = true);
            watch(shared, capture, settings);
        }
        Err(error) => {
            tracing::warn!("packets are not watched: {error:#}");
            let problem = format!("packets are not watched: {error:#}");
            shared.board.update(NAME, |status| status.problems = vec![problem]);
        }
    }
}

/// Whether packets can be captured here; why not, in words for the user.
pub fn probe() -> Result<(), PacketError> {
    let config = PacketConfig { ring_blocks: 1, ..PacketConfig::default() };
    AfPacket::open(config).map(drop)
}

fn capture_config(config: &Config) -> Result<PacketConfig> {
    let pattern = regex_lite::Regex::new(&config.packets.interface_regex)
        .context("inputs.cbpf.af_packet.interface_regex")?;
    let own = |port: &u16| [OwnPort::Tcp(*port), OwnPort::Udp(*port)];
    Ok(PacketConfig {
        interfaces: Arc::new(move |name| pattern.is_match(name)),
        ring_blocks: config.packets.ring_blocks.unwrap_or(RING_BLOCKS),
        snap_bytes: config.packets.snap_bytes,
        own_ports: config.own_ports.iter().flat_map(own).collect(),
        ..PacketConfig::default()
    })
}

fn settings(shared: &Shared) -> Result<PacketSettings> {
    let host = &shared.host;
    let loopbacks = host.interfaces.iter().filter(|i| i.name == "lo").map(|i| i.index);
    let local = LocalAddresses::new(
        host.interfaces.iter().map(|interface| interface.mac),
        host.addresses.iter().copied(),
        loopbacks,
    );
    let hash_seed = RandomState::new().hash_one(host.boot_id.as_str());
    Ok(PacketSettings::new(&shared.config)?.on_host(local, hash_seed))
}

fn watch(shared: &Shared, mut capture: AfPacket, settings: PacketSettings) {
    let mut pipeline = PacketPipeline::new(settings, shared.stage());
    let mut losses = Losses::default();
    let mut bytes_total = 0;
    let mut last_tick = Instant::now();
    while !shared.stopping() {
        let polled = capture.poll(POLL, &mut |frame| {
            bytes_total += u64::from(frame.wire_bytes);
            if let Some(link) = LinkType::from_pcap(frame.link_type) {
                let from = (frame.nic, link, frame.vlan);
                pipeline.on_frame(frame.time_ns, from, frame.bytes, frame.wire_bytes);
            }
        });
        if let Err(error) = polled {
            tracing::error!(%error, "packets are watched no longer");
            let problem = format!("packets are watched no longer: {error}");
            shared.board.update(NAME, |status| status.problems.push(problem));
            break;
        }
        if last_tick.elapsed() >= TICK {
            last_tick = Instant::now();
            shared.submit(pipeline.tick(now_ns()));
            losses.join(&pipeline.take_losses());
            tell(shared, &mut capture, &pipeline, &losses, bytes_total);
        }
    }
    shared.submit(pipeline.finish(now_ns(), End::OfAgent));
    losses.join(&pipeline.take_losses());
    tell(shared, &mut capture, &pipeline, &losses, bytes_total);
}

fn tell(
    shared: &Shared,
    capture: &mut AfPacket,
    pipeline: &PacketPipeline,
    losses: &Losses,
    bytes_total: u64,
) {
    let stats = capture.stats().unwrap_or_default();
    let load = pipeline.load();
    let mut losses = losses.clone();
    losses.add(Drop::CaptureKernel, stats.kernel_drops);
    losses.add(Drop::PacketUnsupported, stats.unsupported_link);
    shared.board.update(NAME, |status| {
        status.metrics = [
            (metrics::AGENT_PACKETS_TOTAL.name, stats.frames as f64),
            (metrics::AGENT_PACKET_BYTES_TOTAL.name, bytes_total as f64),
            (metrics::AGENT_FLOWS.name, load.flows as f64),
            (metrics::AGENT_CONVERSATIONS.name, load.conversations as f64),
            (metrics::AGENT_SESSIONS_PENDING.name, load.sessions as f64),
        ]
        .into();
        status.losses = losses;
    });
}
