//! The thread of processes: who runs, and who owns the connections that were there before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metadata::process::{self, Process};
use schema::wire::{ProcessEvent, ProcessEventKind};

use super::{Shared, now_ns};

const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at the list of processes.
const LIST_EVERY: Duration = Duration::from_secs(5);
/// Between two scans for connections where BPF tells of new ones, and where it does not.
const SCAN_EVERY: Duration = Duration::from_secs(60);
const SCAN_EVERY_WITHOUT_BPF: Duration = Duration::from_secs(5);
/// Processes that live shorter are not told (`inputs.proc.min_lifetime`). unit µs
const LIFETIME_MIN_US: u64 = 3_000_000;

/// Runs until the stop flag is set.
pub fn run(shared: &Shared) {
    let proc = &shared.config.proc_dir;
    let boot_us = process::boot_time_us(proc);
    let mut known: BTreeMap<u32, Process> = BTreeMap::new();
    let mut listed: Option<Instant> = None;
    let mut scanned: Option<Instant> = None;
    while !shared.stopping() {
        let bpf_works = shared.board.read().get("sockets").is_some_and(|status| status.works);
        let scan_every = if bpf_works { SCAN_EVERY } else { SCAN_EVERY_WITHOUT_BPF };
        if scanned.is_none_or(|at| at.elapsed() >= scan_every) {
            metadata::connections::scan(proc, &shared.owners);
            scanned = Some(Instant::now());
        }
        if listed.is_none_or(|at| at.elapsed() >= LIST_EVERY) {
            let events = changes(&mut known, proc, boot_us);
            if !events.is_empty() {
                shared.output.processes(events);
            }
            listed = Some(Instant::now());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Who came and who went since the last call.
fn changes(
    known: &mut BTreeMap<u32, Process>,
    proc: &std::path::Path,
    boot_us: u64,
) -> Vec<ProcessEvent> {
    let time_us = now_ns() / 1_000;
    let mut now = BTreeMap::new();
    for tgid in process::list(proc) {
        let Some(found) = process::read(proc, tgid, boot_us) else { continue };
        if found.start_us + LIFETIME_MIN_US <= time_us {
            now.insert(tgid, found);
        }
    }
    let same = |a: &Process, b: &Process| a.start_us == b.start_us && a.name == b.name;
    let ended = known.iter().filter(|(tgid, old)| !now.get(tgid).is_some_and(|new| same(old, new)));
    let mut events: Vec<_> =
        ended.map(|(_, old)| event(ProcessEventKind::Ended, old, time_us)).collect();
    let started =
        now.iter().filter(|(tgid, new)| !known.get(tgid).is_some_and(|old| same(old, new)));
    events.extend(started.map(|(_, new)| event(ProcessEventKind::Started, new, time_us)));
    *known = now;
    events
}

fn event(kind: ProcessEventKind, process: &Process, time_us: u64) -> ProcessEvent {
    ProcessEvent {
        kind,
        process_id: process.tgid,
        parent_process_id: 0,
        start_time_us: process.start_us as i64,
        time_us: time_us as i64,
        name: process.name.to_string(),
        command_line: process.command_line.clone(),
        executable: String::new(),
        container_id: process.container_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn who_came_is_told_once_and_who_went_too() {
        let proc = Path::new("/proc");
        let boot_us = process::boot_time_us(proc);
        let mut known = BTreeMap::new();
        let first = changes(&mut known, proc, boot_us);
        assert!(first.iter().all(|event| event.kind == ProcessEventKind::Started));
        assert!(first.iter().any(|event| event.process_id == 1), "process 1 is old enough");
        let gone = Process {
            tgid: u32::MAX,
            name: "gone".into(),
            start_us: 1,
            command_line: String::new(),
            container_id: String::new(),
        };
        known.insert(u32::MAX, gone);
        let second = changes(&mut known, proc, boot_us);
        let ended: Vec<_> =
            second.iter().filter(|e| e.process_id == u32::MAX).map(|e| e.kind).collect();
        assert_eq!(ended, [ProcessEventKind::Ended]);
        assert!(!second.iter().any(|event| event.process_id == 1));
    }
}
