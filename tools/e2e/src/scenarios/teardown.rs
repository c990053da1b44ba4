//! What a system leaves behind when it has ended: nothing.
//!
//! In: the machine before the start. Out: checks that no process, BPF program, BPF map or mount
//! has stayed. The kernel frees BPF objects a moment after their owner, so it waits a little.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::run;
use crate::report::Report;
use crate::system::Place;

/// How long the kernel may take to free what a process held.
const FREE_TIMEOUT: Duration = Duration::from_secs(5);

/// What there is in the kernel and in its mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    programs: BTreeSet<String>,
    maps: BTreeSet<String>,
    mounts: BTreeSet<String>,
}

impl Traces {
    /// As it is now.
    pub fn now() -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Self {
            programs: objects("prog"),
            maps: objects("map"),
            mounts: mounts.lines().map(str::to_owned).collect(),
        }
    }

    /// Checks that nothing has been added since, and that no process of `place` lives.
    pub fn check(&self, place: &Place, report: &mut Report) {
        let begin = Instant::now();
        loop {
            let (added, processes) = (self.added(), processes_of(place));
            let is_clean = added.is_empty() && processes.is_empty();
            if is_clean || begin.elapsed() > FREE_TIMEOUT {
                report.equal("processes left", processes, Vec::new());
                report.equal("BPF programs, maps and mounts left", added, Vec::new());
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn added(&self) -> Vec<String> {
        let now = Self::now();
        let pairs =
            [(&now.programs, &self.programs), (&now.maps, &self.maps), (&now.mounts, &self.mounts)];
        pairs.iter().flat_map(|(now, before)| now.difference(before).cloned()).collect()
    }
}

/// `kind id name` of the BPF objects that no process holds, which is where a system that has ended
/// would leave some; those of another agent on this machine are its own affair. None where bpftool
/// may not look.
fn objects(kind: &str) -> BTreeSet<String> {
    let (held_programs, mut held_maps) = (held("prog_id"), held("map_id"));
    let programs = listed("prog");
    for program in programs.iter().filter(|program| held_programs.contains(&program["id"])) {
        held_maps.extend(program["map_ids"].as_array().into_iter().flatten().cloned());
    }
    let (list, held) =
        if kind == "prog" { (programs, held_programs) } else { (listed(kind), held_maps) };
    list.iter()
        .filter(|object| !held.contains(&object["id"]))
        .map(|object| format!("{kind} {} {}", object["id"], object["name"].as_str().unwrap_or("")))
        .collect()
}

fn listed(kind: &str) -> Vec<Value> {
    let listed = run(Command::new("bpftool").args(["-j", kind, "show"])).unwrap_or_default();
    serde_json::from_str(&listed).unwrap_or_default()
}

/// Ids that the open files of living processes name in their line `field`.
fn held(field: &str) -> Vec<Value> {
    let mut ids = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        for file in std::fs::read_dir(process.path().join("fdinfo")).into_iter().flatten().flatten()
        {
            let text = std::fs::read_to_string(file.path()).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            ids.extend(line.and_then(|id| id.trim().parse::<u64>().ok()).map(Value::from));
        }
    }
    ids
}

/// Processes whose command line or environment names the folder of `place`.
fn processes_of(place: &Place) -> Vec<String> {
    let folder = place.folder.to_string_lossy().into_owned();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            command.contains(&folder).then(|| command.trim().to_owned())
        })
        .collect()
}
