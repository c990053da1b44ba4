//! Bazel, in a root of its own.
//!
//! In: what is to be built, and the root (tools/bazel/root.sh makes one). Out: places in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Artefacts, Job};
use crate::prerequisites::is_root;

/// Folder of Bazel's root, where it is not `.tools/bazel-root`.
const ROOT: &str = "DEEPFLOW_BAZEL_ROOT";

fn place(root: &Path) -> PathBuf {
    std::env::var_os(ROOT).map_or_else(|| root.join(".tools/bazel-root"), |name| root.join(name))
}

pub fn lacks(root: &Path) -> Option<String> {
    let place = place(root);
    if !place.join("usr/bin/bazel").is_file() {
        let place = place.display();
        return Some(format!("no Bazel in {place}: sh tools/bazel/root.sh {place}"));
    }
    (!is_root()).then(|| "needs root, to enter Bazel's root".to_owned())
}

pub fn build(job: &Job<'_>) -> Result<Artefacts> {
    let mut names = Vec::new();
    for (image, arch) in job.images() {
        names.extend(image.programs.iter().map(|program| program.target(arch)));
        names.push(image.target(arch));
    }
    names.extend(job.indexes().map(|(_, target)| target.to_owned()));
    let mut command = Command::new("sh");
    command.arg("tools/bazel/in-root.sh").arg(place(job.root)).current_dir(job.root);
    command.args(["build", "--config=offline", &format!("--define=REVISION={}", job.revision)]);
    command.arg(format!("--symlink_prefix={}/", job.folder.display()));
    job.step(command.args(names.iter().map(|name| format!("//:{name}"))))?;
    // The links that Bazel leaves are true in its own root.
    let link = job.folder.join("bin");
    let bin = fs::read_link(&link).with_context(|| link.display().to_string())?;
    let bin = place(job.root).join(bin.strip_prefix("/").unwrap_or(&bin));
    let mut artefacts = Artefacts::new();
    for (image, arch) in job.images() {
        for program in image.programs {
            let place = bin.join(arch.name()).join(program.name);
            artefacts.insert(program.with_arch(arch), place);
        }
        let place = bin.join(format!("{}.tar", image.target(arch)));
        artefacts.insert(image.archive(arch), place);
    }
    for (image, _) in job.indexes() {
        artefacts.insert(image.archive_of_all(), bin.join(image.archive_of_all()));
    }
    Ok(artefacts)
}
