//! Fuzz targets of everything that reads what strangers send: packets, capture files, payloads,
//! kernel events, messages between agent and server.
//!
//! In: any bytes. Out: nothing, or a panic that says which property did not hold. Each target runs
//! under libFuzzer (`cargo xtask fuzz`) and, over the corpora of this folder, as an ordinary test.
//! Never: I/O in a target, a clock, anything that makes two runs of an input differ.

mod capture;
mod conversation;
pub mod corpus;
mod flows;
mod input;
mod seeds;
mod server;
mod target;

pub use target::Target;
