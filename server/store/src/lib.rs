//! The store: ClickHouse, run as a child process or reached over the network.
//!
//! In: columns of rows from ingest, names from the inventory, statements from query. Out: durable
//! rows, answers. `engine` is the child's side (libchdb behind ClickHouse's HTTP interface),
//! `supervisor` keeps it alive, `client` speaks to it, `migrate` brings the tables into shape,
//! `writer` inserts. Never: an acknowledged row lost by the death of any of these processes.

pub mod client;
pub mod engine;
pub mod migrate;
pub mod native;
pub mod retention;
pub mod supervisor;
pub mod tags;
mod views;
pub mod writer;

pub use client::{Client, Endpoint, StoreError};
pub use supervisor::{ChildConfig, EngineState, Supervisor, SupervisorError};
pub use writer::Writer;
