//! What the numbers were measured on: processor, memory, kernel, compiler, commit.

use std::process::Command;

/// A paragraph for the page.
pub fn describe() -> String {
    let processor = first_value("/proc/cpuinfo", "model name").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory_kib: u64 = first_value("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let memory_gib = (memory_kib + (1 << 19)) >> 20;
    let kernel = said("uname", &["-sr"]);
    let compiler = said("rustc", &["--version"]);
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = if said("git", &["status", "--porcelain"]).is_empty() { "" } else { ", changed" };
    let day = said("date", &["-u", "+%Y-%m-%d"]);
    format!(
        "Machine: {processor}, {cores} cores, {memory_gib} GiB, {kernel}; {compiler}; commit \
         {commit}{changed}; {day}.\n"
    )
}

fn first_value(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
