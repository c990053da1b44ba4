//! One line for each check, and the closing line that a test runner prints.
//!
//! In: what was wanted and what was found. Out: lines on standard output and the two counts.

use std::fmt::Debug;
use std::time::Instant;

use anyhow::Result;

/// Counts checks and prints them.
#[derive(Debug)]
pub struct Report {
    passed: usize,
    failed: Vec<String>,
    scenario: String,
    begin: Instant,
}

impl Default for Report {
    fn default() -> Self {
        Self { passed: 0, failed: Vec::new(), scenario: String::new(), begin: Instant::now() }
    }
}

impl Report {
    /// The checks that follow belong to this scenario.
    pub fn scenario(&mut self, name: &str) {
        println!("--- {name}");
        name.clone_into(&mut self.scenario);
        self.begin = Instant::now();
    }

    /// Prints how long the scenario took.
    pub fn scenario_ended(&self) {
        println!("    {:.1} s", self.begin.elapsed().as_secs_f64());
    }

    /// One check by a condition; `detail` says what was found.
    pub fn check(&mut self, what: &str, holds: bool, detail: &str) {
        let mark = if holds { "ok  " } else { "FAIL" };
        println!("{mark} {}: {what} [{detail}]", self.scenario);
        if holds {
            self.passed += 1;
        } else {
            self.failed.push(format!("{}: {what} [{detail}]", self.scenario));
        }
    }

    /// The scenario lacks something here: left out on a desk, with CI=true a failed check.
    pub fn cannot_run(&mut self, why: &str) {
        if std::env::var_os("CI").is_some_and(|value| value == "true") {
            self.check("can run here", false, why);
        } else {
            self.note(&format!("skipped: {why}"));
        }
    }

    /// One check that two values are the same.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: T, wanted: T) {
        let holds = found == wanted;
        let detail =
            if holds { format!("{found:?}") } else { format!("{found:?}, not {wanted:?}") };
        self.check(what, holds, &detail);
    }

    /// A scenario that could not go on counts as one failed check.
    pub fn outcome(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.check("went to its end", false, &format!("{error:#}"));
        }
    }

    /// Something measured that no check depends on.
    pub fn note(&self, text: &str) {
        println!("     {}: {text}", self.scenario);
    }

    /// Prints the closing line; whether all held.
    pub fn close(&self) -> bool {
        if !self.failed.is_empty() {
            println!("\nfailed checks:");
            for line in &self.failed {
                println!("  {line}");
            }
        }
        println!("{} passed, {} failed", self.passed, self.failed.len());
        self.failed.is_empty()
    }
}
