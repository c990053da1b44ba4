//! How much of the traffic is watched, so that the agent keeps to its share of the processors.
//!
//! In: what the agent and everybody else took of the processors in a period. Out: the portion of the
//! traffic to watch in the next one. Never: a clock, a system call.
//!
//! While processors are idle the agent takes what it needs, up to `global.limits.max_millicpus`. When
//! hardly any is idle, or some are but tasks wait for each other all the time, what it takes is missing
//! elsewhere: then its share is `agent.contended_percent`, beyond a credit that covers bursts. What its hooks
//! take of the programs that they watch is part of that share. With the credit spent, the portion falls as
//! far as the share asks for, and rises again step by step when there is room.

use crate::config::ShareConfig;

/// Processor time that a burst may take beyond the share: some 100,000 requests, hooks included. unit ns
const CREDIT_NS: u64 = 2_000_000_000;
/// Hardly any is idle: less than this part of all processors. Two programs that keep two processors busy
/// leave a twentieth idle while one waits for the other. unit 1/1000
const CONTENDED_MILLIS: u64 = 100;
/// So much is idle that there is room for more. unit 1/1000
const ROOMY_MILLIS: u64 = 200;
/// While so much of the time that processors are wanted another task waits for them, what is idle below
/// [`WAITED_FOR_IDLE_MILLIS`] is no room: tasks that answer each other leave it while each waits its turn.
/// On two processors nginx and its client alone wait for 2 % of the time, with the agent as a third
/// for 30 to 60 %. unit 1/1000
const WAITED_FOR_MILLIS: u64 = 150;
const WAITED_FOR_IDLE_MILLIS: u64 = 300;
/// The whole traffic.
pub const ALL: u32 = 1024;
/// How far one period can lower the portion: what came before it still waits to be worked off.
const FALL_MAX: u64 = 16;

/// What was taken in a period. unit ns, of all processors together
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// How long the period was. unit ns
    pub period_ns: u64,
    /// Processors.
    pub count: u32,
    /// By the agent.
    pub own_ns: u64,
    /// By its hooks, of the programs that they watch: an estimate.
    pub caused_ns: u64,
    /// By nobody.
    pub idle_ns: u64,
    /// While a task waited for the processor of another: the mean of all processors. 0 where no one knows.
    pub waited_ns: u64,
}

/// The portion, and what leads to it.
#[derive(Debug)]
pub struct Budget {
    limits: ShareConfig,
    credit_ns: u64,
    portion: u32,
    /// Part of all processors that is idle, smoothed over some periods. unit 1/1000
    idle_millis: u64,
    /// Part of the time in which a task waited, smoothed alike. unit 1/1000
    waited_millis: u64,
}

impl Budget {
    /// All is watched, and the credit is full.
    pub fn new(limits: ShareConfig) -> Self {
        Self { limits, credit_ns: CREDIT_NS, portion: ALL, idle_millis: 1000, waited_millis: 0 }
    }

    /// Takes note of a period. The portion of the traffic to watch in the next, from 1 to [`ALL`].
    pub fn step(&mut self, usage: Usage) -> u32 {
        let whole_ns = usage.period_ns.saturating_mul(usage.count.into());
        // A moment in which all wait for a disk does not make room.
        smooth(&mut self.idle_millis, usage.idle_ns, whole_ns);
        smooth(&mut self.waited_millis, usage.waited_ns, usage.period_ns);
        let waited_for = self.waited_millis >= WAITED_FOR_MILLIS;
        let edge = |millis| if waited_for { WAITED_FOR_IDLE_MILLIS } else { millis };
        let contended = self.idle_millis < edge(CONTENDED_MILLIS);
        let roomy = self.idle_millis >= edge(ROOMY_MILLIS);
        let is_share = contended && self.limits.contended_percent > 0;
        let allowed_ns = self.allowed_ns(&usage, whole_ns, is_share).max(1);
        let caused_ns = if is_share { usage.caused_ns } else { 0 };
        let own_ns = usage.own_ns.saturating_add(caused_ns).max(1);
        if own_ns > allowed_ns {
            self.credit_ns = self.credit_ns.saturating_sub(own_ns - allowed_ns);
            if self.credit_ns == 0 {
                let fall = scale(self.portion, allowed_ns, own_ns);
                self.portion = fall.max(self.portion / FALL_MAX as u32).max(1);
            }
        } else if self.portion < ALL {
            // Not to the very edge, and slower where others want the processors.
            let room_ns = allowed_ns - allowed_ns / 8;
            let rise = match (contended, roomy) {
                (true, _) => scale(self.portion, 5, 4).max(self.portion + 1),
                (false, true) => self.portion * 2,
                (false, false) => self.portion,
            };
            let fits = scale(self.portion, room_ns, own_ns).max(self.portion);
            self.portion = rise.min(fits).min(ALL);
        } else {
            let saved_ns = if roomy { usage.idle_ns } else { allowed_ns - own_ns };
            self.credit_ns = self.credit_ns.saturating_add(saved_ns).min(CREDIT_NS);
        }
        self.portion
    }

    fn allowed_ns(&self, usage: &Usage, whole_ns: u64, is_share: bool) -> u64 {
        let max_ns = usage.period_ns.saturating_mul(self.limits.max_millicpus) / 1000;
        if !is_share {
            return max_ns;
        }
        max_ns.min(whole_ns.saturating_mul(self.limits.contended_percent) / 100)
    }
}

/// A mean of the last periods' parts.
fn smooth(millis: &mut u64, part_ns: u64, whole_ns: u64) {
    let now = part_ns.saturating_mul(1000) / whole_ns.max(1);
    *millis = (*millis * 3 + now.min(1000)) / 4;
}

/// `portion * numerator / denominator`, as far as there are numbers for it.
fn scale(portion: u32, numerator: u64, denominator: u64) -> u32 {
    let scaled = u128::from(portion) * u128::from(numerator) / u128::from(denominator.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;
    /// A second of two processors in which the agent did nothing.
    const SECOND: Usage =
        Usage { period_ns: SECOND_NS, count: 2, own_ns: 0, caused_ns: 0, idle_ns: 0, waited_ns: 0 };
    const LIMITS: ShareConfig = ShareConfig { max_millicpus: 1000, contended_percent: 1 };

    /// Two processors, of which others want so much; the agent needs `demand_ns` a second for all, and
    /// 5 ms a second whatever it watches. What was taken in each second, with the portion after it.
    fn run(budget: &mut Budget, others_ns: u64, demand_ns: u64, seconds: usize) -> Vec<(u64, u32)> {
        let mut portion = budget.portion;
        let mut out = Vec::new();
        for _ in 0..seconds {
            let wanted_ns = 5_000_000 + scale(portion, demand_ns, u64::from(ALL)) as u64;
            let own_ns = wanted_ns.min(SECOND_NS);
            let idle_ns = (2 * SECOND_NS).saturating_sub(own_ns + others_ns);
            portion = budget.step(Usage { own_ns, idle_ns, ..SECOND });
            out.push((own_ns, portion));
        }
        out
    }

    #[test]
    fn with_idle_processors_all_is_watched() {
        let mut budget = Budget::new(LIMITS);
        let seconds = run(&mut budget, SECOND_NS / 2, 900_000_000, 100);
        assert!(seconds.iter().all(|(_, portion)| *portion == ALL));
    }

    #[test]
    fn a_burst_is_watched_whole() {
        let mut budget = Budget::new(LIMITS);
        let burst = run(&mut budget, 2 * SECOND_NS, 900_000_000, 2);
        assert!(burst.iter().all(|(_, portion)| *portion == ALL), "{burst:?}");
        // And another one, after four seconds with a processor idle.
        run(&mut budget, SECOND_NS, 0, 4);
        let burst = run(&mut budget, 2 * SECOND_NS, 900_000_000, 2);
        assert!(burst.iter().all(|(_, portion)| *portion == ALL), "{burst:?}");
    }

    #[test]
    fn under_full_load_the_share_is_kept() {
        let mut budget = Budget::new(LIMITS);
        let seconds = run(&mut budget, 2 * SECOND_NS, 4 * SECOND_NS, 130);
        let settled: u64 = seconds[20..].iter().map(|(own_ns, _)| own_ns).sum();
        let percent = settled as f64 / (2 * SECOND_NS * 110) as f64 * 100.0;
        assert!((0.7..=1.0).contains(&percent), "{percent}");
        assert!(seconds[20..].iter().all(|(_, portion)| *portion > 1), "something is watched");
    }

    #[test]
    fn what_is_idle_while_all_wait_for_each_other_is_no_room() {
        let whole_ns = 2 * SECOND_NS;
        for (idle_percent, waited_percent, is_kept) in
            [(15, 40, true), (28, 20, true), (15, 5, false), (40, 40, false)]
        {
            let mut budget = Budget::new(LIMITS);
            let idle_ns = whole_ns / 100 * idle_percent;
            let waited_ns = SECOND_NS / 100 * waited_percent;
            let usage = Usage { own_ns: SECOND_NS / 2, idle_ns, waited_ns, ..SECOND };
            let portion = (0..60).map(|_| budget.step(usage)).last();
            assert_eq!(
                portion < Some(ALL),
                is_kept,
                "{idle_percent} idle, {waited_percent} waited"
            );
        }
    }

    #[test]
    fn what_hooks_take_is_of_the_share_while_others_want_the_processors() {
        for (idle_ns, is_kept) in [(0, true), (SECOND_NS, false)] {
            let mut budget = Budget::new(LIMITS);
            let usage = Usage { own_ns: 5_000_000, caused_ns: SECOND_NS, idle_ns, ..SECOND };
            let portion = (0..60).map(|_| budget.step(usage)).last();
            assert_eq!(portion < Some(ALL), is_kept, "{idle_ns} ns idle");
        }
    }

    #[test]
    fn it_comes_back_when_the_load_is_gone() {
        let mut budget = Budget::new(LIMITS);
        run(&mut budget, 2 * SECOND_NS, 4 * SECOND_NS, 30);
        let after = run(&mut budget, SECOND_NS / 2, 100_000_000, 15);
        assert_eq!(after.last().map(|(_, portion)| *portion), Some(ALL), "{after:?}");
    }

    #[test]
    fn the_limit_holds_with_idle_processors_too() {
        let limits = ShareConfig { max_millicpus: 200, contended_percent: 2 };
        let mut budget = Budget::new(limits);
        let seconds = run(&mut budget, 0, 800_000_000, 60);
        let settled: u64 = seconds[20..].iter().map(|(own_ns, _)| own_ns).sum();
        assert!(settled / 40 <= 210_000_000, "{}", settled / 40);
        assert!(settled / 40 >= 150_000_000, "{}", settled / 40);
    }

    #[test]
    fn without_a_share_others_do_not_matter() {
        let limits = ShareConfig { max_millicpus: 1000, contended_percent: 0 };
        let mut budget = Budget::new(limits);
        let seconds = run(&mut budget, 2 * SECOND_NS, 900_000_000, 60);
        assert!(seconds.iter().all(|(_, portion)| *portion == ALL));
    }
}
