//! curl and wrk, both paced and both with an exact number of requests.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::run_together;
use crate::process::Process;

/// Status codes asked for in turn by curl, by path.
pub const PATHS: [(&str, u16); 5] =
    [("/ok", 200), ("/made", 201), ("/moved", 302), ("/missing", 404), ("/broken", 503)];

/// One curl for each of [`PATHS`], all at once: `each` requests on one connection, 500 a second.
pub fn curl(address: &str, each: u32) -> Result<()> {
    let commands = PATHS.iter().map(|(path, _)| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--rate", "500/s", "--output", "/dev/null"]);
        command.arg(format!("http://{address}{path}?id=curl-[1-{each}]"));
        command
    });
    run_together(commands.collect())
}

/// A curl in the background: unique ids `paced-1`, `paced-2` … at a steady rate.
#[derive(Debug)]
pub struct Paced {
    process: Process,
    limit: Duration,
}

impl Paced {
    /// Begins; `rate` is requests a second.
    pub fn start(address: &str, folder: &Path, rate: u32, requests: u32) -> Result<Self> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--output", "/dev/null"]);
        command.args(["--rate", &format!("{rate}/s")]);
        command.arg(format!("http://{address}/ok?id=paced-[1-{requests}]"));
        let process = Process::start("curl", folder, &mut command)?;
        let limit = Duration::from_secs(u64::from(requests / rate) * 3 + 60);
        Ok(Self { process, limit })
    }

    /// Waits for the last answer.
    pub fn wait(&mut self) -> Result<()> {
        let status = self.process.wait(self.limit)?;
        ensure!(status.success(), "curl ended with {status}: {}", self.process.output());
        Ok(())
    }
}

/// wrk with four connections: `each` requests to `/ok` on every one, then it stops.
pub fn wrk(address: &str, folder: &Path, each: u32) -> Result<()> {
    wrk_with(address, folder, each, "keep-alive")
}

/// As [`wrk`], with a connection of its own for each request.
pub fn wrk_closing(address: &str, folder: &Path, each: u32) -> Result<()> {
    wrk_with(address, folder, each, "close")
}

fn wrk_with(address: &str, folder: &Path, each: u32, connection: &str) -> Result<()> {
    let script = folder.join("paced.lua");
    std::fs::write(&script, paced_script(each))?;
    let mut command = Command::new("wrk");
    command.args(["--threads", "4", "--connections", "4", "--duration", "100s"]);
    command.args(["--header", &format!("Connection: {connection}"), "--script"]);
    command.arg(&script).arg(format!("http://{address}/ok"));
    run_together(vec![command])
}

/// A connection waits 1 ms before each request and its thread stops after the last answer.
fn paced_script(each: u32) -> String {
    format!(
        "local asked, answered = 0, 0
function delay() return 1 end
function request()
  asked = asked + 1
  return wrk.format('GET', '/ok?id=wrk-' .. asked)
end
function response()
  answered = answered + 1
  if answered >= {each} then wrk.thread:stop() end
end
"
    )
}
