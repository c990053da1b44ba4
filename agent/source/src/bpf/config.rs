//! What can be set about BPF capture.
//!
//! In: values of the agent's configuration, already validated. Out: the same, with the bounds kept.
//! Never: reading of configuration.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::event::Hook;
use super::hooks::Mechanism;
use super::{Tier, abi};

/// Of which threads calls on files are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// Of none.
    Off,
    /// Of those that work on a request: since they received one, until they send.
    OfRequests,
    /// Of all.
    All,
}

/// Which calls on files are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileCalls {
    /// Of which threads.
    pub mode: FileMode,
    /// Those that take at least so long; above 2.1 s also some that took less.
    pub min_duration: Duration,
    /// Also those on what the kernel shows of itself, and on files in memory.
    pub virtual_files: bool,
}

impl Default for FileCalls {
    fn default() -> Self {
        Self {
            mode: FileMode::OfRequests,
            min_duration: Duration::from_millis(1),
            virtual_files: false,
        }
    }
}

impl FileCalls {
    /// `enum file_mode` of bpf/lib/config.bpf.h.
    pub(crate) fn mode_number(self) -> u32 {
        match self.mode {
            FileMode::Off => 0,
            FileMode::OfRequests => 1,
            FileMode::All => 2,
        }
    }

    /// As the programs take it: below 2^31.
    pub(crate) fn min_ns(self) -> u32 {
        let most = i32::MAX.cast_unsigned();
        u32::try_from(self.min_duration.as_nanos()).map_or(most, |ns| ns.min(most))
    }
}

/// Settings of `BpfSource`; a change needs a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BpfConfig {
    /// Bytes of the ring between kernel and agent; rounded up to a power of two of at least 64 KiB.
    /// All of it counts in the agent's RSS.
    pub ring_bytes: u32,
    /// Bytes copied of one system call, or of one message of it; at most 128 KiB.
    pub payload_bytes_max: u32,
    /// Sockets known at a time; the least recently used is forgotten.
    pub sockets_max: u32,
    /// Whether the agent's own system calls are traced; for tests.
    pub trace_self: bool,
    /// Processes left out from the start.
    pub excluded_tgids: Vec<u32>,
    /// If not empty, only sockets with a local or remote port in here are traced
    /// (`inputs.ebpf.socket.kprobe.whitelist.ports`).
    pub ports_allowed: Vec<RangeInclusive<u16>>,
    /// Sockets with a local or remote port in here are not traced
    /// (`inputs.ebpf.socket.kprobe.blacklist.ports`).
    pub ports_denied: Vec<RangeInclusive<u16>>,
    /// Which calls on files are told (`inputs.ebpf.file.io_event`).
    pub files: FileCalls,
    /// Whether programs of TLS libraries are loaded (`inputs.ebpf.socket.uprobe.tls.enabled`).
    pub tls: bool,
    /// Whether those of programs of Go are loaded (`inputs.ebpf.socket.uprobe.golang.enabled`).
    pub go: bool,
    /// How functions of TLS libraries are hooked.
    pub tls_mechanism: crate::tls::Mechanism,
    /// Which objects are loaded; `None`: the newest that the kernel takes.
    pub tier: Option<Tier>,
    /// How system calls are hooked.
    pub mechanism: Mechanism,
    /// Hooks that are not attached.
    pub hooks_off: Vec<Hook>,
    /// How long events wait for those with earlier stamps; zero: order of the ring.
    pub reorder_hold: Duration,
    /// Bytes of events that wait at most; above it the oldest go at once.
    pub reorder_bytes_max: usize,
}

impl Default for BpfConfig {
    fn default() -> Self {
        Self {
            ring_bytes: 4 << 20,
            payload_bytes_max: 64 << 10,
            sockets_max: 65_536,
            trace_self: false,
            excluded_tgids: Vec::new(),
            ports_allowed: Vec::new(),
            ports_denied: Vec::new(),
            files: FileCalls::default(),
            tls: false,
            go: false,
            tls_mechanism: crate::tls::Mechanism::Auto,
            tier: None,
            mechanism: Mechanism::Auto,
            hooks_off: Vec::new(),
            reorder_hold: Duration::from_millis(20),
            reorder_bytes_max: 16 << 20,
        }
    }
}

impl BpfConfig {
    /// Ring size as the kernel takes it.
    pub(crate) fn ring_bytes_valid(&self) -> u32 {
        self.ring_bytes.clamp(64 << 10, 1 << 30).next_power_of_two()
    }

    /// Payload limit within the object's own.
    pub(crate) fn payload_bytes_valid(&self) -> u32 {
        let limit = u32::try_from(abi::PAYLOAD_BYTES_MAX).unwrap_or(u32::MAX);
        self.payload_bytes_max.min(limit)
    }
}
