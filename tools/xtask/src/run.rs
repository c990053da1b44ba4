//! `make run`: from a checkout to a running system that observes this host.
//!
//! In: options for `deepflow-server all-in-one`. Out: this process becomes the server, so that
//! Ctrl-C reaches it and it alone decides when everything has ended.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::prerequisites::{self, Purpose};

/// The packages whose programs make up the system.
const PROGRAMS: [&str; 6] = ["-p", "agentd", "-p", "serverd", "-p", "ctl"];

/// Installs, builds and becomes the system. Returns only when that fails.
///
/// # Errors
/// When a step fails; the message names it.
pub fn system(root: &Path, options: &[&str]) -> Result<()> {
    prerequisites::install(root, Purpose::Run)?;
    build(root)?;
    if !prerequisites::is_root() {
        println!(
            "run: not root, so packets and system calls cannot be captured; `sudo make run` can"
        );
    }
    let server = release_folder(root).join("deepflow-server");
    let mut command = Command::new(&server);
    command.arg("all-in-one").args(options).current_dir(root);
    if !options.iter().any(|option| option.starts_with("--data-dir")) {
        command.arg("--data-dir").arg(root.join("data"));
    }
    let error = command.exec();
    Err(error).with_context(|| format!("failed to start {}", server.display()))
}

/// Builds the programs in release; where nothing changed cargo is done in a moment.
pub fn build(root: &Path) -> Result<()> {
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked"])
        .args(PROGRAMS)
        .current_dir(root)
        .status()
        .context("failed to start cargo")?;
    ensure!(status.success(), "the build failed");
    Ok(())
}

/// Where cargo puts release programs.
pub fn release_folder(root: &Path) -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    target.map_or_else(|| root.join("target"), |folder| root.join(folder)).join("release")
}
