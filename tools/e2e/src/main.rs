//! The end-to-end test: the real system, real servers, real clients, exact counts.
//!
//! In: names of scenarios, `all`, `--long`. Out: one line for each check and the closing line
//! `N passed, N failed`. Everything it starts is on loopback and ended again by its id.

mod clients;
mod http;
mod process;
mod report;
mod scenarios;
mod servers;

use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use anyhow::Result;

use report::Report;

fn main() -> ExitCode {
    let mut report = Report::default();
    report.scenario("selfcheck");
    let outcome = run(&mut report);
    report.outcome(outcome);
    report.scenario_ended();
    if report.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(report: &mut Report) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("deepflow-e2e-").tempdir()?;
    // The database's user must be able to reach its folder below this one.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    scenarios::selfcheck::run(folder.path(), report)
}
