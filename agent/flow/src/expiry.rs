//! A wheel of seconds: which flows to look at when a second has passed.
//!
//! Links lie in the flows themselves ([`Link`]), so that moving one costs no memory. A flow stands
//! in the second in which something is due or an earlier one: packets mostly make it later, and a
//! flow that is looked at too early is put back.

use crate::SECOND_NS;

/// Seconds on the wheel; later ones are looked at once a turn.
const SECONDS: u32 = 512;

/// No slot.
const NONE: u32 = u32::MAX;

/// Place of a flow on the wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    prev: u32,
    next: u32,
    /// Second in which the flow is looked at.
    at_s: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { prev: NONE, next: NONE, at_s: 0 }
    }
}

impl Link {
    /// Whether the flow is looked at after this time, so that it has to be moved.
    #[inline]
    pub(crate) fn is_after(&self, due_ns: u64) -> bool {
        // It stands where the second of `due_ns` has passed, unless that is further off.
        u64::from(self.at_s) * SECOND_NS >= due_ns.saturating_add(SECOND_NS)
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
    now_s: u32,
}

impl Wheel {
    /// An empty wheel.
    pub(crate) fn new() -> Self {
        Self { heads: vec![NONE; SECONDS as usize], now_s: 0 }
    }

    /// Puts a flow that is on no list on that of the second in which `due_ns` has passed.
    pub(crate) fn insert(&mut self, links: &mut impl Links, slot: u32, due_ns: u64) {
        let at_s = self.second_of(due_ns);
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

    /// Moves a flow to an earlier second.
    pub(crate) fn move_to(&mut self, links: &mut impl Links, slot: u32, due_ns: u64) {
        self.remove(links, slot);
        self.insert(links, slot, due_ns);
    }

    /// Goes on to the next second at or before `now_s`, if there is one: its flows come into `due`,
    /// in no particular order.
    pub(crate) fn turn(&mut self, links: &mut impl Links, now_s: u32, due: &mut Vec<u32>) -> bool {
        if self.now_s >= now_s {
            return false;
        }
        // One turn meets every flow: the seconds of further turns have none of their own.
        self.now_s = (self.now_s + 1).max(now_s.saturating_sub(SECONDS - 1));
        let head = &mut self.heads[(self.now_s % SECONDS) as usize];
        let mut slot = std::mem::replace(head, NONE);
        while slot != NONE {
            due.push(slot);
            slot = links.link(slot).next;
        }
        true
    }

    /// Second that was looked at last.
    pub(crate) fn now_s(&self) -> u32 {
        self.now_s
    }

    /// Sets the clock back. Whoever calls it inserts all flows anew.
    pub(crate) fn restart(&mut self, now_s: u32) {
        self.heads.fill(NONE);
        self.now_s = now_s;
    }

    /// The first whole second at which `due_ns` has passed, within the wheel and after now.
    fn second_of(&self, due_ns: u64) -> u32 {
        let second = u32::try_from(due_ns.div_ceil(SECOND_NS)).unwrap_or(u32::MAX);
        let first = self.now_s.saturating_add(1);
        second.clamp(first, self.now_s.saturating_add(SECONDS - 1).max(first))
    }
}
