//! Puts records into the order of their timestamps.
//!
//! In: records in the order in which their system calls ended. A send is stamped at its entry and
//! reported at its exit, so the answer it caused may come before it. Out: the same records sorted
//! by timestamp within a short hold. Never: an unbounded store, a look at the clock.
//!
//! Most come in order, and form a queue; those that do not are in a heap beside it: sends that waited long,
//! and all records of a second ring. Their bytes lie one after the other as they came, in chunks that are
//! written again once all their records have left.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Bytes of a chunk; a record that is longer has one of its own.
const CHUNK_BYTES: usize = 64 << 10;
/// Empty chunks kept for reuse: 20 ms of 100,000 small records a second.
const SPARE_CHUNKS: usize = 8;

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

/// Records that wait for those with an earlier stamp.
#[derive(Debug)]
pub struct Reorder {
    /// Each at least as new as the one before it.
    queue: VecDeque<Held>,
    /// The others.
    out_of_order: BinaryHeap<Reverse<Held>>,
    arrivals: u64,
    chunks: Chunks,
    hold_ns: u64,
    held_bytes: usize,
    held_bytes_max: usize,
    released_ns: u64,
    late: u64,
}

/// By stamp, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    stamp_ns: u64,
    arrival: u64,
    place: Place,
}

impl Reorder {
    /// Holds each record for `hold_ns` after its stamp. Above `held_bytes_max` the oldest leave
    /// early: order may suffer, nothing is lost.
    #[must_use]
    pub const fn new(hold_ns: u64, held_bytes_max: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            out_of_order: BinaryHeap::new(),
            arrivals: 0,
            chunks: Chunks { chunks: VecDeque::new(), first: 0, spare: Vec::new() },
            hold_ns,
            held_bytes: 0,
            held_bytes_max,
            released_ns: 0,
            late: 0,
        }
    }

    /// Takes a copy of one record.
    pub fn push(&mut self, stamp_ns: u64, record: &[u8]) {
        self.held_bytes += record.len();
        let held = Held { stamp_ns, arrival: self.arrivals, place: self.chunks.push(record) };
        self.arrivals += 1;
        if self.queue.back().is_none_or(|last| last.stamp_ns <= stamp_ns) {
            self.queue.push_back(held);
        } else {
            self.out_of_order.push(Reverse(held));
        }
    }

    /// Gives out what has been held long enough at `until_ns`, up to which the rings were read
    /// ([`Round::until_ns`]), and what is above the byte limit. Records with the same stamp leave in
    /// the order of arrival.
    pub fn release(&mut self, until_ns: u64, mut out: impl FnMut(&[u8])) {
        while let Some((first, is_out_of_order)) = self.first() {
            let due = first.stamp_ns.saturating_add(self.hold_ns) <= until_ns;
            if !due && self.held_bytes <= self.held_bytes_max {
                return;
            }
            let Held { stamp_ns, place, .. } = first;
            if is_out_of_order {
                self.out_of_order.pop();
            } else {
                self.queue.pop_front();
            }
            self.held_bytes -= place.bytes;
            if stamp_ns < self.released_ns {
                self.late += 1;
            }
            self.released_ns = self.released_ns.max(stamp_ns);
            out(self.chunks.record(&place));
            self.chunks.leave(&place);
        }
    }

    /// The oldest, and whether it is out of order.
    fn first(&self) -> Option<(Held, bool)> {
        let queued = self.queue.front().map(|held| (*held, false));
        let other = self.out_of_order.peek().map(|Reverse(held)| (*held, true));
        match (queued, other) {
            (Some(queued), Some(other)) => Some(queued.min(other)),
            (queued, other) => queued.or(other),
        }
    }

    /// Gives out everything.
    pub fn flush(&mut self, out: impl FnMut(&[u8])) {
        self.release(u64::MAX, out);
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.out_of_order.is_empty()
    }

    /// Records that left after one with a later stamp: they came too late, or memory was short.
    #[must_use]
    pub const fn late(&self) -> u64 {
        self.late
    }
}

/// Bytes of records, in the order in which they came.
#[derive(Debug)]
struct Chunks {
    chunks: VecDeque<Chunk>,
    /// Number of the first one.
    first: u64,
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// Records that have not left.
    records: usize,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    chunk: u64,
    at: usize,
    bytes: usize,
}

impl Chunks {
    fn push(&mut self, record: &[u8]) -> Place {
        let has_room = |chunk: &Chunk| chunk.bytes.len() + record.len() <= CHUNK_BYTES;
        if !self.chunks.back().is_some_and(has_room) {
            let bytes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES));
            self.chunks.push_back(Chunk { bytes, records: 0 });
        }
        let chunk = self.first + self.chunks.len() as u64 - 1;
        let mut at = 0;
        if let Some(last) = self.chunks.back_mut() {
            at = last.bytes.len();
            last.bytes.extend_from_slice(record);
            last.records += 1;
        }
        Place { chunk, at, bytes: record.len() }
    }

    fn record(&self, place: &Place) -> &[u8] {
        let chunk = self.chunks.get((place.chunk - self.first) as usize);
        chunk
            .and_then(|chunk| chunk.bytes.get(place.at..place.at + place.bytes))
            .unwrap_or_default()
    }

    /// A record has left.
    fn leave(&mut self, place: &Place) {
        if let Some(chunk) = self.chunks.get_mut((place.chunk - self.first) as usize) {
            chunk.records -= 1;
        }
        while self.chunks.front().is_some_and(|chunk| chunk.records == 0) {
            let Some(Chunk { mut bytes, .. }) = self.chunks.pop_front() else { return };
            self.first += 1;
            if self.spare.len() < SPARE_CHUNKS && bytes.capacity() <= CHUNK_BYTES {
                bytes.clear();
                self.spare.push(bytes);
            }
        }
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
    fn records_of_any_length_keep_their_bytes_and_chunks_are_used_again() {
        let mut reorder = Reorder::new(100, usize::MAX);
        for round in 0..50u64 {
            for nth in 0..40u64 {
                // The third of each four is late.
                let stamp_ns = round * 1000 + nth - if nth % 4 == 2 { 2 } else { 0 };
                let bytes = [nth as u8].repeat((nth as usize * 7919) % (CHUNK_BYTES + 5000));
                reorder.push(stamp_ns, &bytes);
            }
            let mut seen = 0;
            reorder.release(round * 1000 + 200, |record| {
                let nth = record.first().copied().map_or(0, usize::from);
                assert_eq!(record.len(), (nth * 7919) % (CHUNK_BYTES + 5000));
                assert!(record.iter().all(|byte| usize::from(*byte) == nth));
                seen += 1;
            });
            assert_eq!(seen, 40);
            assert!(reorder.chunks.chunks.is_empty() && reorder.held_bytes == 0);
        }
        assert!((1..=SPARE_CHUNKS).contains(&reorder.chunks.spare.len()));
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
