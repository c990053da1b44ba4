//! Watching system calls and resting by turns, so that a portion of the time is watched.
//!
//! In: the portion, the time. Out: rests of a BPF source, and what goes with them. Never: a request that
//! seems to have no response since it was not watched.

use std::time::{Duration, Instant};

use source::bpf::{BpfError, BpfSource};

use super::budget::ALL;
use super::now_ns;
use crate::pipeline::SocketPipeline;

/// One turn of watching and resting, and how much longer or shorter it may be: what happens at regular
/// times is neither always seen nor never. unit ns
const TURN_NS: u64 = 1_000_000_000;
const SPREAD_NS: u64 = 400_000_000;
/// A shorter look sees no request from beginning to end. unit ns
const LOOK_NS: u64 = 5_000_000;

/// Calls are counted for so long at the end of a rest, and those before it estimated by them: to count all
/// takes 5 % of a server that does hardly anything else. unit ns
const COUNT_NS: u64 = 100_000_000;

/// The turns of one source.
pub struct Pace {
    turns: Turns,
    began: Instant,
    resting: Option<Rest>,
    rested: Duration,
    uncounted: Uncounted,
}

/// A rest that lasts.
struct Rest {
    since: Instant,
    /// When calls began to be counted, and what was counted by then.
    counting: Option<(Instant, u64)>,
}

impl Pace {
    /// Watching.
    pub fn new() -> Self {
        Self {
            turns: Turns::default(),
            began: Instant::now(),
            resting: None,
            rested: Duration::ZERO,
            uncounted: Uncounted::default(),
        }
    }

    /// Does what is due. How long that holds at most; an error: nothing is watched any more.
    pub fn step(
        &mut self,
        portion: u32,
        source: &mut BpfSource,
        pipeline: &mut SocketPipeline,
    ) -> Result<Duration, BpfError> {
        let (watches, left_ns) = self.turns.step(ns(self.began.elapsed()), portion);
        match &mut self.resting {
            Some(_) if watches => {
                pipeline.let_go(now_ns());
                self.end_rest(source)?;
                source.resume()?;
            }
            Some(rest) if rest.counting.is_none() => {
                if left_ns > COUNT_NS {
                    return Ok(Duration::from_nanos(left_ns - COUNT_NS));
                }
                if source.count_at_rest() {
                    rest.counting = Some((Instant::now(), source.unwatched()?));
                }
            }
            None if !watches => {
                source.rest()?;
                self.resting = Some(Rest { since: Instant::now(), counting: None });
            }
            _ => {}
        }
        Ok(Duration::from_nanos(left_ns))
    }

    /// Nothing follows.
    pub fn finish(&mut self, source: &BpfSource) {
        if let Err(error) = self.end_rest(source) {
            tracing::debug!(%error, "what the last rest passed over is not counted");
        }
    }

    /// Time of rest so far.
    pub fn rested(&self) -> Duration {
        self.rested + self.resting.as_ref().map_or(Duration::ZERO, |rest| rest.since.elapsed())
    }

    /// Calls that were passed over at rest and not counted: an estimate.
    pub fn uncounted(&self) -> u64 {
        self.uncounted.calls
    }

    fn end_rest(&mut self, source: &BpfSource) -> Result<(), BpfError> {
        let Some(Rest { since, counting }) = self.resting.take() else { return Ok(()) };
        let rested = since.elapsed();
        self.rested += rested;
        let sample = match counting {
            Some((since, before)) => {
                Some((ns(since.elapsed()), source.unwatched()?.saturating_sub(before)))
            }
            None => None,
        };
        self.uncounted.end_rest(ns(rested), sample);
        Ok(())
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Estimates the calls of the time in which none was counted.
#[derive(Debug, Default)]
struct Uncounted {
    calls: u64,
    /// The last sample: length, and calls in it. unit ns
    sample: Option<(u64, u64)>,
}

impl Uncounted {
    /// A rest has ended, of which the end may have been counted: for how long, and what. What the
    /// last sample was goes for a rest without one. unit ns
    fn end_rest(&mut self, rested_ns: u64, sample: Option<(u64, u64)>) {
        let counted_ns = sample.map_or(0, |(counted_ns, _)| counted_ns);
        self.sample = sample.filter(|(counted_ns, _)| *counted_ns > 0).or(self.sample);
        if let Some((sample_ns, calls)) = self.sample {
            let rest_ns = u128::from(rested_ns.saturating_sub(counted_ns));
            let estimate = rest_ns * u128::from(calls) / u128::from(sample_ns);
            self.calls = self.calls.saturating_add(u64::try_from(estimate).unwrap_or(u64::MAX));
        }
    }
}

/// Turns of watching and resting.
#[derive(Debug, Default)]
pub struct Turns {
    /// Of this turn. unit ns
    began_ns: u64,
    length_ns: u64,
    random: u64,
}

impl Turns {
    /// Whether to watch at this time, and how long that holds at most. unit ns, of any steady clock
    pub fn step(&mut self, now_ns: u64, portion: u32) -> (bool, u64) {
        if portion >= ALL {
            self.length_ns = 0;
            return (true, u64::MAX);
        }
        let mut elapsed_ns = now_ns.saturating_sub(self.began_ns);
        if elapsed_ns >= self.length_ns {
            // Knuth's multiplier for 64 bits; the high bits are the good ones.
            self.random =
                self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(now_ns | 1);
            self.length_ns = TURN_NS - SPREAD_NS + (self.random >> 33) % (2 * SPREAD_NS);
            self.began_ns = now_ns;
            elapsed_ns = 0;
        }
        let look_ns = (self.length_ns / u64::from(ALL) * u64::from(portion)).max(LOOK_NS);
        match look_ns.checked_sub(elapsed_ns) {
            Some(left_ns @ 1..) => (true, left_ns),
            _ => (false, self.length_ns - elapsed_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of 1000 of the time that are watched, and how often watching began.
    fn watched(portion: u32) -> (u64, u64) {
        let (mut turns, mut watched_ns, mut begins) = (Turns::default(), 0, 0);
        let (mut now_ns, mut was) = (TURN_NS, false);
        while now_ns < 201 * TURN_NS {
            let (watches, left_ns) = turns.step(now_ns, portion);
            let step_ns = left_ns.min(15_000_000);
            watched_ns += if watches { step_ns } else { 0 };
            begins += u64::from(watches && !was);
            was = watches;
            now_ns += step_ns;
        }
        (watched_ns / (200 * TURN_NS / 1000), begins)
    }

    #[test]
    fn a_portion_of_the_time_is_watched() {
        assert_eq!(watched(ALL), (1000, 1));
        let (half, begins) = watched(ALL / 2);
        assert!((490..=510).contains(&half), "{half}");
        assert!((180..=220).contains(&begins), "{begins}");
        let (little, _) = watched(1);
        assert!((4..=6).contains(&little), "{little}");
    }

    #[test]
    fn what_was_not_counted_is_estimated_by_what_was() {
        let mut uncounted = Uncounted::default();
        uncounted.end_rest(500, None);
        assert_eq!(uncounted.calls, 0, "nobody has counted yet");
        // 30 calls in a tenth of the rest: 270 in the nine others.
        uncounted.end_rest(1000, Some((100, 30)));
        assert_eq!(uncounted.calls, 270);
        // Cut short: as in the last one.
        uncounted.end_rest(200, None);
        assert_eq!(uncounted.calls, 330);
        // All was counted.
        uncounted.end_rest(80, Some((80, 1000)));
        assert_eq!(uncounted.calls, 330);
        uncounted.end_rest(5, Some((0, 0)));
        assert_eq!(uncounted.calls, 330 + 5 * 1000 / 80);
    }

    #[test]
    fn turns_do_not_keep_step_with_a_second() {
        let mut turns = Turns::default();
        // A job at each full second is seen in about as many of them as the portion says.
        let mut seen = 0;
        for ms in 0..1_000_000u64 {
            let (watches, _) = turns.step(TURN_NS + ms * 1_000_000, ALL / 4);
            seen += u64::from(watches && ms % 1000 == 0);
        }
        assert!((200..=300).contains(&seen), "{seen}");
    }
}
