//! From bytes to rows: the threads' work between sources and export.
//!
//! ```text
//! packets → wire → flow → l7 ┐
//!                            ├→ stage (owners, meter, rows) → batches
//! system calls ──────── l7 ┘
//! ```
//! Each pipeline belongs to one thread and shares nothing but the table of socket owners.

mod file_rows;
mod followed;
mod health_checks;
mod l4_rows;
mod l7_rows;
mod packets;
mod plugins;
mod seen;
mod sockets;
mod stage;

pub use packets::{End, METRICS_DELAY_S, PacketPipeline, PacketSettings};
pub use seen::Owners;
pub use sockets::SocketPipeline;
pub use stage::Stage;

#[cfg(test)]
mod tests;
