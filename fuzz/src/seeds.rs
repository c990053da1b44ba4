//! Inputs to begin with: cases of `agent/l7/testdata`, frames by `wire::build`, files and messages
//! by hand.

mod cases;
mod files;
mod frames;

pub(crate) use cases::conversations;
pub(crate) use files::{captures, events, messages};
pub(crate) use frames::{flows, frames};
