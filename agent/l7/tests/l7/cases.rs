//! Every folder of `testdata/<protocol>/<case>`: `input.txt` yields `expect.txt`.
//!
//! `BLESS=1` writes what comes out; read it before it is committed.

use std::path::{Path, PathBuf};

use crate::driver;
use crate::script::{self, Script};

/// Every case: its name and its folder.
pub fn all() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).expect("a folder");
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect()
    };
    let mut cases: Vec<(String, PathBuf)> = folders(&root)
        .iter()
        .flat_map(|protocol| folders(protocol))
        .map(|case| (case.strip_prefix(&root).unwrap_or(&case).display().to_string(), case))
        .collect();
    cases.sort();
    cases
}

/// The input of a case.
pub fn input(folder: &Path) -> Script {
    Script::parse(&std::fs::read_to_string(folder.join("input.txt")).expect("an input"))
}

/// What a case must yield: its records, then how many stats of which kind.
pub fn outcome_text(script: &Script) -> String {
    let outcome = driver::run(&script.segments, script.config());
    assert_eq!(outcome.left, (0, 0), "memory left");
    let mut text: String =
        outcome.records.iter().map(|record| script::line(record) + "\n").collect();
    let count = |name: &str| {
        let is = |stat: &&l7::Stat| format!("{:?}", stat.kind).starts_with(name);
        outcome.stats.iter().filter(is).count()
    };
    text += &format!(
        "stats: {} requests, {} responses, {} timeouts\n",
        count("Request"),
        count("Response"),
        count("Timeout")
    );
    for (reason, lost) in &outcome.drops {
        text += &format!("dropped: {lost} {}\n", reason.name());
    }
    text
}

#[test]
fn cases_yield_what_they_must() {
    let mut wrong = Vec::new();
    let cases = all();
    assert!(cases.len() >= 10, "cases are missing");
    for (name, folder) in cases {
        let found = outcome_text(&input(&folder));
        let file = folder.join("expect.txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &found).expect("a writable folder");
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{name}:\n--- expected\n{expected}--- found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
