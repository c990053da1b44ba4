//! Flows from packets: who talks to whom, how much, how fast, and how it ended.
//!
//! In: packets in the order of capture, with their time and interface; the passing of time.
//! Out: flows by the second ([`FlowTick`]) and by the minute ([`FlowReport`]), into a [`Sink`]. Never: a clock, I/O, a panic on any input, memory without a bound.

mod config;
mod counters;
mod direction;
mod expiry;
mod fragment;
mod icmp;
mod info;
mod minute;
pub mod point;
mod pool;
mod slab;
mod table;
mod tally;
mod tcp;
mod udp;

pub use config::{FlowConfig, Timeouts};
pub use counters::{Counters, Delay};
pub use info::{Direction, Endpoint, FlowInfo, FlowTick, Kept, Sink, Tunnels, Update};
pub use minute::FlowReport;
pub use point::LocalAddresses;
pub use table::{FlowTable, TableStats};
pub use tcp::close::flow_status;

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;
