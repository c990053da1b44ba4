//! Licence texts of all that is in an image, from the sources of the crates themselves.
//!
//! In: the output of `cargo metadata`, whose folders are read, and our own licence. Out: a folder
//! for each crate with its texts, and a list of all crates with their SPDX expression, which also
//! says who ships no text. Never: a text of our own making, a crate that is not in the programs.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::sbom::crates;

/// How files with licence texts begin, in capitals.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
/// The list of all.
const LIST: &str = "CRATES.txt";

/// Writes the folder for crates of the workspace; gives the number of crates and of those that
/// ship no text.
///
/// # Errors
/// When sources are not where the metadata says.
pub fn gather(
    metadata: &Path,
    roots: &[String],
    own: &Path,
    output: &Path,
) -> Result<(usize, usize)> {
    let named = || format!("metadata {}", metadata.display());
    let text = fs::read_to_string(metadata).with_context(named)?;
    let materials = crates::materials(&text, roots).with_context(named)?;
    let folders = crates::folders(&text).with_context(named)?;
    fs::create_dir_all(output)?;
    copy(own, &output.join("LICENSE"))?;
    let mut list = String::new();
    let (mut all, mut without) = (0, 0);
    for (url, component) in &materials.components {
        let Some(folder) = folders.get(url) else { continue };
        let name = format!("{}-{}", component.name, component.version);
        let texts = texts(folder)?;
        for text in &texts {
            let file = text.file_name().context("a file has a name")?;
            copy(text, &output.join(&name).join(file))?;
        }
        let licence = component.licence.as_deref().unwrap_or("not stated");
        let note = if texts.is_empty() { ", ships no text of it" } else { "" };
        writeln!(list, "{name}: {licence}{note}")?;
        all += 1;
        without += usize::from(texts.is_empty());
    }
    fs::write(output.join(LIST), list)?;
    Ok((all, without))
}

/// Files with licence texts in a crate's folder, sorted.
fn texts(folder: &Path) -> Result<Vec<PathBuf>> {
    let named = || format!("crate at {}", folder.display());
    ensure!(folder.is_dir(), "{} is not there", named());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(named)? {
        let path = entry.with_context(named)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_uppercase());
        let is_text = name.is_some_and(|name| NAMES.iter().any(|start| name.starts_with(start)));
        if is_text && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Contents alone: what can be run or not must not differ between unpackers.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(above) = to.parent() {
        fs::create_dir_all(above)?;
    }
    let bytes = fs::read(from).with_context(|| from.display().to_string())?;
    fs::write(to, bytes).with_context(|| to.display().to_string())
}
