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

/// The turns of one source.
pub struct Pace {
    turns: Turns,
    began: Instant,
    resting: Option<Instant>,
    rested: Duration,
}

impl Pace {
    /// Watching.
    pub fn new() -> Self {
        Self {
            turns: Turns::default(),
            began: Instant::now(),
            resting: None,
            rested: Duration::ZERO,
        }
    }

    /// Does what is due. How long that holds at most; an error: nothing is watched any more.
    pub fn step(
        &mut self,
        portion: u32,
        source: &mut BpfSource,
        pipeline: &mut SocketPipeline,
    ) -> Result<Duration, BpfError> {
        let elapsed_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (watches, left_ns) = self.turns.step(elapsed_ns, portion);
        match self.resting {
            Some(since) if watches => {
                pipeline.let_go(now_ns());
                source.resume()?;
                self.rested += since.elapsed();
                self.resting = None;
            }
            None if !watches => {
                source.rest()?;
                self.resting = Some(Instant::now());
            }
            _ => {}
        }
        Ok(Duration::from_nanos(left_ns))
    }

    /// Time of rest so far.
    pub fn rested(&self) -> Duration {
        self.rested + self.resting.map_or(Duration::ZERO, |since| since.elapsed())
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
