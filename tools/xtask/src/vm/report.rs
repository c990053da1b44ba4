//! `docs/kernels.md`, made by runs.
//!
//! In: outcomes. Out: the table. A row of an earlier run stays when its kernel was not run now.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::matrix;
use super::{Outcome, Ran, Verdict};

const FILE: &str = "docs/kernels.md";
const HEAD: &str = "# Kernels

What the agent did on real boots: `cargo xtask vm --write` makes this table. Each kernel boots under
QEMU (TCG, 2 CPUs) with the static agent of its architecture, which runs `check` and then watches the
cases: HTTP by `send`/`recv`, `read`/`write` and `readv`/`writev`, IPv6, pipelined, 100 kB, 200 requests,
Redis, MySQL, DNS, a server's thread, an inherited connection, both ends in namespaces of their own, a
connection older than the agent, HTTP inside of TLS between two programs `openssl` of Debian 12 and between
two of Go (`tls-go`; not run where the machine has no Go), files that are written, stored and read; in the
tier v310 also that two more agents see the same, by other hooks if the kernel takes one program a
tracepoint, and that a killed agent leaves nothing that the next one does not delete. A case passes only if
both ends have exactly the rows that are expected, with addresses, ports and process names. The agent
also replays a capture. At the end `check` is run
without tracefs and debugfs, under `setarch --uname-2.6`, and, where the kernel has it, under
lockdown=confidentiality: it must say what is missing and what to do.
Not run means not run: no image of that kernel was at hand. Rows at the end are images given by
`--image`, built by hand from the public sources of that kernel, not the distribution's own binaries.
Seconds are from power-on to power-off, on a machine that did other things, too; a row without them is of
an earlier run, with the cases of then.

| kernel | system | tier | hooks by | offsets by | cases | seconds | result |
|---|---|---|---|---|---|---|---|
";

/// Writes the table.
pub fn write(root: &Path, outcomes: &[Outcome]) -> Result<()> {
    let path = root.join(FILE);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines = known_lines(&before);
    let kernels = matrix::read(root)?;
    for outcome in outcomes {
        let Some(ran) = &outcome.ran else { continue };
        let row = kernels.iter().find(|kernel| kernel.id == outcome.id);
        let system = row.map_or("built by hand", |kernel| kernel.system.as_str());
        lines.insert(outcome.id.clone(), line(&outcome.id, system, ran));
    }
    let mut text = HEAD.to_owned();
    for kernel in &kernels {
        let not_run = format!(
            "| {} | {} | {} expected | | | | | not run |",
            kernel.id, kernel.system, kernel.tier
        );
        writeln!(text, "{}", lines.remove(&kernel.id).unwrap_or(not_run))?;
    }
    for by_hand in lines.values() {
        writeln!(text, "{by_hand}")?;
    }
    std::fs::write(&path, text).context(FILE)
}

/// Lines of kernels that were run, by id.
fn known_lines(text: &str) -> BTreeMap<String, String> {
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.contains(" not run |"));
    rows.filter_map(|line| Some((line.split('|').nth(1)?.trim().to_owned(), line.to_owned())))
        .filter(|(id, _)| id != "kernel")
        .collect()
}

fn line(id: &str, system: &str, ran: &Ran) -> String {
    let hooks = ran.check["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    for hook in hooks.iter().filter(|hook| hook["attached"] == true) {
        *by.entry(hook["mechanism"].as_str().unwrap_or("?")).or_default() += 1;
    }
    let mut by: Vec<String> =
        by.into_iter().map(|(name, count)| format!("{name} ({count})")).collect();
    if let Some(mechanism) = ran.check["tls"]["mechanism"].as_str().filter(|name| !name.is_empty())
    {
        by.push(format!("TLS by {mechanism}"));
    }
    let names = |is_it: fn(&Verdict) -> bool| -> Vec<&str> {
        let those = ran.cases.iter().filter(|(_, verdict)| is_it(verdict));
        those.map(|(name, _)| name.as_str()).collect()
    };
    let passed = names(|verdict| *verdict == Verdict::Passed).len();
    let failed = names(|verdict| matches!(verdict, Verdict::Failed(_)));
    let not_run = names(|verdict| matches!(verdict, Verdict::NotRun(_)));
    let mut result = match failed.as_slice() {
        [] => "passed".to_owned(),
        names => format!("failed: {}", names.join(", ")),
    };
    if !not_run.is_empty() {
        result = format!("{result}; not run: {}", not_run.join(", "));
    }
    format!(
        "| {id} | {system}, {} | {} | {} | {} | {passed} of {} | {} | {result} |",
        ran.release,
        ran.check["tier"].as_str().unwrap_or("none"),
        by.join(", "),
        text(&ran.check["offsets"]),
        ran.cases.len(),
        ran.seconds,
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_earlier_runs_are_kept_by_id() {
        let text = "# Kernels\n| kernel | system |\n|---|---|\n| a | A, 1 | passed |\n\
                    | b | B | not run |\n| c.bz | built by hand, 3 | passed |\n";
        let ids: Vec<String> = known_lines(text).into_keys().collect();
        assert_eq!(ids, ["a", "c.bz"]);
    }
}
