//! The tests of `live_capture`, with the programs for kernels without BTF, whose fields are found out.
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]

#[path = "live_capture.rs"]
mod live_capture;
