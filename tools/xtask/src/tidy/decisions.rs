//! The index of decisions lists every record in `docs/adr/`, and nothing that is not there.
//!
//! In: the tree. Out: records that the table leaves out, rows without a record, numbers used twice.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const FOLDER: &str = "docs/adr/";
const INDEX: &str = "docs/adr/README.md";

/// Differences between the index and the folder.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let records: BTreeSet<&str> = tree
        .paths
        .iter()
        .filter_map(|path| path.strip_prefix(FOLDER))
        .filter(|name| *name != "README.md" && name.ends_with(".md"))
        .collect();
    let Some(index) = tree.file(INDEX) else {
        return vec![Finding::new(INDEX, 0, "the index of decisions is missing")];
    };
    let linked: BTreeSet<&str> = index
        .text
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| line.split("](").nth(1)?.split(')').next())
        .collect();
    let mut findings = Vec::new();
    for record in records.difference(&linked) {
        let path = format!("{FOLDER}{record}");
        findings.push(Finding::new(&path, 0, "not in the table of docs/adr/README.md"));
    }
    for row in linked.difference(&records) {
        findings.push(Finding::new(INDEX, 0, format!("the table links {row}, which is not there")));
    }
    let mut numbers = BTreeSet::new();
    for record in records {
        if !numbers.insert(record.split('-').next().unwrap_or(record)) {
            let path = format!("{FOLDER}{record}");
            findings.push(Finding::new(&path, 0, "its number is taken: numbers are used once"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_folder_agree() {
        let index = "| 0001 | [engine](0001-engine.md) | accepted |\n";
        let record = ("docs/adr/0001-engine.md", "# engine");
        assert!(check(&Tree::of(&[(INDEX, index), record])).is_empty());
        assert_eq!(check(&Tree::of(&[(INDEX, "no table"), record])).len(), 1);
        assert_eq!(check(&Tree::of(&[(INDEX, index)])).len(), 1);
        assert_eq!(check(&Tree::of(&[record])).len(), 1);
        let twice = ("docs/adr/0001-other.md", "# other");
        assert_eq!(check(&Tree::of(&[(INDEX, index), record, twice])).len(), 2);
    }
}
