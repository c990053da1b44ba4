//! The agent's flows against tshark's reading of the same captures; skipped where there is no
//! tshark. The rules by which they may differ: `docs/flow-check.md`.

mod captures;
mod connection;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use flowcheck::capture::{Compared, compare};
use flowcheck::quantity::Quantity;
use flowcheck::report::Report;
use flowcheck::tshark;

const AGENT: &str = env!("CARGO_BIN_EXE_deepflow-agent");

fn has_tshark() -> bool {
    let is_here = tshark::is_here();
    if !is_here {
        eprintln!("skipped: no tshark (`cargo xtask prerequisites test` installs it)");
    }
    is_here
}

fn compared(path: &Path) -> Compared {
    let outcome = compare(Path::new(AGENT), path).expect("both programs run");
    outcome.unwrap_or_else(|(path, why)| panic!("{}: {why}", path.display()))
}

/// Compares the captures, some at a time, and gives what is unexplained.
fn unexplained(paths: Vec<PathBuf>) -> (usize, Vec<String>) {
    let (queue, report) = (Mutex::new(paths), Mutex::new(Report::default()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let path = queue.lock().expect("no panic").pop();
                    let Some(path) = path else { return };
                    let outcome = compare(Path::new(AGENT), &path).expect("both programs run");
                    report.lock().expect("no panic").add(&outcome);
                }
            });
        }
    });
    let report = report.into_inner().expect("no panic");
    (report.captures(), report.unexplained().to_vec())
}

#[test]
fn made_captures_agree() {
    if !has_tshark() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let paths = captures::write_all(folder.path());
    let number = paths.len();
    let (captures, unexplained) = unexplained(paths);
    assert_eq!(unexplained, [""; 0], "differences that no rule explains");
    assert_eq!(captures, number);
}

/// What the made captures are there for: each kind of packet is in the flow that it should be in.
#[test]
fn made_captures_hold_what_they_should() {
    if !has_tshark() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for path in captures::write_all(folder.path()) {
        let compared = compared(&path);
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let flows = if name == "two-interfaces" { 2 } else { 1 };
        assert_eq!(compared.flows, flows, "{name}");
        assert_eq!(compared.packets, compared.frames, "{name}");
        let retransmitted: i64 = compared
            .findings
            .iter()
            .filter(|(_, finding)| finding.quantity == Quantity::Retransmissions)
            .map(|(_, finding)| finding.agent)
            .sum();
        let is_segmented = name == "fragments";
        let expected = connection::RETRANSMISSIONS * flows as i64;
        assert_eq!(retransmitted, if is_segmented { 0 } else { expected }, "{name}");
    }
}

#[test]
fn peer_captures_agree() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peer-captures");
    let given = std::env::var_os("DEEPFLOW_PEER_CAPTURES");
    let root = given.map_or(beside, PathBuf::from);
    if !root.is_dir() {
        eprintln!("skipped: no peer captures at {}", root.display());
        return;
    }
    if !has_tshark() {
        return;
    }
    let folders = std::fs::read_dir(root).expect("the folder").flatten();
    let files = folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten();
    let paths: Vec<PathBuf> = files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .collect();
    let (captures, unexplained) = unexplained(paths);
    assert_eq!(unexplained, [""; 0], "differences that no rule explains");
    assert!(captures >= 90, "only {captures} captures compared");
}
