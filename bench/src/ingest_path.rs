//! From an agent's exporter to the server's log: runs the example `throughput` of crate `ingest`.
//!
//! In: what it prints. Out: rows a second and core of the server, bytes a row on the wire.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::targets::Measurement;

const COMMAND: &str = "`target/release/examples/throughput`";

/// Runs the example with its default number of rows.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let program = programs.join("examples/throughput");
    let output = Command::new(&program).output().with_context(|| program.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let found = read(&text);
    ensure!(!found.is_empty(), "the example printed no rate");
    Ok(found)
}

fn read(text: &str) -> Vec<Measurement> {
    let mut found = Vec::new();
    for line in text.lines() {
        let how = format!("{COMMAND}: {}", line.trim());
        if let Some(rows) = number_before(line, "rows per CPU s") {
            found.push(Measurement::new("ingest_rows", rows, how));
        } else if let Some(bytes) = number_before(line, "bytes a row") {
            let how = format!("{how}, made-up request logs of a busy host");
            found.push(Measurement::new("wire_l7_bytes", bytes, how));
        }
    }
    found
}

/// The number just before these words.
fn number_before(line: &str, words: &str) -> Option<f64> {
    let (before, _) = line.split_once(words)?;
    before.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read() {
        let text = "acknowledged 2 rows in 6.97 s: 287145 rows/s\n\
                    server: 4.44 CPU s, 450450 rows per CPU s (QUIC)\nwire:   13.7 bytes a row\n";
        let values: Vec<_> = read(text).iter().map(|found| (found.id, found.value)).collect();
        assert_eq!(values, [("ingest_rows", 450_450.0), ("wire_l7_bytes", 13.7)]);
    }
}
