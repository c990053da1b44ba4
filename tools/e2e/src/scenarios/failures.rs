//! Parts are killed, cut off or filled up under load; nothing is lost without a name, and no row
//! is there twice.
//!
//! Each scenario runs server and agent apart, puts a paced load of requests with unique ids on
//! nginx, breaks something in the middle, and compares nginx's log with the store.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Context;
use crate::clients::http::Paced;
use crate::process::signal;
use crate::query::Query;
use crate::relay::Relay;
use crate::report::Report;
use crate::servers::nginx::Nginx;
use crate::system::{Agent, Place, Server, WarmUp};
use crate::telemetry::{Telemetry, sum};

/// Rows of one local request: client's calls, server's calls, packets.
const POINTS: u64 = 3;
/// Requests a second of most loads.
const RATE: u32 = 200;
/// How long the system may take to catch up after it is whole again.
const RECOVERY: Duration = Duration::from_secs(60);

/// The server is killed under load and started again.
pub fn server_killed(context: &Context, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(context, "")?;
    let mut load = stage.load(RATE, 3000)?;
    pause(4);
    stage.server.process.kill()?;
    pause(3);
    stage.server = Server::alone(&stage.place)?;
    load.wait()?;
    stage.check_nothing_lost(report)
}

/// The engine child is killed under load, twice.
pub fn engine_killed(context: &Context, report: &mut Report) -> Result<()> {
    let stage = Stage::start(context, "")?;
    let mut load = stage.load(RATE, 3000)?;
    for _ in 0..2 {
        pause(4);
        signal(stage.server.engine_id()?, "KILL")?;
    }
    load.wait()?;
    stage.check_nothing_lost(report)?;
    let telemetry = Telemetry::read(&stage.place.http_address())?;
    let restarts = sum(&telemetry.server, "server_engine_restarts_total", "");
    report.check("restarts of the engine are counted", restarts >= 2, &restarts.to_string());
    Ok(())
}

/// The agent is killed under load and started again: what it had in memory is counted.
pub fn agent_killed(context: &Context, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(context, "")?;
    let mut load = stage.load(RATE, 3000)?;
    pause(5);
    stage.agent.process.kill()?;
    let at_kill = stage.nginx.requests().len();
    pause(1);
    stage.agent = Agent::start(&stage.place, "")?;
    stage.wait_until_observing()?;
    let at_return = stage.nginx.requests().len();
    load.wait()?;
    let query = stage.place.query();
    let after: u64 = stage.ids_of_requests(at_return, usize::MAX);
    let (stored, _) = query.number_reaching(
        &stage.sql_of_requests(at_return, usize::MAX),
        after * POINTS,
        RECOVERY,
    );
    report.equal("rows of requests after its return", stored, after * POINTS);
    stage.check_no_row_twice(report)?;
    let telemetry = Telemetry::check_balance(&stage.place.http_address(), report, RECOVERY)?;
    // What happened within the last second may not have become a row yet; all else was one.
    let old = at_kill.saturating_sub(RATE as usize);
    let before = stage.ids_of_requests(0, old) * POINTS;
    let found = query.number(&stage.sql_of_requests(0, old))?;
    let in_memory = telemetry.dropped_rows.get("agent_killed").copied().unwrap_or(0);
    let detail = format!("{found} of {before} rows stored, {in_memory} rows counted as lost");
    report.check("what was a row is stored or counted", before - found <= in_memory, &detail);
    let young = stage.ids_of_requests(old, at_kill) * POINTS;
    let found = query.number(&stage.sql_of_requests(old, at_kill))?;
    report.note(&format!("of the last second before the kill, {found} of {young} rows are stored"));
    Ok(())
}

/// The server is away, and the agent is ended meanwhile with more than its spool may hold: what it
/// has in memory goes to the spool, and what has no room there is counted.
pub fn spool_full(context: &Context, report: &mut Report) -> Result<()> {
    let keys = "  spool_bytes: 131072\n";
    let mut stage = Stage::start(context, keys)?;
    stage.server.process.kill()?;
    let mut load = stage.load(400, 8000)?;
    load.wait()?;
    pause(2);
    let status = stage.agent.process.interrupt()?;
    report.check("the agent ends well without its server", status.success(), &status.to_string());
    stage.agent = Agent::start(&stage.place, keys)?;
    stage.server = Server::alone(&stage.place)?;
    let telemetry = Telemetry::check_balance(&stage.place.http_address(), report, RECOVERY)?;
    let dropped = telemetry.dropped_rows.get("spool_full").copied().unwrap_or(0);
    report.check("rows dropped as spool_full", dropped > 0, &format!("{dropped}"));
    let wanted = stage.ids_of_requests(0, usize::MAX) * POINTS;
    let all_dropped: u64 = telemetry.dropped_rows.values().sum();
    let query = stage.place.query();
    let (stored, _) =
        query.number_reaching(&stage.sql_of_load(), wanted.saturating_sub(all_dropped), RECOVERY);
    let detail = format!("{stored} of {wanted} stored, {:?}", telemetry.dropped_rows);
    report.check("no more lost than counted", wanted - stored <= all_dropped, &detail);
    stage.check_no_row_twice(report)
}

/// The network between agent and server is cut under load, and heals.
pub fn network_cut(context: &Context, report: &mut Report) -> Result<()> {
    let cut_seconds = if context.long { 60 } else { 15 };
    let mut place = Place::below(&context.programs, &context.folder, "system")?;
    let relay = Relay::start(place.ingest_port)?;
    place.dial_port = relay.port;
    let stage = Stage::start_at(context, place, "")?;
    let rate = 100;
    let mut load = stage.load(rate, rate * (cut_seconds + 10))?;
    pause(3);
    relay.set_cut(true);
    pause(u64::from(cut_seconds));
    relay.set_cut(false);
    load.wait()?;
    report.check("datagrams were dropped", relay.dropped() > 0, &relay.dropped().to_string());
    stage.check_nothing_lost(report)
}

/// Server, agent and nginx, all running and observing.
struct Stage {
    place: Place,
    agent: Agent,
    nginx: Nginx,
    server: Server,
}

impl Stage {
    fn start(context: &Context, agent_keys: &str) -> Result<Self> {
        let place = Place::below(&context.programs, &context.folder, "system")?;
        Self::start_at(context, place, agent_keys)
    }

    /// `agent_keys` are further lines of the group `agent` in the agent's configuration.
    fn start_at(context: &Context, place: Place, agent_keys: &str) -> Result<Self> {
        let server = Server::alone(&place)?;
        let agent = Agent::start(&place, agent_keys)?;
        let nginx = Nginx::start(&context.folder)?;
        let mut stage = Self { place, agent, nginx, server };
        stage.wait_until_observing()?;
        Ok(stage)
    }

    /// Waits until requests are seen at all three points.
    fn wait_until_observing(&mut self) -> Result<()> {
        let (warm_up, query) = (WarmUp::start()?, self.place.query());
        self.agent.process.wait_until(RECOVERY, || warm_up.is_observed(&query))
    }

    fn load(&self, rate: u32, requests: u32) -> Result<Paced> {
        Paced::start(&self.nginx.address(), &self.place.folder, rate, requests)
    }

    fn stored_rows(&self) -> Result<u64> {
        self.place.query().number(&self.sql_of_load())
    }

    fn sql_of_load(&self) -> String {
        format!(
            "SELECT count() FROM flow_log.l7_flow_log WHERE server_port = {} \
             AND request_resource LIKE '/ok?id=paced-%'",
            self.nginx.port
        )
    }

    /// Numbers of the paced requests among nginx's requests `from..to`, in order.
    fn paced_numbers(&self, from: usize, to: usize) -> Vec<u64> {
        let requests = self.nginx.requests();
        let to = to.min(requests.len());
        let range = requests.get(from..to).unwrap_or_default();
        range
            .iter()
            .filter_map(|(_, address)| address.strip_prefix("/ok?id=paced-")?.parse().ok())
            .collect()
    }

    fn ids_of_requests(&self, from: usize, to: usize) -> u64 {
        self.paced_numbers(from, to).len() as u64
    }

    fn sql_of_requests(&self, from: usize, to: usize) -> String {
        let numbers = self.paced_numbers(from, to);
        let (first, last) = (numbers.first().unwrap_or(&1), numbers.last().unwrap_or(&0));
        format!(
            "{} AND toUInt64OrZero(substring(request_resource, 14)) BETWEEN {first} AND {last}",
            self.sql_of_load()
        )
    }

    fn check_nothing_lost(&self, report: &mut Report) -> Result<()> {
        let query = self.place.query();
        let wanted = self.ids_of_requests(0, usize::MAX) * POINTS;
        let (_, took) = query.number_reaching(&self.sql_of_load(), wanted, RECOVERY);
        std::thread::sleep(Duration::from_secs(2));
        report.equal("rows of the load", self.stored_rows()?, wanted);
        report.note(&format!("all there {:.1} s after the last request", took.as_secs_f64()));
        self.check_no_row_twice(report)?;
        let address = self.place.http_address();
        let telemetry = Telemetry::check_balance(&address, report, RECOVERY)?;
        let kept = telemetry.dropped_rows.is_empty();
        report.check("no row was dropped", kept, &format!("{:?}", telemetry.dropped_rows));
        Ok(())
    }

    /// Each id once at each observation point.
    fn check_no_row_twice(&self, report: &mut Report) -> Result<()> {
        let sql = format!(
            "SELECT count() FROM (SELECT request_resource, signal_source, observation_point \
             FROM flow_log.l7_flow_log WHERE server_port = {} \
             AND request_resource LIKE '/ok?id=paced-%' GROUP BY 1, 2, 3 HAVING count() > 1)",
            self.nginx.port
        );
        let query: Query = self.place.query();
        report.equal("rows that are there twice", query.number(&sql).context("duplicates")?, 0);
        Ok(())
    }
}

fn pause(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}
