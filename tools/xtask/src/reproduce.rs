//! `cargo xtask reproduce`: the same commit built by several means must give the same bytes.
//!
//! In: a tree without changes, the locked tools. Out: a table of sha256 of every artefact, and an
//! error when two differ. Means: Nix in its sandbox; the plain scripts in another folder, by another
//! user, under another umask, time zone, locale and number of processors; Bazel in its own root.
//! Whatever cannot be run is said to be "not run", never passed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::cross::{Arch, target_folder};
use crate::prerequisites::{find, is_root};
use crate::{nix, ship, tools};

/// Name of an artefact → where it lies.
type Artefacts = BTreeMap<String, PathBuf>;

/// A way to build.
struct Means {
    name: &'static str,
    build: fn(&Job<'_>) -> Result<Artefacts>,
    /// Why it cannot be run here.
    lacks: fn(&Path) -> Option<String>,
}

/// What is to be built.
struct Job<'a> {
    root: &'a Path,
    folder: PathBuf,
    revision: String,
    arches: Vec<Arch>,
}

const MEANS: [Means; 3] = [
    Means { name: "nix", build: by_nix, lacks: nix_lacks },
    Means { name: "plain", build: by_hand, lacks: hand_lacks },
    Means { name: "bazel", build: by_bazel, lacks: bazel_lacks },
];
/// Folder of Bazel's root, where it is not `.tools/bazel-root`.
const BAZEL_ROOT: &str = "DEEPFLOW_BAZEL_ROOT";
const USAGE: &str = "usage: cargo xtask reproduce [--by nix,plain,bazel] [--arch ARCH]";
/// A user who owns nothing.
const NOBODY: &str = "65534";

/// Runs the verb.
pub fn run(root: &Path, words: &[&str]) -> Result<()> {
    let (mut by, mut arches) = (None, Arch::ALL.to_vec());
    for pair in words.chunks(2) {
        match pair {
            ["--by", names] => by = Some(names.split(',').collect::<Vec<_>>()),
            ["--arch", name] => arches = vec![Arch::parse(name)?],
            _ => bail!(USAGE),
        }
    }
    if let Some(unknown) =
        by.iter().flatten().find(|name| MEANS.iter().all(|means| means.name != **name))
    {
        bail!("{unknown:?} is no means; {USAGE}");
    }
    let revision = ship::clean_revision(root)?;
    tools::fetch(root, None)?;
    let mut seen: Vec<(&str, BTreeMap<String, String>)> = Vec::new();
    let mut places: Vec<Artefacts> = Vec::new();
    for means in &MEANS {
        if by.as_ref().is_some_and(|names| !names.contains(&means.name)) {
            continue;
        }
        if let Some(why) = (means.lacks)(root) {
            println!("{}: not run: {why}", means.name);
            continue;
        }
        let folder = target_folder(root).join("reproduce").join(means.name);
        fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        let job = Job { root, folder, revision: revision.clone(), arches: arches.clone() };
        let begin = Instant::now();
        let artefacts = (means.build)(&job).with_context(|| means.name)?;
        println!("{}: built in {} s", means.name, begin.elapsed().as_secs());
        let digests = artefacts
            .iter()
            .map(|(name, path)| Ok((name.clone(), tools::sha256(path)?)))
            .collect::<Result<_>>()?;
        seen.push((means.name, digests));
        places.push(artefacts);
    }
    compare(&seen, &places)
}

/// Prints what was seen; an error when it differs, or when there is nothing to compare.
fn compare(seen: &[(&str, BTreeMap<String, String>)], places: &[Artefacts]) -> Result<()> {
    let mut differing = Vec::new();
    for (at, (means, digests)) in seen.iter().enumerate() {
        for (name, digest) in digests {
            println!("{digest}  {name} ({means})");
            let first = seen.iter().position(|(_, other)| other.contains_key(name)).unwrap_or(at);
            if seen[first].1[name] != *digest {
                show_difference(&places[first][name], &places[at][name]);
                differing.push(format!("{name} ({} and {means})", seen[first].0));
            }
        }
    }
    ensure!(differing.is_empty(), "not the same: {}", differing.join(", "));
    ensure!(seen.len() > 1, "{} of the means ran: nothing was compared", seen.len());
    let names: Vec<&str> = seen.iter().map(|(means, _)| *means).collect();
    println!("reproduce: the same bytes by {}", names.join(", "));
    Ok(())
}

fn show_difference(one: &Path, other: &Path) {
    let tool = if find("diffoscope").is_some() { "diffoscope" } else { "cmp" };
    let output = Command::new(tool).args([one, other]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let lines = text.unwrap_or_default();
    lines.lines().take(40).for_each(|line| println!("    {line}"));
}

fn nix_lacks(_: &Path) -> Option<String> {
    find("nix").is_none().then(|| "no nix here: Debian's package is nix-bin".to_owned())
}

fn by_nix(job: &Job<'_>) -> Result<Artefacts> {
    let mut artefacts = Artefacts::new();
    for arch in &job.arches {
        let agent = nix::build(job.root, &format!("agent-{}", arch.name()), &job.folder)?;
        artefacts.insert(agent_name(*arch), agent.join("bin/deepflow-agent"));
        let image = nix::build(job.root, &format!("agent-image-{}", arch.name()), &job.folder)?;
        artefacts.insert(image_name(*arch), image);
    }
    if job.arches.len() == Arch::ALL.len() {
        artefacts.insert(INDEX.to_owned(), nix::build(job.root, "images", &job.folder)?);
    }
    Ok(artefacts)
}

const INDEX: &str = "deepflow-agent.tar";

fn agent_name(arch: Arch) -> String {
    format!("deepflow-agent-{}", arch.name())
}

fn image_name(arch: Arch) -> String {
    format!("deepflow-agent-{}.tar", arch.name())
}

fn hand_lacks(_: &Path) -> Option<String> {
    (!is_root()).then(|| "needs root, to become another user".to_owned())
}

/// The scripts themselves on a clone, by nobody, with one processor.
fn by_hand(job: &Job<'_>) -> Result<Artefacts> {
    let folder = std::env::temp_dir().join("deepflow-reproduce-by-hand");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let tree = folder.join("a clone");
    finish(Command::new("git").args(["clone", "--quiet"]).args([job.root, &tree]))?;
    finish(Command::new("git").args(["checkout", "--quiet", &job.revision]).current_dir(&tree))?;
    finish(Command::new("chown").args(["-R", NOBODY]).arg(&folder))?;
    let (scratch, out) = (folder.join("between"), folder.join("out"));
    let step = |script: &str, words: &[String]| -> Result<()> {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0", "setpriv", "--reuid", NOBODY, "--regid", NOBODY]);
        command.args(["--clear-groups", "sh", "-c", "umask 077; exec sh \"$@\"", "sh"]);
        command.arg(format!("tools/ship/{script}")).args(words).current_dir(&tree);
        command.env("TZ", "Asia/Kathmandu").env("LC_ALL", "C.UTF-8").env("HOME", "/nonexistent");
        let tools = job.root.join(tools::FOLDER);
        for (name, place) in [("RUST", "rust"), ("ZIG", "zig"), ("CRATES", "crates")] {
            command.env(name, tools.join(place));
        }
        command.env("SCRATCH", &scratch).env("REVISION", &job.revision);
        command.env("IMAGES", out.join("images"));
        finish(&mut command)
    };
    let word = |path: &Path| path.display().to_string();
    let program = |arch: Arch, package: &str, name: &str, out: &Path| {
        step("program.sh", &[arch.triple(), package.to_owned(), name.to_owned(), word(out)])
    };
    program(Arch::X86_64, "images", "images", &out)?;
    let mut artefacts = Artefacts::new();
    let mut index = Command::new(out.join("images"));
    index.arg("index").arg("--output").arg(out.join(INDEX));
    for arch in &job.arches {
        let place = out.join(arch.name());
        program(*arch, "agentd", "deepflow-agent", &place)?;
        let (agent, image) = (place.join("deepflow-agent"), out.join(image_name(*arch)));
        let input = format!("agent={}", agent.display());
        step("image.sh", &["agent".to_owned(), arch.name().to_owned(), word(&image), input])?;
        index.arg(&image);
        artefacts.insert(agent_name(*arch), agent);
        artefacts.insert(image_name(*arch), image);
    }
    if job.arches.len() == Arch::ALL.len() {
        finish(&mut index)?;
        artefacts.insert(INDEX.to_owned(), out.join(INDEX));
    }
    Ok(artefacts)
}

fn bazel_root(root: &Path) -> PathBuf {
    std::env::var_os(BAZEL_ROOT).map_or_else(|| root.join(".tools/bazel-root"), PathBuf::from)
}

fn bazel_lacks(root: &Path) -> Option<String> {
    let place = bazel_root(root);
    if !place.join("usr/bin/bazel").is_file() {
        let place = place.display();
        return Some(format!("no Bazel in {place}: sh tools/bazel/root.sh {place}"));
    }
    (!is_root()).then(|| "needs root, to enter Bazel's root".to_owned())
}

fn by_bazel(job: &Job<'_>) -> Result<Artefacts> {
    let names: Vec<String> = job
        .arches
        .iter()
        .flat_map(|arch| ["agent", "agent-image"].map(|kind| format!("{kind}-{}", arch.name())))
        .chain((job.arches.len() == Arch::ALL.len()).then(|| "images".to_owned()))
        .collect();
    let mut command = Command::new("sh");
    command.arg("tools/bazel/in-root.sh").arg(bazel_root(job.root)).current_dir(job.root);
    command.args(["build", "--config=offline", &format!("--define=REVISION={}", job.revision)]);
    command.arg(format!("--symlink_prefix={}/", job.folder.display()));
    finish(command.args(names.iter().map(|name| format!("//:{name}"))))?;
    // The links that Bazel leaves are true in its own root.
    let link = job.folder.join("bin");
    let bin = fs::read_link(&link).with_context(|| link.display().to_string())?;
    let bin = bazel_root(job.root).join(bin.strip_prefix("/").unwrap_or(&bin));
    let mut artefacts = Artefacts::new();
    for arch in &job.arches {
        artefacts.insert(agent_name(*arch), bin.join(arch.name()).join("deepflow-agent"));
        let image = bin.join(format!("agent-image-{}.tar", arch.name()));
        artefacts.insert(image_name(*arch), image);
    }
    if job.arches.len() == Arch::ALL.len() {
        artefacts.insert(INDEX.to_owned(), bin.join(INDEX));
    }
    Ok(artefacts)
}

fn finish(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("agent".to_owned(), text.to_owned())])
    }

    #[test]
    fn equal_passes_and_different_or_alone_fails() {
        let places = || Artefacts::from([("agent".to_owned(), PathBuf::from("/dev/null"))]);
        let both = [("nix", digests("a")), ("bazel", digests("a"))];
        assert!(compare(&both, &[places(), places()]).is_ok());
        let different = [("nix", digests("a")), ("bazel", digests("b"))];
        let told = compare(&different, &[places(), places()]).expect_err("differs").to_string();
        assert!(told.contains("agent (nix and bazel)"), "{told}");
        assert!(compare(&both[..1], &[places()]).is_err());
    }
}
