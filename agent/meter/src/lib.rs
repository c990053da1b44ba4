//! Metrics: what flows and requests did, summed by second and minute.
//!
//! In: `l7::Stat`s and seconds of flows with the [`Edge`] they belong to. Out: batches of the four
//! kinds of documents (`network`, `network_map`, `application`, `application_map`). Never: I/O, a
//! clock (time is an argument), sampling: what is measured here is exact.

mod application;
mod edge;
mod meter;
mod network;
mod point;
mod requests;
mod window;

pub use edge::{Edge, Process};
pub use meter::Meter;
pub use network::Latency;
pub use requests::RequestSum;

/// `capture_network_type_id` of everything captured on a host: the cloud network.
pub const CLOUD_NETWORK: u8 = 3;
