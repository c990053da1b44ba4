//! Programs of a distribution for the guest: OpenSSL with its libraries, `setarch`, the C library.
//!
//! In: the archive, the locked packages. Out: files and where each stands in the root. Never: a package
//! that is not locked.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::guest::{self, Locked};
use crate::cross::Arch;
use crate::debian::Archive;

/// The shell and all that it needs.
const BUSYBOX: &str = "busybox-static";
/// Package, file in it and where that stands in the root; `{arch}`: as `uname -m` says it.
const FILES: [(&str, &str, &str); 5] = [
    ("util-linux", "usr/bin/setarch", "usr/bin/setarch"),
    ("openssl", "usr/bin/openssl", "usr/bin/openssl"),
    ("libssl3", "usr/lib/{arch}-linux-gnu/libssl.so.3", "usr/lib/{arch}-linux-gnu/libssl.so.3"),
    (
        "libssl3",
        "usr/lib/{arch}-linux-gnu/libcrypto.so.3",
        "usr/lib/{arch}-linux-gnu/libcrypto.so.3",
    ),
    ("libc6", "lib/{arch}-linux-gnu/libc.so.6", "lib/{arch}-linux-gnu/libc.so.6"),
];

/// What loads programs with libraries: its name in the package, its place in the root.
const fn loader(arch: Arch) -> (&'static str, &'static str) {
    match arch {
        Arch::X86_64 => ("ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2"),
        Arch::Aarch64 => ("ld-linux-aarch64.so.1", "lib/ld-linux-aarch64.so.1"),
    }
}

/// The shell of the root.
pub fn busybox(archive: &Archive, locked: &[Locked], arch: Arch) -> Result<PathBuf> {
    let files = archive.unpack(&guest::package(locked, BUSYBOX, arch)?)?;
    find(&files, "bin/busybox").context("no busybox")
}

/// The files by their places in the root.
pub fn files(archive: &Archive, locked: &[Locked], arch: Arch) -> Result<Vec<(String, PathBuf)>> {
    let (name, place) = loader(arch);
    let in_package = format!("lib/{{arch}}-linux-gnu/{name}");
    let all = FILES.into_iter().chain([("libc6", in_package.as_str(), place)]);
    let of_arch = |text: &str| text.replace("{arch}", arch.name());
    all.map(|(name, inside, place)| {
        let files = archive.unpack(&guest::package(locked, name, arch)?)?;
        let path = find(&files, &of_arch(inside)).with_context(|| format!("{name}: {inside}"))?;
        Ok((of_arch(place), path))
    })
    .collect()
}

/// A file of a package; later ones have all of /lib in /usr/lib.
fn find(files: &Path, inside: &str) -> Option<PathBuf> {
    let places = [files.join(inside), files.join("usr").join(inside)];
    places.into_iter().find(|path| path.is_file())
}

/// Names of all packages that a root takes files of.
#[cfg(test)]
pub fn packages() -> std::collections::BTreeSet<&'static str> {
    FILES.iter().map(|(name, ..)| *name).chain([BUSYBOX]).collect()
}
