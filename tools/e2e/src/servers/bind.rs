//! A DNS server with one zone, on port 53 of 127.0.0.1; its query log is the truth about queries.
//!
//! DNS is told from other UDP traffic by its port, so the port must be the true one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::program;
use crate::process::{Process, accepts};

/// A running `named`.
#[derive(Debug)]
pub struct Bind {
    /// Where it listens.
    pub address: &'static str,
    query_log: PathBuf,
    _process: Process,
}

/// `named` listens only on addresses that an interface has, so no other of 127.0.0.0/8 will do.
const ADDRESS: &str = "127.0.0.1";

impl Bind {
    /// Starts it below `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        ensure!(
            !accepts(&format!("{ADDRESS}:53")),
            "port 53 of {ADDRESS} is taken on this machine"
        );
        let folder = folder.join("bind");
        std::fs::create_dir_all(&folder)?;
        let query_log = folder.join("query.log");
        std::fs::write(folder.join("named.conf"), configuration(&folder))?;
        std::fs::write(folder.join("shop.zone"), zone())?;
        let mut command = Command::new(program("named")?);
        command.args(["-f", "-n", "1", "-c"]).arg(folder.join("named.conf"));
        let mut process = Process::start("named", &folder, &mut command)?;
        process.wait_until(Duration::from_secs(20), || accepts(&format!("{ADDRESS}:53")))?;
        Ok(Self { address: ADDRESS, query_log, _process: process })
    }

    /// Queries that it was asked.
    pub fn asked(&self) -> u64 {
        let text = std::fs::read_to_string(&self.query_log).unwrap_or_default();
        text.lines().filter(|line| line.contains(" query: ")).count() as u64
    }
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "options {{
  directory \"{folder}\"; pid-file \"{folder}/named.pid\"; session-keyfile none;
  listen-on port 53 {{ {ADDRESS}; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; notify no; empty-zones-enable no; querylog yes;
}};
controls {{ }};
logging {{
  channel truth {{ file \"{folder}/query.log\"; severity info; }};
  category queries {{ truth; }};
}};
zone \"shop.test\" {{ type primary; file \"{folder}/shop.zone\"; }};
"
    )
}

fn zone() -> String {
    "$TTL 60
@ IN SOA ns.shop.test. root.shop.test. 1 3600 600 86400 60
@ IN NS ns.shop.test.
ns IN A 127.0.0.1
www IN A 192.0.2.1
www IN AAAA 2001:db8::1
text IN TXT \"a text\"
*.host IN A 192.0.2.2
"
    .to_owned()
}
