//! Where data comes from: live packets, capture files, BPF programs.
//!
//! In: the kernel, or a file. Out: borrowed frames and events, in the order in which they came.
//! Never: a look into payloads, a queue without a bound, a loss without a counter.

pub mod bpf;
pub mod packet;
mod perf_event;
pub mod priority;
pub mod processors;
pub mod replay;
pub mod tls;
