//! The pure core: packets through `wire`, `flow` and `meter`, requests through `l7` and `meter`.
//!
//! In: the examples `pps` and `requests` of crate `meter`. Out: packets and requests a second on one
//! core.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::targets::Measurement;

const FEW_FLOWS: u32 = 1_000;
const MANY_FLOWS: u32 = 1_000_000;

/// Packets of few and of very many flows, then requests.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let mut found = packets(programs, FEW_FLOWS)?;
    found.extend(packets(programs, MANY_FLOWS)?);
    found.extend(requests(programs)?);
    Ok(found)
}

/// What the example `requests` says of each protocol.
fn requests(programs: &Path) -> Result<Vec<Measurement>> {
    let text = output(&programs.join("examples/requests"), &[])?;
    let mut found = Vec::new();
    for line in text.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let rate = number_before(line, "requests/s").context("no rate")?;
        let how = format!("`target/release/examples/requests {name}`, records and metrics made");
        let target = match name.split('-').next() {
            Some("http") => "http1_krequests",
            Some("http2") => "http2_krequests",
            Some("dns") => "dns_krequests",
            _ => "database_krequests",
        };
        found.push(Measurement::new(target, rate / 1e3, how.clone()));
        let p99_ns = number_before(line, "ns a message").context("no p99")?;
        found.push(Measurement::new("l7_p99_us", p99_ns / 1e3, how));
    }
    ensure!(!found.is_empty(), "requests printed no rate");
    Ok(found)
}

/// What the example `pps` says of so many flows.
fn packets(programs: &Path, flows: u32) -> Result<Vec<Measurement>> {
    let text = output(&programs.join("examples/pps"), &[&flows.to_string()])?;
    let mut found = Vec::new();
    for line in text.lines() {
        let how = format!("`target/release/examples/pps {flows}`: {}", line.trim());
        let (rate, unit) = match line.starts_with("64 ") {
            true => ("flow_mpps", "Mpps"),
            false => ("flow_gbit", "Gbit/s"),
        };
        let measured = number_before(line, unit).with_context(|| format!("no {unit}: {line}"))?;
        found.push(Measurement::new(rate, measured, how.clone()));
        if flows == MANY_FLOWS {
            let resident = number_before(line, "MB").with_context(|| format!("no MB: {line}"))?;
            found.push(Measurement::new("flow_memory_mb", resident, how));
        }
    }
    ensure!(!found.is_empty(), "pps printed no rate");
    Ok(found)
}

/// What a program prints.
fn output(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| program.display().to_string())?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    Ok(text)
}

/// The number that stands just before the words `unit`.
fn number_before(line: &str, unit: &str) -> Option<f64> {
    let (before, _) = line.split_once(&format!(" {unit}"))?;
    before.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let line = "64 bytes, 1000 flows: 2.31 Mpps, 1.2 Gbit/s, 433 ns a packet, 0 allocations";
        assert_eq!(number_before(line, "Mpps"), Some(2.31));
        assert_eq!(number_before(line, "Kpps"), None);
        let line = "http    577000 requests/s    1733 ns each  p99 2100 ns a message";
        assert_eq!(number_before(line, "requests/s"), Some(577_000.0));
        assert_eq!(number_before(line, "ns a message"), Some(2100.0));
    }
}
