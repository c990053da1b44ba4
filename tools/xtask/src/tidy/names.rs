//! Names that say nothing are refused: a file or folder is named after its subject.
//!
//! In: every path of the tree, binary files included. Out: the paths with such a name.

use super::Finding;
use super::tree::Tree;

const FORBIDDEN: [&str; 8] =
    ["common", "utils", "util", "helpers", "helper", "misc", "manager", "mod"];

/// Paths with a name that says nothing.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.paths.iter().filter(|path| !path.contains("/vendor/")) {
        for part in path.split('/') {
            let stem = part.split('.').next().unwrap_or(part).to_ascii_lowercase();
            if FORBIDDEN.contains(&stem.as_str()) {
                let message = format!("the name {part:?} says nothing: name it after its subject");
                findings.push(Finding::new(path, 0, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_nothing_are_found() {
        let bad = ["a/utils.rs", "common/x.c", "a/src/foo/mod.rs", "x/Manager.js"];
        for path in bad {
            assert_eq!(check(&Tree::of(&[(path, "")])).len(), 1, "{path}");
        }
        assert!(check(&Tree::of(&[("agent/flow/src/table.rs", "")])).is_empty());
        assert!(check(&Tree::of(&[("ui/model.js", "")])).is_empty());
    }
}
