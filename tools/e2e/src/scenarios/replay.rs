//! `deepflow-agent replay` on every capture in reach, and on files that are none.
//!
//! In: `shared/peer-captures` beside the checkout, where it is there, and files made here. Out:
//! checks that no capture ends in a panic, that two replays print the same bytes, and that what is
//! no capture gets a clear error and exit code 2.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Result;

use super::Context;
use crate::report::Report;

/// Tables that replay can print.
const TABLES: [&str; 4] = ["l7_flow_log", "l4_flow_log", "network", "application"];

/// All captures in all tables; then damaged, empty and foreign files.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    let agent = context.programs.join("deepflow-agent");
    let captures = captures();
    if captures.is_empty() {
        report.note("no shared/peer-captures beside this checkout: captures not replayed");
    }
    let mut bad = Vec::new();
    let mut lines = 0;
    for capture in &captures {
        for table in TABLES {
            let (first, second) =
                (replay(&agent, capture, table)?, replay(&agent, capture, table)?);
            let code = first.status.code();
            if !matches!(code, Some(0 | 2)) || panicked(&first) || first.stdout != second.stdout {
                bad.push(format!("{} {table}: {}", capture.display(), first.status));
            }
            lines += first.stdout.split(|byte| *byte == b'\n').count() - 1;
        }
    }
    let what =
        format!("{} captures in {} tables end well, twice the same", captures.len(), TABLES.len());
    report.check(&what, bad.is_empty(), &format!("{lines} lines; {bad:?}"));
    foreign(context, &agent, report)
}

fn foreign(context: &Context, agent: &Path, report: &mut Report) -> Result<()> {
    let header =
        [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    let cut_record: Vec<u8> = header.iter().copied().chain([1; 10]).collect();
    let files: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("text", b"this is no capture at all\n"),
        ("cut-header", &header[..13]),
        ("cut-record", &cut_record),
    ];
    for (name, bytes) in files {
        let path = context.folder.join(name);
        std::fs::write(&path, bytes)?;
        refused(&replay(agent, &path, TABLES[0])?, name, report);
    }
    refused(&replay(agent, &context.folder.join("not-there"), TABLES[0])?, "not-there", report);
    Ok(())
}

fn refused(output: &Output, name: &str, report: &mut Report) {
    let said = String::from_utf8_lossy(&output.stderr);
    let clear = said.contains(name) && !panicked(output);
    let holds = output.status.code() == Some(2) && clear;
    let detail = format!("{}: {}", output.status, said.lines().next().unwrap_or(""));
    report.check(&format!("{name}: a clear error and exit code 2"), holds, &detail);
}

fn replay(agent: &Path, capture: &Path, table: &str) -> Result<Output> {
    Ok(Command::new(agent).arg("replay").arg(capture).args(["--table", table]).output()?)
}

fn panicked(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stderr).contains("panicked")
}

/// Files ending in `.pcap` or `.pcapng`, sorted.
fn captures() -> Vec<PathBuf> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let shared = checkout.map(|root| root.join("../shared/peer-captures"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = shared.into_iter().collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "pcap" || end == "pcapng") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
