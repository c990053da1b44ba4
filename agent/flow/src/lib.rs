//! Flows from packets: who talks to whom, how much, how fast, and how it ended.
//!
//! In: packets in the order of capture, with their time and interface; the passing of time.
//! Out: per-second ticks of flows ([`FlowTick`]), merged to one report a minute by
//! [`minute::Aggregator`]. Never: a clock, I/O, a panic on any input, memory without a bound.

mod config;
mod counters;
mod direction;
mod expiry;
mod fragment;
mod icmp;
mod info;
pub mod minute;
pub mod point;
mod slab;
mod table;
mod tcp;
mod udp;

pub use config::{FlowConfig, Timeouts};
pub use counters::{Counters, Delay};
pub use info::{Direction, Endpoint, FlowInfo, FlowTick, Tunnels, Update};
pub use minute::FlowReport;
pub use point::LocalAddresses;
pub use table::{FlowTable, TableStats};
pub use tcp::close::flow_status;

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;
