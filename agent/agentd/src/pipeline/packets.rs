//! The pipeline of packets: frames in, rows out.

use anyhow::Context as _;
use flow::{FlowConfig, FlowTable, LocalAddresses, Timeouts};
use schema::Drop;
use wire::{DecapConfig, LinkType, Malformed, TrimKind};

use super::followed::Followed;
use super::stage::Stage;
use crate::config::Config;
use crate::telemetry::Losses;

const NS_A_SECOND: u64 = 1_000_000_000;
/// Seconds of metrics stay open for so long, for packets and owners that come late. unit s
pub const METRICS_DELAY_S: u64 = 3;

/// What a packet pipeline needs to know.
#[derive(Clone, Debug)]
pub struct PacketSettings {
    /// Flow table.
    pub flow: FlowConfig,
    /// Request logs; none: flows only.
    pub l7: Option<l7::Config>,
    /// Readers of the user's own protocols.
    pub plugins: Vec<plugin::Module>,
    /// Tunnels to open.
    pub decap: DecapConfig,
    /// Health checks become one row a minute.
    pub merges_health_checks: bool,
}

impl PacketSettings {
    /// From the configuration, without what is known of the host.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let ns = |duration: std::time::Duration| duration.as_nanos() as u64;
        let timeouts = Timeouts {
            established_ns: ns(config.flow.established),
            closing_rst_ns: ns(config.flow.closing_rst),
            opening_rst_ns: ns(config.flow.opening_rst),
            others_ns: ns(config.flow.others),
            ..Timeouts::default()
        };
        let max_flows = u32::try_from(config.flow.flows)?;
        let decap = DecapConfig::from_ids(&config.packets.decap).map_err(|id| {
            anyhow::anyhow!("inputs.cbpf.preprocess.tunnel_decap_protocols: unknown tunnel {id}")
        })?;
        let decap = config.packets.trim.iter().try_fold(decap, |decap, name| {
            let kind = TrimKind::from_name(name).with_context(|| {
                format!("inputs.cbpf.preprocess.tunnel_trim_protocols: unknown header {name:?}")
            })?;
            anyhow::Ok(decap.trimming(kind))
        })?;
        Ok(Self {
            flow: FlowConfig { max_flows, timeouts, ..FlowConfig::default() },
            l7: config.l7_of_packets.then(|| config.l7.clone()),
            plugins: config.plugins.clone(),
            decap,
            merges_health_checks: config.flow.merges_health_checks,
        })
    }

    /// With the addresses of this host.
    pub fn on_host(mut self, local: LocalAddresses, hash_seed: u64) -> Self {
        self.flow.local = local;
        self.flow.hash_seed = hash_seed;
        self
    }

    /// Of one of `count` threads that share the packets, and with them the limits.
    pub fn shard(mut self, number: u8, count: u8) -> Self {
        self.flow.thread = number;
        self.flow.max_flows = self.flow.max_flows.div_ceil(count.into());
        if let Some(l7) = &mut self.l7 {
            l7.limits.sessions = l7.limits.sessions.div_ceil(count.into());
        }
        self
    }
}

/// Why a pipeline ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing follows, ever.
    OfCapture,
    /// The agent stops while traffic goes on.
    OfAgent,
}

/// What a pipeline holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Flows, as far as it has any.
    pub flows: usize,
    /// Conversations that are followed.
    pub conversations: usize,
    /// Requests that wait for a response.
    pub sessions: usize,
}

/// The pipeline of packets. One thread.
pub struct PacketPipeline {
    decap: DecapConfig,
    flows: FlowTable,
    followed: Followed,
    losses: Losses,
    /// Packets dropped by the full flow table that were told already.
    full_told: u64,
}

impl PacketPipeline {
    /// With nothing seen yet.
    pub fn new(settings: PacketSettings, mut stage: Stage) -> Self {
        if settings.merges_health_checks {
            stage.merge_health_checks();
        }
        Self {
            decap: settings.decap,
            flows: FlowTable::new(settings.flow),
            followed: Followed::new(settings.l7, &settings.plugins, stage),
            losses: Losses::default(),
            full_told: 0,
        }
    }

    /// Takes one frame, in the order of capture.
    /// `from` is the interface (unless the frame says it itself), its link type and a VLAN tag that
    /// the kernel took off.
    pub fn on_frame(
        &mut self,
        time_ns: u64,
        from: (u32, LinkType, Option<u16>),
        bytes: &[u8],
        wire_bytes: u32,
    ) {
        let (nic, link, vlan) = from;
        let mut packet = match wire::parse(link, bytes, wire_bytes, &self.decap) {
            Ok(packet) => packet,
            Err(error) => {
                let unsupported = matches!(error, Malformed::Unsupported(..));
                let reason =
                    if unsupported { Drop::PacketUnsupported } else { Drop::PacketMalformed };
                return self.losses.add(reason, 1);
            }
        };
        packet.link.vlan = packet.link.vlan.or(vlan);
        let nic = packet.link.interface.unwrap_or(nic);
        self.followed.set_time(time_ns);
        let update = self.flows.on_packet(time_ns, nic, &packet, &mut self.followed);
        if let Some(update) = update {
            self.followed.on_packet(time_ns, &packet, update, &mut self.flows);
        }
    }

    /// To be called several times a second with the time of capture: seconds that are over are
    /// counted, silent flows end, and all rows come out.
    pub fn tick(&mut self, now_ns: u64) {
        if self.followed.stage.refresh() {
            self.flows.set_local(self.followed.stage.owners().known().local.clone());
        }
        self.followed.set_time(now_ns);
        self.flows.tick(now_ns, &mut self.followed);
        self.followed.expire(&mut self.losses);
        let second = (now_ns / NS_A_SECOND).saturating_sub(METRICS_DELAY_S);
        self.followed.stage.flush(now_ns, second);
    }

    /// Gives out what there is. `End::OfCapture`: flows end as they would after endless silence;
    /// `End::OfAgent`: they are reported as they stand.
    pub fn finish(&mut self, now_ns: u64, end: End) {
        self.followed.set_time(now_ns);
        match end {
            End::OfCapture => self.flows.flush(now_ns, &mut self.followed),
            End::OfAgent => self.flows.stop(now_ns, &mut self.followed),
        }
        self.followed.tell();
        self.followed.stage.finish();
    }

    /// Other flows are captured from now on: those there are end as they stand, and nothing is said of
    /// requests without a response.
    pub fn let_go(&mut self, now_ns: u64) {
        self.followed.set_time(now_ns);
        self.followed.pass_over(true);
        self.flows.stop(now_ns, &mut self.followed);
        self.followed.pass_over(false);
    }

    /// What it holds now.
    pub fn load(&self) -> Load {
        Load {
            flows: self.flows.stats().held as usize,
            conversations: self.followed.conversations(),
            sessions: self.followed.sessions(),
        }
    }

    /// What was lost since the last call.
    pub fn take_losses(&mut self) -> Losses {
        let full = self.flows.stats().dropped_full;
        self.losses.add(Drop::FlowTableFull, full - std::mem::replace(&mut self.full_told, full));
        std::mem::take(&mut self.losses)
    }
}
