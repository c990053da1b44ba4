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
use crate::tools;

/// Every image may have this many bytes at most, compressed, for each architecture: DESIGN §6.
const AGENT_BYTES_MAX: u64 = 15_000_000;

/// A program of ours.
#[derive(Debug, Clone, Copy)]
struct Program {
    package: &'static str,
    name: &'static str,
}

const AGENT: Program = Program { package: "agentd", name: "deepflow-agent" };
const SERVER: Program = Program { package: "serverd", name: "deepflow-server" };
const CONTROL: Program = Program { package: "ctl", name: "deepflow-ctl" };
/// Name of the server's image, as the lock of tools has it.
pub const SERVER_IMAGE: &str = "deepflow-server";
const BUILDER: Program = Program { package: "images", name: "images" };

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
    let site = Site::open(root, None, false)?;
    let builder = site.program(Arch::X86_64, BUILDER)?;
    for arch in wanted {
        let program = site.agent(&builder, arch)?;
        println!("{} ({} bytes)", program.display(), fs::metadata(&program)?.len());
    }
    Ok(())
}

/// `cargo xtask images`: images of the agent for both architectures, and one of both.
pub fn images(root: &Path) -> Result<()> {
    let site = Site::open(root, None, true)?;
    let builder = site.program(Arch::X86_64, BUILDER)?;
    let mut archives = Vec::new();
    for arch in Arch::ALL {
        let program = site.agent(&builder, arch)?;
        let archive = site.folder.join(format!("deepflow-agent-{}.tar", arch.name()));
        let mut command = site.script("image.sh");
        command.arg("agent").arg(arch.name()).arg(&archive);
        command.arg(format!("agent={}", program.display())).env("IMAGES", &builder);
        run(&mut command)?;
        let bytes = fs::metadata(&archive)?.len();
        ensure!(
            bytes <= AGENT_BYTES_MAX,
            "{} has {bytes} bytes, more than {AGENT_BYTES_MAX}",
            archive.display()
        );
        archives.push(archive);
    }
    let all = site.folder.join("deepflow-agent.tar");
    run(Command::new(&builder).arg("index").arg("--output").arg(&all).args(&archives))?;
    for archive in archives.iter().chain([&all]) {
        println!("{} ({} bytes)", archive.display(), fs::metadata(archive)?.len());
    }
    Ok(())
}

/// `cargo xtask images server`: the server's image, with its engine and the C library of both.
pub fn server(root: &Path, words: &[&str]) -> Result<()> {
    let arch = match words {
        [] => Arch::X86_64,
        [word] => Arch::parse(word)?,
        _ => bail!("usage: cargo xtask images server [x86_64]"),
    };
    ensure!(
        arch == Arch::X86_64,
        "no image of the server for {}: {} locks its engine, libchdb, for x86_64 alone",
        arch.name(),
        tools::lock::FILE
    );
    let site = Site::open(root, Some(SERVER_IMAGE), true)?;
    let builder = site.program(arch, BUILDER)?;
    let control = site.program(arch, CONTROL)?;
    let server = site.compiled(&arch.triple_of_glibc(), arch, SERVER)?;
    site.inspect(&builder, arch, true, &server)?;
    site.inspect(&builder, arch, false, &control)?;
    let archive = site.folder.join(format!("deepflow-server-{}.tar", arch.name()));
    let mut command = site.script("image.sh");
    command.arg("server").arg(arch.name()).arg(&archive).env("IMAGES", &builder);
    for (name, path) in [
        ("server", server),
        ("ctl", control),
        ("engine", site.tools.join("libchdb.so")),
        ("runtime", site.tools.join("libc6-amd64.deb")),
    ] {
        command.arg(format!("{name}={}", path.display()));
    }
    run(&mut command)?;
    println!("{} ({} bytes)", archive.display(), fs::metadata(&archive)?.len());
    Ok(())
}

impl Site {
    fn open(root: &Path, image: Option<&str>, must_be_clean: bool) -> Result<Self> {
        let revision = if must_be_clean { clean_revision(root)? } else { revision(root)? };
        tools::fetch(root, image, None)?;
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

    fn program(&self, arch: Arch, program: Program) -> Result<PathBuf> {
        self.compiled(&arch.triple(), arch, program)
    }

    fn compiled(&self, triple: &str, arch: Arch, program: Program) -> Result<PathBuf> {
        let output = self.folder.join(arch.name());
        let mut command = self.script("program.sh");
        command.arg(triple).args([program.package, program.name]).arg(&output);
        run(&mut command).with_context(|| format!("{} for {}", program.name, arch.name()))?;
        Ok(output.join(program.name))
    }

    /// Builds the agent and holds it to being static and to naming no path of this machine.
    fn agent(&self, builder: &Path, arch: Arch) -> Result<PathBuf> {
        let program = self.program(arch, AGENT)?;
        self.inspect(builder, arch, false, &program)?;
        Ok(program)
    }

    /// Holds a program to its linkage and to naming no path of this machine.
    fn inspect(&self, builder: &Path, arch: Arch, is_dynamic: bool, program: &Path) -> Result<()> {
        let mut command = Command::new(builder);
        command.args(["inspect", "--architecture", arch.name()]);
        command.args(is_dynamic.then_some("--dynamic"));
        let mut words = vec![self.root.clone(), self.folder.clone()];
        // Of the home only what builds use: that of root is a word of /proc, too.
        let home = std::env::var_os("HOME").map(PathBuf::from);
        words.extend(home.iter().flat_map(|home| [home.join(".cargo"), home.join(".rustup")]));
        for word in words.iter().filter(|word| word.components().count() > 1) {
            command.arg("--without").arg(word);
        }
        run(command.arg(program))
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
    fn there_is_no_server_for_aarch64_and_the_refusal_says_why() {
        let told = server(Path::new("/nonexistent"), &["aarch64"]).expect_err("refused");
        assert!(told.to_string().contains("libchdb"), "{told}");
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
