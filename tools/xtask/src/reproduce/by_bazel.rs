//! Bazel, in a root of its own.
//!
//! In: what is to be built, and the root (tools/bazel/root.sh makes one). Out: places in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Artefacts, INDEX, Job, agent_name, image_name};
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
    let names: Vec<String> = job
        .arches
        .iter()
        .flat_map(|arch| ["agent", "agent-image"].map(|kind| format!("{kind}-{}", arch.name())))
        .chain(job.has_index().then(|| "images".to_owned()))
        .collect();
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
    for arch in &job.arches {
        artefacts.insert(agent_name(*arch), bin.join(arch.name()).join("deepflow-agent"));
        let image = bin.join(format!("agent-image-{}.tar", arch.name()));
        artefacts.insert(image_name(*arch), image);
    }
    if job.has_index() {
        artefacts.insert(INDEX.to_owned(), bin.join(INDEX));
    }
    Ok(artefacts)
}
