//! The agent under test: `check`, and `standalone` in the background.
//!
//! In: the binary `/deepflow-agent`. Out: its report, a folder of rows. Never: a row made up here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Its place in the root.
pub const AGENT: &str = "/deepflow-agent";
/// Its configuration: what differs from the defaults.
const CONFIG: &str = "/tmp/agent.yaml";
/// All is watched, however much of the slow emulated processors that takes; plaintext of TLS, by Go too;
/// every call on a file within a request, also in memory, where this root is.
const SETTINGS: &str = "agent: {contended_percent: 0}\n\
    global: {limits: {max_millicpus: 100000}}\n\
    inputs: {ebpf: {socket: {uprobe: {tls: {enabled: true}, golang: {enabled: true}}}, \
    file: {io_event: {minimal_duration: 0ns, enable_virtual_file_collect: true}}}}\n";
/// From start to the last hook, on a slow emulated machine.
const START: Duration = Duration::from_secs(120);
const END: Duration = Duration::from_secs(15);

/// What `deepflow-agent check --json` says, in one line.
pub fn check() -> Result<String> {
    check_by(&[])
}

/// The same, run by these words before it.
pub fn check_by(before: &[&str]) -> Result<String> {
    let words = [before, &[AGENT, "check", "--json"]].concat();
    let mut command = Command::new(words[0]);
    let output = command.args(&words[1..]).stderr(Stdio::inherit()).output().context(AGENT)?;
    ensure!(output.status.success(), "check ended with {}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).context("check printed no JSON")?;
    Ok(report.to_string())
}

/// What an agent wrote.
#[derive(Debug, Default)]
pub struct Rows {
    /// Of the request log.
    pub requests: Vec<Value>,
    /// Of calls on files.
    pub files: Vec<Value>,
}

/// A running agent that writes rows into a folder.
pub struct Agent {
    child: Child,
    folder: PathBuf,
}

impl Agent {
    /// Starts it and waits until it watches system calls.
    pub fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(CONFIG, SETTINGS)?;
        let log = folder.join("agent.err");
        let child = Command::new(AGENT)
            .args(["standalone", "--config", CONFIG, "--folder"])
            .arg(folder)
            .env("RUST_LOG", "info")
            .stderr(File::create(&log)?)
            .stdout(Stdio::null())
            .spawn()
            .context(AGENT)?;
        let mut agent = Self { child, folder: folder.to_owned() };
        let begin = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            // TLS libraries are hooked last; without them the case that needs them tells.
            if text.contains("watching TLS libraries") || text.contains("TLS is not read") {
                return Ok(agent);
            }
            let ended = agent.child.try_wait()?.is_some();
            if ended || text.contains("are not watched") || begin.elapsed() > START {
                bail!("the agent does not watch system calls: {}", text.trim());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as a user would, and gives the rows of requests and of calls on files that it wrote.
    pub fn finish(mut self) -> Result<Rows> {
        let pid = self.child.id().to_string();
        Command::new("/bin/busybox").args(["kill", "-INT", &pid]).status().context("kill")?;
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > END {
                self.child.kill()?;
                bail!("the agent did not end within {END:?} of SIGINT");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Rows { requests: self.rows("l7_flow_log.log")?, files: self.rows("file_event.log")? })
    }

    fn rows(&self, file: &str) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.folder.join(file))?;
        text.lines().map(|line| serde_json::from_str(line).context("a row is no JSON")).collect()
    }

    /// Ends it as the kernel would.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop).context("wait")
    }

    /// What it logged.
    pub fn log(folder: &Path) -> String {
        std::fs::read_to_string(folder.join("agent.err")).unwrap_or_default()
    }
}
