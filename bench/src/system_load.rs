//! The whole system under HTTP load: memory and CPU of the agent, bytes on the wire and on disk,
//! freshness.
//!
//! In: release programs. Out: numbers of one run: idle, then wrk on nginx with four connections,
//! each pacing itself by 1 ms, for a fixed number of requests.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::clients;
use e2e::http;
use e2e::process::cpu_seconds;
use e2e::query::Query;
use e2e::servers::nginx::Nginx;
use e2e::system::{Place, Server};
use e2e::telemetry::{Telemetry, sum};

use crate::targets::Measurement;

/// Requests on each of four connections.
const REQUESTS: u32 = 15_000;
const LOAD: &str = "60,000 requests by wrk, 4 connections, at nginx on loopback";
/// Connections of one request each, on each of four.
const FLOWS: u32 = 5000;
const ROWS: &str = "agent_rows_acknowledged_total";
const BYTES: &str = "agent_sent_bytes_total";
/// Flows are logged some seconds after their end, and the agent reports each ten seconds.
const REPORTED: Duration = Duration::from_secs(15);
/// The agent settles before its idle memory is read.
const IDLE: Duration = Duration::from_secs(8);

/// Starts the system in a folder of its own, loads it, reads what it says, and ends it.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let folder = tempfile::Builder::new().prefix("deepflow-bench-").tempdir()?;
    let place = Place::below(programs, folder.path(), "system")?;
    let mut server = Server::all_in_one(&place)?;
    server.wait_for_agent()?;
    let agent = server.agent_id()?;
    std::thread::sleep(IDLE);
    let mut found = vec![Measurement::new(
        "agent_idle_mib",
        memory_mib(agent, "VmRSS")?,
        format!("VmRSS {} s after its start, default configuration", IDLE.as_secs()),
    )];

    let nginx = Nginx::start(folder.path())?;
    found.push(freshness(&place.query(), &nginx)?);
    let before = Telemetry::read(&place.http_address())?;
    let cpu_before_s = cpu_seconds(agent)?;
    clients::http::wrk(&nginx.address(), folder.path(), REQUESTS)?;
    wait_until_stored(&place.query(), &nginx)?;
    let cpu_s = cpu_seconds(agent)? - cpu_before_s;
    let requests = f64::from(REQUESTS * 4);
    let how = format!("utime + stime of the agent, {LOAD}");
    found.push(Measurement::new("agent_cpu_us", cpu_s * 1e6 / requests, how));
    let how = format!("VmHWM after {LOAD}");
    found.push(Measurement::new("agent_peak_mib", memory_mib(agent, "VmHWM")?, how));
    std::thread::sleep(REPORTED);
    let after = Telemetry::read(&place.http_address())?;
    found.extend(wire(&before, &after));
    clients::http::wrk_closing(&nginx.address(), folder.path(), FLOWS)?;
    wait_until_stored(&place.query(), &nginx)?;
    std::thread::sleep(REPORTED);
    let closed = Telemetry::read(&place.http_address())?;
    found.extend(flow_wire(&found, &after, &closed));
    found.extend(disk(&place.query()));
    let status = server.process.interrupt()?;
    ensure!(status.success(), "the system ended with {status}");
    Ok(found)
}

fn freshness(query: &Query, nginx: &Nginx) -> Result<Measurement> {
    http::get(&nginx.address(), "/ok?id=fresh")?;
    let begin = Instant::now();
    let sql = "SELECT count() FROM flow_log.l7_flow_log WHERE request_resource = '/ok?id=fresh'";
    let (seen, _) = query.number_reaching(sql, 3, Duration::from_secs(20));
    ensure!(seen >= 3, "a single request was seen {seen} times, not at three points");
    let how = "one request; all three rows found by `POST /v1/query/`";
    Ok(Measurement::new("fresh_s", begin.elapsed().as_secs_f64(), how))
}

fn wait_until_stored(query: &Query, nginx: &Nginx) -> Result<()> {
    let wanted = nginx.requests().len() as u64 * 3;
    let sql =
        format!("SELECT count() FROM flow_log.l7_flow_log WHERE server_port = {}", nginx.port);
    let (stored, _) = query.number_reaching(&sql, wanted, Duration::from_secs(60));
    ensure!(stored >= wanted, "{stored} rows of {wanted} are stored");
    Ok(())
}

/// Bytes a request record on the wire: nearly all rows of that load are request records.
fn wire(before: &Telemetry, after: &Telemetry) -> Option<Measurement> {
    let (rows, bytes) = (grown(before, after, ROWS, ""), grown(before, after, BYTES, ""));
    let requests = grown(before, after, ROWS, "l7_flow_log");
    let how = format!(
        "`{BYTES}` a row of all {rows} rows, {requests} of which are request records, {LOAD}"
    );
    (rows > 0.0).then(|| Measurement::new("wire_l7_bytes", bytes / rows, how))
}

/// Bytes a flow record on the wire: what the other rows do not account for.
fn flow_wire(found: &[Measurement], before: &Telemetry, after: &Telemetry) -> Option<Measurement> {
    let request_bytes = found.iter().find(|measurement| measurement.id == "wire_l7_bytes")?.value;
    let (rows, bytes) = (grown(before, after, ROWS, ""), grown(before, after, BYTES, ""));
    let flows = grown(before, after, ROWS, "l4_flow_log");
    let others = (rows - flows) * request_bytes;
    let how = format!(
        "`{BYTES}` less {request_bytes:.1} for each of {} other rows, {flows} flow records, {} \
         connections by wrk of one request each",
        rows - flows,
        FLOWS * 4
    );
    (flows > 0.0).then(|| Measurement::new("wire_l4_bytes", (bytes - others) / flows, how))
}

fn grown(before: &Telemetry, after: &Telemetry, name: &str, table: &str) -> f64 {
    sum(&after.agent, name, table).saturating_sub(sum(&before.agent, name, table)) as f64
}

/// Bytes a row on disk, of each table.
fn disk(query: &Query) -> Vec<Measurement> {
    [("disk_l7_bytes", "l7_flow_log"), ("disk_l4_bytes", "l4_flow_log")]
        .into_iter()
        .filter_map(|(id, table)| {
            let sql = format!(
                "SELECT sum(bytes_on_disk) / sum(rows), sum(rows) FROM system.parts \
                 WHERE active AND database = 'flow_log' AND table LIKE '{table}%'"
            );
            let rows = query.rows(&sql).ok()?;
            let value = rows.first()?.first()?.as_f64()?;
            let count = rows.first()?.get(1)?.to_string();
            let how = format!("`system.parts`, {count} rows, both loads");
            Some(Measurement::new(id, value, how))
        })
        .collect()
}

fn memory_mib(process: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).context(field.to_owned())?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib / 1024.0)
}
