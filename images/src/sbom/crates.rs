//! The crates that programs are made of, by cargo's resolve graph.
//!
//! In: the output of `cargo metadata --format-version 1 --filter-platform TARGET`. Out: the crates
//! that are reached from the roots by ordinary dependencies. Left out: what only builds or tests
//! need, and procedural macros with all below them, which run in the compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Component, Materials};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Option<Resolve>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: Option<PathBuf>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

impl Package {
    /// Package URL (purl-spec, type `cargo`).
    fn url(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }

    fn is_macro(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"))
    }

    fn component(&self) -> Component {
        // A slash for "or" is what manifests had before SPDX expressions.
        let licence = self.license.as_ref().map(|text| text.replace('/', " OR "));
        let (name, version) = (self.name.clone(), self.version.clone());
        Component { name, version, licence, sha256: None, uses: BTreeSet::new() }
    }
}

/// Where the sources of crates of others are, by package URL.
///
/// # Errors
/// When this is no metadata.
pub fn folders(metadata: &str) -> Result<BTreeMap<String, PathBuf>> {
    let metadata: Metadata =
        serde_json::from_str(metadata).context("no output of `cargo metadata`")?;
    let folder = |package: Package| {
        let path = package.source.is_some().then_some(package.manifest_path.as_ref()?)?;
        Some((package.url(), path.parent()?.to_owned()))
    };
    Ok(metadata.packages.into_iter().filter_map(folder).collect())
}

/// The crates that `roots`, crates of the workspace, are made of.
///
/// # Errors
/// When this is no metadata with a graph, or a root is not in the workspace.
pub fn materials(metadata: &str, roots: &[String]) -> Result<Materials> {
    let metadata: Metadata =
        serde_json::from_str(metadata).context("no output of `cargo metadata`")?;
    let graph = metadata.resolve.context("no resolve graph: made with --no-deps?")?;
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let nodes: BTreeMap<&str, &Node> =
        graph.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let find = |id: &str| packages.get(id).copied().with_context(|| format!("no package {id}"));

    let mut materials = Materials::default();
    let mut waiting: Vec<&Package> = Vec::new();
    for root in roots {
        let ours = |package: &&Package| &package.name == root && package.source.is_none();
        let package = metadata.packages.iter().find(ours);
        let package = package.with_context(|| format!("no crate {root} in the workspace"))?;
        materials.roots.insert(package.url());
        waiting.push(package);
    }
    while let Some(package) = waiting.pop() {
        if materials.components.contains_key(&package.url()) {
            continue;
        }
        let node = nodes.get(package.id.as_str());
        let node = node.with_context(|| format!("{} is not in the graph", package.name))?;
        let mut component = package.component();
        for dependency in node.deps.iter().filter(|one| one.is_ordinary()) {
            let used = find(&dependency.pkg)?;
            if !used.is_macro() {
                component.uses.insert(used.url());
                waiting.push(used);
            }
        }
        materials.components.insert(package.url(), component);
    }
    Ok(materials)
}

impl Dependency {
    fn is_ordinary(&self) -> bool {
        self.dep_kinds.iter().any(|kind| kind.kind.is_none())
    }
}
