//! What the agent costs those it watches: the requests a second of an nginx under full load.
//!
//! In: release programs, wrk. Out: the share of requests a second that is missing while an agent runs, by
//! default and with everything on: in the first seconds, in which the agent may take what it saved before
//! (`agent.contended_percent`), and after it has found its share. Rounds with and without an agent alternate.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::process::Process;
use e2e::servers::nginx::Nginx;

use crate::targets::Measurement;

const ROUNDS: usize = 5;
/// From an agent's start to its last hook.
const START: Duration = Duration::from_secs(60);
const LOAD: &str = "wrk, 16 connections without pause, nginx with one worker; 4 s with an agent, then 4 s \
                    without it, median of 5 such pairs";
/// Full load until the agent has found its share. unit s
const SETTLE_S: u32 = 16;
const FIRST_S: u32 = 3;
const SHORT_S: u32 = 4;
const EVERYTHING: &str = "inputs:
  ebpf:
    socket:
      uprobe:
        tls:
          enabled: true
        golang:
          enabled: true
    file:
      io_event:
        collect_mode: 2
";
/// Last words of an agent's start.
const READY: [&str; 2] = ["watching system calls", "watching TLS libraries"];

/// Loads nginx by turns.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let folder = tempfile::Builder::new().prefix("deepflow-bench-").tempdir()?;
    let folder = folder.path();
    let everything = folder.join("everything.yaml");
    std::fs::write(&everything, EVERYTHING)?;
    let nginx = Nginx::start(folder)?;
    let mut lost = [const { Vec::new() }; 2];
    let mut lost_first = Vec::new();
    for round in 0..ROUNDS {
        for (at, lost) in lost.iter_mut().enumerate() {
            let config = (at == 1).then_some(everything.as_path());
            let place = folder.join(format!("agent-{round}-{at}"));
            let mut agent = start(programs, &place, config, READY[at])?;
            let first = requests_per_s(&nginx, FIRST_S)?;
            requests_per_s(&nginx, SETTLE_S)?;
            let watched = requests_per_s(&nginx, SHORT_S)?;
            agent.interrupt()?;
            std::fs::remove_dir_all(&place)?;
            let alone = requests_per_s(&nginx, SHORT_S)?;
            println!(
                "round {round}: {first:.0} requests/s at first, then {watched:.0} with agent {at}, \
                 {alone:.0} alone"
            );
            lost.push((1.0 - watched / alone) * 100.0);
            lost_first.push((1.0 - first / alone) * 100.0);
        }
    }
    let [default, everything] = lost.map(median);
    Ok(vec![
        Measurement::new(
            "nginx_first_percent",
            median(lost_first),
            format!("the first {FIRST_S} s of the same"),
        ),
        Measurement::new("nginx_default_percent", default, format!("`standalone`; {LOAD}")),
        Measurement::new(
            "nginx_everything_percent",
            everything,
            format!("`standalone --metrics` with TLS, Go and files on; {LOAD}"),
        ),
    ])
}

fn start(programs: &Path, place: &Path, config: Option<&Path>, ready: &str) -> Result<Process> {
    std::fs::create_dir_all(place)?;
    let mut command = Command::new(programs.join("deepflow-agent"));
    command.arg("standalone").arg("--folder").arg(place).env("RUST_LOG", "info");
    if let Some(config) = config {
        command.arg("--metrics").arg("--config").arg(config);
    }
    let mut agent = Process::start("agent", place, &mut command)?;
    let log = place.join("agent.log");
    let is_ready = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains(ready));
    agent.wait_until(START, is_ready)?;
    Ok(agent)
}

fn requests_per_s(nginx: &Nginx, seconds: u32) -> Result<f64> {
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--connections", "16", "--duration", &format!("{seconds}s")]);
    let output = command.arg(format!("http://{}/ok", nginx.address())).output().context("wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success() && !text.contains("Non-2xx"), "wrk: {text}");
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    line.context("wrk told no rate")?.trim().parse().context("the rate of wrk")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_middle_is_taken() {
        assert_eq!(super::median(vec![9.0, 1.0, 2.0]).to_bits(), 2.0f64.to_bits());
    }
}
