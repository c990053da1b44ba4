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
    /// Name of the image that it is for, where it is for one.
    pub image: Option<String>,
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

/// The tools of an image for an architecture, sorted.
///
/// # Errors
/// The file and what is wrong with it.
pub fn load(path: &Path, image: &str, architecture: Architecture) -> Result<Vec<Tool>> {
    let named = || format!("lock file of tools {}", path.display());
    let text = std::fs::read_to_string(path).with_context(named)?;
    parse(&text, image, architecture).with_context(named)
}

fn parse(text: &str, image: &str, architecture: Architecture) -> Result<Vec<Tool>> {
    let lock: Lock = toml::from_str(text)?;
    for tool in &lock.tools {
        ensure!(is_sha256(&tool.sha256), "{}: {:?} is no sha256", tool.name, tool.sha256);
    }
    let fits =
        |wanted: &Option<String>, word: &str| wanted.as_deref().is_none_or(|one| one == word);
    let mut tools: Vec<Tool> = lock
        .tools
        .into_iter()
        .filter(|tool| fits(&tool.architecture, architecture.name()) && fits(&tool.image, image))
        .collect();
    tools.sort_unstable();
    Ok(tools)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_has_its_own_tools_and_those_of_all() {
        let one = |name: &str, more: &str| {
            let sha256 = "0".repeat(64);
            format!("[[tool]]\nname = \"{name}\"\nversion = \"1\"\nsha256 = \"{sha256}\"\n{more}\n")
        };
        let lock = one("rust", "")
            + &one("engine", "image = \"server\"\narchitecture = \"x86_64\"")
            + &one("other", "image = \"agent\"");
        let names = |image, architecture| -> Vec<String> {
            let tools = parse(&lock, image, architecture).expect("parsed");
            tools.into_iter().map(|tool| tool.name).collect()
        };
        assert_eq!(names("server", Architecture::X86_64), ["engine", "rust"]);
        assert_eq!(names("server", Architecture::Aarch64), ["rust"]);
        assert_eq!(names("agent", Architecture::X86_64), ["other", "rust"]);
    }
}
