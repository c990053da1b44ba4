//! What can be set about BPF capture.
//!
//! In: values of the agent's configuration, already validated. Out: the same, with the bounds kept.
//! Never: reading of configuration.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::event::Hook;
use super::hooks::Mechanism;
use super::{Tier, abi};

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
