//! What we ship, built with the locked tools: static agents and container images.
//!
//! In: `.tools/ship` (see [`crate::tools`]) and the tree. Out: programs and archives below
//! `target/ship/`. The steps themselves are `tools/ship/*.sh`, which Nix and Bazel call too. Never:
//! an image of a tree with changes that no commit has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cross::{Arch, target_folder};
use crate::shipped::{AGENT, BUILDER, Image, Program, SERVER};
use crate::tools;

/// Every image may have this many bytes at most, compressed, for each architecture: DESIGN §6.
const AGENT_BYTES_MAX: u64 = 15_000_000;

/// Where and with what things are built.
struct Site {
    root: PathBuf,
    tools: PathBuf,
    folder: PathBuf,
    revision: String,
}

/// `cargo xtask static`: the agent for both architectures, or one, as it is shipped.
pub fn agents(root: &Path, words: &[&str]) -> Result<()> {
    let wanted: Vec<Arch> = match words {
        [] => Arch::ALL.to_vec(),
        [word] => vec![Arch::parse(word)?],
        _ => bail!("usage: cargo xtask static [x86_64|aarch64]"),
    };
    let site = Site::open(root, &AGENT, false)?;
    let builder = site.program(Arch::X86_64, &BUILDER)?;
    for arch in wanted {
        for program in AGENT.programs {
            show(&site.inspected(&builder, arch, program)?)?;
        }
    }
    Ok(())
}

/// `cargo xtask images`: images of the agent for both architectures, and one of both.
pub fn images(root: &Path) -> Result<()> {
    let site = Site::open(root, &AGENT, true)?;
    let builder = site.program(Arch::X86_64, &BUILDER)?;
    let mut archives = Vec::new();
    for arch in Arch::ALL {
        let archive = site.image(&builder, arch, &AGENT)?;
        let bytes = fs::metadata(&archive)?.len();
        ensure!(
            bytes <= AGENT_BYTES_MAX,
            "{} has {bytes} bytes, more than {AGENT_BYTES_MAX}",
            archive.display()
        );
        archives.push(archive);
    }
    let all = site.folder.join(AGENT.archive_of_all());
    run(Command::new(&builder).arg("index").arg("--output").arg(&all).args(&archives))?;
    archives.iter().chain([&all]).try_for_each(|archive| show(archive))
}

/// `cargo xtask images server`: the server's image, with its engine and the C library of both.
pub fn server(root: &Path, words: &[&str]) -> Result<()> {
    let arch = match words {
        [] => Arch::X86_64,
        [word] => Arch::parse(word)?,
        _ => bail!("usage: cargo xtask images server [x86_64]"),
    };
    SERVER.ensure_for(arch)?;
    let site = Site::open(root, &SERVER, true)?;
    let builder = site.program(arch, &BUILDER)?;
    show(&site.image(&builder, arch, &SERVER)?)
}

fn show(file: &Path) -> Result<()> {
    println!("{} ({} bytes)", file.display(), fs::metadata(file)?.len());
    Ok(())
}

impl Site {
    fn open(root: &Path, image: &Image, must_be_clean: bool) -> Result<Self> {
        let revision = if must_be_clean { clean_revision(root)? } else { revision(root)? };
        image.fetch(root)?;
        let folder = target_folder(root).join("ship");
        fs::create_dir_all(&folder)?;
        let root = root.canonicalize()?;
        let tools = root.join(tools::FOLDER);
        Ok(Self { tools, folder: folder.canonicalize()?, revision, root })
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg(format!("tools/ship/{name}")).current_dir(&self.root);
        command
            .env("RUST", self.tools.join("rust"))
            .env("ZIG", self.tools.join("zig"))
            .env("CRATES", self.tools.join("crates"))
            .env("SCRATCH", self.folder.join("scratch"))
            .env("REVISION", &self.revision);
        command
    }

    fn program(&self, arch: Arch, program: &Program) -> Result<PathBuf> {
        let output = self.folder.join(arch.name());
        let mut command = self.script("program.sh");
        command.arg(program.triple(arch)).args([program.package, program.name]).arg(&output);
        run(&mut command).with_context(|| format!("{} for {}", program.name, arch.name()))?;
        Ok(output.join(program.name))
    }

    /// Builds a program and holds it to its linkage and to naming no path of this machine.
    fn inspected(&self, builder: &Path, arch: Arch, program: &Program) -> Result<PathBuf> {
        let place = self.program(arch, program)?;
        let mut command = Command::new(builder);
        command.args(["inspect", "--architecture", arch.name()]);
        command.args(program.is_dynamic.then_some("--dynamic"));
        let mut words = vec![self.root.clone(), self.folder.clone()];
        // Of the home only what builds use: that of root is a word of /proc, too.
        let home = std::env::var_os("HOME").map(PathBuf::from);
        words.extend(home.iter().flat_map(|home| [home.join(".cargo"), home.join(".rustup")]));
        for word in words.iter().filter(|word| word.components().count() > 1) {
            command.arg("--without").arg(word);
        }
        run(command.arg(&place))?;
        Ok(place)
    }

    /// Builds an image and what is in it.
    fn image(&self, builder: &Path, arch: Arch, image: &Image) -> Result<PathBuf> {
        for program in image.programs {
            self.inspected(builder, arch, program)?;
        }
        let archive = self.folder.join(image.archive(arch));
        let mut command = self.script("image.sh");
        command.args([image.word, arch.name()]).arg(&archive).env("IMAGES", builder);
        run(command.args(image.inputs(&self.folder.join(arch.name()), &self.tools)))?;
        Ok(archive)
    }
}

/// The commit, with `-dirty` where tracked or new files differ from it.
fn revision(root: &Path) -> Result<String> {
    let head = git(root, &["rev-parse", "HEAD"])?;
    let suffix = if first_change(root)?.is_some() { "-dirty" } else { "" };
    Ok(format!("{}{suffix}", head.trim()))
}

/// The commit; a tree with changes has none.
pub fn clean_revision(root: &Path) -> Result<String> {
    let revision = revision(root)?;
    ensure!(
        !revision.contains('-'),
        "this tree has changes that no commit has, first {}; an image names its commit",
        first_change(root)?.unwrap_or_default()
    );
    Ok(revision)
}

/// The first file that differs from the commit.
fn first_change(root: &Path) -> Result<Option<String>> {
    let changes = git(root, &["status", "--porcelain"])?;
    Ok(changes.lines().next().and_then(|line| line.get(3..)).map(str::to_owned))
}

fn git(root: &Path, words: &[&str]) -> Result<String> {
    let output = Command::new("git").args(words).current_dir(root).output().context("git")?;
    ensure!(
        output.status.success(),
        "git {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
    ensure!(status.success(), "{:?} ended with {status}", command.get_program());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let git = |words: &[&str]| git(folder.path(), words).expect("git");
        git(&["init", "--quiet"]);
        fs::write(folder.path().join("file"), "one").expect("written");
        git(&["add", "file"]);
        let name = ["-c", "user.name=a", "-c", "user.email=a@localhost"];
        git(&[&name[..], &["commit", "--quiet", "-m", "one"]].concat());
        folder
    }

    #[test]
    fn a_tree_with_changes_has_no_clean_revision_and_makes_no_image() {
        let tree = tree();
        let clean = revision(tree.path()).expect("a revision");
        assert!(clean.len() == 40 && !clean.contains('-'), "{clean}");
        fs::write(tree.path().join("file"), "two").expect("written");
        assert_eq!(revision(tree.path()).expect("a revision"), format!("{clean}-dirty"));
        let told = images(tree.path()).expect_err("refused").to_string();
        assert!(told.contains("first file"), "{told}");
    }
}
