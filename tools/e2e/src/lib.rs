//! The end-to-end test and what it is made of: the system, real servers, real clients, questions.
//!
//! In: programs that were built, packages that are installed. Out: checks of exact counts in the
//! stored tables. `bench` uses the same parts to measure. Everything it starts is on loopback and
//! is ended again by its id.

pub mod clients;
pub mod exchanges;
pub mod http;
pub mod lab;
pub mod process;
pub mod query;
pub mod relay;
pub mod report;
pub mod scenarios;
pub mod servers;
pub mod system;
pub mod telemetry;
