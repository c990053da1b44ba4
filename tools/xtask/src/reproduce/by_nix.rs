//! Nix in its sandbox, and Nix again, in and of another folder, at another time of day and with more
//! processors.
//!
//! In: what is to be built. Out: places in the store. Never: a result of the second time that was
//! there before.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::another_time::AnotherTime;
use super::{Artefacts, Job};
use crate::nix;
use crate::prerequisites::find;

/// Where the sandbox has what is built, the second time; Nix calls it /build.
const ELSEWHERE: &str = "/a/place/elsewhere";

pub fn lacks(_: &Path) -> Option<String> {
    if find("nix").is_none() {
        return Some("no nix here: Debian's package is nix-bin".to_owned());
    }
    nix::probe().err().map(|error| format!("no sandbox here: {error:#}"))
}

pub fn build(job: &Job<'_>) -> Result<Artefacts> {
    job.what.iter().try_for_each(|image| nix::store(job.root, Some(image.name)))?;
    packages(job, |name| {
        let link = job.folder.join(name);
        job.step(nix::command(job.root, name, &job.folder)?.arg("--out-link").arg(&link))?;
        Ok(link.canonicalize()?)
    })
}

/// Each package a second time, of a clone: Nix holds it to what it was, and keeps it beside if it differs.
pub fn again(job: &Job<'_>) -> Result<Artefacts> {
    // There since the first time, or now.
    build(job)?;
    let tree = job.clone_at(job.folder.join("clone"))?;
    let time = AnotherTime::compile(job.root, &job.folder)?;
    let at_another_time = time.in_sandbox()?;
    time.ensure_told(&nix::in_sandbox("/bin/date +%s > $out", &at_another_time)?)?;
    packages(job, |name| {
        let mut command = nix::command(&tree, name, &job.folder)?;
        command.args(["--rebuild", "--keep-failed", "--no-link"]);
        command.args(["--option", "sandbox-build-dir", ELSEWHERE]).args(&at_another_time);
        command.env("TZ", "America/St_Johns").env("LC_ALL", "C.UTF-8");
        let built = job.step(&command);
        let first = job.folder.join(name).canonicalize()?;
        let mut differing = first.clone().into_os_string();
        differing.push(".check");
        match built {
            Ok(()) => Ok(first),
            // Compared, and shown, with all others.
            Err(_) if Path::new(&differing).exists() => Ok(differing.into()),
            Err(error) => Err(error),
        }
    })
}

/// The artefacts in the packages of the flake.
fn packages(job: &Job<'_>, build: impl Fn(&str) -> Result<PathBuf>) -> Result<Artefacts> {
    let mut artefacts = Artefacts::new();
    for (image, arch) in job.images() {
        for program in image.programs {
            let place = build(&program.target(arch))?.join("bin").join(program.name);
            artefacts.insert(program.with_arch(arch), place);
        }
        artefacts.insert(image.archive(arch), build(&image.target(arch))?);
    }
    for (image, target) in job.indexes() {
        artefacts.insert(image.archive_of_all(), build(target)?);
    }
    Ok(artefacts)
}
