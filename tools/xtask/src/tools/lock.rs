//! The lock of tools, and the one of crates, which is Cargo's own.
//!
//! In: `tools.lock.toml` and Cargo.lock. Out: what is wanted. Never: an address.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The lock of tools, below the root of the tree.
pub const FILE: &str = "tools.lock.toml";

/// A tool.
#[derive(Debug, Clone, Deserialize)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Of the file, or of the folder as a Nix archive.
    pub sha256: String,
    /// The client that brings it.
    pub by: Client,
    /// Name of what the client brings, where it is not the tool's.
    pub package: Option<String>,
    /// File of the package that is wanted.
    pub file: Option<String>,
    /// The image that it is for, where it is for one.
    pub image: Option<String>,
    /// Whether it is a folder.
    #[serde(default, rename = "folder")]
    pub is_folder: bool,
    /// Standard libraries that the toolchain needs.
    #[serde(default)]
    pub targets: Vec<String>,
}

/// A client that knows itself where things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    /// Rust's.
    Rustup,
    /// Python's.
    Pip,
    /// Node's.
    Npm,
    /// Debian's.
    Apt,
}

/// What is in an archive.
pub struct Unpacked {
    /// Folder in the archive.
    pub archive_folder: &'static str,
    /// Name of the folder that it becomes.
    pub name: &'static str,
}

impl Tool {
    /// Name in the folder of tools.
    pub fn place(&self) -> &str {
        self.file.as_deref().unwrap_or(&self.name)
    }

    /// What is unpacked of it.
    pub fn unpacked(&self) -> Option<Unpacked> {
        (self.by == Client::Pip).then_some(Unpacked { archive_folder: "ziglang", name: "zig" })
    }
}

#[derive(Deserialize)]
struct Lock {
    #[serde(rename = "tool")]
    tools: Vec<Tool>,
}

/// The locked tools that everything is built with, and those of an image.
pub fn read(root: &Path, image: Option<&str>) -> Result<Vec<Tool>> {
    let path = root.join(FILE);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lock: Lock = toml::from_str(&text).with_context(|| path.display().to_string())?;
    for tool in &lock.tools {
        let is_hex = tool.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(is_hex && tool.sha256.len() == 64, "{}: no sha256 in {FILE}", tool.name);
    }
    let fits = |tool: &Tool| tool.image.is_none() || tool.image.as_deref() == image;
    Ok(lock.tools.into_iter().filter(fits).collect())
}

/// A crate of others.
#[derive(Debug, Deserialize)]
pub struct Crate {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Of its archive.
    #[serde(default, rename = "checksum")]
    pub sha256: String,
}

impl Crate {
    /// Name of its archive.
    pub fn file(&self) -> String {
        format!("{}-{}.crate", self.name, self.version)
    }
}

#[derive(Deserialize)]
struct CargoLock {
    package: Vec<Crate>,
}

/// Every crate of others.
pub fn crates(root: &Path) -> Result<Vec<Crate>> {
    let text = fs::read_to_string(root.join("Cargo.lock")).context("Cargo.lock")?;
    let lock: CargoLock = toml::from_str(&text).context("Cargo.lock")?;
    Ok(lock.package.into_iter().filter(|one| !one.sha256.is_empty()).collect())
}
