//! The queue between the pipeline's threads and the exporter's.
//!
//! In: batches, from any thread, without waiting. Out: batches, the most valuable first. Never:
//! more than the limits; what is dropped is counted here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use schema::wire::{ProcessEvent, Signal};
use schema::{Batch, Drop, Table};

use crate::ExportConfig;
use crate::throttle::{Throttle, sample};
use crate::totals::{Subject, Totals};

/// Something to encode and send.
#[derive(Debug)]
pub(crate) enum Item {
    Batch(Batch),
    Processes(Vec<ProcessEvent>),
}

impl Item {
    pub fn subject(&self) -> Subject {
        match self {
            Self::Batch(batch) => Subject::Table(batch.table),
            Self::Processes(_) => Subject::Processes,
        }
    }

    pub fn signal(&self) -> Signal {
        match self {
            Self::Batch(batch) => Signal::of(batch.table),
            Self::Processes(_) => Signal::Processes,
        }
    }

    pub fn rows(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.rows,
            Self::Processes(events) => events.len(),
        }
    }
}

/// Queue and counters of this run that the ledger does not know yet.
pub(crate) struct Intake {
    queues: BTreeMap<Signal, VecDeque<Item>>,
    batches: usize,
    rows: usize,
    batches_max: usize,
    rows_max: usize,
    l4: Throttle,
    l7: Throttle,
    /// Rows since the start: observed, waiting here (or being encoded), dropped here. What was
    /// dropped and is told to the ledger is taken off observed and dropped together.
    pub totals: BTreeMap<Subject, Totals>,
    pub is_closed: bool,
}

impl Intake {
    pub fn new(config: &ExportConfig, now: Instant) -> Self {
        Self {
            queues: BTreeMap::new(),
            batches: 0,
            rows: 0,
            batches_max: config.queue_batches_max.max(1),
            rows_max: config.queue_rows_max.max(1),
            l4: Throttle::new(config.l4_throttle_rows, now),
            l7: Throttle::new(config.l7_throttle_rows, now),
            totals: BTreeMap::new(),
            is_closed: false,
        }
    }

    /// Changes the limits of logs a second.
    pub fn set_throttles(&mut self, l4_rows: u32, l7_rows: u32, now: Instant) {
        self.l4 = Throttle::new(l4_rows, now);
        self.l7 = Throttle::new(l7_rows, now);
    }

    /// Takes a batch, or as much of it as limits allow.
    pub fn push(&mut self, item: Item, now: Instant) {
        let (subject, signal, rows) = (item.subject(), item.signal(), item.rows());
        if rows == 0 {
            return;
        }
        self.totals.entry(subject).or_default().observed += rows as u64;
        if self.is_closed {
            return self.drop_rows(subject, Drop::QueueFull, rows);
        }
        let Some(item) = self.throttled(item, now) else { return };
        let rows = item.rows();
        while self.batches >= self.batches_max || self.rows + rows > self.rows_max {
            // Later in the order is less valuable.
            let victim = self.queues.iter().rev().find(|(_, queue)| !queue.is_empty());
            match victim.map(|(victim, _)| *victim) {
                Some(victim) if victim >= signal => self.drop_oldest(victim),
                // An empty queue takes one batch, however large.
                None => break,
                Some(_) => return self.drop_rows(subject, Drop::QueueFull, rows),
            }
        }
        self.batches += 1;
        self.rows += rows;
        self.totals.entry(subject).or_default().waiting += rows as u64;
        self.queues.entry(signal).or_default().push_back(item);
    }

    /// The oldest batch of the most valuable signal. Its rows still wait here until
    /// `handed_over`.
    pub fn pop(&mut self) -> Option<Item> {
        let item = self.queues.values_mut().find_map(VecDeque::pop_front)?;
        self.batches -= 1;
        self.rows -= item.rows();
        Some(item)
    }

    /// Rows of a popped batch are counted elsewhere from now on.
    pub fn handed_over(&mut self, subject: Subject, rows: usize) {
        let totals = self.totals.entry(subject).or_default();
        totals.waiting -= rows as u64;
        totals.observed -= rows as u64;
    }

    /// Rows of a popped batch are lost.
    pub fn lost(&mut self, subject: Subject, reason: Drop, rows: usize) {
        self.totals.entry(subject).or_default().waiting -= rows as u64;
        self.drop_rows(subject, reason, rows);
    }

    /// Losses that the ledger does not know yet; they are counted there from now on.
    pub fn take_drops(&mut self) -> Vec<(Subject, Drop, u64)> {
        let mut drops = Vec::new();
        for (subject, totals) in &mut self.totals {
            for (reason, rows) in std::mem::take(&mut totals.dropped) {
                totals.observed -= rows;
                drops.push((*subject, reason, rows));
            }
        }
        drops
    }

    fn throttled(&mut self, item: Item, now: Instant) -> Option<Item> {
        let (throttle, reason) = match item.subject() {
            Subject::Table(Table::L4FlowLog) => (&mut self.l4, Drop::ThrottledL4),
            Subject::Table(Table::L7FlowLog) => (&mut self.l7, Drop::ThrottledL7),
            _ => return Some(item),
        };
        let (subject, rows) = (item.subject(), item.rows());
        let kept = throttle.take(rows, now);
        if kept == rows {
            return Some(item);
        }
        self.drop_rows(subject, reason, rows - kept);
        match item {
            Item::Batch(batch) if kept > 0 => Some(Item::Batch(sample(&batch, kept))),
            _ => None,
        }
    }

    fn drop_oldest(&mut self, signal: Signal) {
        if let Some(item) = self.queues.get_mut(&signal).and_then(VecDeque::pop_front) {
            self.batches -= 1;
            self.rows -= item.rows();
            self.lost(item.subject(), Drop::QueueFull, item.rows());
        }
    }

    fn drop_rows(&mut self, subject: Subject, reason: Drop, rows: usize) {
        self.totals.entry(subject).or_default().drop_rows(reason, rows as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(table: Table, rows: usize) -> Item {
        Item::Batch(Batch { table, rows, columns: vec![] })
    }

    fn intake(batches: usize) -> Intake {
        let mut config =
            ExportConfig::new(String::new(), "i".into(), crate::TokenSource::Absent, "s".into());
        config.queue_batches_max = batches;
        config.l7_throttle_rows = 0;
        Intake::new(&config, Instant::now())
    }

    #[test]
    fn the_least_valuable_goes_first_and_is_counted() {
        let mut intake = intake(2);
        let now = Instant::now();
        intake.push(batch(Table::L7FlowLog, 5), now);
        intake.push(batch(Table::Network1m, 7), now);
        intake.push(batch(Table::DeepflowCollector, 1), now);
        intake.push(batch(Table::L7FlowLog, 9), now);
        let logs = &intake.totals[&Subject::Table(Table::L7FlowLog)];
        assert_eq!((logs.observed, logs.dropped[&Drop::QueueFull]), (14, 14));
        let order: Vec<Subject> =
            std::iter::from_fn(|| intake.pop()).map(|i| i.subject()).collect();
        let expected = [Table::DeepflowCollector, Table::Network1m].map(Subject::Table);
        assert_eq!(order, expected);
        assert!(intake.totals.values().all(Totals::is_balanced));
        assert_eq!(intake.take_drops(), [(Subject::Table(Table::L7FlowLog), Drop::QueueFull, 14)]);
        assert!(intake.totals.values().all(Totals::is_balanced));
    }
    #[test]
    fn throttles_sample_logs_and_never_metrics() {
        let mut intake = intake(100);
        let now = Instant::now();
        // Four seconds of rows may come at once.
        intake.set_throttles(10, 3, now);
        let tables = Table::ALL.iter().filter(|table| !matches!(table, Table::DeepflowCollector));
        for table in tables {
            for _ in 0..2 {
                intake.push(batch(*table, 50), now);
            }
            let subject = Subject::Table(*table);
            let dropped = &intake.totals[&subject].dropped;
            let throttled = [Drop::ThrottledL4, Drop::ThrottledL7]
                .map(|reason| dropped.get(&reason).copied().unwrap_or(0));
            let expected = match table {
                Table::L4FlowLog => [60, 0],
                Table::L7FlowLog => [0, 88],
                _ => [0, 0],
            };
            assert_eq!(throttled, expected, "{table:?}");
            assert_eq!(dropped.values().sum::<u64>(), expected[0] + expected[1], "{table:?}");
        }
        assert!(intake.totals.values().all(Totals::is_balanced));
    }
}
