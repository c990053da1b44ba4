//! Protocols of the user's own: what a runtime of plug-ins offers, and what it is asked.
//!
//! In: first bytes of conversations nobody knows, then bytes from the start of a message. Out: a
//! verdict, messages with their columns. The runtime (`agent/plugin`) bounds time and memory of
//! each call; here it is only a trait, so that this crate stays pure. Never: a plug-in's fault
//! beyond its own conversations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schema::L7Protocol;

use crate::protocol::{Probe, ProbeContext};
use crate::record::Record;
use crate::segment::{Direction, Transport};

/// A protocol that is not known when this crate is built. One instance per pipeline thread.
pub trait Plugin: std::fmt::Debug + Send {
    /// What its records call the protocol.
    fn name(&self) -> &str;

    /// Looks at the first bytes of a direction.
    fn probe(&mut self, first: &[u8], origin: PluginOrigin) -> PluginVerdict;

    /// Reads one message from the front of `bytes`, which are not empty, and puts what it found
    /// into `messages`, which is empty.
    fn parse(
        &mut self,
        conversation: u64,
        input: PluginInput<'_>,
        messages: &mut Vec<PluginMessage>,
    ) -> PluginStep;

    /// A conversation ended: what is kept of it can go.
    fn close(&mut self, conversation: u64);

    /// It was switched off after too many faults.
    fn is_disabled(&self) -> bool;

    /// Calls that failed since the last time.
    fn take_faults(&mut self) -> u64;

    /// What it and the runtime have to say since the last time, a bounded number of lines.
    fn take_lines(&mut self) -> Vec<String>;
}

/// Where first bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginOrigin {
    /// Who would have sent them.
    pub direction: Direction,
    /// What carries them.
    pub transport: Transport,
    /// Port of the server.
    pub server_port: u16,
}

/// What a plug-in says of first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginVerdict {
    /// None of its own.
    No,
    /// Its own.
    Certain,
    /// Perhaps; the other direction must look like it too.
    Possible,
    /// Too short to tell.
    Short,
}

/// Bytes to read a message from.
#[derive(Clone, Copy, Debug)]
pub struct PluginInput<'a> {
    /// Who sent them.
    pub direction: Direction,
    /// From the start of a message.
    pub bytes: &'a [u8],
    /// What follows was not captured: waiting for more is in vain.
    pub is_cut: bool,
    /// The bytes are one whole datagram.
    pub is_datagram: bool,
}

/// What a plug-in made of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginStep {
    /// A message of so many bytes, at least 1; those beyond the input are passed over.
    Used(u64),
    /// Not before there are so many bytes.
    Need(usize),
    /// They make no sense, or the call failed.
    Lost,
}

/// Which half of a session a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginMessageKind {
    /// Waits for its response.
    Request,
    /// Answers a request.
    Response,
    /// Has no response.
    OneWay,
}

/// A message that a plug-in found.
#[derive(Clone, Debug)]
pub struct PluginMessage {
    /// Which half of a session it is.
    pub kind: PluginMessageKind,
    /// Id by which request and response find each other; `None`: by order.
    pub key: Option<u64>,
    /// Its columns: of a request those of requests, of a response those of responses.
    pub fields: Box<Record>,
}

/// A plug-in of one thread, shared by its conversations.
#[derive(Clone, Debug)]
pub(crate) struct PluginHandle {
    /// Only one thread ever locks it: there is nothing to wait for.
    plugin: Arc<Mutex<Numbered>>,
}

#[derive(Debug)]
struct Numbered {
    plugin: Box<dyn Plugin>,
    conversations: u64,
}

impl PluginHandle {
    pub fn new(plugin: Box<dyn Plugin>) -> Self {
        Self { plugin: Arc::new(Mutex::new(Numbered { plugin, conversations: 0 })) }
    }

    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.plugin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls it.
    pub fn with<T>(&self, call: impl FnOnce(&mut dyn Plugin) -> T) -> T {
        call(&mut *self.lock().plugin)
    }

    /// The number of a new conversation.
    pub fn next_conversation(&self) -> u64 {
        let mut numbered = self.lock();
        numbered.conversations += 1;
        numbered.conversations
    }

    /// Asks it about first bytes.
    pub fn probe(&self, first: &[u8], context: &ProbeContext) -> Probe {
        let ProbeContext { direction, transport, server_port, .. } = *context;
        let origin = PluginOrigin { direction, transport, server_port };
        match self.with(|plugin| plugin.probe(first, origin)) {
            PluginVerdict::No => Probe::No,
            PluginVerdict::Certain => Probe::Certain,
            PluginVerdict::Possible => Probe::Possible,
            PluginVerdict::Short if context.cut => Probe::No,
            PluginVerdict::Short => Probe::Short,
        }
    }
}

impl PluginMessage {
    /// One in which nothing is known yet.
    pub fn new(kind: PluginMessageKind, key: Option<u64>) -> Self {
        Self { kind, key, fields: Box::new(Record::new(L7Protocol::Custom)) }
    }
}
