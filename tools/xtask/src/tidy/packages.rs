//! Packages of npm: each that a `package.json` names has its reason in deny.toml, and its version
//! is exact, so that two installs bring the same.
//!
//! In: the tree. Out: packages without a reason, reasons without a package, ranges of versions.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use super::tree::Tree;

const REASONS: &str = "deny.toml";
const GROUPS: [&str; 3] = ["dependencies", "devDependencies", "optionalDependencies"];

/// Packages without a reason or an exact version.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with("package.json")) {
        let manifest: Value =
            serde_json::from_str(&file.text).with_context(|| file.path.clone())?;
        for (name, version) in GROUPS.iter().flat_map(|group| manifest[group].as_object()).flatten()
        {
            let exact = version.as_str().is_some_and(|text| {
                text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains(' ')
            });
            if !exact {
                let message = format!("{name} {version}: give an exact version");
                findings.push(Finding::new(&file.path, 0, message));
            }
            used.insert(name.clone());
        }
    }
    let reasons = reasons(tree);
    for name in used.difference(&reasons) {
        findings.push(Finding::new(REASONS, 0, format!("no line `# npm {name}: why`")));
    }
    for name in reasons.difference(&used) {
        let message = format!("gives a reason for npm's {name}, which no package.json names");
        findings.push(Finding::new(REASONS, 0, message));
    }
    Ok(findings)
}

fn reasons(tree: &Tree) -> BTreeSet<String> {
    let lines = tree.file(REASONS).map(|file| file.text.lines()).into_iter().flatten();
    lines
        .filter_map(|line| line.strip_prefix("# npm ")?.split_once(": "))
        .filter(|(_, why)| !why.trim().is_empty())
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_need_a_reason_and_an_exact_version() {
        let reasons = (REASONS, "# npm @a/b: draws\n");
        let good = ("ui/package.json", "{\"devDependencies\": {\"@a/b\": \"1.2.3\"}}");
        assert!(check(&Tree::of(&[reasons, good])).unwrap().is_empty());
        let range = ("ui/package.json", "{\"dependencies\": {\"@a/b\": \"^1.2.3\"}}");
        assert_eq!(check(&Tree::of(&[reasons, range])).unwrap().len(), 1);
        assert_eq!(check(&Tree::of(&[good])).unwrap().len(), 1);
        assert_eq!(check(&Tree::of(&[reasons])).unwrap().len(), 1);
    }
}
