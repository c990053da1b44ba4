//! Clients that are libraries of npm: the scripts of `node/`, run where they are, beside what
//! `cargo xtask prerequisites test` installs there.
//!
//! In: a namespace, the name of a script and its words. Out: the exchanges that it tells of.

use anyhow::{Context as _, Result};

use crate::exchanges::Exchange;
use crate::lab::{self, Namespace};
use crate::process;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");

/// Runs a client to its end; what it tells.
pub fn ask(space: &Namespace, script: &str, words: &[&str]) -> Result<Vec<Exchange>> {
    let mut command = space.command("node");
    command.arg(format!("{FOLDER}/{script}")).args(words);
    let text = process::run(&mut command)?;
    let exchanges = lab::lines(&text)?.iter().map(Exchange::read).collect::<Result<Vec<_>>>();
    exchanges.with_context(|| script.to_owned())
}
