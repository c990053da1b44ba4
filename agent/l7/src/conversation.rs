//! One conversation: the bytes of a flow or socket on their way to records.

use crate::record::Output;
use crate::segment::{ConversationContext, Segment};
use crate::shared::Shared;

/// One TCP connection, UDP flow or socket.
#[derive(Debug)]
pub struct Conversation {
    context: ConversationContext,
}

impl Conversation {
    /// Nothing seen yet.
    pub fn new(context: ConversationContext) -> Self {
        Self { context }
    }

    /// Takes one segment and puts what it completes into `out`.
    pub fn on_segment(&mut self, _shared: &mut Shared, _segment: &Segment<'_>, _out: &mut Output) {
        let _ = self.context;
    }

    /// Ends the conversation: everything that waits becomes a record. Must be called before it
    /// is dropped, or `shared` counts its memory for ever.
    pub fn on_close(&mut self, _shared: &mut Shared, _time_ns: u64, _out: &mut Output) {}

    /// Gives up what waited too long. To be called about once a second while [`Self::pending`].
    pub fn expire(&mut self, _shared: &mut Shared, _now_ns: u64, _out: &mut Output) {}

    /// Sessions and segments that wait for something; 0 = `expire` has nothing to do.
    pub fn pending(&self) -> usize {
        0
    }
}
