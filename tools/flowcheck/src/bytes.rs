//! Which bytes of one direction were seen: exactly, and by the agent's definition, which has
//! limits.

use std::collections::BTreeMap;

/// Where the first sequence number of a direction is put, so that earlier ones have room.
const MIDDLE: i64 = 1 << 40;

/// Ranges that the definition keeps apart; when there are more, the two lowest become one with the
/// hole between them.
const RANGES: usize = 256;

/// Quarter of the sequence space; a jump from the highest to the lowest is a wrap-around.
const QUARTER: i64 = 1 << 30;

/// What a segment is in the light of those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Above everything before.
    New,
    /// New, and below something seen.
    Hole,
    /// Partly new.
    Partly,
    /// All of it seen before.
    Before,
}

/// Start and end of ranges that neither touch nor overlap.
type Ranges = BTreeMap<i64, i64>;

/// Every byte, however many holes there are and however long the stream.
#[derive(Debug, Default)]
pub struct Exact {
    ranges: Ranges,
    /// End of the last segment: of all places that a number may mean the nearest one is meant.
    near: Option<i64>,
}

impl Exact {
    /// Enters a segment of `len > 0`.
    pub fn insert(&mut self, seq: u32, len: u64) -> Seen {
        let near = self.near.unwrap_or(MIDDLE | i64::from(seq));
        let start = near + i64::from(seq.wrapping_sub(near as u32) as i32);
        let end = start + len as i64;
        self.near = Some(end);
        enter(&mut self.ranges, start, end)
    }
}

/// By definition: numbers as they are, 256 ranges, anew after a wrap-around.
#[derive(Debug, Default)]
pub struct Defined {
    ranges: Ranges,
    before_wrap: Ranges,
    /// Whether the direction has wrapped around.
    pub has_wrapped: bool,
}

impl Defined {
    /// Enters a segment of `len > 0`.
    pub fn insert(&mut self, seq: u32, len: u64) -> Seen {
        let (start, end) = (i64::from(seq), i64::from(seq) + len as i64);
        if end > i64::from(u32::MAX) {
            self.has_wrapped = true;
            return Seen::New;
        }
        let top = self.ranges.last_key_value().map_or(0, |(_, end)| *end);
        if start < QUARTER && top > 3 * QUARTER {
            self.before_wrap = std::mem::take(&mut self.ranges);
            self.has_wrapped = true;
        } else if start > 3 * QUARTER && (1..QUARTER).contains(&top) {
            let known = covers(&self.before_wrap, start, end);
            self.has_wrapped = true;
            return if known { Seen::Before } else { Seen::New };
        } else if top > QUARTER {
            self.before_wrap.clear();
        }
        let seen = enter(&mut self.ranges, start, end);
        if self.ranges.len() > RANGES {
            let lowest: Vec<(i64, i64)> =
                self.ranges.iter().take(2).map(|(from, to)| (*from, *to)).collect();
            if let [(from, _), (second, to)] = lowest[..] {
                self.ranges.remove(&second);
                self.ranges.insert(from, to);
            }
        }
        seen
    }
}

fn covers(ranges: &Ranges, start: i64, end: i64) -> bool {
    ranges.range(..=start).next_back().is_some_and(|(_, to)| end <= *to)
}

fn enter(ranges: &mut Ranges, start: i64, end: i64) -> Seen {
    let top = ranges.last_key_value().map_or(i64::MIN, |(_, end)| *end);
    let touching: Vec<(i64, i64)> = ranges
        .range(..=end)
        .rev()
        .take_while(|(_, to)| **to >= start)
        .map(|(from, to)| (*from, *to))
        .collect();
    let seen = if covers(ranges, start, end) {
        Seen::Before
    } else if touching.iter().any(|(from, to)| *from < end && start < *to) {
        Seen::Partly
    } else if start < top {
        Seen::Hole
    } else {
        Seen::New
    };
    let (mut from, mut to) = (start, end);
    for (other_from, other_to) in touching {
        ranges.remove(&other_from);
        (from, to) = (from.min(other_from), to.max(other_to));
    }
    ranges.insert(from, to);
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_segment() {
        let (mut exact, mut defined) = (Exact::default(), Defined::default());
        let cases = [
            (100, 10, Seen::New),
            (110, 10, Seen::New),
            (105, 10, Seen::Before),
            (140, 10, Seen::New),
            (125, 5, Seen::Hole),
            (118, 10, Seen::Partly),
            (118, 12, Seen::Before),
            (50, 10, Seen::Hole),
        ];
        for (seq, len, seen) in cases {
            assert_eq!((exact.insert(seq, len), defined.insert(seq, len)), (seen, seen));
        }
    }

    #[test]
    fn numbers_that_wrap_around() {
        let (mut exact, mut defined) = (Exact::default(), Defined::default());
        let cases = [
            (u32::MAX - 99, 50, Seen::New, Seen::New),
            (u32::MAX - 49, 70, Seen::New, Seen::New),
            (20, 10, Seen::New, Seen::New),
            (u32::MAX - 99, 50, Seen::Before, Seen::Before),
            (u32::MAX - 199, 50, Seen::Hole, Seen::New),
            (0, 20, Seen::Before, Seen::Hole),
        ];
        for (seq, len, seen, by_definition) in cases {
            assert_eq!((exact.insert(seq, len), defined.insert(seq, len)), (seen, by_definition));
        }
        assert!(defined.has_wrapped);
    }

    #[test]
    fn the_limit_of_ranges() {
        let (mut exact, mut defined) = (Exact::default(), Defined::default());
        for n in 0..=RANGES as u32 {
            exact.insert(100 + n * 100, 10);
            defined.insert(100 + n * 100, 10);
        }
        assert_eq!(exact.insert(150, 10), Seen::Hole);
        assert_eq!(defined.insert(150, 10), Seen::Before);
    }
}
