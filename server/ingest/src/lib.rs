//! Takes batches of rows from agents and makes them durable.
//!
//! In: batches over QUIC, one connection an agent, one stream a signal. Out: one insert a table
//! and write-ahead log segment, through [`Sink`], with the server's columns filled from
//! [`Enrich`]. A batch is acknowledged only when it is on disk; a batch sent again is recognised
//! by (agent, stream, sequence). Never: a row acknowledged and then lost or doubled, or memory
//! that grows with what peers send.

mod columns;
mod config;
mod data;
mod endpoint;
mod enrich;
mod enrol;
mod messages;
mod server;
mod session;
mod sink;
mod socket;
mod stats;
mod wal;
mod writer;
mod xxh64;

pub use columns::trace_id_index;
pub use config::IngestConfig;
pub use enrich::{AgentRegistration, EndKey, EndTags, Enrich, EnrichError};
pub use server::{IngestError, IngestHandle, start};
pub use sink::{Sink, SinkError};
pub use stats::{IngestStats, Refusal};
pub use wal::WalError;
