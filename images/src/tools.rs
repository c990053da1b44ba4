//! The tools that a build is made with, locked by version and digest.
//!
//! In: a TOML file of `[[tool]]` tables. Out: what provenance and bills of materials tell of them.
//! Keys that others of the build read from the same file are left alone.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::blob::is_sha256;
use crate::target::Architecture;

/// A locked tool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture of what it is for, where each has its own.
    pub architecture: Option<String>,
    /// sha256 of what the ordinary client brings.
    pub sha256: String,
    /// SPDX expression, where it is known.
    pub licence: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Lock {
    #[serde(rename = "tool")]
    tools: Vec<Tool>,
}

/// The tools of an architecture, sorted.
///
/// # Errors
/// The file and what is wrong with it.
pub fn load(path: &Path, architecture: Architecture) -> Result<Vec<Tool>> {
    let named = || format!("lock file of tools {}", path.display());
    let text = std::fs::read_to_string(path).with_context(named)?;
    parse(&text, architecture).with_context(named)
}

fn parse(text: &str, architecture: Architecture) -> Result<Vec<Tool>> {
    let lock: Lock = toml::from_str(text)?;
    for tool in &lock.tools {
        ensure!(is_sha256(&tool.sha256), "{}: {:?} is no sha256", tool.name, tool.sha256);
    }
    let is_for_all = |tool: &Tool| tool.architecture.is_none();
    let mut tools: Vec<Tool> = lock
        .tools
        .into_iter()
        .filter(|tool| {
            is_for_all(tool) || tool.architecture.as_deref() == Some(architecture.name())
        })
        .collect();
    tools.sort_unstable();
    Ok(tools)
}
