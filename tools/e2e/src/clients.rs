//! Real clients with bounded, exact loads: each function returns when all answers have come.
//!
//! In: an address. Out: requests on loopback, as many as its name or argument says. What was truly
//! asked is read from the server afterwards, not from here.

pub mod dns;
pub mod go;
pub mod http;
pub mod mysql;
pub mod node;
pub mod postgresql;
pub mod python;
pub mod redis;
pub mod web;

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::tail;

/// Runs several commands at the same time; all must succeed.
fn run_together(commands: Vec<Command>) -> Result<()> {
    let threads: Vec<_> = commands
        .into_iter()
        .map(|mut command| std::thread::spawn(move || crate::process::run(&mut command)))
        .collect();
    for thread in threads {
        match thread.join() {
            Ok(outcome) => outcome.map(drop)?,
            Err(_) => bail!("a client's thread failed"),
        }
    }
    Ok(())
}

/// Runs a command that may fail for reasons that belong to the test (an error it provoked).
fn run_to_end(command: &mut Command, input: &str) -> Result<String> {
    use std::io::Write;
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {:?}", command.get_program()))?;
    let mut pipe = child.stdin.take().context("no input pipe")?;
    let text = input.to_owned();
    let writer = std::thread::spawn(move || pipe.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    if writer.join().is_err() {
        bail!("the input's thread failed");
    }
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    Ok(format!("{printed}{}", tail(&errors)))
}
