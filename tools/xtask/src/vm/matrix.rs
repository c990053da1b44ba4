//! `kernel-matrix/kernels.toml`: the kernels that the agent is for.
//!
//! In: the file. Out: rows; the image of a row whose package the archive has, or that was put into
//! a folder by hand.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::cross::Arch;
use crate::debian::{Archive, Package};

/// Where the rows stand.
pub const FILE: &str = "kernel-matrix/kernels.toml";
/// A folder with images by the id of their row, for kernels that no archive here has.
pub const FOLDER_VARIABLE: &str = "DEEPFLOW_KERNELS";

/// The archive, with the folder beside it.
pub fn archive(root: &Path) -> Result<Archive> {
    Ok(Archive::open(root)?.beside(std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kernel: Vec<Kernel>,
}

/// One kernel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Name in reports and on the command line.
    pub id: String,
    /// What a user calls it.
    pub system: String,
    /// As `uname -m` says.
    pub arch: String,
    /// Tier that the agent must choose.
    pub tier: String,
    /// Where an image comes from and how it is known to be the right one.
    pub source: String,
    /// Debian package that holds the image.
    pub package: Option<String>,
    /// Suite of the package.
    pub suite: Option<String>,
    /// Locked version of the package.
    pub version: Option<String>,
    /// Locked sha256 of the package's file.
    pub sha256: Option<String>,
    /// Cases that cannot pass there, and why.
    #[serde(default)]
    pub except: Vec<Exception>,
}

/// What speaks for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authenticity {
    /// Its package has the locked sha256.
    Digest,
    /// It was put into the folder: whoever did so has checked it.
    ByHand,
    /// There is none.
    Missing,
}

/// A case that a kernel makes impossible.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Its name.
    pub case: String,
    /// Why.
    pub why: String,
}

impl Kernel {
    /// Its processor.
    pub fn arch(&self) -> Result<Arch> {
        Arch::parse(&self.arch).with_context(|| self.id.clone())
    }

    /// Its package, if the archive of Debian has one.
    pub fn package(&self) -> Result<Option<Package<'_>>> {
        let Some(name) = self.package.as_deref() else { return Ok(None) };
        let suite = self.suite.as_deref().with_context(|| format!("{}: no suite", self.id))?;
        let lock = self.version.as_deref().zip(self.sha256.as_deref());
        Ok(Some(Package { name, arch: self.arch()?.debian(), suite, lock }))
    }

    /// The image that somebody put into the folder.
    fn image_by_hand(&self) -> Option<PathBuf> {
        let path = Path::new(&std::env::var_os(FOLDER_VARIABLE)?).join(&self.id);
        path.is_file().then_some(path)
    }

    /// How the image is known to be the right one; an error where it is not the one that is locked.
    pub fn verify(&self, archive: &Archive) -> Result<Authenticity> {
        if self.image_by_hand().is_some() {
            return Ok(Authenticity::ByHand);
        }
        let Some(package) = self.package()? else { return Ok(Authenticity::Missing) };
        ensure!(package.lock.is_some(), "{}: not locked: cargo xtask kernels lock", self.id);
        archive.file(&package).map(|_| Authenticity::Digest).context(self.id.clone())
    }

    /// The image, `None` if it cannot be had here.
    pub fn image(&self, archive: &Archive) -> Result<Option<PathBuf>> {
        if let Some(path) = self.image_by_hand() {
            return Ok(Some(path));
        }
        let Some(package) = self.package()? else { return Ok(None) };
        ensure!(package.lock.is_some(), "{}: not locked", self.id);
        find_image(&archive.unpack(&package)?).map(Some)
    }
}

/// Every row.
pub fn read(root: &Path) -> Result<Vec<Kernel>> {
    let text = std::fs::read_to_string(root.join(FILE)).context(FILE)?;
    let file: File = toml::from_str(&text).context(FILE)?;
    for kernel in &file.kernel {
        kernel.arch()?;
    }
    Ok(file.kernel)
}

/// Writes version and sha256 of a row into the file.
pub fn lock(root: &Path, id: &str, version: &str, sha256: &str) -> Result<()> {
    let path = root.join(FILE);
    let text = std::fs::read_to_string(&path)?;
    let mut inside = false;
    let mut out = String::new();
    for line in text.lines() {
        if let Some(found) = line.strip_prefix("id = ") {
            inside = found.trim_matches('"') == id;
        }
        match line.split(" = ").next() {
            Some("version") if inside => out.push_str(&format!("version = \"{version}\"")),
            Some("sha256") if inside => out.push_str(&format!("sha256 = \"{sha256}\"")),
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    std::fs::write(path, out).context(FILE)
}

/// Debian has the image in /boot, from 7.x on beside the modules.
fn find_image(files: &Path) -> Result<PathBuf> {
    let mut folders = vec![files.join("boot")];
    for modules in ["usr/lib/modules", "lib/modules"] {
        if let Ok(versions) = files.join(modules).read_dir() {
            folders.extend(versions.flatten().map(|entry| entry.path()));
        }
    }
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for entry in folder.read_dir()?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("vmlinuz") {
                return Ok(entry.path());
            }
        }
    }
    bail!("no image in {}", files.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_is_whole() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let kernels = read(&root).expect("readable");
        let mut ids: Vec<&str> = kernels.iter().map(|kernel| kernel.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), kernels.len(), "an id twice");
        for kernel in &kernels {
            assert!(["v310", "v510"].contains(&kernel.tier.as_str()), "{}", kernel.id);
            assert!(kernel.package().is_ok(), "{}", kernel.id);
        }
    }
}
