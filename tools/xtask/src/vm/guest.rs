//! `kernel-matrix/guest.toml`: the packages of a distribution that guests have, each locked.
//!
//! In: the file. Out: packages with version and sha256, to which the archive holds their files. Never:
//! a package that is not locked.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cross::Arch;
use crate::debian::{Archive, Package};

const FILE: &str = "kernel-matrix/guest.toml";
const HEAD: &str = "\
# Packages of Debian whose files are in the roots that kernels boot into (`cargo xtask vm`): a file that has
# another sha256 is refused. APT checks the archive's signature; `cargo xtask kernels lock` renews the rows,
# `kernels verify` holds what is here to them. Without network they lie in the folder DEEPFLOW_KERNELS.
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    package: Vec<Locked>,
}

/// A locked package.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// As `uname -m` says.
    pub arch: String,
    /// The suite that it is in.
    pub suite: String,
    /// Its version.
    pub version: String,
    /// Digest of its file.
    pub sha256: String,
}

impl Locked {
    /// In the words of the archive.
    pub fn package(&self) -> Result<Package<'_>> {
        Ok(Package {
            name: &self.name,
            arch: Arch::parse(&self.arch)?.debian(),
            suite: &self.suite,
            lock: Some((&self.version, &self.sha256)),
        })
    }

    /// What the suite has now.
    pub fn renewed(&self, archive: &Archive) -> Result<Self> {
        let (version, sha256) = archive.lock(&self.package()?)?;
        Ok(Self { version, sha256, ..self.clone() })
    }
}

/// Every row.
pub fn read(root: &Path) -> Result<Vec<Locked>> {
    let text = std::fs::read_to_string(root.join(FILE)).context(FILE)?;
    let file: File = toml::from_str(&text).context(FILE)?;
    Ok(file.package)
}

/// Writes them.
pub fn write(root: &Path, all: &[Locked]) -> Result<()> {
    let mut text = HEAD.to_owned();
    for one in all {
        write!(text, "\n[[package]]\n{}", toml::to_string(one)?)?;
    }
    std::fs::write(root.join(FILE), text).context(FILE)
}

/// The row of a package.
pub fn package<'a>(all: &'a [Locked], name: &str, arch: Arch) -> Result<Package<'a>> {
    let found = all.iter().find(|one| one.name == name && one.arch == arch.name());
    found.with_context(|| format!("{name} of {} is not locked in {FILE}", arch.name()))?.package()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::distribution;

    #[test]
    fn every_package_of_a_guest_is_locked_once() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let all = read(&root).expect("readable");
        let wanted = distribution::packages();
        for arch in Arch::ALL {
            for name in &wanted {
                let (version, sha256) =
                    package(&all, name, arch).expect("locked").lock.expect("locked");
                assert!(!version.is_empty());
                assert!(sha256.len() == 64 && sha256.bytes().all(|one| one.is_ascii_hexdigit()));
            }
        }
        assert_eq!(all.len(), wanted.len() * Arch::ALL.len(), "one row for each");
        assert!(package(&all, "coreutils", Arch::X86_64).is_err());
    }
}
