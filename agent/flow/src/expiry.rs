//! A wheel of seconds: which flows to look at when a second has passed.
//!
//! Links lie in the flows themselves ([`Link`]), so that moving one costs no memory. A flow stands
//! in the second of its deadline or an earlier one: packets only make deadlines later, and a flow
//! that is looked at too early is put back.

/// Seconds on the wheel; later deadlines are looked at once a turn.
const SECONDS: u64 = 512;

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// Place of a flow on the wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    prev: u32,
    next: u32,
    /// Second in which the flow is looked at.
    at_s: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self { prev: NONE, next: NONE, at_s: 0 }
    }
}

/// Access to the links of flows by slot.
pub(crate) trait Links {
    /// The link of the flow in this slot, which is taken.
    fn link(&mut self, slot: u32) -> &mut Link;
}

/// The wheel.
#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Vec<u32>,
    now_s: u64,
}

impl Wheel {
    /// An empty wheel.
    pub(crate) fn new() -> Self {
        Self { heads: vec![NONE; SECONDS as usize], now_s: 0 }
    }

    /// Puts a flow that is on no list on that of its deadline.
    pub(crate) fn insert(&mut self, links: &mut impl Links, slot: u32, deadline_ns: u64) {
        let at_s = self.second_of(deadline_ns);
        let head = std::mem::replace(&mut self.heads[(at_s % SECONDS) as usize], slot);
        *links.link(slot) = Link { prev: NONE, next: head, at_s };
        if head != NONE {
            links.link(head).prev = slot;
        }
    }

    /// Takes a flow off its list.
    pub(crate) fn remove(&mut self, links: &mut impl Links, slot: u32) {
        let Link { prev, next, at_s } = *links.link(slot);
        if prev == NONE {
            self.heads[(at_s % SECONDS) as usize] = next;
        } else {
            links.link(prev).next = next;
        }
        if next != NONE {
            links.link(next).prev = prev;
        }
    }

    /// Moves a flow whose deadline became earlier than the second it stands in.
    pub(crate) fn advance(&mut self, links: &mut impl Links, slot: u32, deadline_ns: u64) {
        if self.second_of(deadline_ns) < links.link(slot).at_s {
            self.remove(links, slot);
            self.insert(links, slot, deadline_ns);
        }
    }

    /// Seconds to look at until `now_s`, in order; each at most once.
    pub(crate) fn seconds_until(&mut self, now_s: u64) -> std::ops::RangeInclusive<u64> {
        let first = (self.now_s + 1).max(now_s.saturating_sub(SECONDS - 1));
        self.now_s = self.now_s.max(now_s);
        first..=now_s
    }

    /// Every second of the wheel from now on, for the end of a capture.
    pub(crate) fn all_seconds(&self) -> std::ops::Range<u64> {
        self.now_s..self.now_s + SECONDS
    }

    /// Empties the list of a second into `due`, in no particular order.
    pub(crate) fn take(&mut self, links: &mut impl Links, second: u64, due: &mut Vec<u32>) {
        let mut slot = std::mem::replace(&mut self.heads[(second % SECONDS) as usize], NONE);
        while slot != NONE {
            due.push(slot);
            slot = links.link(slot).next;
        }
    }

    /// Sets the clock back (or to its first value). Whoever calls it inserts all flows anew.
    pub(crate) fn restart(&mut self, now_s: u64) {
        self.heads.fill(NONE);
        self.now_s = now_s;
    }

    /// The first whole second at which a deadline has passed, within the wheel and after now.
    fn second_of(&self, deadline_ns: u64) -> u64 {
        deadline_ns.div_ceil(crate::SECOND_NS).clamp(self.now_s + 1, self.now_s + SECONDS - 1)
    }
}
