//! How fast packets are captured, and that every one that is not is counted.
//!
//! ```text
//! generator g0 ── gm [ agent ]
//! ```
//! In: two namespaces, a flood of small packets. The generator has one processor and the agent's
//! threads the other. Out: checks that at half a million packets a second none is lost, and that
//! with an agent that is stopped for a moment, or limited, packets sent = rows + losses, exactly.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Context;
use crate::lab::{self, Agent, Namespace, Rows, number};
use crate::process::{self, cpu_seconds};
use crate::report::Report;

/// Packets a second at which nothing may be lost.
const RATE: u64 = 500_000;
const FLOWS: u64 = 1024;
/// Time in which an agent that is stopped loses packets for sure: its ring holds a tenth of that.
const STOPPED: Duration = Duration::from_secs(1);
const GENERATOR_CPU: &str = "0";
const AGENT_CPU: &str = "1";

/// Three floods; ten times as long with `--long`.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    if !lab::is_possible(report) {
        return Ok(());
    }
    let times = if context.long { 10 } else { 1 };
    steady(context, report, 2_000_000 * times)?;
    stopped(context, report, 2_000_000 * times)?;
    limited(context, report, 500_000 * times)
}

/// At the rate that is asked for: all of it in rows.
fn steady(context: &Context, report: &mut Report, count: u64) -> Result<()> {
    let line = Line::new(context, "steady", "")?;
    let pps = if has_two_processors() { RATE * 11 / 10 } else { RATE / 2 };
    let sent = line.flood(count, Some(pps))?;
    let cpu = cpu_seconds(line.agent.id())?;
    let (truth, rows) = line.finish()?;
    let rate = number(&sent, "pps");
    let what = format!("nothing is lost at {} kpps", rate / 1000);
    report.equal(&what, (rows.packets()?, rows.dropped("capture_kernel")?), (truth, 0));
    report.equal("steady: packets in flow logs", packets(&rows)?, truth);
    report.equal("steady: packets in metrics", metrics(&rows)?, truth);
    report.equal("steady: flows", flows(&rows)?, FLOWS);
    report.note(&format!(
        "steady: {truth} packets at {rate} pps took {cpu:.2} s of CPU: {:.0} ns a packet, {:.0} % \
         of a core",
        cpu / truth as f64 * 1e9,
        cpu / sent["seconds"].as_f64().unwrap_or(1.0) * 100.0,
    ));
    let fast = rate >= RATE || std::env::var_os("CI").is_none();
    report.check("the generator was fast enough", fast, &format!("{rate} pps"));
    Ok(())
}

/// As fast as it goes at an agent that stands still for a second in the middle.
fn stopped(context: &Context, report: &mut Report, count: u64) -> Result<()> {
    let line = Line::new(context, "stopped", "")?;
    let id = line.agent.id();
    let stop = std::thread::spawn(move || -> Result<()> {
        std::thread::sleep(Duration::from_millis(500));
        process::signal(id, "STOP")?;
        std::thread::sleep(STOPPED);
        process::signal(id, "CONT")
    });
    let sent = line.flood(count, None)?;
    stop.join().ok().context("the stopping thread panicked")??;
    let (truth, rows) = line.finish()?;
    let lost = rows.dropped("capture_kernel")?;
    report.check("a stopped agent loses packets", lost > 0, &format!("{lost} of {truth}"));
    report.equal("stopped: sent = taken + dropped by the kernel", rows.packets()? + lost, truth);
    report.equal("stopped: packets in flow logs + dropped", packets(&rows)? + lost, truth);
    report.equal("stopped: packets in metrics + dropped", metrics(&rows)? + lost, truth);
    report.note(&format!("stopped: {} pps were sent", number(&sent, "pps")));
    Ok(())
}

/// More than `max_capture_pps` admits.
fn limited(context: &Context, report: &mut Report, count: u64) -> Result<()> {
    let line = Line::new(context, "limited", "tunning: {max_capture_pps: 50000},")?;
    let sent = line.flood(count, Some(250_000))?;
    let (truth, rows) = line.finish()?;
    let refused = rows.dropped("capture_limited")?;
    let lost = rows.dropped("capture_kernel")?;
    report.equal("limited: taken by the capture", rows.packets()? + lost, truth);
    report.equal("limited: in flow logs + refused", packets(&rows)? + refused + lost, truth);
    let seconds = sent["seconds"].as_f64().unwrap_or(0.0);
    let passed = (truth - refused - lost) as f64;
    let wanted = 50_000.0 * (seconds + 1.0);
    let near = (passed - wanted).abs() < wanted * 0.1;
    report.check("limited: a second's worth, then the rate", near, &format!("{passed} passed"));
    Ok(())
}

/// Generator and agent with the link between them.
struct Line {
    generator: Namespace,
    middle: Namespace,
    agent: Agent,
    flood: std::path::PathBuf,
    /// Packets that the interface had taken before.
    before: u64,
}

impl Line {
    fn new(context: &Context, name: &str, more: &str) -> Result<Self> {
        let (generator, middle) = (Namespace::new("g")?, Namespace::new("m")?);
        for space in [&generator, &middle] {
            space.without_ipv6()?;
        }
        generator.link("g0", &middle, "gm")?;
        // The generator's frames come by the way of XDP, which needs this.
        middle.run("ethtool", &["-K", "gm", "gro", "on"])?;
        let configuration = format!(
            "inputs: {{ebpf: {{disabled: true}}, \
             cbpf: {{{more} af_packet: {{interface_regex: '^gm$'}}}}}}"
        );
        let (programs, folder) = (&context.programs, &context.folder);
        let agent = Agent::start(&middle, programs, folder, name, &configuration)?;
        if has_two_processors() {
            let id = agent.id().to_string();
            process::run(Command::new("taskset").args(["-acp", AGENT_CPU, &id]))?;
        }
        let before = taken(&middle)?;
        let flood = lab::program(&context.programs, "lab_flood")?;
        Ok(Self { generator, middle, agent, flood, before })
    }

    fn flood(&self, count: u64, pps: Option<u64>) -> Result<Value> {
        let (count, flows) = (count.to_string(), FLOWS.to_string());
        let mut command = self.generator.command(&self.flood);
        command.args(["g0", "--xdp", "--count", &count, "--flows", &flows]);
        command.args(["--cpu", GENERATOR_CPU]);
        if let Some(pps) = pps {
            command.args(["--pps", &pps.to_string()]);
        }
        let said = process::run(&mut command)?;
        lab::lines(&said)?.pop().context("lab_flood said nothing")
    }

    /// Packets that came to the agent's interface, and the agent's rows.
    fn finish(self) -> Result<(u64, Rows)> {
        let begin = Instant::now();
        let mut truth = taken(&self.middle)?;
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let now = taken(&self.middle)?;
            if now == truth || begin.elapsed() > Duration::from_secs(5) {
                break;
            }
            truth = now;
        }
        Ok((truth - self.before, self.agent.finish()?))
    }
}

/// Packets that the interface has received.
fn taken(middle: &Namespace) -> Result<u64> {
    let text = middle.run("cat", &["/sys/class/net/gm/statistics/rx_packets"])?;
    text.trim().parse().context("rx_packets")
}

fn packets(rows: &Rows) -> Result<u64> {
    let of = |row: &Value| number(row, "packet_tx") + number(row, "packet_rx");
    Ok(rows.table("l4_flow_log")?.iter().map(of).sum())
}

fn metrics(rows: &Rows) -> Result<u64> {
    let of = |row: &Value| number(row, "packet_tx") + number(row, "packet_rx");
    Ok(rows.table("network.1s")?.iter().map(of).sum())
}

fn flows(rows: &Rows) -> Result<u64> {
    let rows = rows.table("l4_flow_log")?;
    let ids: std::collections::BTreeSet<u64> =
        rows.iter().map(|row| number(row, "flow_id")).collect();
    Ok(ids.len() as u64)
}

fn has_two_processors() -> bool {
    std::thread::available_parallelism().is_ok_and(|count| count.get() > 1)
}
