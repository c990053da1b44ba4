//! Puts records into the order of their timestamps.
//!
//! In: records in the order in which their system calls ended. A send is stamped at its entry and
//! reported at its exit, so the answer it caused may come before it. Out: the same records sorted
//! by timestamp within a short hold. Never: an unbounded store, a look at the clock.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Buffers kept for reuse; a record longer than `POOL_BUFFER_BYTES` gives its buffer back.
const POOL_BUFFERS: usize = 256;
const POOL_BUFFER_BYTES: usize = 4096;

/// What one round of reading the rings brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Records read.
    pub records: usize,
    /// All that was put into any ring before this has been read; at most the time at which the round
    /// began. unit ns, the clock of the stamps
    pub until_ns: u64,
}

impl Round {
    /// A round that begins now, with nothing read.
    #[must_use]
    pub const fn begun(now_ns: u64) -> Self {
        Self { records: 0, until_ns: now_ns }
    }

    /// Adds what one ring gave. `newest_ns`: the newest stamp that was ever read of it; what it still has
    /// was put there later.
    pub const fn add(&mut self, records: usize, is_at_end: bool, newest_ns: u64) {
        self.records += records;
        if !is_at_end && newest_ns < self.until_ns {
            self.until_ns = newest_ns;
        }
    }
}

/// A heap of records that waits for those with an earlier stamp.
#[derive(Debug)]
pub struct Reorder {
    heap: BinaryHeap<Reverse<Held>>,
    pool: Vec<Vec<u8>>,
    hold_ns: u64,
    held_bytes: usize,
    held_bytes_max: usize,
    arrivals: u64,
    released_ns: u64,
    late: u64,
}

#[derive(Debug)]
struct Held {
    stamp_ns: u64,
    arrival: u64,
    record: Vec<u8>,
}

impl Reorder {
    /// Holds each record for `hold_ns` after its stamp. Above `held_bytes_max` the oldest leave
    /// early: order may suffer, nothing is lost.
    #[must_use]
    pub const fn new(hold_ns: u64, held_bytes_max: usize) -> Self {
        Self {
            heap: BinaryHeap::new(),
            pool: Vec::new(),
            hold_ns,
            held_bytes: 0,
            held_bytes_max,
            arrivals: 0,
            released_ns: 0,
            late: 0,
        }
    }

    /// Takes a copy of one record.
    pub fn push(&mut self, stamp_ns: u64, record: &[u8]) {
        let mut buffer = self.pool.pop().unwrap_or_default();
        buffer.extend_from_slice(record);
        self.held_bytes += record.len();
        self.heap.push(Reverse(Held { stamp_ns, arrival: self.arrivals, record: buffer }));
        self.arrivals += 1;
    }

    /// Gives out what has been held long enough at `until_ns`, up to which the rings were read
    /// ([`Round::until_ns`]), and what is above the byte limit. Records with the same stamp leave in
    /// the order of arrival.
    pub fn release(&mut self, until_ns: u64, mut out: impl FnMut(&[u8])) {
        while let Some(Reverse(first)) = self.heap.peek() {
            let due = first.stamp_ns.saturating_add(self.hold_ns) <= until_ns;
            if !due && self.held_bytes <= self.held_bytes_max {
                return;
            }
            let Some(Reverse(held)) = self.heap.pop() else { return };
            self.held_bytes -= held.record.len();
            if held.stamp_ns < self.released_ns {
                self.late += 1;
            }
            self.released_ns = self.released_ns.max(held.stamp_ns);
            out(&held.record);
            self.recycle(held.record);
        }
    }

    /// Gives out everything.
    pub fn flush(&mut self, out: impl FnMut(&[u8])) {
        self.release(u64::MAX, out);
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Records that left after one with a later stamp: they came too late, or memory was short.
    #[must_use]
    pub const fn late(&self) -> u64 {
        self.late
    }

    fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.pool.len() < POOL_BUFFERS && buffer.capacity() <= POOL_BUFFER_BYTES {
            buffer.clear();
            self.pool.push(buffer);
        }
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.stamp_ns, self.arrival).cmp(&(other.stamp_ns, other.arrival))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(reorder: &mut Reorder, until_ns: u64) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        reorder.release(until_ns, |record| out.push(record.to_vec()));
        out
    }

    #[test]
    fn a_send_comes_before_the_answer_it_caused() {
        let mut reorder = Reorder::new(20, 1 << 20);
        reorder.push(150, b"answer received");
        reorder.push(100, b"request sent");
        assert!(release(&mut reorder, 119).is_empty());
        assert_eq!(release(&mut reorder, 120), [b"request sent".to_vec()]);
        assert_eq!(release(&mut reorder, 170), [b"answer received".to_vec()]);
        assert!(reorder.is_empty());
        assert_eq!(reorder.late(), 0);
    }

    #[test]
    fn what_a_ring_still_has_is_waited_for() {
        let mut round = Round::begun(1000);
        round.add(3, true, 40);
        assert_eq!(round, Round { records: 3, until_ns: 1000 });
        round.add(4, false, 300);
        round.add(4, false, 700);
        assert_eq!(round, Round { records: 11, until_ns: 300 });
        round.add(1, false, 2000);
        assert_eq!(round.until_ns, 300);
    }

    #[test]
    fn equal_stamps_keep_their_order() {
        let mut reorder = Reorder::new(0, 1 << 20);
        for part in 0..100u8 {
            reorder.push(7, &[part]);
        }
        let expected: Vec<Vec<u8>> = (0..100u8).map(|part| vec![part]).collect();
        assert_eq!(release(&mut reorder, 7), expected);
    }

    #[test]
    fn the_byte_limit_lets_the_oldest_go() {
        let mut reorder = Reorder::new(1000, 10);
        reorder.push(3, &[3; 6]);
        reorder.push(1, &[1; 6]);
        assert_eq!(release(&mut reorder, 4), [vec![1; 6]]);
        reorder.push(2, &[2; 6]);
        assert_eq!(release(&mut reorder, 4), [vec![2; 6]]);
        let mut rest = Vec::new();
        reorder.flush(|record| rest.push(record.to_vec()));
        assert_eq!(rest, [vec![3; 6]]);
    }

    #[test]
    fn what_comes_too_late_is_counted_and_still_given() {
        let mut reorder = Reorder::new(10, 1 << 20);
        reorder.push(100, b"b");
        assert_eq!(release(&mut reorder, 110).len(), 1);
        reorder.push(50, b"a");
        assert_eq!(release(&mut reorder, 110), [b"a".to_vec()]);
        assert_eq!(reorder.late(), 1);
    }

    #[test]
    fn any_order_comes_out_sorted_and_whole() {
        let mut state = 88_172_645_463_325_252u64;
        let mut reorder = Reorder::new(1 << 40, usize::MAX);
        for _ in 0..10_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let stamp = state % 1_000_000;
            reorder.push(stamp, &stamp.to_le_bytes());
        }
        let mut stamps = Vec::new();
        reorder.flush(|record| {
            stamps.push(u64::from_le_bytes(record.try_into().expect("eight bytes")));
        });
        assert_eq!(stamps.len(), 10_000);
        assert!(stamps.is_sorted());
    }
}
