//! `make fuzz`: every target of `fuzz/` under libFuzzer, on the stable compiler.
//!
//! In: names of targets, or none for all, and for how long each. Out: a table of executions and
//! coverage; an error when a property did not hold, with the input and how to run it again. With
//! `--grow` what was found is minimised and becomes the corpus in the tree.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};

use crate::prerequisites::{self, Purpose};

/// Coverage as LLVM offers it on any compiler: a counter for each edge, and what comparisons
/// compare, so that the fuzzer finds numbers and words.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cforce-frame-pointers=yes",
];
/// Longest input that is tried. unit byte
const INPUT_BYTES_MAX: u32 = 8192;
/// An input that takes longer is a finding. unit s
const INPUT_TIME_MAX_S: u32 = 10;
/// Memory above this is a finding. unit MiB
const MEMORY_MAX_MIB: u32 = 2048;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    seconds: u32,
    jobs: usize,
    grow: bool,
    targets: Vec<&'a str>,
}

/// Programs and folders of a run.
struct Workshop {
    fuzz: PathBuf,
    corpus: PathBuf,
    inputs: PathBuf,
    findings: PathBuf,
}

/// What a run of a target did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    executions: u64,
    edges: u64,
    edges_all: u64,
    features: u64,
}

/// Runs targets.
///
/// # Errors
/// When one found something, or could not be built.
pub fn run(root: &Path, words: &[&str]) -> Result<()> {
    let options = Options::read(words)?;
    prerequisites::install(root, Purpose::Fuzz)?;
    let workshop = Workshop::build(root)?;
    let known = workshop.targets()?;
    if let Some(unknown) = options.targets.iter().find(|name| !known.iter().any(|k| k == *name)) {
        bail!("{unknown:?} is no target; targets are {}", known.join(" "));
    }
    let wanted = known
        .iter()
        .filter(|name| options.targets.is_empty() || options.targets.contains(&name.as_str()));
    let queue = Mutex::new(wanted.collect::<Vec<_>>().into_iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(name) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let outcome = workshop.fuzz(name, &options);
                    println!("{}", line(name, &outcome));
                    if let Ok(mut done) = done.lock() {
                        done.push((name, outcome));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(name, _)| known.iter().position(|other| other == *name));
    println!("\n| target | executions | edges | of | features |\n|---|--:|--:|--:|--:|");
    let mut failed = 0;
    for (name, outcome) in &done {
        println!("{}", line(name, outcome));
        failed += usize::from(outcome.is_err());
    }
    ensure!(failed == 0, "{failed} targets found something");
    Ok(())
}

fn line(name: &str, outcome: &Result<Outcome>) -> String {
    match outcome {
        Ok(Outcome { executions, edges, edges_all, features }) => {
            format!("| {name} | {executions} | {edges} | {edges_all} | {features} |")
        }
        Err(error) => format!("| {name} | {error:#} |"),
    }
}

impl<'a> Options<'a> {
    fn read(words: &[&'a str]) -> Result<Self> {
        let mut options = Self { seconds: 10, jobs: 1, grow: false, targets: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || -> Result<u32> {
                let next = words.next().with_context(|| format!("{word} needs a number"))?;
                next.parse().with_context(|| format!("{word} {next}"))
            };
            match *word {
                "--seconds" => options.seconds = number()?,
                "--jobs" => options.jobs = number()?.max(1) as usize,
                "--grow" => options.grow = true,
                name => options.targets.push(name),
            }
        }
        Ok(options)
    }
}

impl Workshop {
    /// Builds the instrumented program beside the ordinary ones, and the tool of the corpora.
    fn build(root: &Path) -> Result<Self> {
        let host = host()?;
        let mut build = Command::new("cargo");
        // With a target named, flags reach neither build scripts nor macros.
        build.args(["build", "--locked", "--profile", "fuzz", "--target", &host]);
        build.args(["-p", "fuzz", "--features", "engine", "--bin", "fuzz"]);
        build.env("RUSTFLAGS", COVERAGE.join(" ")).current_dir(root);
        ensure!(build.status()?.success(), "the instrumented build failed");
        let mut tool = Command::new("cargo");
        tool.args(["build", "--locked", "-p", "fuzz", "--bin", "corpus"]).current_dir(root);
        ensure!(tool.status()?.success(), "the build of the corpus tool failed");
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| root.join("target"), |folder| root.join(folder));
        Ok(Self {
            fuzz: target.join(&host).join("fuzz/fuzz"),
            corpus: target.join("debug/corpus"),
            inputs: target.join("fuzz-inputs"),
            findings: target.join("fuzz-findings"),
        })
    }

    fn targets(&self) -> Result<Vec<String>> {
        let output = Command::new(&self.corpus).arg("list").output()?;
        ensure!(output.status.success(), "`corpus list` ended with {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    fn fuzz(&self, name: &str, options: &Options<'_>) -> Result<Outcome> {
        let (inputs, findings) = (self.inputs.join(name), self.findings.join(name));
        std::fs::create_dir_all(&inputs)?;
        std::fs::create_dir_all(&findings)?;
        self.tool(&["unpack", name, &inputs.to_string_lossy()])?;
        let log = self.findings.join(format!("{name}.log"));
        let mut command = self.engine(name);
        command.arg(format!("-max_total_time={}", options.seconds));
        command.arg(format!("-artifact_prefix={}/", findings.display()));
        command.arg("-print_final_stats=1").arg(&inputs);
        let file = std::fs::File::create(&log)?;
        let status = command.stdout(Stdio::null()).stderr(file).status()?;
        let text = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
        if !status.success() {
            bail!("**found something**: {}; run it with `{}`", cause(&text), self.again(name));
        }
        if options.grow {
            self.grow(name, &inputs)?;
        }
        Ok(read_log(&text))
    }

    /// Makes the least set of inputs that reaches everything the corpus of the tree.
    fn grow(&self, name: &str, inputs: &Path) -> Result<()> {
        let least = self.inputs.join(format!("{name}.least"));
        if least.exists() {
            std::fs::remove_dir_all(&least)?;
        }
        std::fs::create_dir_all(&least)?;
        let mut command = self.engine(name);
        command.arg("-merge=1").arg(&least).arg(inputs);
        let output = command.output()?;
        ensure!(output.status.success(), "merging ended with {}", output.status);
        self.tool(&["pack", name, &least.to_string_lossy()])
    }

    fn engine(&self, name: &str) -> Command {
        let mut command = Command::new(&self.fuzz);
        command.arg(format!("--target={name}"));
        command.arg(format!("-max_len={INPUT_BYTES_MAX}"));
        command.arg(format!("-timeout={INPUT_TIME_MAX_S}"));
        command.arg(format!("-rss_limit_mb={MEMORY_MAX_MIB}"));
        command
    }

    fn tool(&self, words: &[&str]) -> Result<()> {
        let status = Command::new(&self.corpus).args(words).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "`corpus {}` ended with {status}", words.join(" "));
        Ok(())
    }

    fn again(&self, name: &str) -> String {
        let findings = self.findings.join(name);
        format!("{} run {name} {}/*", self.corpus.display(), findings.display())
    }
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("failed to start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

/// Why libFuzzer ended, in its words.
fn cause(log: &str) -> &str {
    let is_cause = |line: &&str| line.contains("panicked at") || line.contains("ERROR: libFuzzer");
    log.lines().find(is_cause).unwrap_or("no reason was given").trim()
}

fn read_log(log: &str) -> Outcome {
    let after = |line: &str, word: &str| -> Option<u64> {
        let (_, rest) = line.split_once(word)?;
        rest.trim_start().split([' ', ')']).next()?.parse().ok()
    };
    let mut outcome = Outcome::default();
    for line in log.lines() {
        if let Some(all) = after(line, "modules   (") {
            outcome.edges_all = all;
        }
        if let (Some(edges), Some(features)) = (after(line, " cov:"), after(line, " ft:")) {
            (outcome.edges, outcome.features) = (edges, features);
        }
        if let Some(executions) = after(line, "stat::number_of_executed_units:") {
            outcome.executions = executions;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = Options::read(&["--seconds", "5", "wire", "--grow", "flow"]).unwrap();
        let targets = vec!["wire", "flow"];
        assert_eq!(options, Options { seconds: 5, jobs: 1, grow: true, targets });
        assert!(Options::read(&["--jobs", "x"]).is_err());
    }

    #[test]
    fn the_log_of_libfuzzer_is_read() {
        let log = "INFO: Loaded 1 modules   (1234 inline 8-bit counters): 1234 [0x1, 0x2), \n\
                   #2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                   #9\tNEW    cov: 56 ft: 78 corp: 9/99b lim: 4 exec/s: 0 rss: 31Mb\n\
                   stat::number_of_executed_units: 4711\n";
        let expected = Outcome { executions: 4711, edges: 56, edges_all: 1234, features: 78 };
        assert_eq!(read_log(log), expected);
        let panic = "thread '<unnamed>' panicked at a.rs:1:2:\nboom\n==1== ERROR: libFuzzer: x";
        assert_eq!(cause(panic), "thread '<unnamed>' panicked at a.rs:1:2:");
    }
}
