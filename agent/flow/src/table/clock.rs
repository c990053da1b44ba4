//! The passing of time: seconds that are over, flows that were silent for too long.

use schema::CloseType;

use super::{FlowTable, TIME_MAX_NS};
use crate::SECOND_NS;
use crate::info::Sink;
use crate::minute;

/// A clock that is this much behind was set back; less is the disorder of several sources.
const CLOCK_STEP_NS: u64 = 10 * SECOND_NS;

/// Entries above which a list that is nearly empty is made smaller.
const RESERVE: usize = 4096;

impl FlowTable {
    /// Lets time pass: hands out seconds and minutes that are over and ends flows that were silent
    /// for too long. Every silent flow has a tick in the first second of a minute too, which may
    /// be without packets, so that flows can be counted.
    pub fn tick(&mut self, now_ns: u64, out: &mut impl Sink) {
        // Nearly always the same second as before.
        if now_ns / SECOND_NS <= self.now_ns / SECOND_NS {
            if now_ns.saturating_add(CLOCK_STEP_NS) < self.now_ns {
                self.step_back(now_ns, out);
            }
            return;
        }
        self.next_second(now_ns.min(TIME_MAX_NS), out);
    }

    /// The capture is over: every flow ends as it would after endless silence, in the order of
    /// those ends.
    pub fn flush(&mut self, now_ns: u64, out: &mut impl Sink) {
        self.tick(now_ns, out);
        let order = |(slot, flow): (u32, &super::Flow)| (flow.deadline_ns, flow.generation, slot);
        let mut ends: Vec<(u64, u32, u32)> = self.flows.iter().map(order).collect();
        ends.sort_unstable();
        for (deadline_ns, _, slot) in ends {
            self.wheel.remove(&mut self.flows, slot);
            self.close(slot, deadline_ns, None, out);
        }
    }

    /// The agent stops: every flow is reported as it stands, not judged.
    pub fn stop(&mut self, now_ns: u64, out: &mut impl Sink) {
        self.tick(now_ns, out);
        let slots: Vec<u32> = self.flows.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.wheel.remove(&mut self.flows, slot);
            self.close(slot, now_ns, Some(CloseType::ForcedReport), out);
        }
    }

    fn next_second(&mut self, now_ns: u64, out: &mut impl Sink) {
        let now_s = (now_ns / SECOND_NS) as u32;
        let before_s = (self.now_ns / SECOND_NS) as u32;
        let new_minute = now_s / minute::PERIOD_S != before_s / minute::PERIOD_S;
        self.now_ns = now_ns;
        // Ends first: a flow that has ended in a second has one tick for it.
        let mut due = std::mem::take(&mut self.due);
        while self.wheel.turn(&mut self.flows, now_s, &mut due) {
            self.look_at(&mut due, now_ns, out);
        }
        self.due = due;
        self.hand_out_seconds(now_s, out);
        if new_minute {
            self.count_silent_flows(now_s);
        }
        self.shrink();
    }

    /// Ends the flows whose time is up, reports minutes that are over, and puts back those that
    /// go on.
    fn look_at(&mut self, due: &mut Vec<u32>, now_ns: u64, out: &mut impl Sink) {
        let flows = &self.flows;
        due.sort_unstable_by_key(|slot| {
            flows.get(*slot).map(|flow| (flow.deadline_ns, flow.generation))
        });
        let second = self.wheel.now_s();
        for slot in due.drain(..) {
            let Some(flow) = self.flows.get_mut(slot) else { continue };
            if flow.deadline_ns <= minute::begin_ns(second).min(now_ns) {
                let deadline_ns = flow.deadline_ns;
                self.close(slot, deadline_ns, None, out);
                continue;
            }
            if flow.is_active && flow.tick_s < second {
                flow.hand_out(slot, None, &mut self.parts, out);
                unmark(&mut self.active, slot);
            }
            flow.end_minute(slot, second, &mut self.parts, out);
            let due_ns = flow.due_ns();
            self.wheel.insert(&mut self.flows, slot, due_ns);
        }
    }

    pub(super) fn mark_active(&mut self, slot: u32) {
        let (word, bit) = place(slot);
        if self.active.len() <= word {
            self.active.resize(word + 1, 0);
        }
        self.active[word] |= bit;
    }

    pub(super) fn unmark_active(&mut self, slot: u32) {
        unmark(&mut self.active, slot);
    }

    /// Hands out the seconds before `until_s`.
    fn hand_out_seconds(&mut self, until_s: u32, out: &mut impl Sink) {
        let now_s = (self.now_ns / SECOND_NS) as u32;
        for (place, word) in self.active.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                let slot = place as u32 * u64::BITS + bit;
                let Some(flow) = self.flows.get_mut(slot) else { continue };
                if flow.tick_s >= until_s {
                    continue;
                }
                *word &= !(1 << bit);
                flow.hand_out(slot, None, &mut self.parts, out);
                // A minute that began with it may be over, or due before anything else is.
                flow.end_minute(slot, now_s, &mut self.parts, out);
                let due_ns = flow.due_ns();
                if flow.link.is_after(due_ns) {
                    self.wheel.move_to(&mut self.flows, slot, due_ns);
                }
            }
        }
    }

    /// Opens the second for flows that have no packets in it yet: what they do in it, their end
    /// included, comes in one tick.
    fn count_silent_flows(&mut self, now_s: u32) {
        for slot in 0..self.flows.places() as u32 {
            let Some(flow) = self.flows.get_mut(slot) else { continue };
            if !std::mem::replace(&mut flow.is_active, true) {
                flow.tick_s = now_s;
                self.mark_active(slot);
            }
        }
    }

    /// Gives back the memory of flows that are gone.
    fn shrink(&mut self) {
        self.flows.shrink();
        self.parts.shrink();
        self.index.shrink();
        self.active.truncate(self.flows.places().div_ceil(u64::BITS as usize));
        self.active.shrink_to(RESERVE.max(self.active.len() * 2));
        if self.due.capacity() > RESERVE.max(self.flows.len() * 8) {
            self.due.shrink_to(self.flows.len() / 4);
        }
    }

    /// The clock was set back: deadlines count from now.
    fn step_back(&mut self, now_ns: u64, out: &mut impl Sink) {
        self.stats.clock_steps += 1;
        self.hand_out_seconds(u32::MAX, out);
        self.now_ns = now_ns;
        self.wheel.restart((now_ns / SECOND_NS) as u32);
        for slot in 0..self.flows.places() as u32 {
            let Some(flow) = self.flows.get_mut(slot) else { continue };
            flow.seen_ns = flow.seen_ns.min(now_ns);
            let timeout_ns = flow.state.timeout_ns(&self.config.timeouts);
            flow.deadline_ns = now_ns.saturating_add(timeout_ns);
            let due_ns = flow.due_ns();
            self.wheel.insert(&mut self.flows, slot, due_ns);
        }
    }
}

/// Word and bit of a slot.
fn place(slot: u32) -> (usize, u64) {
    ((slot / u64::BITS) as usize, 1 << (slot % u64::BITS))
}

fn unmark(active: &mut [u64], slot: u32) {
    let (word, bit) = place(slot);
    if let Some(word) = active.get_mut(word) {
        *word &= !bit;
    }
}
