//! What the agent tells of itself: losses by reason, and metric sets for the server.

use std::collections::BTreeMap;

use schema::deepflow_collector::Row;
use schema::{Drop, Text};

/// Losses by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(BTreeMap<Drop, u64>);

impl Losses {
    /// Counts a loss.
    pub fn add(&mut self, reason: Drop, count: u64) {
        if count > 0 {
            *self.0.entry(reason).or_default() += count;
        }
    }

    /// Adds those of `other`.
    pub fn join(&mut self, other: &Self) {
        for (reason, count) in &other.0 {
            self.add(*reason, *count);
        }
    }

    /// Each reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Drop, u64)> + '_ {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }
}

/// A metric set: one row of `deepflow_tenant.deepflow_collector`.
pub fn row(time_s: u64, set: &str, tags: &[(&str, &str)], metrics: &[(&str, f64)]) -> Row {
    Row {
        time: time_s as u32,
        virtual_table_name: set.into(),
        tag_names: tags.iter().map(|(name, _)| Text::from(*name)).collect(),
        tag_values: tags.iter().map(|(_, value)| Text::from(*value)).collect(),
        metrics_float_names: metrics.iter().map(|(name, _)| Text::from(*name)).collect(),
        metrics_float_values: metrics.iter().map(|(_, value)| *value).collect(),
    }
}

/// Resident memory and CPU time of this process. unit byte, ms; 0 where `/proc` does not tell.
pub fn usage() -> (u64, u64) {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    let resident = pages.unwrap_or(0) * PAGE_BYTES;
    (resident, source::processors::own_time().as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_add_up_and_zero_is_none() {
        let mut losses = Losses::default();
        losses.add(Drop::RingFull, 0);
        assert_eq!(losses.iter().count(), 0);
        losses.add(Drop::RingFull, 2);
        let mut total = losses.clone();
        total.join(&losses);
        assert_eq!(total.iter().collect::<Vec<_>>(), [(Drop::RingFull, 4)]);
    }

    #[test]
    fn own_usage_is_told() {
        let (resident_bytes, _) = usage();
        assert!(resident_bytes > 500_000, "{resident_bytes}");
    }
}
