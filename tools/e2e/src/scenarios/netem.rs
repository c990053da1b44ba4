//! Latency and loss on a path whose truth is known: delay, loss, reordering, duplicates, a limit.
//!
//! ```text
//! client c0 ── ca [ lab_netem, agent ] sb ── s0 server
//! ```
//! In: three namespaces. The agent captures on both ends of the path, `ca` before what is lost is
//! lost, `sb` after it. Out: checks against the kernels' own counters (`TcpRetransSegs`, `TCP_INFO`)
//! and against what the path says it did. Offloads are off: a veth shows one packet for up to 64 KiB
//! of segments, the kernel counts segments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Context;
use crate::lab::{self, Agent, Helper, Namespace, Rows, number};
use crate::process;
use crate::report::Report;

const CLIENT: &str = "10.77.0.1/24";
const SERVER: &str = "10.77.0.2";
const DELAY_MS: u64 = 20;
/// Silence after which every flow of the scenario has ended.
const FLOWS_END: Duration = Duration::from_secs(7);
/// How long connections may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

/// What is done on the path, and what is sent over it.
struct Phase {
    name: &'static str,
    port: u16,
    path: &'static str,
    /// Seconds of one connection that sends as much as it can; 0: requests and answers.
    push_s: u64,
}

const PHASES: [Phase; 7] = [
    Phase { name: "delay", port: 7101, path: "--delay-us 20000", push_s: 0 },
    Phase { name: "loss, bulk", port: 7102, path: "--delay-us 20000 --loss 2", push_s: 5 },
    Phase { name: "loss, requests", port: 7103, path: "--delay-us 5000 --loss 2", push_s: 0 },
    Phase { name: "reordering", port: 7104, path: "--delay-us 20000 --reorder 5", push_s: 4 },
    Phase { name: "duplicates", port: 7105, path: "--delay-us 5000 --duplicate 3", push_s: 3 },
    Phase {
        name: "rate",
        port: 7106,
        path: "--delay-us 5000 --rate-mbit 20 --queue 60",
        push_s: 3,
    },
    Phase {
        name: "all at once",
        port: 7107,
        path: "--delay-us 20000 --loss 2 --duplicate 1 --reorder 2 --rate-mbit 50",
        push_s: 4,
    },
];

/// The truth of a phase.
struct Truth {
    clients: Vec<Value>,
    servers: Vec<Value>,
    /// What the path did on the way to the server.
    path: Value,
    /// Segments sent again by the kernel of the client, of the server.
    retrans: [u64; 2],
}

/// Seven phases; a minute, or five with `--long`.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    if !lab::is_possible(report) {
        return Ok(());
    }
    let line = Line::new(&context.programs)?;
    let configuration = "inputs: {ebpf: {disabled: true}, \
                         cbpf: {af_packet: {interface_regex: '^(ca|sb)$'}}}";
    let agent =
        Agent::start(&line.middle, &context.programs, &context.folder, "netem", configuration)?;
    let mut truths = Vec::new();
    for phase in &PHASES {
        truths.push(line.run(phase, context.long)?);
    }
    std::thread::sleep(FLOWS_END);
    let rows = agent.finish()?;
    report.equal("packets dropped by the capture", rows.dropped("capture_kernel")?, 0);
    let (ca, sb) = (line.middle.index("ca")?, line.middle.index("sb")?);
    for (phase, truth) in PHASES.iter().zip(&truths) {
        let flows = |nic| flows(&rows, phase.port, nic);
        check_retransmissions(report, phase, truth, &flows(ca)?, &flows(sb)?);
        if phase.name == "delay" {
            check_latency(report, truth, &flows(ca)?, &flows(sb)?);
        }
    }
    Ok(())
}

/// The three namespaces with the links between them.
struct Line {
    client: Namespace,
    middle: Namespace,
    server: Namespace,
    netem: PathBuf,
    talk: PathBuf,
}

impl Line {
    fn new(programs: &Path) -> Result<Self> {
        let line = Self {
            client: Namespace::new("c")?,
            middle: Namespace::new("m")?,
            server: Namespace::new("s")?,
            netem: lab::program(programs, "lab_netem")?,
            talk: lab::program(programs, "lab_talk")?,
        };
        for space in [&line.client, &line.middle, &line.server] {
            space.without_ipv6()?;
        }
        line.client.link("c0", &line.middle, "ca")?;
        line.server.link("s0", &line.middle, "sb")?;
        line.client.ip(&format!("addr add {CLIENT} dev c0"))?;
        line.server.ip(&format!("addr add {SERVER}/24 dev s0"))?;
        Ok(line)
    }

    fn run(&self, phase: &Phase, long: bool) -> Result<Truth> {
        let words: Vec<&str> = ["ca", "sb"].into_iter().chain(phase.path.split(' ')).collect();
        let netem = Helper::start(&self.middle, &self.netem, &words)?;
        let port = phase.port.to_string();
        let server = Helper::start(&self.server, &self.talk, &["serve", &port])?;
        let before = self.retrans()?;
        let times = if long { 6 } else { 1 };
        let (seconds, connections) = ((phase.push_s * times).to_string(), (40 * times).to_string());
        let words: Vec<&str> = match phase.push_s {
            0 => vec!["ask", SERVER, &port, &connections, "5"],
            _ => vec!["push", SERVER, &port, &seconds],
        };
        let said = process::run(self.client.command(&self.talk).args(words))?;
        for space in [&self.client, &self.server] {
            wait_until_closed(space)?;
        }
        let after = self.retrans()?;
        let path = netem.finish()?.pop().map(|both| both["ab"].clone()).unwrap_or_default();
        Ok(Truth {
            clients: lab::lines(&said)?,
            servers: server.finish()?,
            path,
            retrans: [after[0] - before[0], after[1] - before[1]],
        })
    }

    fn retrans(&self) -> Result<[u64; 2]> {
        Ok([self.client.counter("TcpRetransSegs")?, self.server.counter("TcpRetransSegs")?])
    }
}

/// Until no connection sends any more, so that no segment is sent again behind our back.
fn wait_until_closed(space: &Namespace) -> Result<()> {
    let words = ["-Htan", "state", "connected", "exclude", "time-wait"];
    let begin = Instant::now();
    while !space.run("ss", &words)?.trim().is_empty() {
        ensure!(begin.elapsed() < CLOSE_TIMEOUT, "connections did not close");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The reports of flows to a port at an interface.
fn flows(rows: &Rows, port: u16, nic: u64) -> Result<Vec<Value>> {
    let is_wanted = |row: &Value| {
        number(row, "server_port") == u64::from(port) && number(row, "capture_nic") == nic
    };
    Ok(rows.table("l4_flow_log")?.into_iter().filter(is_wanted).collect())
}

fn sum(rows: &[Value], name: &str) -> u64 {
    rows.iter().map(|row| number(row, name)).sum()
}

/// FINs that were seen beyond two a flow. They carry nothing that could have been seen before, so
/// that no flow log counts them as sent again; the kernel does.
fn repeated_fins(rows: &[Value]) -> u64 {
    let mut fins: BTreeMap<u64, u64> = BTreeMap::new();
    for row in rows {
        *fins.entry(number(row, "flow_id")).or_default() += number(row, "fin_count");
    }
    fins.values().map(|count| count.saturating_sub(2)).sum()
}

fn check_retransmissions(
    report: &mut Report,
    phase: &Phase,
    truth: &Truth,
    at_client: &[Value],
    at_server: &[Value],
) {
    let fins = repeated_fins(at_client).max(repeated_fins(at_server));
    let mut check = |what: &str, found: u64, wanted: u64| {
        let what = format!("{}: {what}, within 1 %", phase.name);
        let holds = found.abs_diff(wanted) <= (wanted / 100).max(fins);
        report.check(&what, holds, &format!("{found} of {wanted}, {fins} FINs again"));
    };
    let [of_client, of_server] = truth.retrans;
    let found = sum(at_client, "retrans_tx");
    check("segments sent again by the client = its kernel's", found, of_client);
    let found = sum(at_server, "retrans_rx");
    check("segments sent again by the server = its kernel's", found, of_server);
    let by_sockets = truth.clients.iter().map(|client| number(client, "retrans")).sum();
    check("the sockets' own counts agree", sum(at_client, "retrans_tx"), by_sockets);
    check("nothing is out of order before the path", sum(at_client, "ooo_tx"), 0);
    // Behind the path: what came twice, whoever is to blame. What was lost before is seen once.
    let doubled = number(&truth.path, "doubled_data");
    let lost = number(&truth.path, "lost") + number(&truth.path, "queue_full");
    if lost == 0 {
        let found = sum(at_server, "retrans_tx");
        check("behind the path: doubles and needless repeats", found, doubled + of_client);
    }
    if phase.name == "reordering" {
        let (found, moved) = (sum(at_server, "ooo_tx"), number(&truth.path, "reordered"));
        let what = "reordering: holes are filled behind the path, and that is no loss";
        report.check(what, found >= moved / 2, &format!("{found}, {moved} packets overtook"));
    }
    report.note(&format!(
        "{}: {} packets, {lost} lost, {doubled} doubled; at the server's end {} again, {} out of order",
        phase.name,
        sum(at_client, "packet_tx"),
        sum(at_server, "retrans_tx"),
        sum(at_server, "ooo_tx"),
    ));
}

fn check_latency(report: &mut Report, truth: &Truth, at_client: &[Value], at_server: &[Value]) {
    let of = |rows: &[Value], connection: &Value| {
        let port = number(connection, "client_port");
        rows.iter().find(|row| number(row, "client_port") == port).cloned().unwrap_or_default()
    };
    let differences = |rows: &[Value], column: &str, connections: &[Value]| -> Vec<u64> {
        let one = |c: &Value| number(&of(rows, c), column).abs_diff(number(c, "rtt_us"));
        connections.iter().map(one).collect()
    };
    report.equal("delay: flows at the client's end", at_client.len(), truth.clients.len());
    let near = differences(at_client, "rtt_server", &truth.clients);
    within_a_millisecond(report, "rtt_server at the client = the client's kernel", 95, near);
    let near = differences(at_server, "rtt_client", &truth.servers);
    within_a_millisecond(report, "rtt_client at the server = the server's kernel", 95, near);
    let late_us = number(&truth.path, "late_us_mean");
    let wanted_us = 2 * DELAY_MS * 1_000;
    for (end, rows) in [("client", at_client), ("server", at_server)] {
        let rtt_us = median(rows.iter().map(|row| number(row, "rtt")).collect());
        let what =
            format!("delay: the median rtt at the {end} is {} ms, within 1 ms", 2 * DELAY_MS);
        let near = rtt_us.abs_diff(wanted_us) <= 1_000 + 2 * late_us;
        report.check(&what, near, &format!("{rtt_us} µs, the path is {late_us} µs late"));
    }
    let near = truth.clients.iter().map(|connection| {
        let row = of(at_client, connection);
        let art_us = number(&row, "art_sum") / number(&row, "art_count").max(1);
        art_us.abs_diff(number(connection, "answer_us"))
    });
    // The client itself waits for a processor, too, after its answer has come.
    within_a_millisecond(report, "art at the client = what the client waited", 80, near.collect());
}

/// Machines that run tests stop for moments: so many of a hundred must be near, and the middle one
/// very near.
fn within_a_millisecond(report: &mut Report, what: &str, percent: usize, differences_us: Vec<u64>) {
    let near = differences_us.iter().filter(|us| **us <= 1_000).count();
    let (count, middle_us) = (differences_us.len(), median(differences_us));
    let what = format!("delay: {what}, within 1 ms");
    let holds = near * 100 >= count * percent && middle_us <= 500 && count > 0;
    report.check(&what, holds, &format!("{near} of {count}, median of differences {middle_us} µs"));
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(u64::MAX)
}
