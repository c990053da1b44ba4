//! Static programs for the kernels under test, without a cross gcc: clang and lld with musl's headers.
//!
//! In: names of packages of the workspace. Out: static programs below `target/<triple>/`. Never: a
//! path of this machine in what is built from C. What is shipped is built by [`crate::ship`].

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::debian::{Archive, Package};

/// A processor that the agent is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Arch {
    /// Both.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// As `uname -m` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As Debian says it.
    pub const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// By its name.
    pub fn parse(word: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|arch| arch.name() == word);
        found.with_context(|| format!("{word:?} is no architecture: x86_64 or aarch64"))
    }

    /// As Rust says it: static, with musl.
    pub fn triple(self) -> String {
        format!("{}-unknown-linux-musl", self.name())
    }

    /// Rust's name for it with glibc: programs that load libraries.
    pub fn triple_of_glibc(self) -> String {
        format!("{}-unknown-linux-gnu", self.name())
    }
}

/// Builds packages for an architecture; gives the folder of their programs.
pub fn build(root: &Path, arch: Arch, packages: &[&str], release: bool) -> Result<PathBuf> {
    add_target(root, arch)?;
    let headers = headers(root, arch)?;
    let target = target_folder(root);
    let key = arch.name();
    let mut flags = format!(
        "--target={key}-linux-musl -isystem {} -g0 -ffile-prefix-map={}=/src",
        headers.display(),
        cargo_home()?.display()
    );
    if arch == Arch::Aarch64 {
        // The functions behind it are in libgcc, which is not linked.
        flags.push_str(" -mno-outline-atomics");
    }
    let mut command = Command::new("cargo");
    command.args(["build", "--locked", "--target", &arch.triple()]).current_dir(root);
    for package in packages {
        command.args(["-p", package]);
    }
    if release {
        command.arg("--release");
    }
    // What `cargo xtask` says of xtask itself: build scripts (ring's) would take it for a change.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
        .env(format!("CARGO_TARGET_{}_UNKNOWN_LINUX_MUSL_LINKER", key.to_uppercase()), "rust-lld")
        .env(format!("CC_{key}_unknown_linux_musl"), "clang-16")
        .env(format!("AR_{key}_unknown_linux_musl"), "llvm-ar-16")
        .env(format!("CFLAGS_{key}_unknown_linux_musl"), flags);
    let status = command.status().context("failed to start cargo")?;
    ensure!(status.success(), "the build for {key} failed");
    Ok(target.join(arch.triple()).join(if release { "release" } else { "debug" }))
}

/// Where cargo puts what it builds.
pub fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Where cargo keeps what it brings.
pub fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    Ok(PathBuf::from(std::env::var_os("HOME").context("no HOME")?).join(".cargo"))
}

/// The standard library of the target, by rustup where it is there.
fn add_target(root: &Path, arch: Arch) -> Result<()> {
    let triple = arch.triple();
    let sysroot = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", &triple])
        .current_dir(root)
        .output()
        .context("failed to start rustc")?;
    let folder = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    if Path::new(&folder).is_dir() {
        return Ok(());
    }
    let status = Command::new("rustup")
        .args(["target", "add", &triple])
        .current_dir(root)
        .status()
        .with_context(|| format!("no standard library for {triple}, and no rustup to add it"))?;
    ensure!(status.success(), "rustup could not add {triple}");
    Ok(())
}

/// musl's headers of the architecture.
fn headers(root: &Path, arch: Arch) -> Result<PathBuf> {
    let place = format!("usr/include/{}-linux-musl", arch.name());
    let package = Package { name: "musl-dev", arch: arch.debian(), suite: "bookworm", lock: None };
    Ok(Archive::open(root)?.unpack(&package)?.join(place))
}
