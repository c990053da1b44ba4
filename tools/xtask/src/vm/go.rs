//! The guest's program of Go, for kernels under test: `vm-tests/go`, built by the Go of this machine.
//!
//! In: an architecture. Out: a static program without symbols, as most in containers are. Never: a
//! module from anywhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cross::Arch;

const SOURCE: &str = "vm-tests/go/talk.go";
/// What the compiler keeps of its library.
const CACHE: &str = ".tools/go";

/// Builds it into `folder`.
pub fn build(root: &Path, arch: Arch, folder: &Path) -> Result<PathBuf> {
    let path = folder.join(format!("go-talk-{}", arch.name()));
    let mut command = Command::new("go");
    command.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&path).arg(root.join(SOURCE));
    command.envs([("GO111MODULE", "off"), ("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local")]);
    command.envs([("GOOS", "linux"), ("GOARCH", arch.debian())]);
    let cache = root.join(CACHE);
    command.env("GOCACHE", cache.join("cache")).env("GOPATH", cache.join("path"));
    let status = command.current_dir(folder).status();
    let status = status.context("no Go here: it is Debian's package golang-go")?;
    ensure!(status.success(), "go build: {status}");
    Ok(path)
}
