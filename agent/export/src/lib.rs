//! Hands what the agent measured to the server, exactly once, with a count of every loss.
//!
//! In: batches of rows, from any thread. Out: encoded batches over QUIC; what is not yet
//! acknowledged is in memory, then in a bounded disk spool. Never: a caller that waits, memory or
//! disk above a limit, or a row that is not counted: per table and at any time
//! observed = acknowledged + waiting + Σ dropped{reason}, over restarts and kills.
//!
//! ```text
//! submit ─▶ intake (bounded queue) ─▶ encode ─▶ holdings (ledger, memory, spool) ─▶ session (QUIC)
//! ```
//! Rows in the intake when the agent is killed were never observed by the ledger; they are there
//! for some milliseconds.

mod config;
mod exporter;
mod holdings;
mod identity;
mod intake;
mod ledger;
mod link;
mod session;
mod spool;
mod throttle;
mod totals;

pub use config::{ExportConfig, TokenSource};
pub use exporter::{ExportError, ExportStats, Exporter};
pub use identity::IdentityError;
pub use totals::{Subject, Totals};
