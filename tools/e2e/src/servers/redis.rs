//! redis without persistence; its own command statistics are the truth about commands.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::program;
use crate::process::{Process, accepts, free_port, run};

/// A running redis.
#[derive(Debug)]
pub struct Redis {
    /// Where it listens.
    pub port: u16,
    socket: PathBuf,
    _process: Process,
}

impl Redis {
    /// Starts it below `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        let folder = folder.join("redis");
        std::fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let socket = folder.join("redis.sock");
        let mut command = Command::new(program("redis-server")?);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"]);
        command.arg("--dir").arg(&folder).arg("--unixsocket").arg(&socket);
        let mut process = Process::start("redis", &folder, &mut command)?;
        process.wait_until(Duration::from_secs(10), || accepts(&format!("127.0.0.1:{port}")))?;
        Ok(Self { port, socket, _process: process })
    }

    /// Commands that it has answered: executed, refused, and unknown ones.
    /// Asked over its Unix socket, which neither source observes; those questions are left out.
    pub fn answered(&self) -> Result<u64> {
        let mut count = 0;
        for line in self.info("commandstats")?.lines() {
            let is_question = line.starts_with("cmdstat_info:");
            if !is_question && line.starts_with("cmdstat_") {
                count += field(line, "calls=") + field(line, "rejected_calls=");
            }
        }
        Ok(count + self.unknown()?)
    }

    /// Commands it does not know, which its command statistics leave out.
    fn unknown(&self) -> Result<u64> {
        let stats = self.info("stats")?;
        let line = stats.lines().find_map(|line| line.strip_prefix("total_error_replies:"));
        let replies: u64 = line.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let mut known = 0;
        for line in self.info("commandstats")?.lines() {
            known += field(line, "rejected_calls=") + field(line, "failed_calls=");
        }
        Ok(replies.saturating_sub(known))
    }

    fn info(&self, section: &str) -> Result<String> {
        run(Command::new("redis-cli").arg("-s").arg(&self.socket).args(["INFO", section]))
    }
}

fn field(line: &str, name: &str) -> u64 {
    line.split([',', ':'])
        .find_map(|part| part.strip_prefix(name))
        .and_then(|digits| digits.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let line =
            "cmdstat_set:calls=12,usec=40,usec_per_call=3.33,rejected_calls=2,failed_calls=1";
        assert_eq!(field(line, "calls="), 12);
        assert_eq!(field(line, "rejected_calls="), 2);
        assert_eq!(field(line, "none="), 0);
    }
}
