//! Bills of materials: what an image is made of.
//!
//! In: `cargo metadata`, the crates whose programs are in the image, locked tools that are in it.
//! Out: components and what each uses, for [`cyclonedx`] and [`spdx`]. Never: a path of the machine
//! that made them, a time.

pub mod crates;
pub mod cyclonedx;
pub mod spdx;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::tools::Tool;

/// What an image is made of.
#[derive(Debug, Default)]
pub struct Materials {
    /// By package URL.
    pub components: BTreeMap<String, Component>,
    /// Package URLs of what is in the image because its description says so.
    pub roots: BTreeSet<String>,
}

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub struct Component {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SPDX expression.
    pub licence: Option<String>,
    /// Digest of what it came as, where that is known.
    pub sha256: Option<String>,
    /// Package URLs of what it uses.
    pub uses: BTreeSet<String>,
}

impl Materials {
    /// Adds the tools that are in the image themselves.
    ///
    /// # Errors
    /// The name that no tool has.
    pub fn ship(&mut self, names: &[String], tools: &[Tool]) -> Result<()> {
        for name in names {
            let tool = tools
                .iter()
                .find(|tool| &tool.name == name)
                .with_context(|| format!("`ships` names {name}, which no locked tool is called"))?;
            let url = format!("pkg:generic/{}@{}", tool.name, tool.version);
            self.components.insert(url.clone(), Component::of_tool(tool));
            self.roots.insert(url);
        }
        Ok(())
    }
}

impl Component {
    fn of_tool(tool: &Tool) -> Self {
        Self {
            name: tool.name.clone(),
            version: tool.version.clone(),
            licence: tool.licence.clone(),
            sha256: Some(tool.sha256.clone()),
            uses: BTreeSet::new(),
        }
    }
}
