//! Questions to the store.
//!
//! In: a read-only ClickHouse statement of a user. Out: its answer in DeepFlow's JSON shape, within
//! limits of rows, time and memory. Never: a statement that changes anything, or that reads outside
//! of the store: such are refused here by their text, and once more by the engine (`readonly`).

mod answer;
pub mod guard;
mod run;

pub use answer::{Answer, Failure, Schema};
pub use run::{Limits, Outcome, Querier, QueryError};
