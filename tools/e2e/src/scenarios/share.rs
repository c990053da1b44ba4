//! A load that leaves no processor idle: the agent keeps to its share, counts what it passes over, and
//! tells everything again when the load is gone.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Context;
use crate::http;
use crate::lab::{self, Agent, Rows, number};
use crate::process::{self, Process};
use crate::report::Report;
use crate::servers::nginx::Nginx;

/// Until the credit is spent and the portion found. unit s
const SETTLE_S: u32 = 20;
/// In which the share is measured. unit s
const MEASURED_S: u64 = 6;
/// The share by default, with as much again for what is still on its way. unit percent of all processors
const SHARE_PERCENT: f64 = 4.0;
/// Until all is watched again.
const RECOVERY: Duration = Duration::from_secs(30);
const REQUESTS: usize = 100;
const SETTLE: Duration = Duration::from_secs(2);

/// wrk against nginx, then single requests.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    if !lab::is_possible(report) {
        return Ok(());
    }
    let folder = context.folder.as_path();
    let nginx = Nginx::start(folder)?;
    let agent = Agent::start_on_host(&context.programs, folder, "share", "")?;
    let percent = load(&nginx, &agent, context)?;
    report.check(
        "the agent keeps to its share of busy processors",
        percent <= SHARE_PERCENT,
        &format!("{percent:.1} %, at most {SHARE_PERCENT} %"),
    );
    std::thread::sleep(RECOVERY);
    for n in 0..REQUESTS {
        http::get(&nginx.address(), &format!("/ok?after={n}"))?;
    }
    std::thread::sleep(SETTLE);
    let rows = agent.finish()?;
    let answered: u64 = nginx.answered().values().sum();
    check_account(&rows, answered, report)?;
    check_rows(&rows, report)
}

/// The agent's part of all processors while none is idle. unit percent
fn load(nginx: &Nginx, agent: &Agent, context: &Context) -> Result<f64> {
    let seconds = u64::from(SETTLE_S) + MEASURED_S;
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "2", "--connections", "32", "--duration", &format!("{seconds}s")]);
    wrk.arg(format!("http://{}/ok", nginx.address()));
    let mut wrk = Process::start("wrk", &context.folder, &mut wrk)?;
    std::thread::sleep(Duration::from_secs(SETTLE_S.into()));
    let before = process::cpu_seconds(agent.id())?;
    std::thread::sleep(Duration::from_secs(MEASURED_S));
    let taken_s = process::cpu_seconds(agent.id())? - before;
    wrk.wait(Duration::from_secs(10))?;
    let processors = std::thread::available_parallelism()?.get() as f64;
    Ok(taken_s / MEASURED_S as f64 / processors * 100.0)
}

/// No send or receive without being seen or counted, where the kernel lets the agent count (6.3).
fn check_account(rows: &Rows, answered: u64, report: &mut Report) -> Result<()> {
    let seen = rows.metric("agent_socket_events_total{source=\"sockets\"}")?;
    let lost = rows.dropped("ring_full")?;
    let unwatched = rows.dropped("unwatched_call")?;
    let rested_ms = rows.metric("agent_rested_milliseconds_total{source=\"sockets\"}")?;
    report.check("the agent rested, and says how long", rested_ms > 1000, &rested_ms.to_string());
    report.check(
        "packets that were passed over are counted",
        rows.dropped("unwatched_packet")? > 0,
        &rows.dropped("unwatched_packet")?.to_string(),
    );
    if unwatched == 0 && !counts_at_rest() {
        report.note("this kernel does not tell what is sent and received at rest");
        return Ok(());
    }
    // A request is a send and a receive at each end. What was passed over is estimated by samples, and
    // others of this host send and receive, too.
    let made = answered * 4;
    let told = seen + lost + unwatched;
    let detail = format!("{seen} seen, {lost} lost, {unwatched} passed over, of {made} and some");
    let is_near = (made / 10 * 9..made / 10 * 12).contains(&told);
    report.check("calls seen, lost and passed over", is_near, &detail);
    Ok(())
}

fn counts_at_rest() -> bool {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    symbols.contains("__traceiter_sock_send_length")
}

fn check_rows(rows: &Rows, report: &mut Report) -> Result<()> {
    let all = rows.table("l7_flow_log")?;
    let of_nginx = all.iter().filter(|row| row["l7_protocol"] == "HTTP");
    let after = |row: &&serde_json::Value| {
        row["request_resource"].as_str().is_some_and(|path| path.starts_with("/ok?after="))
            && row["observation_point"] == "s-p"
    };
    report.equal("requests told after the load", of_nginx.clone().filter(after).count(), REQUESTS);
    // A request whose response was not watched has no status; it did not take too long.
    let late = of_nginx.filter(|row| number(row, "response_status") == TIMEOUT).count();
    report.equal("requests that seem to have no response in time", late, 0);
    Ok(())
}

/// `response_status` of the request log.
const TIMEOUT: u64 = 2;
