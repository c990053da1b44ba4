//! Puts the segments of one direction in order.
//!
//! In: segments with TCP sequence numbers, or in arrival order without. Out: pieces in the order
//! of the stream, each with the number of bytes missing before it (never seen) and after it (cut
//! off at capture). Overlaps and retransmissions are trimmed; sequence numbers may wrap. Never:
//! a copy of a segment that comes in order, more than the given bound of the others.

use crate::segment::{Origin, Segment};

/// Where and when some bytes were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// unit ns since the Unix epoch
    pub time_ns: u64,
    /// TCP sequence of the first byte, where there is one.
    pub seq: Option<u32>,
    /// Who made them pass.
    pub origin: Origin,
}

impl Mark {
    /// The mark of the byte `bytes` further on.
    pub fn advanced(mut self, bytes: u64) -> Self {
        self.seq = self.seq.map(|seq| seq.wrapping_add(bytes as u32));
        self
    }
}

/// Bytes in the order of the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    /// Bytes missing between the piece before and this one.
    pub gap_bytes: u64,
    /// What was captured.
    pub bytes: &'a [u8],
    /// Bytes of the segment after `bytes` that were cut off.
    pub cut_bytes: u64,
    /// Of the first byte.
    pub mark: Mark,
}

/// A segment that came before its turn.
#[derive(Debug)]
pub(crate) struct Ahead {
    seq: u32,
    wire_bytes: u32,
    bytes: Vec<u8>,
    mark: Mark,
    gap_bytes: u64,
}

impl Ahead {
    pub(crate) fn new(seq: u32, bytes: Vec<u8>, cut_bytes: u64, mark: Mark) -> Self {
        let wire_bytes = (bytes.len() as u64 + cut_bytes).min(u64::from(u32::MAX)) as u32;
        Self { seq, wire_bytes, bytes, mark, gap_bytes: 0 }
    }

    pub fn piece(&self) -> Piece<'_> {
        Piece {
            gap_bytes: self.gap_bytes,
            bytes: &self.bytes,
            cut_bytes: u64::from(self.wire_bytes) - self.bytes.len() as u64,
            mark: self.mark,
        }
    }

    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.wire_bytes)
    }

    /// Takes `bytes` off the front.
    fn trim(&mut self, bytes: u32) {
        self.bytes.drain(..(bytes as usize).min(self.bytes.len()));
        self.wire_bytes -= bytes;
        self.seq = self.seq.wrapping_add(bytes);
        self.mark = self.mark.advanced(u64::from(bytes));
    }
}

/// What became of a segment.
#[derive(Debug)]
pub(crate) enum Placed<'a> {
    /// It is the next of the stream.
    Next(Piece<'a>),
    /// It is kept until its turn comes.
    Kept,
    /// It held nothing new.
    Old,
}

/// One direction of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    next_seq: Option<u32>,
    first_seq: u32,
    /// Sorted by distance from `next_seq`.
    ahead: Vec<Ahead>,
    ahead_bytes: usize,
    /// The start of the stream was seen (SYN).
    anchored: bool,
    /// Where the stream starts by a SYN before the one that is believed, while nothing was passed
    /// on: of two answers to a SYN the client takes the first, and who sent the other is not known.
    other_start: Option<u32>,
}

/// A segment this far behind belongs to another stream: the numbering started anew.
const REWIND_BYTES: i32 = -(1 << 24);

/// Segments that may wait for their turn. Beyond it the gap before the first is taken as lost.
const AHEAD_SEGMENTS: usize = 256;

impl Stream {
    /// Places a segment. `skippable` bytes of the stream are of no interest to the reader: a gap
    /// inside them is not waited for.
    pub fn place<'a>(&mut self, segment: &Segment<'a>, skippable: u64) -> Placed<'a> {
        let mark = Mark { time_ns: segment.time_ns, seq: segment.seq, origin: segment.origin };
        let wire_bytes = segment.wire_bytes.max(segment.payload.len() as u32);
        let Some(mut seq) = segment.seq else {
            // Where the numbers are known but for this segment, it counts as the next.
            self.next_seq = self.next_seq.map(|next| next.wrapping_add(wire_bytes));
            let cut_bytes = u64::from(wire_bytes) - segment.payload.len() as u64;
            let bytes = segment.payload;
            return Placed::Next(Piece { gap_bytes: 0, bytes, cut_bytes, mark });
        };
        if segment.syn {
            seq = seq.wrapping_add(1);
            // The same SYN again changes nothing.
            if !self.anchored || self.first_seq != seq {
                let is_unused = self.anchored && self.next_seq == Some(self.first_seq);
                let other_start = is_unused.then_some(self.first_seq);
                self.restart(seq);
                self.anchored = true;
                self.other_start = other_start;
            }
        }
        if wire_bytes == 0 {
            return Placed::Old;
        }
        if self.other_start.take() == Some(seq) {
            self.restart(seq);
        }
        let mark = Mark { seq: Some(seq), ..mark };
        let next = match self.next_seq {
            Some(next) => next,
            None => {
                self.restart(seq);
                seq
            }
        };
        let distance = seq.wrapping_sub(next) as i32;
        if distance < REWIND_BYTES {
            self.restart(seq);
            return self.take_next(segment.payload, wire_bytes, seq, u64::MAX >> 1, mark);
        }
        if distance > 0 {
            if u64::from(distance as u32) <= skippable {
                let gap_bytes = u64::from(distance as u32);
                return self.take_next(segment.payload, wire_bytes, seq, gap_bytes, mark);
            }
            self.keep(Ahead {
                seq,
                wire_bytes,
                bytes: segment.payload.to_vec(),
                mark,
                gap_bytes: 0,
            });
            return Placed::Kept;
        }
        let old = distance.unsigned_abs();
        if old >= wire_bytes {
            return Placed::Old;
        }
        let payload = segment.payload.get(old as usize..).unwrap_or(&[]);
        let mark = mark.advanced(u64::from(old));
        self.take_next(payload, wire_bytes - old, next, 0, mark)
    }

    /// The next kept segment whose turn has come: nothing missing before it, or only bytes that
    /// are `skippable`, or bytes that were waited for since before `give_up_ns`.
    pub fn next_kept(&mut self, skippable: u64, give_up_ns: u64, bound: usize) -> Option<Ahead> {
        loop {
            let next = self.next_seq?;
            let first = self.ahead.first()?;
            let distance = first.seq.wrapping_sub(next) as i32;
            let gap_bytes = u64::from(distance.max(0).unsigned_abs());
            let full = self.ahead_bytes > bound || self.ahead.len() > AHEAD_SEGMENTS;
            if gap_bytes > skippable && !full && self.waiting_since_ns() > give_up_ns {
                return None;
            }
            let mut first = self.ahead.remove(0);
            self.ahead_bytes -= first.bytes.len();
            if distance < 0 {
                let old = distance.unsigned_abs();
                if old >= first.wire_bytes {
                    continue;
                }
                first.trim(old);
            }
            first.gap_bytes = gap_bytes;
            self.next_seq = Some(first.end());
            return Some(first);
        }
    }

    /// Starts over at an earlier byte, with pieces that had been taken already.
    pub fn rewind(&mut self, seq: u32, taken: impl Iterator<Item = Ahead>) {
        self.next_seq = Some(seq);
        self.first_seq = seq;
        for piece in taken {
            self.keep(piece);
        }
    }

    /// Whether a segment comes before all that was seen of a stream whose start was not.
    pub fn is_before_first(&self, seq: u32) -> bool {
        let distance = seq.wrapping_sub(self.first_seq) as i32;
        !self.anchored && self.next_seq.is_some() && distance < 0 && distance > REWIND_BYTES
    }

    /// Bytes kept.
    pub fn kept_bytes(&self) -> usize {
        self.ahead_bytes + self.ahead.len() * size_of::<Ahead>()
    }

    /// Segments kept.
    pub fn kept_segments(&self) -> usize {
        self.ahead.len()
    }

    fn waiting_since_ns(&self) -> u64 {
        self.ahead.iter().map(|ahead| ahead.mark.time_ns).min().unwrap_or(u64::MAX)
    }

    fn restart(&mut self, seq: u32) {
        self.next_seq = Some(seq);
        self.first_seq = seq;
        self.ahead.clear();
        self.ahead_bytes = 0;
    }

    fn take_next<'a>(
        &mut self,
        bytes: &'a [u8],
        wire_bytes: u32,
        seq: u32,
        gap_bytes: u64,
        mark: Mark,
    ) -> Placed<'a> {
        self.next_seq = Some(seq.wrapping_add(wire_bytes));
        let cut_bytes = u64::from(wire_bytes) - bytes.len() as u64;
        Placed::Next(Piece { gap_bytes, bytes, cut_bytes, mark })
    }

    fn keep(&mut self, piece: Ahead) {
        let Some(next) = self.next_seq else { return };
        let distance = |ahead: &Ahead| ahead.seq.wrapping_sub(next) as i32;
        let place = self.ahead.partition_point(|ahead| distance(ahead) < distance(&piece));
        if let Some(same) = self.ahead.get_mut(place).filter(|same| same.seq == piece.seq) {
            if same.wire_bytes < piece.wire_bytes || same.bytes.len() < piece.bytes.len() {
                self.ahead_bytes = self.ahead_bytes + piece.bytes.len() - same.bytes.len();
                *same = piece;
            }
            return;
        }
        self.ahead_bytes += piece.bytes.len();
        self.ahead.insert(place, piece);
    }
}

#[cfg(test)]
mod tests;
