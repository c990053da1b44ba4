//! Limits and timeouts of the flow table.

use crate::SECOND_NS;
use crate::point::LocalAddresses;

/// Silence after which a flow ends, by its state (`processors.flow_log.conntrack.timeouts`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Established. unit ns
    pub established_ns: u64,
    /// Reset after it was established. unit ns
    pub closing_rst_ns: u64,
    /// Reset while it was opening. unit ns
    pub opening_rst_ns: u64,
    /// Opening, closing, UDP and everything else. unit ns
    pub others_ns: u64,
    /// FIN both ways and acknowledged. unit ns
    pub fin_done_ns: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            established_ns: 300 * SECOND_NS,
            closing_rst_ns: 35 * SECOND_NS,
            opening_rst_ns: SECOND_NS,
            others_ns: 5 * SECOND_NS,
            fin_done_ns: 2 * SECOND_NS,
        }
    }
}

/// Configuration of a [`crate::FlowTable`].
#[derive(Clone, Debug, PartialEq)]
pub struct FlowConfig {
    /// Flows held at once; packets of further ones are dropped and counted
    /// (`processors.flow_log.tunning.concurrent_flow_limit`).
    pub max_flows: u32,
    /// Number of the thread, part of flow ids.
    pub thread: u8,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Ports that are servers' whatever the heuristics say
    /// (`processors.flow_log.conntrack.flow_generation.server_ports`).
    pub server_ports: Vec<u16>,
    /// Seed of the hash, random in a live agent so that nobody can choose colliding flows; it has
    /// no influence on what comes out.
    pub hash_seed: u64,
    /// Addresses of this host.
    pub local: LocalAddresses,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            max_flows: 65_535,
            thread: 0,
            timeouts: Timeouts::default(),
            server_ports: Vec::new(),
            hash_seed: 0,
            local: LocalAddresses::default(),
        }
    }
}
