//! `bench [--write FILE] [SECTION…]`: measures the numbers of DESIGN §6 on this machine.
//!
//! In: release programs beside this one. Out: a table of measurements against their targets, on
//! standard output and, with `--write`, as a page with machine and commit. Loads are on loopback
//! and bounded. It judges nothing as a test: `make test` does not depend on speed.

mod core_path;
mod ingest_path;
mod kernel_side;
mod machine;
mod page;
mod peer;
mod slow_down;
mod system_load;
mod targets;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use targets::Measurement;

/// A section measures one part and gives its numbers.
type Section = fn(&Path) -> Result<Vec<Measurement>>;

const SECTIONS: [(&str, Section); 6] = [
    ("kernel", kernel_side::measure),
    ("slow-down", slow_down::measure),
    ("core", core_path::measure),
    ("peer", peer::measure),
    ("ingest", ingest_path::measure),
    ("system", system_load::measure),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut names, mut file) = (Vec::new(), None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--write" => file = Some(words.next().context("--write needs a file")?),
            _ if SECTIONS.iter().any(|(name, _)| *name == word) => names.push(word),
            _ => bail!("{word:?} is no section: kernel, slow-down, core, peer, ingest, system"),
        }
    }
    let program = std::env::current_exe()?;
    let programs = program.parent().context("this program is in no folder")?.to_owned();
    let mut measured = Vec::new();
    for (name, section) in SECTIONS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("=== {name}");
        match section(&programs) {
            Ok(found) => measured.extend(found),
            Err(error) => println!("{name}: not measured: {error:#}"),
        }
    }
    let text = page::page(&targets::load()?, &measured, &machine::describe());
    print!("{text}");
    if let Some(file) = file {
        std::fs::write(&file, text).with_context(|| format!("failed to write {file}"))?;
    }
    Ok(())
}
