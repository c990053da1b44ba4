//! The dependency law between our crates, and a reason for each crate of others.
//!
//! In: `cargo metadata` and deny.toml. Out: edges that the law does not have, dependencies without
//! a reason, reasons without a dependency. Dependencies of tests are free.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Finding;
use super::tree::Tree;

/// Which of our crates a crate may use. A crate that is not listed may use none.
const LAW: [(&str, &[&str]); 24] = [
    ("schema", &[]),
    ("wire", &["schema"]),
    ("flow", &["schema", "wire"]),
    ("l7", &["schema", "wire"]),
    ("plugin", &["schema", "l7"]),
    ("meter", &["schema", "flow", "l7"]),
    ("source", &["schema"]),
    ("metadata", &["schema"]),
    ("export", &["schema"]),
    (
        "agentd",
        &["schema", "wire", "flow", "l7", "plugin", "meter", "source", "metadata", "export"],
    ),
    ("store", &["schema", "ingest"]),
    ("inventory", &["schema", "ingest", "store"]),
    ("control", &["schema"]),
    ("ingest", &["schema", "control"]),
    ("query", &["schema", "store", "inventory"]),
    ("serverd", &["schema", "store", "inventory", "control", "ingest", "query"]),
    ("ctl", &["schema"]),
    ("images", &[]),
    ("xtask", &["schema"]),
    ("e2e", &["schema"]),
    ("flowcheck", &[]),
    ("vm-tests", &[]),
    ("bench", &["schema", "wire", "flow", "l7", "meter", "source", "export", "e2e"]),
    ("fuzz", &["schema", "wire", "flow", "l7", "meter", "source"]),
];
const REASONS: &str = "deny.toml";

/// Our crates and what they use.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Crate → our crates that it uses (not for its tests).
    pub internal: BTreeMap<String, BTreeSet<String>>,
    /// Crates of others that any of ours uses, tests included.
    pub external: BTreeSet<String>,
    /// First files of all targets, below the root.
    pub crate_roots: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    pub fn load(root: &Path) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
            .current_dir(root)
            .output()
            .context("failed to run cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        Ok(Self::from_metadata(&metadata, &root.canonicalize()?))
    }

    fn from_metadata(metadata: &Value, root: &Path) -> Self {
        let mut workspace = Self::default();
        for package in array(&metadata["packages"]) {
            let name = text(&package["name"]);
            let used = workspace.internal.entry(name.to_owned()).or_default();
            for dependency in array(&package["dependencies"]) {
                let is_ours = dependency["path"].is_string();
                if !is_ours {
                    workspace.external.insert(text(&dependency["name"]).to_owned());
                } else if dependency["kind"] != "dev" {
                    used.insert(text(&dependency["name"]).to_owned());
                }
            }
            for target in array(&package["targets"]) {
                let path = Path::new(text(&target["src_path"]));
                if let Ok(below) = path.strip_prefix(root) {
                    workspace.crate_roots.push(below.to_string_lossy().into_owned());
                }
            }
        }
        workspace
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// Edges between our crates that the law does not have.
pub fn check_law(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, used) in &workspace.internal {
        let Some((_, allowed)) = LAW.iter().find(|(of, _)| of == name) else {
            let message =
                format!("crate {name} is not in the dependency law (tidy/dependencies.rs)");
            findings.push(Finding::new("Cargo.toml", 0, message));
            continue;
        };
        for other in used.iter().filter(|other| !allowed.contains(&other.as_str())) {
            let message =
                format!("{name} may not use {other}: see ARCHITECTURE.md, dependency law");
            findings.push(Finding::new("Cargo.toml", 0, message));
        }
    }
    findings
}

/// Every crate of others has a line `# use NAME: why` in deny.toml, and every line its crate.
pub fn check_reasons(tree: &Tree, workspace: &Workspace) -> Result<Vec<Finding>> {
    let Some(file) = tree.file(REASONS) else {
        return Ok(vec![Finding::new(REASONS, 0, "missing: it says why each dependency is here")]);
    };
    let root = tree.file("Cargo.toml").context("no Cargo.toml")?;
    let manifest: toml::Table = root.text.parse().context("failed to read Cargo.toml")?;
    let declared = manifest
        .get("workspace")
        .and_then(|value| value.get("dependencies"))
        .and_then(toml::Value::as_table)
        .map(external_names)
        .unwrap_or_default();
    let reasons: BTreeSet<String> = file
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("# use ")?.split_once(": "))
        .filter(|(_, why)| !why.trim().is_empty())
        .map(|(name, _)| name.to_owned())
        .collect();
    Ok(compare_reasons(&declared, &workspace.external, &reasons))
}

fn external_names(table: &toml::Table) -> BTreeSet<String> {
    let ours = |value: &toml::Value| value.get("path").is_some();
    table.iter().filter(|(_, value)| !ours(value)).map(|(name, _)| name.clone()).collect()
}

fn compare_reasons(
    declared: &BTreeSet<String>,
    used: &BTreeSet<String>,
    reasons: &BTreeSet<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |path: &str, message: String| findings.push(Finding::new(path, 0, message));
    for name in used.difference(declared) {
        report("Cargo.toml", format!("{name} is used but not in [workspace.dependencies]"));
    }
    for name in declared.difference(used) {
        report("Cargo.toml", format!("{name} is in [workspace.dependencies] but no crate uses it"));
    }
    for name in used.difference(reasons) {
        report(REASONS, format!("no line `# use {name}: why`"));
    }
    for name in reasons.difference(used) {
        report(REASONS, format!("gives a reason for {name}, which no crate uses"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn edge(from: &str, to: &str) -> Workspace {
        let internal = BTreeMap::from([(from.to_owned(), names(&[to]))]);
        Workspace { internal, ..Workspace::default() }
    }

    #[test]
    fn the_law_is_held() {
        assert!(check_law(&edge("flow", "wire")).is_empty());
        assert_eq!(check_law(&edge("flow", "source")).len(), 1);
        assert_eq!(check_law(&edge("serverd", "export")).len(), 1);
        assert_eq!(check_law(&edge("new_crate", "schema")).len(), 1);
    }

    #[test]
    fn metadata_is_read() {
        let metadata = serde_json::json!({ "packages": [{
            "name": "flow",
            "dependencies": [
                { "name": "wire", "path": "/r/agent/wire", "kind": null },
                { "name": "export", "path": "/r/agent/export", "kind": "dev" },
                { "name": "thiserror", "kind": null },
            ],
            "targets": [{ "src_path": "/r/agent/flow/src/lib.rs" }],
        }]});
        let workspace = Workspace::from_metadata(&metadata, Path::new("/r"));
        assert_eq!(workspace.internal["flow"], names(&["wire"]));
        assert_eq!(workspace.external, names(&["thiserror"]));
        assert_eq!(workspace.crate_roots, ["agent/flow/src/lib.rs"]);
    }

    #[test]
    fn each_dependency_has_its_reason() {
        let one = names(&["a"]);
        assert!(compare_reasons(&one, &one, &one).is_empty());
        assert_eq!(compare_reasons(&names(&[]), &one, &one).len(), 1);
        assert_eq!(compare_reasons(&one, &one, &names(&[])).len(), 1);
        assert_eq!(compare_reasons(&one, &names(&[]), &one).len(), 2);
    }
}
