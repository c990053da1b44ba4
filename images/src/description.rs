//! What goes into an image: `images/*.toml`.
//!
//! In: its text. Out: a description that holds together. A key that is not known is an error that
//! names it. Never: a list of ours in code: what an image holds stands in its description alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::target::Architecture;

/// An image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Name of the image in a registry and in its bill of materials.
    pub name: String,
    /// Crates of the workspace whose programs are in it: roots of the bill of materials.
    pub crates: Vec<String>,
    /// How it is run.
    pub process: Process,
    /// What it may do beyond what any process may.
    #[serde(default, rename = "capability")]
    pub capabilities: Vec<Capability>,
    /// Labels; `{version}`, `{revision}` and `{architecture}` are put in.
    pub labels: BTreeMap<String, String>,
    /// Where licences, bills of materials and provenance go.
    pub papers: Papers,
    /// Layers, the lowest first.
    #[serde(rename = "layer")]
    pub layers: Vec<Layer>,
}

/// How an image is run (image-spec, `config.md`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// Arguments unless others are given.
    pub command: Vec<String>,
    /// UID:GID.
    pub user: String,
    /// Folder it starts in.
    pub working_dir: String,
    /// What ends it in order.
    pub stop_signal: String,
    /// Environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Ports it can serve, as `20416/tcp`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// The folders that it writes to; the rest may be mounted read-only.
    #[serde(default)]
    pub volumes: Vec<String>,
}

/// A capability of Linux and what it is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// As `CAP_BPF`.
    pub name: String,
    /// What cannot be done without.
    pub why: String,
    /// Whether it can be left away at the price that `why` tells.
    #[serde(default)]
    pub optional: bool,
}

/// Folders of what is made or given for every image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Papers {
    /// Licence texts.
    pub licences: String,
    /// Bills of materials.
    pub sbom: String,
    /// Provenance.
    pub provenance: String,
}

/// A layer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Written to the image's history.
    pub name: String,
    /// Architectures that have it; none: all.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Locked tools that are in it themselves, such as libraries: in the bill of materials too.
    #[serde(default)]
    pub ships: Vec<String>,
    /// Files that are given.
    #[serde(default, rename = "file")]
    pub files: Vec<File>,
    /// Folders that are given with all that is in them.
    #[serde(default, rename = "tree")]
    pub trees: Vec<Subtree>,
    /// Empty folders.
    #[serde(default, rename = "folder")]
    pub folders: Vec<Folder>,
    /// Symbolic links.
    #[serde(default, rename = "link")]
    pub links: Vec<Link>,
}

/// A file of an image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it goes.
    pub path: String,
    /// Name under which it is given (`--input NAME=PATH`).
    pub input: String,
    /// Permissions, as `"0755"`.
    pub mode: Mode,
    /// What kind of ELF file it must be; absent for what is none.
    pub linkage: Option<Linkage>,
}

/// A folder with content.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subtree {
    /// Where it goes.
    pub path: String,
    /// Name under which it is given. Files get 0755 where they can be run, else 0644.
    pub input: String,
}

/// An empty folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Where it goes.
    pub path: String,
    /// Permissions.
    pub mode: Mode,
}

/// A symbolic link.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where it goes.
    pub path: String,
    /// What it leads to.
    pub target: String,
}

/// Kind of an ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Linkage {
    /// A program that needs no other file.
    StaticPie,
    /// A program that is loaded by an interpreter, which must be in the image.
    Dynamic,
    /// A library.
    Library,
}

/// Permissions, written in octal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match u32::from_str_radix(&text, 8) {
            Ok(bits) if text.len() == 4 && bits <= 0o1777 => Ok(Self(bits)),
            _ => Err(format!("{text:?} is no mode: four octal digits, at most 1777")),
        }
    }
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self> {
        let named = || format!("description {}", path.display());
        let text = std::fs::read_to_string(path).with_context(named)?;
        Self::parse(&text).with_context(named)
    }

    /// Checks a description.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let description: Self = toml::from_str(text)?;
        description.check()?;
        Ok(description)
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.crates.is_empty(), "`crates` is empty: whose programs are these?");
        ensure!(!self.layers.is_empty(), "no [[layer]]");
        let program = self.process.entrypoint.first().context("`entrypoint` is empty")?;
        let mut files = self.layers.iter().flat_map(|layer| &layer.files);
        ensure!(
            files.any(|file| &file.path == program && file.mode.0 & 0o111 != 0),
            "entrypoint {program} is no program of this image"
        );
        for path in self.paths() {
            check_path(path)?;
        }
        for name in self.layers.iter().flat_map(|layer| &layer.architectures) {
            name.parse::<Architecture>()?;
        }
        let folders = self.layers.iter().flat_map(|layer| &layer.folders);
        let folders: BTreeSet<&String> = folders.map(|folder| &folder.path).collect();
        for volume in &self.process.volumes {
            ensure!(folders.contains(volume), "volume {volume}: no [[layer.folder]] makes it");
        }
        for capability in &self.capabilities {
            let is_name = capability.name.strip_prefix("CAP_").is_some_and(is_upper_word);
            ensure!(is_name, "{:?} is no capability", capability.name);
        }
        Ok(())
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        let papers = [&self.papers.licences, &self.papers.sbom, &self.papers.provenance];
        let process = self.process.volumes.iter().chain([&self.process.working_dir]);
        let layers = self.layers.iter().flat_map(|layer| {
            let files = layer.files.iter().map(|one| &one.path);
            let trees = layer.trees.iter().map(|one| &one.path);
            let folders = layer.folders.iter().map(|one| &one.path);
            let links = layer.links.iter().map(|one| &one.path);
            files.chain(trees).chain(folders).chain(links)
        });
        papers.into_iter().chain(process).chain(layers).map(String::as_str)
    }

    /// The description for one architecture: without layers that are for others.
    #[must_use]
    pub fn for_architecture(mut self, architecture: Architecture) -> Self {
        let is_for = |layer: &Layer| {
            layer.architectures.is_empty()
                || layer.architectures.iter().any(|name| name == architecture.name())
        };
        self.layers.retain(is_for);
        self
    }

    /// Locked tools that are in it themselves.
    #[must_use]
    pub fn ships(&self) -> Vec<String> {
        self.layers.iter().flat_map(|layer| layer.ships.clone()).collect()
    }

    /// Names of everything that must be given.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().flat_map(|layer| {
            let files = layer.files.iter().map(|file| file.input.as_str());
            files.chain(layer.trees.iter().map(|tree| tree.input.as_str()))
        })
    }

    /// Names of the capabilities that can be left away, or of the others.
    #[must_use]
    pub fn capability_names(&self, optional: bool) -> Vec<&str> {
        let wanted = self.capabilities.iter().filter(|one| one.optional == optional);
        wanted.map(|one| one.name.as_str()).collect()
    }

    /// The image for its users: how it runs, what it may do, where it writes. Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let process = &self.process;
        let list = |words: &[String]| match words {
            [] => "none".to_owned(),
            words => format!("`{}`", words.join("`, `")),
        };
        let mut text = format!("### {}\n\n", self.name);
        let mut row = |what: &str, value: String| text += &format!("- {what}: {value}\n");
        row("runs", format!("`{} {}`", process.entrypoint.join(" "), process.command.join(" ")));
        row("user", format!("`{}`", process.user));
        row("ports", list(&process.ports));
        row("writes to", list(&process.volumes));
        if self.capabilities.is_empty() {
            row("capabilities", "none".to_owned());
            return text;
        }
        text += "\n| capability | needed | what for |\n|---|---|---|\n";
        for capability in &self.capabilities {
            let needed = if capability.optional { "optional" } else { "yes" };
            text += &format!("| `{}` | {needed} | {} |\n", capability.name, capability.why);
        }
        text
    }
}

fn is_upper_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

/// Paths in an image are absolute and say where they lead.
fn check_path(path: &str) -> Result<()> {
    let Some(below) = path.strip_prefix('/') else { bail!("path {path:?} does not begin with /") };
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    ensure!(below.is_empty() || below.split('/').all(is_plain), "path {path:?} is not plain");
    Ok(())
}
