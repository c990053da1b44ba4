//! Tests against the real program and the real storage engine.
//!
//! They need `libchdb.so` (see server/store/engine); where it is absent each says so and passes.

mod engine;
mod rig;
mod server;
