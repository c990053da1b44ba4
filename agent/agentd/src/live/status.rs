//! What each thread says of itself, for telemetry, `/healthz` and the server's health page.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::telemetry::Losses;

/// State of one thread.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Whether its source works.
    pub works: bool,
    /// What does not work and what to do, in words for the user.
    pub problems: Vec<String>,
    /// Metrics of `schema/metrics.toml` by name; totals since start or current values.
    pub metrics: BTreeMap<&'static str, f64>,
    /// Losses since start.
    pub losses: Losses,
}

impl Status {
    /// Adds the state of another thread that does the same work.
    fn join(&mut self, other: &Self) {
        self.works &= other.works;
        for problem in &other.problems {
            if !self.problems.contains(problem) {
                self.problems.push(problem.clone());
            }
        }
        for (name, value) in &other.metrics {
            *self.metrics.entry(name).or_default() += value;
        }
        self.losses.join(&other.losses);
    }
}

/// The states of all threads.
#[derive(Debug, Default)]
pub struct StatusBoard {
    threads: Mutex<BTreeMap<(&'static str, u8), Status>>,
}

impl StatusBoard {
    /// Changes the state of a thread.
    pub fn update(&self, thread: &'static str, change: impl FnOnce(&mut Status)) {
        self.update_shard(thread, 0, change);
    }

    /// Changes the state of one of several threads that do the same work.
    pub fn update_shard(&self, thread: &'static str, shard: u8, change: impl FnOnce(&mut Status)) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        change(threads.entry((thread, shard)).or_default());
    }

    /// The states now; threads that do the same work as one.
    pub fn read(&self) -> BTreeMap<&'static str, Status> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out: BTreeMap<&'static str, Status> = BTreeMap::new();
        for ((thread, _), status) in &*threads {
            match out.get_mut(thread) {
                Some(joined) => joined.join(status),
                None => _ = out.insert(thread, status.clone()),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use schema::Drop;

    use super::*;

    #[test]
    fn shards_are_told_as_one() {
        let board = StatusBoard::default();
        for (shard, frames) in [(0, 5.0), (1, 7.0), (2, 0.0)] {
            board.update_shard("packets", shard, |status| {
                status.works = true;
                status.metrics.insert("frames", frames);
                status.losses.add(Drop::CaptureKernel, 10);
            });
        }
        board.update("sockets", |status| status.works = true);
        let packets = board.read().remove("packets").expect("told");
        assert!(packets.works && packets.problems.is_empty());
        assert_eq!(packets.metrics["frames"], 12.0);
        assert_eq!(packets.losses.iter().collect::<Vec<_>>(), [(Drop::CaptureKernel, 30)]);
        for shard in [1, 2] {
            board.update_shard("packets", shard, |status| {
                status.works = false;
                status.problems.push("gone".into());
            });
        }
        let packets = board.read().remove("packets").expect("told");
        assert!(!packets.works);
        assert_eq!(packets.problems, ["gone"]);
    }
}
