//! What the agent costs those it watches: the requests a second of an nginx under full load.
//!
//! In: release programs, wrk. Out: the share of requests a second that is missing while an agent runs, by
//! default and with everything on: in the first seconds, in which the agent may take what it saved before
//! (`agent.contended_percent`), and after it has found its share. Rounds with and without an agent alternate, and
//! are many: a virtual machine's speed changes by half from one second to the next. How far the means may be
//! off for that reason is told with them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::process::Process;
use e2e::servers::nginx::Nginx;

use crate::targets::Measurement;

const ROUNDS: usize = 12;
/// From an agent's start to its last hook.
const START: Duration = Duration::from_secs(60);
const LOAD: &str = "wrk, 16 connections without pause, nginx with one worker; 3 s with an agent, then 3 s \
                    without it, mean of 12 such pairs";
/// Full load until the agent has found its share. unit s
const SETTLE_S: u32 = 8;
const FIRST_S: u32 = 3;
const SHORT_S: u32 = 3;
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
    let mut lost = [const { Losses::none() }; 2];
    let mut lost_first = Losses::none();
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
            lost.add(watched, alone);
            lost_first.add(first, alone);
        }
    }
    let [default, everything] = lost;
    Ok(vec![
        lost_first.told("nginx_first_percent", &format!("the first {FIRST_S} s of the same")),
        default.told("nginx_default_percent", &format!("`standalone`; {LOAD}")),
        everything.told(
            "nginx_everything_percent",
            &format!("`standalone --metrics` with TLS, Go and files on; {LOAD}"),
        ),
    ])
}

/// What was lost in each pair of rounds. unit 1
struct Losses(Vec<f64>);

impl Losses {
    const fn none() -> Self {
        Self(Vec::new())
    }

    /// Takes one pair. unit requests/s
    fn add(&mut self, watched: f64, alone: f64) {
        self.0.push(1.0 - watched / alone);
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// Of the mean: the pairs' deviation from it, over the root of their number.
    fn standard_error(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.0.iter().map(|lost| (lost - mean).powi(2)).sum();
        (squares / (self.0.len() as f64 - 1.0).max(1.0) / self.0.len() as f64).sqrt()
    }

    fn told(&self, id: &'static str, how: &str) -> Measurement {
        let error = self.standard_error() * 100.0;
        Measurement::new(id, self.mean() * 100.0, format!("{how}; standard error {error:.1} %"))
    }
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

#[cfg(test)]
mod tests {
    use super::Losses;

    #[test]
    fn pairs_that_differ_tell_how_sure_the_mean_is() {
        let mut lost = Losses::none();
        for watched in [90.0, 100.0, 80.0, 90.0] {
            lost.add(watched, 100.0);
        }
        assert!((lost.mean() - 0.1).abs() < 1e-9);
        // Deviations 0, 0.1, 0.1, 0: the root of 0.02 / 3 / 4.
        assert!((lost.standard_error() - (0.02f64 / 12.0).sqrt()).abs() < 1e-9);
    }
}
