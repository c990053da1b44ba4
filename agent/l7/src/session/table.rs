//! Requests and responses that wait for each other.
//!
//! In: requests under way. Out: which of them a protocol asks for, by order or by id. Never: more
//! of them than the bounds, an order that depends on hashing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use crate::record::Record;
use crate::session::response::Response;
use crate::session::{Key, Pairing};

/// A request under way, with a number of the protocol's own.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) record: Box<Record>,
    pub(super) tag: u64,
    /// No response is a response too: see [`Pairing::quiet_request`].
    pub(super) quiet: bool,
}

/// Requests and responses of one conversation that wait for each other.
#[derive(Debug, Default)]
pub(crate) struct SessionTable {
    pub(super) by_order: VecDeque<Waiting>,
    /// Requests before those that were given up: their responses are still to come.
    pub(super) expired: u64,
    pub(super) by_id: BTreeMap<u64, Waiting>,
    /// Start and id of what was put into `by_id`, oldest first; some of it is there no more.
    pub(super) ages: VecDeque<(u64, u64)>,
    pub(super) held: VecDeque<(Key, Response)>,
    /// A response came while more than one request was under way.
    pub(super) pipelined: bool,
    /// Responses may be missing: their order says nothing until the conversation was quiet.
    pub(super) suspect: bool,
    pub(super) last_ns: u64,
}

/// Responses that may wait for their requests.
pub(super) const HELD_RESPONSES: usize = 64;

/// A response seen so much before its request is that of another. unit ns
pub(super) const SKEW_NS: u64 = 10_000;

/// A conversation without a message for so long has nothing under way. unit ns
pub(super) const QUIET_NS: u64 = 200_000_000;

impl SessionTable {
    /// Sessions that wait.
    pub fn len(&self) -> usize {
        self.by_order.len() + self.by_id.len() + self.held.len()
    }
}

impl Pairing<'_> {
    /// What a response shows if nothing waits for it: its id.
    pub fn echo_of_id(&mut self, key: u64, request_id: u64) -> Option<Box<Record>> {
        if self.table.by_id.contains_key(&key) {
            return None;
        }
        let mut echo = self.record();
        echo.request_id = Some(request_id);
        Some(echo)
    }

    /// The tag of the request that the next response by order answers.
    pub fn expected_tag(&mut self) -> Option<u64> {
        self.settle_order();
        if self.table.expired > 0 {
            return None;
        }
        self.table.by_order.front().map(|waiting| waiting.tag)
    }

    /// The request that the next response by order answers.
    pub fn expected(&mut self) -> Option<&mut Record> {
        self.settle_order();
        if self.table.expired > 0 {
            return None;
        }
        self.table.by_order.front_mut().map(|waiting| &mut *waiting.record)
    }

    /// The last request by order, if it waits still.
    pub fn latest(&mut self) -> Option<&mut Record> {
        self.table.by_order.back_mut().map(|waiting| &mut *waiting.record)
    }

    /// Requests that wait by order.
    pub fn waiting_in_order(&self) -> usize {
        self.table.by_order.len()
    }

    /// Lets the request that the next response by order would answer wait under an id instead.
    pub fn expect_under(&mut self, id: u64) -> Option<&mut Record> {
        self.expected()?;
        let waiting = self.table.by_order.pop_front()?;
        self.note_age(waiting.record.start_ns, id);
        self.table.by_id.insert(id, waiting);
        self.waiting(id)
    }

    /// The tag of the request that waits under an id.
    pub fn waiting_tag(&self, id: u64) -> Option<u64> {
        self.table.by_id.get(&id).map(|waiting| waiting.tag)
    }

    /// An id in `range` that a request waits under.
    pub fn waiting_id(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.table.by_id.range(range).next().map(|(id, _)| *id)
    }

    /// The ids in `range` that requests wait under.
    pub fn waiting_ids(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = u64> {
        self.table.by_id.range(range).map(|(id, _)| *id)
    }

    /// The last id in `range` that a request waits under.
    pub fn last_waiting_id(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.table.by_id.range(range).next_back().map(|(id, _)| *id)
    }

    /// The request that waits under an id.
    pub fn waiting(&mut self, id: u64) -> Option<&mut Record> {
        self.table.by_id.get_mut(&id).map(|waiting| &mut *waiting.record)
    }

    /// Whether the next request by order is a quiet one.
    pub fn is_quiet_expected(&self) -> bool {
        self.table.by_order.front().is_some_and(|waiting| waiting.quiet)
    }

    /// After a loss: of a client that waits for each response, only the last request before a
    /// response can be what it answers.
    pub(super) fn settle_order(&mut self) {
        if !self.table.suspect || self.table.pipelined {
            return;
        }
        let now_ns = self.mark.time_ns;
        while self.table.by_order.get(1).is_some_and(|next| next.record.start_ns <= now_ns) {
            if let Some(waiting) = self.table.by_order.pop_front() {
                self.let_down(waiting);
            }
        }
        self.table.suspect = false;
    }

    /// Lets the oldest waiting request go when a bound is reached. `false`: there is none.
    pub(super) fn make_room(&mut self) -> bool {
        let limits = &self.config.limits;
        let own = self.table.by_order.len() + self.table.by_id.len();
        if own < limits.conversation_sessions && own + self.sessions_elsewhere < limits.sessions {
            return true;
        }
        self.drops.sessions += 1;
        if let Some(waiting) = self.table.by_order.pop_front() {
            self.table.expired += u64::from(!waiting.quiet);
            self.let_down(waiting);
            return true;
        }
        while let Some((start_ns, id)) = self.table.ages.pop_front() {
            let found = self.table.by_id.get(&id);
            if found.is_some_and(|waiting| waiting.record.start_ns == start_ns) {
                self.let_go(id);
                return true;
            }
        }
        false
    }

    /// Remembers the age of a request with an id; forgets those of requests that are gone when
    /// they are the most.
    pub(super) fn note_age(&mut self, start_ns: u64, id: u64) {
        let SessionTable { ages, by_id, .. } = &mut *self.table;
        if ages.len() >= 2 * by_id.len() + 64 {
            ages.retain(|(start_ns, id)| {
                by_id.get(id).is_some_and(|waiting| waiting.record.start_ns == *start_ns)
            });
        }
        ages.push_back((start_ns, id));
    }
}
