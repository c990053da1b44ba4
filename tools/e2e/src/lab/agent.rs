//! An agent in a namespace of the laboratory, and the rows that it wrote.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Namespace, lines};
use crate::process::Process;

/// How long the agent may take until it captures.
const START_TIMEOUT: Duration = Duration::from_secs(40);

/// `deepflow-agent standalone` in a namespace.
#[derive(Debug)]
pub struct Agent {
    process: Process,
    folder: PathBuf,
}

/// What an agent wrote.
#[derive(Debug)]
pub struct Rows {
    folder: PathBuf,
}

impl Agent {
    /// Starts it with this configuration (YAML) and waits until packets are watched, and system
    /// calls too unless `inputs.ebpf` is off, and TLS libraries if that is on.
    pub fn start(
        space: &Namespace,
        programs: &Path,
        folder: &Path,
        name: &str,
        configuration: &str,
    ) -> Result<Self> {
        let program = program_of(programs)?;
        Self::start_by(space.command(program), folder, name, configuration)
    }

    /// The same in the host's own namespace.
    pub fn start_on_host(
        programs: &Path,
        folder: &Path,
        name: &str,
        configuration: &str,
    ) -> Result<Self> {
        Self::start_by(Command::new(program_of(programs)?), folder, name, configuration)
    }

    fn start_by(
        mut command: Command,
        folder: &Path,
        name: &str,
        configuration: &str,
    ) -> Result<Self> {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("agent.yaml");
        std::fs::write(&path, configuration)?;
        command.args(["standalone", "--metrics", "--config"]).arg(path);
        command.arg("--folder").arg(folder.join("rows"));
        let mut process = Process::start("agent", &folder, &mut command)?;
        let log = folder.join("agent.log");
        let has_calls = !configuration.contains("ebpf: {disabled: true}");
        let has_tls = ["tls", "golang"]
            .iter()
            .any(|name| configuration.contains(&format!("{name}: {{enabled: true}}")));
        process.wait_until(START_TIMEOUT, || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            said.contains("watching packets")
                && (!has_calls || said.contains("watching system calls"))
                && (!has_tls || said.contains("watching TLS libraries"))
        })?;
        Ok(Self { process, folder })
    }

    /// Process id: `ip netns exec` becomes the program.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it in order; its rows.
    pub fn finish(mut self) -> Result<Rows> {
        let status = self.process.interrupt()?;
        ensure!(status.success(), "the agent ended with {status}:\n{}", self.process.output());
        Ok(Rows { folder: self.folder.join("rows") })
    }
}

fn program_of(programs: &Path) -> Result<PathBuf> {
    let program = programs.join("deepflow-agent");
    ensure!(program.is_file(), "{} is not built", program.display());
    Ok(program)
}

impl Rows {
    /// Rows of a table, such as `l4_flow_log` or `network.1s`; none where there is no file.
    pub fn table(&self, name: &str) -> Result<Vec<Value>> {
        let path = self.folder.join(format!("{name}.log"));
        if !path.is_file() {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(&path)?;
        lines(&text).with_context(|| path.display().to_string())
    }

    /// The agent's own metrics as it ended, by name with tags.
    pub fn telemetry(&self) -> Result<Vec<(String, f64)>> {
        let rows = self.table("deepflow_collector")?;
        let last = rows.last().context("the agent told nothing of itself")?;
        let names = last["metrics_float_names"].as_array().context("names")?;
        let values = last["metrics_float_values"].as_array().context("values")?;
        let pairs = names.iter().zip(values);
        Ok(pairs
            .map(|(name, value)| {
                (name.as_str().unwrap_or("").to_owned(), value.as_f64().unwrap_or(0.0))
            })
            .collect())
    }

    /// Packets that the agent took.
    pub fn packets(&self) -> Result<u64> {
        self.metric("agent_packets_total{source=\"packets\"}")
    }

    /// What was lost for a reason of `schema/drops.toml`.
    pub fn dropped(&self, reason: &str) -> Result<u64> {
        self.metric(&format!("agent_dropped_total{{reason={reason:?}}}"))
    }

    /// One of the agent's own metrics as it ended, 0 if it told none of this name with tags.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let all = self.telemetry()?;
        Ok(all.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value as u64))
    }
}
