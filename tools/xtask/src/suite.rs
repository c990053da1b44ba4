//! `make test` and `make bench`: the steps in order, each with its time and its outcome.
//!
//! In: names of steps, or none for all. Out: what each step prints, a table at the end and the
//! closing line `N passed, N failed, N skipped`. A step that fails does not stop those after it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::prerequisites::{self, Purpose};
use crate::{reproduce, run, tidy, vm};

/// How a step ended.
#[derive(Debug)]
enum Outcome {
    Passed,
    /// What could be run has passed; what could not, in words.
    PassedWithout(String),
    Skipped(String),
    Failed(String),
}

/// A step of the suite.
struct Step {
    name: &'static str,
    run: fn(&Path) -> Result<Outcome>,
}

const STEPS: [Step; 12] = [
    Step { name: "prerequisites", run: install },
    Step { name: "format", run: format },
    Step { name: "tidy", run: style },
    Step { name: "lints", run: lints },
    Step { name: "unit", run: unit },
    Step { name: "ui", run: interface },
    Step { name: "live", run: kernel_side },
    Step { name: "kernels", run: kernels },
    Step { name: "release", run: release },
    Step { name: "e2e", run: end_to_end },
    Step { name: "browser", run: browser },
    Step { name: "reproduce", run: reproduced },
];

/// Runs every step, or those named.
///
/// # Errors
/// When a step failed, or a name is unknown.
pub fn test(root: &Path, names: &[&str]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("{unknown:?} is no step; steps are {}", known.join(" "));
    }
    let wanted = STEPS.iter().filter(|step| names.is_empty() || names.contains(&step.name));
    let mut report: Vec<(&str, Duration, Outcome)> = Vec::new();
    for step in wanted {
        println!("\n=== {}", step.name);
        let begin = Instant::now();
        let outcome =
            (step.run)(root).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        if let Outcome::Failed(why) = &outcome {
            println!("{} failed: {why}", step.name);
        }
        report.push((step.name, begin.elapsed(), outcome));
    }
    close(&report)
}

/// Measures everything of DESIGN §6 that exists, into docs/perf.md.
///
/// # Errors
/// When a build or the measuring program fails.
pub fn bench(root: &Path) -> Result<()> {
    prerequisites::install(root, Purpose::Bench)?;
    run::build(root)?;
    command(root, "cargo", &["build", "--release", "-p", "bench", "-p", "e2e"])?;
    command(
        root,
        "cargo",
        &["build", "--release", "--examples", "-p", "source", "-p", "meter", "-p", "ingest"],
    )?;
    let program = run::release_folder(root).join("bench");
    command(root, &program.to_string_lossy(), &["--write", "docs/perf.md"])
}

/// Compares the flows of captures with what tshark reads in them.
///
/// # Errors
/// When a difference is unexplained, or tshark or the agent cannot be run.
pub fn compare_tshark(root: &Path, words: &[&str]) -> Result<()> {
    let mut run = vec!["run", "--quiet", "--release", "-p", "flowcheck", "--"];
    run.extend(words);
    command(root, "cargo", &run)
}

fn close(report: &[(&str, Duration, Outcome)]) -> Result<()> {
    println!("\n=== summary");
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, took, outcome) in report {
        let text = match outcome {
            Outcome::Passed => {
                passed += 1;
                "passed".to_owned()
            }
            Outcome::PassedWithout(what) => {
                passed += 1;
                format!("passed, but NOT RUN: {what}")
            }
            Outcome::Skipped(why) => {
                skipped += 1;
                format!("skipped: {why}")
            }
            Outcome::Failed(why) => {
                failed += 1;
                format!("FAILED: {}", why.lines().next().unwrap_or(""))
            }
        };
        println!("{name:<14} {:>7.1} s  {text}", took.as_secs_f64());
    }
    println!("steps: {passed} passed, {failed} failed, {skipped} skipped");
    ensure!(failed == 0, "{failed} steps failed");
    Ok(())
}

fn install(root: &Path) -> Result<Outcome> {
    prerequisites::install(root, Purpose::Test)?;
    Ok(Outcome::Passed)
}

fn format(root: &Path) -> Result<Outcome> {
    command(root, "cargo", &["fmt", "--all", "--check"])?;
    Ok(Outcome::Passed)
}

fn style(root: &Path) -> Result<Outcome> {
    tidy::run(root)?;
    Ok(Outcome::Passed)
}

fn lints(root: &Path) -> Result<Outcome> {
    let words = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    command(root, "cargo", &words)?;
    Ok(Outcome::Passed)
}

fn unit(root: &Path) -> Result<Outcome> {
    let has_nextest = Command::new("cargo")
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    // The live tests are a step of their own; plain `cargo test` cannot leave them out.
    let words: &[&str] = if has_nextest {
        &["nextest", "run", "--workspace", "--locked", "-E", "not binary(/^live_/)"]
    } else {
        &["test", "--workspace", "--locked"]
    };
    command(root, "cargo", words)?;
    Ok(Outcome::Passed)
}

fn interface(root: &Path) -> Result<Outcome> {
    npm_script(root, "check")?;
    npm_script(root, "test")
}

/// The tests that load BPF programs and capture packets; each says SKIPPED where it cannot. Of the whole
/// workspace, so that crates have the features with which the unit tests were built.
fn kernel_side(root: &Path) -> Result<Outcome> {
    let words = [
        "test",
        "--locked",
        "--workspace",
        "--test",
        "live_capture",
        "--test",
        "live_capture_v310",
        "--test",
        "live_drop",
        "--test",
        "live_packets",
        "--test",
        "live_check",
        "--",
        "--nocapture",
        "--test-threads=1",
    ];
    let printed = command_shown(root, "cargo", &words)?;
    match printed.lines().find(|line| line.contains("SKIPPED")) {
        Some(line) => skip(line),
        None => Ok(Outcome::Passed),
    }
}

fn release(root: &Path) -> Result<Outcome> {
    run::build(root)?;
    command(root, "cargo", &["build", "--release", "--locked", "-p", "e2e"])?;
    // The programs of the network laboratory.
    command(root, "cargo", &["build", "--release", "--locked", "-p", "source", "--examples"])?;
    Ok(Outcome::Passed)
}

fn end_to_end(root: &Path) -> Result<Outcome> {
    if !prerequisites::is_root() {
        return skip("needs root: it captures packets and loads BPF programs");
    }
    let program = run::release_folder(root).join("e2e");
    command(root, &program.to_string_lossy(), &["all"])?;
    Ok(Outcome::Passed)
}

fn browser(root: &Path) -> Result<Outcome> {
    npm_script(root, "browser")
}

/// Boots the kernels that Debian's archive has; others need images by hand, or `make vm`.
fn kernels(root: &Path) -> Result<Outcome> {
    let missing = vm::run(root, &["--packaged"])?;
    Ok(match missing.is_empty() {
        true => Outcome::Passed,
        false => Outcome::PassedWithout(missing.join(", ")),
    })
}

/// Asks for the step that builds what is shipped more than once (1), or declines it (0); else it runs
/// in CI alone.
const REPRODUCE: &str = "DEEPFLOW_REPRODUCE";

/// Builds what is shipped for x86_64 by Nix, by the plain scripts and, where its root is, by Bazel,
/// and compares every byte. `cargo xtask reproduce` does it for both architectures.
fn reproduced(root: &Path) -> Result<Outcome> {
    let is_wanted = match std::env::var(REPRODUCE).as_deref() {
        Ok("1") => true,
        Ok(_) => false,
        Err(_) => is_ci(),
    };
    if !is_wanted {
        println!("reproduce: not run; {REPRODUCE}=1 asks for it");
        return Ok(Outcome::Skipped(format!("NOT RUN: {REPRODUCE}=1 asks for it")));
    }
    // A machine may forbid the namespaces that Nix's sandbox is made of; its output would be worth less.
    if let Some(why) = reproduce::lacks_nix(root) {
        println!("reproduce: NOT RUN: {why}");
        return Ok(Outcome::Skipped(format!("NOT RUN: {why}")));
    }
    let missing = reproduce::run(root, &["--by", "nix,plain,bazel", "--arch", "x86_64"])?;
    Ok(match missing.is_empty() {
        true => Outcome::Passed,
        false => Outcome::PassedWithout(missing.join(", ")),
    })
}

fn npm_script(root: &Path, name: &str) -> Result<Outcome> {
    command(&root.join("server/ui"), "npm", &["run", "--silent", name])?;
    Ok(Outcome::Passed)
}

/// A step may be left out on a desk, never in CI: there it must be able to run.
fn skip(why: &str) -> Result<Outcome> {
    ensure!(!is_ci(), "{why}; required because CI=true");
    println!("skipped: {why} (with CI=true this would be a failure)");
    Ok(Outcome::Skipped(why.to_owned()))
}

fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

fn command(folder: &Path, program: &str, words: &[&str]) -> Result<()> {
    let shown = shown(program, words);
    let status = Command::new(program)
        .args(words)
        .current_dir(folder)
        .status()
        .with_context(|| format!("failed to start {program}"))?;
    ensure!(status.success(), "`{shown}` ended with {status}");
    Ok(())
}

/// As [`command`]; also gives what was printed on standard output.
fn command_shown(folder: &Path, program: &str, words: &[&str]) -> Result<String> {
    let shown = shown(program, words);
    let mut child = Command::new(program)
        .args(words)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {program}"))?;
    let output = child.stdout.take().context("no output pipe")?;
    let mut text = String::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        text.push_str(&line);
        text.push('\n');
    }
    let status = child.wait()?;
    ensure!(status.success(), "`{shown}` ended with {status}");
    Ok(text)
}

fn shown(program: &str, words: &[&str]) -> String {
    let shown = format!("{program} {}", words.join(" "));
    println!("$ {shown}");
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_step_is_refused() {
        assert!(test(Path::new("/"), &["no-such-step"]).is_err());
    }

    #[test]
    fn one_failed_step_fails_the_suite() {
        let moment = Duration::from_millis(1);
        let good = ("a", moment, Outcome::Passed);
        let skipped = ("b", moment, Outcome::Skipped("no root".to_owned()));
        let bad = ("c", moment, Outcome::Failed("broken".to_owned()));
        assert!(close(&[good, skipped]).is_ok());
        assert!(close(&[("a", moment, Outcome::Passed), bad]).is_err());
    }
}
