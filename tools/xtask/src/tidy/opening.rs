//! Every source file opens by saying what comes in, what goes out and what it never does.
//!
//! In: the tree. Out: the files that open with code. A licence line may stand first.

use super::Finding;
use super::tree::{Language, SourceFile, Tree};

/// Source files without an opening comment.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files
        .iter()
        .filter(|file| !file.is_vendored())
        .filter_map(|file| {
            let wanted = wanted_opening(&file.path)?;
            let opens = wanted.iter().any(|start| first_line(file).starts_with(start));
            (!opens).then(|| {
                let message = format!("opens without {:?}: say what the file is for", wanted[0]);
                Finding::new(&file.path, 1, message)
            })
        })
        .collect()
}

/// How a file of this kind must open; `None` where no rule holds.
fn wanted_opening(path: &str) -> Option<&'static [&'static str]> {
    match path.rsplit('.').next()? {
        "rs" => Some(&["//!"]),
        "c" | "h" | "js" | "mjs" | "css" => Some(&["/*", "//"]),
        "sql" => Some(&["--"]),
        "py" | "sh" => Some(&["#", "\"\"\""]),
        _ => None,
    }
}

fn first_line(file: &SourceFile) -> &str {
    let is_c = file.language == Language::C;
    file.text
        .lines()
        .map(str::trim)
        .find(|line| {
            // In C the first comment may stand below the includes, above what it is about.
            let is_directive = line.starts_with("#!") || (is_c && line.starts_with('#'));
            let is_licence =
                line.trim_start_matches(['/', '*', ' ', '#', '-']).starts_with("SPDX-");
            !line.is_empty() && !is_directive && !is_licence
        })
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_must_open_with_a_sentence() {
        let bad = [
            ("a.rs", "use std::fs;\n"),
            ("a.c", "// SPDX-License-Identifier: X\nint a;"),
            ("b.sql", "SELECT 1"),
        ];
        for (path, text) in bad {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), 1, "{path}");
        }
        let good = [
            ("a.rs", "//! Reads.\n"),
            ("a.c", "// SPDX-License-Identifier: X\n/* Reads. */\nint a;"),
            ("a.h", "#pragma once\n#include \"b.h\"\n/* Keeps. */\nint a;"),
            ("a.js", "/** Draws. */"),
            ("a.toml", "[x]"),
        ];
        for (path, text) in good {
            assert!(check(&Tree::of(&[(path, text)])).is_empty(), "{path}");
        }
    }
}
