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

/// The states of all threads.
#[derive(Debug, Default)]
pub struct StatusBoard {
    threads: Mutex<BTreeMap<&'static str, Status>>,
}

impl StatusBoard {
    /// Changes the state of a thread.
    pub fn update(&self, thread: &'static str, change: impl FnOnce(&mut Status)) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        change(threads.entry(thread).or_default());
    }

    /// The states now.
    pub fn read(&self) -> BTreeMap<&'static str, Status> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
