//! curl and wrk, both paced and both with an exact number of requests.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::run_together;

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

/// wrk with four connections: `each` requests to `/ok` on every one, then it stops.
pub fn wrk(address: &str, folder: &Path, each: u32) -> Result<()> {
    let script = folder.join("paced.lua");
    std::fs::write(&script, paced_script(each))?;
    let mut command = Command::new("wrk");
    command.args(["--threads", "4", "--connections", "4", "--duration", "60s", "--script"]);
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
