//! `docs/kernels.md`, made by runs.
//!
//! In: outcomes. Out: the table. A row of an earlier run stays when its kernel was not run now.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::matrix::{self, Kernel};
use super::{Outcome, Ran};

const FILE: &str = "docs/kernels.md";
const HEAD: &str = "# Kernels

What the agent did on real boots: `cargo xtask vm --write` makes this table. Each kernel boots under
QEMU (TCG, 2 CPUs) with the static agent of its architecture, which runs `check` and then watches the
cases: HTTP by `send`/`recv`, `read`/`write` and `readv`/`writev`, IPv6, pipelined, 100 kB, 200 requests,
Redis, MySQL, DNS, a server's thread, an inherited connection, a connection older than the agent. A case
passes only if both ends have exactly the rows that are expected, with addresses, ports and process names.
Not run means not run: no image of that kernel was at hand.

| kernel | system | tier | hooks by | offsets by | cases | result |
|---|---|---|---|---|---|---|
";

/// Writes the table.
pub fn write(root: &Path, outcomes: &[Outcome]) -> Result<()> {
    let path = root.join(FILE);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for line in before.lines().filter(|line| line.starts_with("| ") && !line.contains(" not run |"))
    {
        if let Some(id) = line.split('|').nth(1) {
            lines.insert(id.trim().to_owned(), line.to_owned());
        }
    }
    let kernels = matrix::read(root)?;
    for outcome in outcomes {
        let Some(kernel) = kernels.iter().find(|kernel| kernel.id == outcome.id) else { continue };
        if let Some(ran) = &outcome.ran {
            lines.insert(kernel.id.clone(), line(kernel, ran));
        }
    }
    let mut text = HEAD.to_owned();
    for kernel in &kernels {
        let not_run = format!(
            "| {} | {} | {} expected | | | | not run |",
            kernel.id, kernel.system, kernel.tier
        );
        writeln!(text, "{}", lines.get(&kernel.id).unwrap_or(&not_run))?;
    }
    std::fs::write(&path, text).context(FILE)
}

fn line(kernel: &Kernel, ran: &Ran) -> String {
    let hooks = ran.check["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    for hook in hooks.iter().filter(|hook| hook["attached"] == true) {
        *by.entry(hook["mechanism"].as_str().unwrap_or("?")).or_default() += 1;
    }
    let by: Vec<String> = by.into_iter().map(|(name, count)| format!("{name} ({count})")).collect();
    let passed = ran.cases.iter().filter(|(_, why)| why.is_none()).count();
    let failed: Vec<&str> =
        ran.cases.iter().filter(|(_, why)| why.is_some()).map(|(name, _)| name.as_str()).collect();
    let result = match failed.as_slice() {
        [] => "passed".to_owned(),
        names => format!("failed: {}", names.join(", ")),
    };
    format!(
        "| {} | {}, {} | {} | {} | {} | {passed} of {} | {result} |",
        kernel.id,
        kernel.system,
        ran.release,
        ran.check["tier"].as_str().unwrap_or("none"),
        by.join(", "),
        text(&ran.check["offsets"]),
        ran.cases.len(),
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
