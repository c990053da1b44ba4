//! The last stage of a pipeline: what was found waits a moment for the owners of its sockets,
//! then is metered and becomes rows.
//!
//! Packets are often read before the BPF event that tells whose connection it is; `settle_ns`
//! gives that event time to come. Bounded: at the limit the oldest go on without waiting.

use std::collections::VecDeque;
use std::rc::Rc;

use l7::{Output, Record, Stat};
use meter::Meter;
use schema::{Batch, Table, l4_flow_log, l7_flow_log};

use super::l7_rows;
use super::seen::{Owners, Seen};

/// Things that wait at once.
const WAITING_MAX: usize = 65_536;
/// Rows of one batch.
const BATCH_ROWS: usize = 4_096;

#[derive(Debug)]
enum Found {
    Record(Box<Record>),
    Stat(Stat),
}

#[derive(Debug)]
struct Waiting {
    ready_ns: u64,
    seen: Rc<Seen>,
    found: Found,
}

/// The last stage of a pipeline.
#[derive(Debug)]
pub struct Stage {
    settle_ns: u64,
    owners: Owners,
    waiting: VecDeque<Waiting>,
    /// Metrics of this pipeline.
    pub meter: Meter,
    requests: Vec<l7_flow_log::Row>,
    flows: Vec<l4_flow_log::Row>,
    batches: Vec<Batch>,
}

impl Stage {
    /// With nothing waiting. `settle_ns` 0 gives everything on at once.
    pub fn new(owners: Owners, settle_ns: u64) -> Self {
        Self {
            settle_ns,
            owners,
            waiting: VecDeque::new(),
            meter: Meter::default(),
            requests: Vec::new(),
            flows: Vec::new(),
            batches: Vec::new(),
        }
    }

    /// Takes what a conversation yielded at `now_ns`, and empties it.
    pub fn take(&mut self, now_ns: u64, seen: &Rc<Seen>, output: &mut Output) {
        let ready_ns = now_ns.saturating_add(self.settle_ns);
        for stat in output.stats.drain(..) {
            self.wait(ready_ns, seen, Found::Stat(stat));
        }
        for record in output.records.drain(..) {
            self.wait(ready_ns, seen, Found::Record(Box::new(record)));
        }
    }

    /// Takes a finished row of the flow log.
    pub fn take_flow(&mut self, row: l4_flow_log::Row) {
        self.flows.push(row);
        if self.flows.len() >= BATCH_ROWS {
            self.cut_flows();
        }
    }

    /// Who owns what.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Gives on what has waited long enough at `now_ns`.
    pub fn advance(&mut self, now_ns: u64) {
        while self.waiting.front().is_some_and(|waiting| waiting.ready_ns <= now_ns) {
            self.give_on();
        }
    }

    /// Gives on everything and closes all rows into batches; documents that ended at or before
    /// `second` too.
    pub fn flush(&mut self, now_ns: u64, second: u64) -> Vec<Batch> {
        self.advance(now_ns);
        self.cut_requests();
        self.cut_flows();
        self.meter.finish(second, &mut self.batches);
        std::mem::take(&mut self.batches)
    }

    /// Ends: nothing waits any longer.
    pub fn finish(&mut self) -> Vec<Batch> {
        self.advance(u64::MAX);
        self.flush(u64::MAX, u64::MAX - 1)
    }

    fn wait(&mut self, ready_ns: u64, seen: &Rc<Seen>, found: Found) {
        if self.waiting.len() >= WAITING_MAX {
            self.give_on();
        }
        self.waiting.push_back(Waiting { ready_ns, seen: Rc::clone(seen), found });
        if self.settle_ns == 0 {
            self.give_on();
        }
    }

    fn give_on(&mut self) {
        let Some(Waiting { ready_ns, seen, found }) = self.waiting.pop_front() else { return };
        let edge = seen.edge(&self.owners, ready_ns);
        match found {
            Found::Stat(stat) => self.meter.on_stat(&edge, seen.direction_score, &stat),
            Found::Record(record) => {
                self.requests.push(l7_rows::row(&seen, &edge, *record));
                if self.requests.len() >= BATCH_ROWS {
                    self.cut_requests();
                }
            }
        }
    }

    fn cut_requests(&mut self) {
        if !self.requests.is_empty() {
            self.batches.push(Batch::new(Table::L7FlowLog, &self.requests));
            self.requests.clear();
        }
    }

    fn cut_flows(&mut self) {
        if !self.flows.is_empty() {
            self.batches.push(Batch::new(Table::L4FlowLog, &self.flows));
            self.flows.clear();
        }
    }
}
