//! `vm-guest`: what runs inside of a booted kernel.
//!
//! In: the real agent beside it (`/deepflow-agent`), started by `/init` of the root that
//! `cargo xtask vm` makes. Out: lines that begin with `VM ` on standard output, read by that. The
//! same program plays the servers and clients of the cases, under the name it is called by.
//! Never: anything of the network but loopback.

mod agent;
mod cases;
mod conversations;
mod entropy;
mod files;
mod refusals;
mod replay;
mod roles;
mod rows;
mod tls;
mod watchdog;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

/// Name of the program when it is the one that leads.
const LEADER: &str = "vm-guest";
/// After which it is said to hang: several times what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(400);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let name = words.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    let result = if name == LEADER { lead() } else { roles::play(&words[1..]) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("VM error {}: {error:#}", name.display());
            ExitCode::FAILURE
        }
    }
}

/// Looks at the kernel with the agent's own eyes, then runs every case.
fn lead() -> Result<()> {
    watchdog::start(PATIENCE);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("no /proc")?;
    println!("VM kernel {}", release.trim());
    entropy::fill().context("fill the pool of entropy")?;
    let check = agent::check()?;
    println!("VM check {check}");
    let check: serde_json::Value = serde_json::from_str(&check)?;
    cases::run_all(check["tier"] == "v310")?;
    println!("VM end");
    Ok(())
}
