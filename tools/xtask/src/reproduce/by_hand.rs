//! The scripts themselves on a clone, by nobody, with one processor.
//!
//! In: what is to be built. Out: places in a folder for what is temporary. Never: what an earlier
//! build left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Artefacts, INDEX, Job, agent_name, image_name};
use crate::cross::Arch;
use crate::prerequisites::is_root;
use crate::tools;

/// A user who owns nothing.
const NOBODY: &str = "65534";
/// Runs a command that sees a folder at another place.
const INSIDE: &str = "mount --bind \"$1\" \"$2\"; shift 2; exec \"$@\"";

pub fn lacks(_: &Path) -> Option<String> {
    (!is_root()).then(|| "needs root, to become another user".to_owned())
}

pub fn build(job: &Job<'_>) -> Result<Artefacts> {
    let folder = std::env::temp_dir().join("deepflow-reproduce-by-hand");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let tree = job.clone_at(folder.join("a clone"))?;
    job.step(Command::new("chown").args(["-R", NOBODY]).arg(&folder))?;
    let tools = folder.join("tools");
    fs::create_dir_all(&tools)?;
    let site = Site { job, tree, tools, between: folder.join("between"), out: folder.join("out") };
    let builder = site.program(Arch::X86_64, "images", "images", &site.out)?;
    let mut artefacts = Artefacts::new();
    let mut index = Command::new(&builder);
    index.arg("index").arg("--output").arg(site.out.join(INDEX));
    for arch in &job.arches {
        let place = site.out.join(arch.name());
        let agent = site.program(*arch, "agentd", "deepflow-agent", &place)?;
        let image = site.out.join(image_name(*arch));
        let input = format!("agent={}", agent.display());
        site.step("image.sh", &["agent", arch.name(), &word(&image), &input])?;
        index.arg(&image);
        artefacts.insert(agent_name(*arch), agent);
        artefacts.insert(image_name(*arch), image);
    }
    if job.has_index() {
        job.step(&index)?;
        artefacts.insert(INDEX.to_owned(), site.out.join(INDEX));
    }
    Ok(artefacts)
}

/// Where and as whom it is built.
struct Site<'a> {
    job: &'a Job<'a>,
    tree: PathBuf,
    /// Where the tools are for it.
    tools: PathBuf,
    between: PathBuf,
    out: PathBuf,
}

impl Site<'_> {
    fn program(&self, arch: Arch, package: &str, name: &str, out: &Path) -> Result<PathBuf> {
        self.step("program.sh", &[&arch.triple(), package, name, &word(out)])?;
        Ok(out.join(name))
    }

    fn step(&self, script: &str, words: &[&str]) -> Result<()> {
        let mut command = Command::new("unshare");
        // Nobody may not be let into the folder of the tree; what is mounted ends with the command.
        command.args(["--mount", "sh", "-euc", INSIDE, "sh"]);
        command.arg(self.job.root.join(tools::FOLDER)).arg(&self.tools);
        command.args(["setpriv", "--reuid", NOBODY, "--regid", NOBODY]);
        command.args(["--clear-groups", "sh", "-c", "umask 077; exec sh \"$@\"", "sh"]);
        command.arg(format!("tools/ship/{script}")).args(words).current_dir(&self.tree);
        command.env("TZ", "Asia/Kathmandu").env("LC_ALL", "C.UTF-8").env("HOME", "/nonexistent");
        for (name, place) in [("RUST", "rust"), ("ZIG", "zig"), ("CRATES", "crates")] {
            command.env(name, self.tools.join(place));
        }
        command.env("SCRATCH", &self.between).env("REVISION", &self.job.revision);
        command.env("IMAGES", self.out.join("images"));
        self.job.step_on(self.job.one_processor(), &command)
    }
}

fn word(path: &Path) -> String {
    path.display().to_string()
}
