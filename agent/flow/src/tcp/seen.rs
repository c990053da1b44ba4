//! Which sequence numbers of one direction were seen, in ranges.

/// Ranges kept; when there would be more, the two lowest become one with the hole between them,
/// so that data which fills that hole counts as sent again. A connection that loses 2 % of its
/// segments before the place of capture has some dozens of holes open.
const RANGES: usize = 256;

/// Quarters of the sequence space between which a jump is taken for a wrap-around (once in 4 GiB).
const LOW_QUARTER: u32 = 0x4000_0000;
const HIGH_QUARTER: u32 = 0xc000_0000;

/// What a segment was in the light of those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Not seen before, or not judged.
    New,
    /// Not seen before, and below data that was: it came out of order.
    Filling,
    /// All of it seen before.
    Before,
    /// Some of it seen before.
    Overlapping,
}

/// The ranges, lowest first. Nearly every connection has just one, so the others are apart.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// The highest range.
    top: Range,
    /// Those below it, and what was seen before a wrap-around.
    lower: Option<Box<Lower>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Range {
    start: u32,
    /// After the last; equal to `start` before the first segment.
    end: u32,
}

#[derive(Debug, Default)]
struct Lower {
    /// Lowest first, fewer than `RANGES`.
    ranges: Vec<Range>,
    /// All ranges before the last wrap-around, until data has left the lowest quarter.
    before_wrap: Vec<Range>,
}

impl Segments {
    /// Enters the segment `[seq, seq + len)`, `len > 0`.
    ///
    /// Sequence numbers are compared as they are, and the first segment after a wrap-around starts
    /// anew. A segment across the wrap-around is not judged; a late one from before it only counts
    /// as seen before when it was.
    pub(super) fn insert(&mut self, seq: u32, len: u32) -> Seen {
        let Some(end) = seq.checked_add(len) else { return Seen::New };
        let new = Range { start: seq, end };
        let is_first = self.top.end == self.top.start;
        let wrapped = seq < LOW_QUARTER && self.top.end > HIGH_QUARTER;
        if is_first || wrapped {
            let before_wrap = if wrapped { self.all().collect() } else { Vec::new() };
            let lower = wrapped.then(|| Box::new(Lower { before_wrap, ..Lower::default() }));
            *self = Self { top: new, lower };
            return Seen::New;
        }
        if seq > HIGH_QUARTER && self.top.end < LOW_QUARTER {
            let mut before = self.lower.iter().flat_map(|lower| &lower.before_wrap);
            let is_known = before.any(|range| new.is_in(*range));
            return if is_known { Seen::Before } else { Seen::New };
        }
        if self.top.end > LOW_QUARTER
            && let Some(lower) = &mut self.lower
        {
            lower.before_wrap = Vec::new();
        }
        if new.start == self.top.end {
            self.top.end = new.end;
            return Seen::New;
        }
        if new.start > self.top.end {
            self.push_top(new);
            return Seen::New;
        }
        self.insert_below(new)
    }

    /// The ranges, lowest first.
    fn all(&self) -> impl Iterator<Item = Range> + '_ {
        self.lower.iter().flat_map(|lower| &lower.ranges).chain([&self.top]).copied()
    }

    /// A range above all others, with a hole below it.
    fn push_top(&mut self, new: Range) {
        let old = std::mem::replace(&mut self.top, new);
        let lower = self.lower.get_or_insert_default();
        lower.ranges.push(old);
        lower.bound();
    }

    /// A range that begins below the end of the highest.
    fn insert_below(&mut self, new: Range) -> Seen {
        if new.is_in(self.top) {
            return Seen::Before;
        }
        let lower = self.lower.get_or_insert_default();
        let ranges = &mut lower.ranges;
        ranges.push(self.top);
        // Those from `first` to before `past` touch or overlap the new one.
        let first = ranges.partition_point(|range| range.end < new.start);
        let past = ranges.partition_point(|range| range.start <= new.end);
        let touched = &ranges[first..past];
        let seen = if touched.iter().any(|range| new.is_in(*range)) {
            Seen::Before
        } else if touched.iter().any(|range| range.start < new.end && new.start < range.end) {
            Seen::Overlapping
        } else {
            Seen::Filling
        };
        if seen != Seen::Before {
            let merged = touched.iter().fold(new, |sum, range| Range {
                start: sum.start.min(range.start),
                end: sum.end.max(range.end),
            });
            ranges.splice(first..past, [merged]);
        }
        self.top = ranges.pop().unwrap_or(self.top);
        lower.bound();
        seen
    }
}

impl Lower {
    fn bound(&mut self) {
        if self.ranges.len() >= RANGES {
            self.ranges[1].start = self.ranges[0].start;
            self.ranges.remove(0);
        }
    }
}

impl Range {
    fn is_in(self, other: Self) -> bool {
        other.start <= self.start && self.end <= other.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(segments: &Segments) -> Vec<(u32, u32)> {
        segments.all().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn order_gaps_and_repeats() {
        let mut segments = Segments::default();
        assert_eq!(segments.insert(100, 10), Seen::New);
        assert_eq!(segments.insert(110, 10), Seen::New);
        assert_eq!(segments.insert(105, 10), Seen::Before);
        assert_eq!(segments.insert(140, 10), Seen::New);
        assert_eq!(segments.insert(160, 10), Seen::New);
        assert_eq!(ranges(&segments), [(100, 120), (140, 150), (160, 170)]);
        assert_eq!(segments.insert(140, 10), Seen::Before, "also above a hole");
        assert_eq!(segments.insert(125, 5), Seen::Filling);
        assert_eq!(segments.insert(120, 5), Seen::Filling);
        assert_eq!(ranges(&segments), [(100, 130), (140, 150), (160, 170)]);
        assert_eq!(segments.insert(130, 10), Seen::Filling);
        assert_eq!(ranges(&segments), [(100, 150), (160, 170)]);
        assert_eq!(segments.insert(145, 20), Seen::Overlapping);
        assert_eq!(ranges(&segments), [(100, 170)]);
        assert_eq!(segments.insert(165, 10), Seen::Overlapping);
        assert_eq!(segments.insert(90, 10), Seen::Filling);
        assert_eq!(ranges(&segments), [(90, 175)]);
    }

    #[test]
    fn the_two_lowest_ranges_become_one_at_the_limit() {
        let mut segments = Segments::default();
        for n in 0..=RANGES as u32 {
            assert_eq!(segments.insert(100 + n * 100, 10), Seen::New);
        }
        assert_eq!(ranges(&segments).len(), RANGES);
        assert_eq!(ranges(&segments)[0], (100, 210));
        assert_eq!(segments.insert(150, 10), Seen::Before, "the price of the limit");
        assert_eq!(segments.insert(350, 10), Seen::Filling);
        assert_eq!(ranges(&segments)[0], (100, 310));
        assert_eq!(ranges(&segments).len(), RANGES);
    }

    #[test]
    fn a_wrap_around_starts_anew_and_forgets_nothing_too_early() {
        let mut segments = Segments::default();
        assert_eq!(segments.insert(u32::MAX - 100, 50), Seen::New);
        assert_eq!(segments.insert(u32::MAX - 50, 100), Seen::New, "across it: not judged");
        assert_eq!(segments.insert(49, 10), Seen::New);
        assert_eq!(segments.insert(u32::MAX - 100, 50), Seen::Before, "late, and seen before");
        assert_eq!(segments.insert(u32::MAX - 200, 50), Seen::New, "late: not judged");
        assert_eq!(segments.insert(u32::MAX - 200, 50), Seen::New, "nor entered");
        assert_eq!(ranges(&segments), [(49, 59)]);
        assert_eq!(segments.insert(49, 10), Seen::Before);
        assert_eq!(segments.insert(59, LOW_QUARTER), Seen::New);
        assert_eq!(segments.insert(LOW_QUARTER + 59, 1), Seen::New);
        let lower = segments.lower.expect("there is one");
        assert!(lower.before_wrap.is_empty(), "let go of");
    }
}
