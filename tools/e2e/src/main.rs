//! `e2e [--long] [--keep] [--programs FOLDER] NAME… | all`: runs scenarios and prints their checks.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use e2e::report::Report;
use e2e::scenarios::{ALL, Context, MEASURING, Scenario};

fn main() -> ExitCode {
    let mut report = Report::default();
    match run(&mut report) {
        Ok(()) if report.close() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(report: &mut Report) -> Result<()> {
    let (mut names, mut long, mut keep, mut programs) = (Vec::new(), false, false, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--long" => long = true,
            "--keep" => keep = true,
            "--programs" => programs = Some(words.next().context("--programs needs a folder")?),
            _ => names.push(word),
        }
    }
    let programs =
        programs.map_or_else(folder_of_this_program, |folder| Ok(PathBuf::from(folder)))?;
    for scenario in chosen(&names)? {
        // Kept only while the scenario runs; the database's user must reach its folder below.
        let mut folder = tempfile::Builder::new().prefix("deepflow-e2e-").tempdir()?;
        folder.disable_cleanup(keep);
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let context =
            Context { programs: programs.clone(), folder: folder.path().to_owned(), long };
        report.scenario(scenario.name);
        if keep {
            report.note(&format!("logs and data stay in {}", folder.path().display()));
        }
        let outcome = (scenario.run)(&context, report);
        report.outcome(outcome);
        report.scenario_ended();
    }
    Ok(())
}

fn folder_of_this_program() -> Result<PathBuf> {
    let path = std::env::current_exe()?;
    Ok(path.parent().context("this program is in no folder")?.to_owned())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if names.iter().any(|name| name == "all") {
        return Ok(ALL.iter().collect());
    }
    if names.is_empty() {
        let known: Vec<&str> = ALL.iter().chain(MEASURING).map(|scenario| scenario.name).collect();
        bail!("name scenarios, or `all`: {}", known.join(" "));
    }
    let find = |name: &String| {
        ALL.iter()
            .chain(MEASURING)
            .find(|scenario| scenario.name == name)
            .with_context(|| format!("no scenario {name:?}"))
    };
    names.iter().map(find).collect()
}
