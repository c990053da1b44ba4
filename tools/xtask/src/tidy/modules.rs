//! Dead files: Rust files that no crate reads.
//!
//! In: the tree and the first file of each target. Out: files below `src/`, `tests/`, `examples/`
//! and `benches/` that no `mod`, `#[path]` or `include!` leads to.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::{Language, SourceFile, Tree};

/// Rust files outside of every module tree.
pub fn check(tree: &Tree, crate_roots: &[String]) -> Vec<Finding> {
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut waiting: Vec<(String, bool)> =
        crate_roots.iter().cloned().chain(roots_apart(tree)).map(|path| (path, true)).collect();
    while let Some((path, is_root)) = waiting.pop() {
        let Some(file) = tree.file(&path) else { continue };
        if reached.insert(path) {
            waiting.extend(children(file, is_root).into_iter().map(|child| (child, false)));
        }
    }
    tree.files
        .iter()
        .filter(|file| file.language == Language::Rust && !file.is_vendored())
        .filter(|file| !reached.contains(&file.path))
        .map(|file| {
            Finding::new(&file.path, 0, "no module leads to this file: use it or delete it")
        })
        .collect()
}

/// First files of crates that are no part of the workspace: the example of a plug-in, which is
/// built for another target. Their manifests name them.
fn roots_apart(tree: &Tree) -> impl Iterator<Item = String> {
    tree.files.iter().filter_map(|file| {
        let folder = file.path.strip_suffix("/Cargo.toml")?;
        let is_apart = file.text.lines().any(|line| line == "[workspace]");
        let path = file.text.lines().find_map(|line| quoted_after(line, "path = "))?;
        is_apart.then(|| format!("{folder}/{path}"))
    })
}

/// Every path that `file` may refer to; only one of the forms of each module exists.
fn children(file: &SourceFile, is_root: bool) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let stem = name.trim_end_matches(".rs");
    let own = if is_root || stem == "mod" { folder.to_owned() } else { format!("{folder}/{stem}") };
    let mut found = Vec::new();
    let texts = file.text.lines();
    let mut path_attribute = None;
    for (code, text) in file.code.lines().zip(texts) {
        if let Some(path) = quoted_after(text, "#[path") {
            path_attribute = Some(path.to_owned());
        }
        if let Some(path) = quoted_after(text, "include!(") {
            found.push(normal(&format!("{folder}/{path}")));
        }
        let Some(module) = declared_module(code) else { continue };
        match path_attribute.take() {
            Some(path) => found.push(normal(&format!("{folder}/{path}"))),
            None => found.extend(module_paths(&own, module)),
        }
    }
    found
}

fn module_paths(own: &str, module: &str) -> [String; 2] {
    [format!("{own}/{module}.rs"), format!("{own}/{module}/mod.rs")]
}

/// The name in `mod name;`, with any visibility and attributes before it.
fn declared_module(code: &str) -> Option<&str> {
    let before = code.trim().strip_suffix(';')?;
    let mut words = before.rsplit(' ');
    let name = words.next()?;
    (words.next() == Some("mod")).then_some(name)
}

fn quoted_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split('"').nth(1)
}

fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_files_are_found() {
        let roots = ["a/src/lib.rs".to_owned()];
        let lib = ("a/src/lib.rs", "pub(crate) mod b;\n#[path = \"odd/place.rs\"]\nmod c;\n");
        let b = ("a/src/b.rs", "mod d; // below\n");
        let d = ("a/src/b/d.rs", "");
        let c = ("a/src/odd/place.rs", "");
        assert!(check(&Tree::of(&[lib, b, d, c]), &roots).is_empty());
        let dead = ("a/src/d.rs", "");
        let found = check(&Tree::of(&[lib, b, d, c, dead]), &roots);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "a/src/d.rs");
    }
}
