//! The last stage of a pipeline: what was found waits a moment for the owners of its sockets,
//! then is metered and becomes rows.
//!
//! Packets are often read before the BPF event that tells whose connection it is; `settle_ns`
//! gives that event time to come. Bounded: at the limit the oldest go on without waiting.

use std::collections::VecDeque;
use std::rc::Rc;

use flow::FlowTick;
use l7::{Output, Record, Stat};
use meter::{Edge, Meter};
use schema::{Batch, Rows, Table, file_event, l4_flow_log, l7_flow_log};

use super::health_checks::HealthChecks;
use super::l7_rows;
use super::seen::{Owners, Seen};

/// Things that wait at once.
const WAITING_MAX: usize = 65_536;
/// Times that something waits for an owner on this host before it goes on without: on a host that
/// lets the agent wait, BPF events come late too.
const TURNS_MAX: u8 = 6;
/// Boxes of records kept for records to come: of 10,000 requests a second, seen at both ends, so many become
/// rows at once. 1.7 MB.
const SPARES_MAX: usize = 2_048;
/// Rows of one batch.
const BATCH_ROWS: usize = 4_096;

/// Takes finished batches; must not wait.
pub type Outlet = Box<dyn FnMut(Batch)>;

#[derive(Debug)]
enum Found {
    Record(Box<Record>),
    Stat(Stat),
    Tick(Box<FlowTick>),
}

#[derive(Debug)]
struct Waiting {
    ready_ns: u64,
    /// Times that it has waited in vain.
    turns: u8,
    seen: Rc<Seen>,
    found: Found,
}

/// The last stage of a pipeline. A batch goes out as soon as it is full, so that a million flows
/// that end at once need no memory for a million rows.
pub struct Stage {
    settle_ns: u64,
    owners: Owners,
    waiting: VecDeque<Waiting>,
    meter: Meter,
    /// Whether anybody wants metrics.
    metered: bool,
    requests: Rows<l7_flow_log::Row>,
    flows: Rows<l4_flow_log::Row>,
    files: Rows<file_event::Row>,
    /// Those that wait for the end of their minute; none are kept without.
    health_checks: Option<HealthChecks>,
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    spares: Vec<Box<Record>>,
    outlet: Outlet,
}

impl Stage {
    /// With nothing waiting. `settle_ns` 0 gives everything on at once.
    pub fn new(owners: Owners, settle_ns: u64, outlet: Outlet) -> Self {
        Self {
            settle_ns,
            owners,
            waiting: VecDeque::new(),
            meter: Meter::default(),
            metered: true,
            requests: Rows::new(Table::L7FlowLog),
            flows: Rows::new(Table::L4FlowLog),
            files: Rows::new(Table::FileEvent),
            health_checks: None,
            spares: Vec::new(),
            outlet,
        }
    }

    /// The same without metrics, where only logs are wanted.
    pub fn without_metrics(self) -> Self {
        Self { metered: false, ..self }
    }

    /// From here on, health checks become one row a minute.
    pub fn merge_health_checks(&mut self) {
        self.health_checks = Some(HealthChecks::default());
    }

    /// Adds a second of a flow to the metrics.
    pub fn meter(&mut self, edge: &Edge, tick: &FlowTick) {
        if !self.metered {
            return;
        }
        self.meter.on_tick(edge, tick);
        self.meter.bound(&mut self.outlet);
    }

    /// The same, of a flow with an end on this host, whose owner is given time to be told.
    pub fn meter_seen(&mut self, now_ns: u64, seen: &Rc<Seen>, tick: &FlowTick) {
        if !self.metered {
            return;
        }
        let edge = seen.edge(&self.owners, now_ns);
        if !seen.awaits_owner() || self.settle_ns == 0 || self.waiting.len() >= WAITING_MAX {
            return self.meter(&edge, tick);
        }
        let ready_ns = now_ns.saturating_add(self.settle_ns);
        self.wait(ready_ns, seen, Found::Tick(Box::new(tick.clone())));
    }

    /// Takes what a conversation yielded at `now_ns`, and empties it.
    pub fn take(&mut self, now_ns: u64, seen: &Rc<Seen>, output: &mut Output) {
        let ready_ns = now_ns.saturating_add(self.settle_ns);
        for stat in output.stats.drain(..) {
            self.wait(ready_ns, seen, Found::Stat(stat));
        }
        for record in output.records.drain(..) {
            self.wait(ready_ns, seen, Found::Record(record));
        }
        if output.spares.is_empty() {
            std::mem::swap(&mut output.spares, &mut self.spares);
        }
    }

    /// Takes a finished row of the flow log.
    pub fn take_flow(&mut self, row: l4_flow_log::Row) {
        let row = match &mut self.health_checks {
            Some(checks) => checks.take(row),
            None => Some(row),
        };
        let Some(row) = row else { return };
        self.flows.push(row);
        if self.flows.len() >= BATCH_ROWS {
            self.cut_flows();
        }
    }

    /// Takes a finished row of a call on a file.
    pub fn take_file(&mut self, row: file_event::Row) {
        self.files.push(row);
        if self.files.len() >= BATCH_ROWS {
            self.cut_files();
        }
    }

    /// Who owns what.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Takes what became known of the host's addresses since; whether there was anything.
    pub fn refresh(&mut self) -> bool {
        self.owners.refresh()
    }

    /// Gives on what has waited long enough at `now_ns`.
    pub fn advance(&mut self, now_ns: u64) {
        while self.waiting.front().is_some_and(|waiting| waiting.ready_ns <= now_ns) {
            let turns_max = if now_ns == u64::MAX { 0 } else { TURNS_MAX };
            self.give_on(now_ns, turns_max);
        }
    }

    /// Gives on what has waited long enough and closes all rows into batches; documents that ended
    /// at or before `second` too.
    pub fn flush(&mut self, now_ns: u64, second: u64) {
        self.advance(now_ns);
        if let Some(checks) = &mut self.health_checks {
            checks.finish(now_ns, &mut |row| self.flows.push(row));
        }
        self.cut_requests();
        self.cut_flows();
        self.cut_files();
        self.meter.finish(second, &mut self.outlet);
    }

    /// Ends: nothing waits any longer.
    pub fn finish(&mut self) {
        self.advance(u64::MAX);
        self.flush(u64::MAX, u64::MAX - 1);
    }

    fn wait(&mut self, ready_ns: u64, seen: &Rc<Seen>, found: Found) {
        if self.waiting.len() >= WAITING_MAX {
            self.give_on(ready_ns, 0);
        }
        self.waiting.push_back(Waiting { ready_ns, turns: 0, seen: Rc::clone(seen), found });
        if self.settle_ns == 0 {
            self.give_on(ready_ns, 0);
        }
    }

    fn give_on(&mut self, now_ns: u64, turns_max: u8) {
        let Some(Waiting { turns, seen, found, .. }) = self.waiting.pop_front() else {
            return;
        };
        let edge = seen.edge(&self.owners, now_ns);
        if turns < turns_max && seen.awaits_owner() {
            let ready_ns = now_ns.saturating_add(self.settle_ns);
            self.waiting.push_back(Waiting { ready_ns, turns: turns + 1, seen, found });
            return;
        }
        match found {
            Found::Stat(_) if !self.metered => {}
            Found::Stat(stat) => {
                self.meter.on_stat(&edge, seen.direction_score, &stat);
                self.meter.bound(&mut self.outlet);
            }
            Found::Tick(tick) => self.meter(&edge, &tick),
            Found::Record(mut record) => {
                self.requests.push(l7_rows::row(&seen, &edge, &mut record));
                if self.spares.len() < SPARES_MAX {
                    self.spares.push(record);
                }
                if self.requests.len() >= BATCH_ROWS {
                    self.cut_requests();
                }
            }
        }
    }

    fn cut_requests(&mut self) {
        if let Some(batch) = self.requests.take() {
            (self.outlet)(batch);
        }
    }

    fn cut_files(&mut self) {
        if let Some(batch) = self.files.take() {
            (self.outlet)(batch);
        }
    }

    fn cut_flows(&mut self) {
        if let Some(batch) = self.flows.take() {
            (self.outlet)(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use metadata::{Connection, Owner, SocketTable};
    use schema::{L7Protocol, ObservationPoint, SignalSource, TunnelType};

    use super::*;

    const SETTLE_NS: u64 = 150;

    fn seen() -> Rc<Seen> {
        Rc::new(Seen {
            client: ([127, 0, 0, 1], 4000).into(),
            server: ([127, 0, 0, 1], 80).into(),
            protocol: 6,
            signal_source: SignalSource::Packet,
            point: ObservationPoint::Local,
            nic: 1,
            tunnel: TunnelType::None,
            flow_id: 1,
            direction_score: 255,
            client_owner: None,
            server_owner: None,
            lookup: Default::default(),
        })
    }

    /// A stage, and what comes out of it.
    fn empty_stage(table: &Arc<SocketTable>, settle_ns: u64) -> (Stage, Rc<RefCell<Vec<Batch>>>) {
        let owners = Owners::new(Arc::clone(table), Arc::default());
        let batches = Rc::new(RefCell::new(Vec::new()));
        let outlet = Rc::clone(&batches);
        let push = move |batch| outlet.borrow_mut().push(batch);
        (Stage::new(owners, settle_ns, Box::new(push)), batches)
    }

    /// The same with one record that waits.
    fn stage(table: &Arc<SocketTable>) -> (Stage, Rc<RefCell<Vec<Batch>>>) {
        let (mut stage, batches) = empty_stage(table, SETTLE_NS);
        let mut output = Output::default();
        output.records.push(Box::new(Record::new(L7Protocol::Http)));
        stage.take(0, &seen(), &mut output);
        (stage, batches)
    }

    #[test]
    fn a_row_waits_for_owners_that_are_told_late() {
        let table = Arc::new(SocketTable::new(16, 0));
        let (mut stage, batches) = stage(&table);
        stage.flush(SETTLE_NS, 0);
        assert!(batches.borrow().is_empty(), "nobody is known yet");
        let (client, server) = (seen().client, seen().server);
        let owner = |name: &str| Owner { tgid: 7, name: name.into(), ..Owner::default() };
        table.insert(0, Connection { protocol: 6, local: client, remote: server }, owner("curl"));
        table.insert(0, Connection { protocol: 6, local: server, remote: client }, owner("nginx"));
        // The look-up before is remembered for a tenth of a second.
        stage.flush(200_000_000, 0);
        let batches = batches.borrow();
        assert_eq!(batches.iter().map(|batch| batch.rows).sum::<usize>(), 1);
        let mut text = String::new();
        schema::json::write_lines(&batches[0], &mut text);
        assert!(
            text.contains("\"process_kname_0\":\"curl\",\"process_kname_1\":\"nginx\""),
            "{text}"
        );
    }

    #[test]
    fn rows_after_a_handover_name_the_process_that_has_the_connection_then() {
        let table = Arc::new(SocketTable::new(16, 0));
        let (mut stage, batches) = empty_stage(&table, 0);
        let seen = seen();
        let owner = |tgid, name: &str| Owner { tgid, name: name.into(), ..Owner::default() };
        let (client, server) = (seen.client, seen.server);
        let asked = Connection { protocol: 6, local: client, remote: server };
        let served = Connection { protocol: 6, local: server, remote: client };
        table.insert(0, asked, owner(7, "curl"));
        for (tgid, name) in [(8, "inetd"), (9, "in.ftpd")] {
            table.insert(0, served, owner(tgid, name));
            let mut output = Output::default();
            output.records.push(Box::new(Record::new(L7Protocol::Http)));
            stage.take(1, &seen, &mut output);
            stage.flush(1, 0);
            let mut text = String::new();
            schema::json::write_lines(&batches.borrow()[0], &mut text);
            batches.borrow_mut().clear();
            assert!(text.contains(&format!("\"process_kname_1\":\"{name}\"")), "{text}");
        }
    }

    #[test]
    fn a_row_goes_on_without_owners_after_a_while_and_at_the_end() {
        let table = Arc::new(SocketTable::new(16, 0));
        let rows = |batches: &RefCell<Vec<Batch>>| -> usize {
            batches.borrow().iter().map(|batch| batch.rows).sum()
        };
        let (mut waiting, batches) = stage(&table);
        for turn in 1..=u64::from(TURNS_MAX) {
            waiting.flush(SETTLE_NS * turn, 0);
            assert_eq!(rows(&batches), 0, "turn {turn}");
        }
        waiting.flush(SETTLE_NS * (u64::from(TURNS_MAX) + 1), 0);
        assert_eq!(rows(&batches), 1);
        let (mut ending, batches) = stage(&table);
        ending.finish();
        assert_eq!(rows(&batches), 1, "nothing is lost at the end");
    }
}
