//! Runs plug-ins in WebAssembly that read protocols of the user's own.
//!
//! In: a module that speaks the interface of docs/plugins.md; first bytes and messages of
//! conversations (`l7::Plugin`). Out: verdicts and messages. A call that traps, takes too long or
//! too much memory is a fault: it is counted, the instance starts anew, and after too many faults
//! the plug-in is switched off. Never: a file read, a clock, anything of the host but the bytes of
//! the conversation, or a fault that reaches another plug-in.

mod host;
mod instance;
mod message;
mod module;

pub use instance::Instance;
pub use module::{ABI_VERSION, Limits, LoadError, Module};

#[cfg(test)]
mod tests;
