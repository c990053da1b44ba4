//! The rules of STYLE.md and ARCHITECTURE.md that a machine can hold us to.
//!
//! In: the files that git knows (committed or not ignored) and `cargo metadata`. Out: one line for
//! each breach, with its place and its remedy, and an error when there is one. It changes nothing.

mod decisions;
mod dependencies;
mod freshness;
mod lexer;
mod modules;
mod names;
mod opening;
mod packages;
mod purity;
mod sizes;
mod tree;
mod unsafety;
mod words;

use std::path::Path;

use anyhow::{Result, bail};

use tree::Tree;

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path below the root of the tree.
    pub path: String,
    /// Line counted from 1; 0 when the whole file is meant.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

/// Checks the whole tree below `root`; prints every finding.
///
/// # Errors
/// When a rule is broken, or when git or cargo cannot tell what is in the tree.
pub fn run(root: &Path) -> Result<()> {
    let tree = Tree::load(root)?;
    let (mut findings, exceptions) = sizes::check(&tree);
    findings.extend(names::check(&tree));
    findings.extend(opening::check(&tree));
    findings.extend(words::check(&tree));
    findings.extend(unsafety::check(&tree));
    findings.extend(purity::check(&tree));
    findings.extend(decisions::check(&tree));
    let workspace = dependencies::Workspace::load(root)?;
    findings.extend(dependencies::check_law(&workspace));
    findings.extend(dependencies::check_reasons(&tree, &workspace)?);
    findings.extend(packages::check(&tree)?);
    findings.extend(modules::check(&tree, &workspace.crate_roots));
    findings.extend(freshness::check(root, &tree)?);
    findings.sort();

    for finding in &findings {
        println!("{}:{}: {}", finding.path, finding.line, finding.message);
    }
    println!(
        "tidy: {} files, {} long functions allowed by a comment, {} findings",
        tree.files.len(),
        exceptions,
        findings.len()
    );
    if !findings.is_empty() {
        bail!("{} rules are broken; see the lines above and STYLE.md", findings.len());
    }
    Ok(())
}
