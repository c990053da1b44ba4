//! The pure core: runs the examples of `flow` and `l7` that measure themselves.
//!
//! In: what they print. Out: packets and requests a second on one core.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::targets::Measurement;

/// Runs both examples.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let mut found = Vec::new();
    for (id, example, scale) in [("flow_mpps", "pps", 1e-6), ("l7_krequests", "speed", 1e-3)] {
        let program = programs.join("examples").join(example);
        let output =
            Command::new(&program).output().with_context(|| program.display().to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        print!("{text}");
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        let how = format!("`target/release/examples/{example}`");
        let rate = slowest_rate(&text).with_context(|| format!("{example} printed no rate"))?;
        found.push(Measurement::new(id, rate * scale, how));
    }
    Ok(found)
}

/// The smallest number that stands before a word ending in `/s`.
fn slowest_rate(text: &str) -> Option<f64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let rates = words.windows(2).filter_map(|pair| {
        let is_rate = pair[1].trim_end_matches([',', ';', ')']).ends_with("/s");
        let number: f64 = pair[0].replace([',', '_'], "").parse().ok()?;
        let scale = match pair[1].chars().next()? {
            'M' => 1e6,
            'k' => 1e3,
            _ => 1.0,
        };
        is_rate.then_some(number * scale)
    });
    rates.min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_rate_is_taken() {
        let text = "small: 2_100_000 packets/s\nlarge: 1.9 Mpackets/s (30 Gbit)\n";
        assert_eq!(slowest_rate(text), Some(1.9e6));
        assert_eq!(slowest_rate("nothing here"), None);
    }
}
