//! The scripts themselves on a clone, by nobody, at another time of day, with one processor.
//!
//! In: what is to be built. Out: places in a folder for what is temporary. Never: what an earlier
//! build left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::another_time::AnotherTime;
use super::{Artefacts, Job};
use crate::cross::Arch;
use crate::prerequisites::is_root;
use crate::shipped::{BUILDER, Program};
use crate::tools;

/// A user who owns nothing.
const NOBODY: &str = "65534";
/// When files of the clone were changed.
const LONG_AGO: &str = "--date=@1000000000";
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
    let time = AnotherTime::compile(job.root, &folder)?;
    job.step(Command::new("find").arg(&tree).args(["-exec", "touch", LONG_AGO, "{}", "+"]))?;
    job.step(Command::new("chown").args(["-R", NOBODY]).arg(&folder))?;
    let tools = folder.join("tools");
    fs::create_dir_all(&tools)?;
    let (between, out) = (folder.join("between"), folder.join("out"));
    let site = Site { job, tree, tools, time, between, out };
    let date = site.inside(&["date", "+%s"]).output().context("date")?;
    site.time.ensure_told(&String::from_utf8_lossy(&date.stdout))?;
    let builder = site.program(Arch::X86_64, &BUILDER, &site.out)?;
    let mut artefacts = Artefacts::new();
    for (image, arch) in job.images() {
        let place = site.out.join(arch.name());
        for program in image.programs {
            artefacts.insert(program.with_arch(arch), site.program(arch, program, &place)?);
        }
        let archive = site.out.join(image.archive(arch));
        let words = [image.word.to_owned(), arch.name().to_owned(), word(&archive)];
        site.step("image.sh", &[&words[..], &image.inputs(&place, &site.tools)].concat())?;
        artefacts.insert(image.archive(arch), archive);
    }
    for (image, _) in job.indexes() {
        let all = site.out.join(image.archive_of_all());
        let archives = image.arches.iter().map(|arch| site.out.join(image.archive(*arch)));
        job.step(Command::new(&builder).arg("index").arg("--output").arg(&all).args(archives))?;
        artefacts.insert(image.archive_of_all(), all);
    }
    Ok(artefacts)
}

/// Where and as whom it is built.
struct Site<'a> {
    job: &'a Job<'a>,
    tree: PathBuf,
    /// Where the tools are for it.
    tools: PathBuf,
    time: AnotherTime,
    between: PathBuf,
    out: PathBuf,
}

impl Site<'_> {
    fn program(&self, arch: Arch, program: &Program, out: &Path) -> Result<PathBuf> {
        let (package, name) = (program.package.to_owned(), program.name.to_owned());
        self.step("program.sh", &[program.triple(arch), package, name, word(out)])?;
        Ok(out.join(program.name))
    }

    fn step(&self, script: &str, words: &[String]) -> Result<()> {
        let mut command = self.inside(&["sh", &format!("tools/ship/{script}")]);
        self.job.step_on(self.job.one_processor(), command.args(words))
    }

    /// A command in this place, as this user, at this time.
    fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        // Nobody may not be let into the folder of the tree; what is mounted ends with the command.
        command.args(["--mount", "sh", "-euc", INSIDE, "sh"]);
        command.arg(self.job.root.join(tools::FOLDER)).arg(&self.tools);
        command.args(["setpriv", "--reuid", NOBODY, "--regid", NOBODY]);
        command.args(["--clear-groups", "sh", "-c", "umask 077; exec \"$@\"", "sh"]);
        command.args(words).current_dir(&self.tree);
        command.env("TZ", "Asia/Kathmandu").env("LC_ALL", "C.UTF-8").env("HOME", "/nonexistent");
        for (name, place) in [("RUST", "rust"), ("ZIG", "zig"), ("CRATES", "crates")] {
            command.env(name, self.tools.join(place));
        }
        command.env("SCRATCH", &self.between).env("REVISION", &self.job.revision);
        let (name, value) = self.time.variable();
        command.env("IMAGES", self.out.join("images")).env(name, value);
        command
    }
}

fn word(path: &Path) -> String {
    path.display().to_string()
}
