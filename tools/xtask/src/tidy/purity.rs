//! The core (`wire`, `flow`, `l7`, `plugin`, `meter`) does no I/O, reads no clock and starts no thread.
//!
//! In: the code of those crates, without their tests and examples. Out: each use of the world.
//! The purpose is replay: the same capture must give the same bytes.

use super::Finding;
use super::tree::{Language, SourceFile, Tree};

const PURE: [&str; 5] = [
    "agent/wire/src/",
    "agent/flow/src/",
    "agent/l7/src/",
    "agent/plugin/src/",
    "agent/meter/src/",
];
const WORLD: [&str; 13] = [
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "std::process",
    "TcpStream",
    "UdpSocket",
    "println!",
    "tracing::",
    "tokio::",
    "RandomState::new",
];

/// Uses of the world in the core.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let core = tree.files.iter().filter(|file| {
        file.language == Language::Rust
            && PURE.iter().any(|folder| file.path.starts_with(folder))
            && !file.path.contains("tests")
    });
    for file in core {
        for (at, line) in file.code.lines().enumerate().take(product_lines(file)) {
            if let Some(word) = WORLD.iter().find(|word| line.contains(**word)) {
                let message = format!("{word} in the pure core: take it as an argument");
                findings.push(Finding::new(&file.path, at + 1, message));
            }
        }
    }
    findings
}

/// Lines before the tests at the end of a file.
fn product_lines(file: &SourceFile) -> usize {
    file.code.lines().position(|line| line.contains("#[cfg(test)]")).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_does_not_see_the_world() {
        let clock = "fn a() { std::time::Instant::now(); }";
        assert_eq!(check(&Tree::of(&[("agent/flow/src/table.rs", clock)])).len(), 1);
        assert!(check(&Tree::of(&[("agent/agentd/src/main.rs", clock)])).is_empty());
        let tested = "fn a() {}\n#[cfg(test)]\nmod tests { use std::fs; }";
        assert!(check(&Tree::of(&[("agent/l7/src/dns.rs", tested)])).is_empty());
    }
}
