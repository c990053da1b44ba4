//! `flowcheck [--write FILE] AGENT PATH…`: compares every capture at the paths.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};

use flowcheck::capture::{Outcome, compare};
use flowcheck::report::Report;
use flowcheck::tshark;

const USAGE: &str = "usage: flowcheck [--write FILE] AGENT PATH…";

/// Line of a document after which the tables stand.
const MARK: &str = "<!-- written by flowcheck -->";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("flowcheck: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every difference is explained.
fn run() -> Result<bool> {
    let mut words = std::env::args_os().skip(1).peekable();
    let document = words.next_if(|word| word == "--write").and_then(|_| words.next());
    let agent = PathBuf::from(words.next().context(USAGE)?);
    let mut captures = Vec::new();
    for path in words {
        find(Path::new(&path), &mut captures)?;
    }
    captures.sort_unstable();
    ensure!(!captures.is_empty(), "no captures. {USAGE}");
    ensure!(tshark::is_here(), "no tshark here: install Debian's package tshark");
    let mut report = Report::default();
    for outcome in compare_all(&agent, &captures)? {
        if let Err((path, why)) = &outcome {
            println!("{}: not compared: {why}", path.display());
        }
        report.add(&outcome);
    }
    report.unexplained().iter().for_each(|text| println!("UNEXPLAINED {text}"));
    let tables = report.markdown();
    match document {
        None => println!("\n{tables}"),
        Some(path) => write(Path::new(&path), &tables)?,
    }
    let unexplained = report.unexplained().len();
    println!("{} captures compared, {unexplained} differences unexplained", report.captures());
    Ok(unexplained == 0)
}

/// Captures at a path: the file, or all in the folder and below.
fn find(path: &Path, captures: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        captures.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            find(&path, captures)?;
        } else if matches!(extension, Some("pcap" | "pcapng" | "cap" | "trace")) {
            captures.push(path);
        }
    }
    Ok(())
}

/// Compares them on every processor; the outcomes come in the order of the captures.
fn compare_all(agent: &Path, captures: &[PathBuf]) -> Result<Vec<Outcome>> {
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<(usize, Result<Outcome>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = captures.get(at) else { return };
                    let outcome = compare(agent, path).with_context(|| path.display().to_string());
                    outcomes.lock().expect("no thread panics").push((at, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no thread panics");
    outcomes.sort_unstable_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Writes the tables below the mark in a document.
fn write(document: &Path, tables: &str) -> Result<()> {
    let text = std::fs::read_to_string(document).unwrap_or_default();
    let (head, _) = text.split_once(MARK).with_context(|| {
        format!("{} has no line {MARK:?}, below which tables could be", document.display())
    })?;
    std::fs::write(document, format!("{head}{MARK}\n\n{tables}"))?;
    Ok(())
}
