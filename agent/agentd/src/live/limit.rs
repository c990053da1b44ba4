//! A limit on packets a second: a leaky bucket that runs on the packets' own times.

const NS_A_SECOND: u64 = 1_000_000_000;

/// Admits so many a second on average, and no more than a second's worth at once.
#[derive(Debug)]
pub struct RateLimit {
    per_second: u64,
    /// What may come now, in billionths of a packet.
    credit: u64,
    time_ns: u64,
    refused: u64,
}

impl RateLimit {
    /// A limit; 0 admits everything.
    pub fn new(per_second: u64) -> Self {
        let credit = per_second.saturating_mul(NS_A_SECOND);
        Self { per_second, credit, time_ns: 0, refused: 0 }
    }

    /// Whether a packet of this time may pass. unit ns since the Unix epoch
    pub fn admits(&mut self, time_ns: u64) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let elapsed_ns = time_ns.saturating_sub(self.time_ns).min(NS_A_SECOND);
        // A clock that was set back begins anew.
        self.time_ns = time_ns;
        let full = self.per_second.saturating_mul(NS_A_SECOND);
        let earned = self.per_second.saturating_mul(elapsed_ns);
        self.credit = self.credit.saturating_add(earned).min(full);
        let Some(rest) = self.credit.checked_sub(NS_A_SECOND) else {
            self.refused += 1;
            return false;
        };
        self.credit = rest;
        true
    }

    /// Packets refused since the last call.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_NS: u64 = 1_700_000_000 * NS_A_SECOND;

    #[test]
    fn a_steady_stream_is_cut_to_the_rate() {
        let mut limit = RateLimit::new(1000);
        // Twice the rate for ten seconds: the first second's worth, then the rate.
        let admitted = (0..20_000).filter(|n| limit.admits(START_NS + n * 500_000)).count();
        assert!((10_990..=11_000).contains(&admitted), "{admitted}");
        assert_eq!(limit.take_refused(), 20_000 - admitted as u64);
        assert_eq!(limit.take_refused(), 0);
    }

    #[test]
    fn below_the_rate_nothing_is_refused() {
        let mut limit = RateLimit::new(1000);
        assert!((0..50_000).all(|n| limit.admits(START_NS + n * 1_000_000)));
        let mut none = RateLimit::new(0);
        assert!((0..10_000).all(|_| none.admits(START_NS)));
    }

    #[test]
    fn a_clock_set_back_neither_blocks_nor_opens() {
        let mut limit = RateLimit::new(10);
        assert_eq!((0..100).filter(|_| limit.admits(START_NS)).count(), 10);
        let back_ns = START_NS - 3600 * NS_A_SECOND;
        assert!(!limit.admits(back_ns));
        assert!(limit.admits(back_ns + NS_A_SECOND / 10));
    }
}
