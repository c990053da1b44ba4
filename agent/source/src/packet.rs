//! Live packets: AF_PACKET with a memory-mapped TPACKET_V3 ring.
//!
//! In: the interfaces of this network namespace whose names match, those that appear later too.
//! Out: borrowed frames with their time, interface and VLAN tag; what the kernel dropped. Never:
//! the traffic of our own ports, a frame of the loopback twice, a copy.

mod assembler;
mod fanout;
mod filter;
mod interfaces;
mod netlink;
mod ring;
mod traffic;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

pub use self::filter::OwnPort;
pub use self::interfaces::{Interface, interfaces, interfaces_in};
pub use self::netlink::NetworkChanges;
use self::ring::{Ring, RingFrame};

/// LINKTYPE_ value of frames that begin with an Ethernet header.
pub const LINKTYPE_ETHERNET: u32 = 1;
/// LINKTYPE_ value of frames that begin with an IP header.
pub const LINKTYPE_RAW: u32 = 101;

/// Decides by its name whether an interface is captured.
pub type NameFilter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// How often the list of interfaces is read again.
const RESCAN: Duration = Duration::from_secs(5);

/// Configuration of a capture.
#[derive(Clone)]
pub struct PacketConfig {
    /// Which interfaces are captured (`inputs.cbpf.af_packet.interface_regex`).
    pub interfaces: NameFilter,
    /// Size of the ring, for each shard (`inputs.cbpf.af_packet.tunning.ring_blocks`, whose blocks
    /// are of 1 MiB). unit MiB
    pub ring_mib: u32,
    /// Bytes kept of a frame. The default holds the largest segments of offloading whole.
    pub snap_bytes: u32,
    /// Ports of our own, whose packets are left out whichever side they are on.
    pub own_ports: Vec<OwnPort>,
}

impl Default for PacketConfig {
    /// Every interface, 8 MiB.
    fn default() -> Self {
        Self {
            interfaces: Arc::new(|_| true),
            ring_mib: 8,
            snap_bytes: 65_600,
            own_ports: Vec::new(),
        }
    }
}

impl fmt::Debug for PacketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketConfig")
            .field("ring_mib", &self.ring_mib)
            .field("snap_bytes", &self.snap_bytes)
            .field("own_ports", &self.own_ports)
            .finish_non_exhaustive()
    }
}

/// Why packets cannot be captured.
#[derive(Debug, Error)]
pub enum PacketError {
    /// CAP_NET_RAW is missing.
    #[error(
        "capturing packets needs CAP_NET_RAW: run as root, or `setcap cap_net_raw+ep` the program"
    )]
    Permission,
    /// A system call failed.
    #[error("{call} of the packet socket")]
    Call {
        /// Which one.
        call: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl PacketError {
    fn last(call: &'static str) -> Self {
        Self::Call { call, source: io::Error::last_os_error() }
    }
}

/// A frame in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When the kernel saw it. unit ns since the epoch, clock: realtime
    pub time_ns: u64,
    /// Index of the interface.
    pub nic: u32,
    /// [`LINKTYPE_ETHERNET`] or [`LINKTYPE_RAW`].
    pub link_type: u32,
    /// VLAN id of a tag that the kernel took off.
    pub vlan: Option<u16>,
    /// Length before it was cut to `snap_bytes`.
    pub wire_bytes: u32,
    /// Whether this host sends it.
    pub is_outgoing: bool,
    /// The frame.
    pub bytes: &'a [u8],
}

/// What became of packets since the capture was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketStats {
    /// Frames handed out.
    pub frames: u64,
    /// Frames that the kernel saw and let through the filter, dropped ones among them.
    pub kernel_packets: u64,
    /// Frames dropped by the kernel because the ring was full (`capture_kernel`).
    pub kernel_drops: u64,
    /// Times that the ring was full.
    pub kernel_freezes: u64,
    /// Frames of interfaces whose link type is neither Ethernet nor raw IP
    /// (`packet_unsupported`).
    pub unsupported_link: u64,
}

/// A running capture.
#[derive(Debug)]
pub struct AfPacket {
    ring: Ring,
    config: PacketConfig,
    /// By index: whether its frames are wanted.
    wanted: HashMap<u32, bool>,
    /// The interface of the last frame, and whether its frames are wanted.
    last: Option<(u32, bool)>,
    loopbacks: Vec<u32>,
    scanned: Instant,
    stats: PacketStats,
    /// Of [`Self::PARTS`].
    portion: u32,
    /// One of several that share the load.
    is_shard: bool,
}

impl AfPacket {
    /// In how many parts flows fall, of which a portion can be captured.
    pub const PARTS: u32 = fanout::PARTS;

    /// Opens the ring and starts to capture.
    pub fn open(config: PacketConfig) -> Result<Self, PacketError> {
        let mut capture = Self::prepare(config)?;
        capture.scan()?;
        capture.ring.start()?;
        Ok(capture)
    }

    /// Opens several rings that share the load: each packet comes out of one of them, the packets
    /// of a flow (both ways, and all of a tunnel) out of the same one.
    pub fn open_shards(config: &PacketConfig, count: u8) -> Result<Vec<Self>, PacketError> {
        if count <= 1 {
            return Ok(vec![Self::open(config.clone())?]);
        }
        let mut shards = Vec::new();
        let mut group = None;
        for _ in 0..count {
            let mut shard = Self::prepare(config.clone())?;
            // Until all are members, a packet would come out of several.
            shard.ring.set_filter(&filter::Filter::none())?;
            shard.ring.start()?;
            match group {
                Some(group) => shard.ring.join_group(group)?,
                None => group = Some(shard.ring.found_group(&fanout::program())?),
            }
            shard.is_shard = true;
            shards.push(shard);
        }
        for shard in &mut shards {
            shard.scan()?;
        }
        Ok(shards)
    }

    fn prepare(config: PacketConfig) -> Result<Self, PacketError> {
        Ok(Self {
            ring: Ring::open(config.ring_mib)?,
            config,
            wanted: HashMap::new(),
            last: None,
            loopbacks: Vec::new(),
            scanned: Instant::now(),
            stats: PacketStats::default(),
            portion: Self::PARTS,
            is_shard: false,
        })
    }

    /// Captures `portion` of [`Self::PARTS`] flows from now on, and those whole: the others are not
    /// copied. What the ring holds is still handed out. A smaller portion is a part of a larger one; 0 is
    /// none, and the kernel does not show the packets to anybody here.
    pub fn capture_portion(&mut self, portion: u32) -> Result<(), PacketError> {
        let before = std::mem::replace(&mut self.portion, portion.min(Self::PARTS));
        self.set_filter()?;
        match (before, portion) {
            _ if self.is_shard => Ok(()),
            (1.., 0) => self.ring.pause(),
            (0, 1..) => self.ring.start(),
            _ => Ok(()),
        }
    }

    /// Packets that went through the captured interfaces since these exist, captured or not.
    pub fn passed(&self) -> Result<u64, PacketError> {
        let loopbacks: Vec<String> =
            self.loopbacks.iter().filter_map(|nic| interfaces::name(*nic)).collect();
        let is_loopback = |name: &str| loopbacks.iter().any(|known| known == name);
        traffic::packets(|name| (self.config.interfaces)(name), is_loopback)
            .map_err(|source| PacketError::Call { call: "/proc/net/dev", source })
    }

    /// Hands out the frames that have come, waiting for the first up to `timeout`. Returns their
    /// number.
    pub fn poll(
        &mut self,
        timeout: Duration,
        mut on_frame: impl FnMut(Frame<'_>),
    ) -> Result<usize, PacketError> {
        if self.scanned.elapsed() >= RESCAN {
            self.scan()?;
        }
        if !self.ring.wait(timeout)? {
            return Ok(0);
        }
        let Self { ring, config, wanted, last, stats, .. } = self;
        let before = stats.frames;
        let mut take = |frame: RingFrame<'_>| {
            let is_wanted = match *last {
                Some((nic, is_wanted)) if nic == frame.nic => is_wanted,
                _ => *wanted.entry(frame.nic).or_insert_with(|| {
                    interfaces::name(frame.nic).is_some_and(|name| (config.interfaces)(&name))
                }),
            };
            *last = Some((frame.nic, is_wanted));
            if !is_wanted {
                return;
            }
            let Some(link_type) = link_type(frame.hardware) else {
                stats.unsupported_link += 1;
                return;
            };
            stats.frames += 1;
            on_frame(frame.with(link_type));
        };
        // Once round the ring at most, so that the caller gets its turn under any load.
        for _ in 0..ring.blocks() {
            if !ring.read_block(&mut take) {
                break;
            }
        }
        Ok((self.stats.frames - before) as usize)
    }

    /// Ends the capture: nothing comes in any more, and what the ring holds is handed out.
    pub fn drain(&mut self, mut on_frame: impl FnMut(Frame<'_>)) -> Result<(), PacketError> {
        self.ring.set_filter(&filter::Filter::none())?;
        self.scanned = Instant::now();
        // The kernel hands over a block that is not full after this time.
        let patience = Duration::from_millis(2 * u64::from(ring::RETIRE_MS));
        while self.poll(patience, &mut on_frame)? > 0 {}
        Ok(())
    }

    /// What became of packets so far.
    pub fn stats(&mut self) -> Result<PacketStats, PacketError> {
        let kernel = self.ring.statistics()?;
        self.stats.kernel_packets += kernel.packets;
        self.stats.kernel_drops += kernel.drops;
        self.stats.kernel_freezes += kernel.freezes;
        Ok(self.stats)
    }

    /// Indexes of the interfaces that are captured now, in order.
    pub fn captured(&self) -> Vec<u32> {
        let mut out: Vec<u32> =
            self.wanted.iter().filter(|(_, wanted)| **wanted).map(|(nic, _)| *nic).collect();
        out.sort_unstable();
        out
    }

    /// Reads the list of interfaces and, when it changed, gives the kernel a new filter. An
    /// interface that appears between two scans is looked up with its first frame.
    fn scan(&mut self) -> Result<(), PacketError> {
        self.scanned = Instant::now();
        let found = interfaces()?;
        let wanted: HashMap<u32, bool> =
            found.iter().map(|nic| (nic.index, (self.config.interfaces)(&nic.name))).collect();
        let loopbacks: Vec<u32> =
            found.iter().filter(|nic| nic.is_loopback).map(|nic| nic.index).collect();
        if wanted != self.wanted || loopbacks != self.loopbacks {
            self.wanted = wanted;
            self.last = None;
            self.loopbacks = loopbacks;
            self.set_filter()?;
        }
        Ok(())
    }

    fn set_filter(&self) -> Result<(), PacketError> {
        let unwanted = self.wanted.iter().filter(|(_, wanted)| !**wanted);
        let mut unwanted: Vec<u32> = unwanted.map(|(nic, _)| *nic).collect();
        unwanted.sort_unstable();
        let filter = filter::Filter {
            snap_bytes: self.config.snap_bytes,
            loopbacks: &self.loopbacks,
            unwanted: &unwanted,
            own_ports: &self.config.own_ports,
        };
        self.ring.set_filter(&filter.program(self.portion))
    }
}

impl<'a> RingFrame<'a> {
    fn with(self, link_type: u32) -> Frame<'a> {
        Frame {
            time_ns: self.time_ns,
            nic: self.nic,
            link_type,
            vlan: self.vlan,
            wire_bytes: self.wire_bytes,
            is_outgoing: self.packet_type == libc::PACKET_OUTGOING,
            bytes: self.bytes,
        }
    }
}

/// Link type by the kind of device (ARPHRD_).
fn link_type(hardware: u16) -> Option<u32> {
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LINKTYPE_ETHERNET),
        libc::ARPHRD_NONE
        | ARPHRD_RAWIP
        | libc::ARPHRD_PPP
        | libc::ARPHRD_TUNNEL
        | libc::ARPHRD_TUNNEL6
        | libc::ARPHRD_SIT => Some(LINKTYPE_RAW),
        _ => None,
    }
}

/// Devices without a link layer, as modems are; not in the `libc` crate.
const ARPHRD_RAWIP: u16 = 519;
