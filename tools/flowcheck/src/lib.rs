//! Compares the agent's flows with what tshark reads in the same captures.
//!
//! In: the agent's program, capture files. Out: for each flow and quantity whether both agree, by
//! which named rules they differ, or that nothing explains the difference. Never: a tolerance; the
//! agent's own code.

pub mod agent;
mod bytes;
pub mod capture;
mod context;
mod flow;
mod handshake;
mod judge;
pub mod packet;
pub mod quantity;
pub mod report;
pub mod rule;
mod segment;
pub mod tshark;

pub use judge::Finding;
