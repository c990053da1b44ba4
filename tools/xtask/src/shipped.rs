//! What we ship: programs, the images that they are in, and under which words builds know them.
//!
//! In: nothing. Out: a table, which `static`, `images`, `nix` and `reproduce` read. Never: a build.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::cross::Arch;
use crate::tools::{self, lock};

/// A program of ours.
#[derive(Debug)]
pub struct Program {
    /// What builds call it: `nix build .#WORD-ARCH`, `bazel build //:WORD-ARCH`, and image.sh's input.
    pub word: &'static str,
    /// Package of the workspace.
    pub package: &'static str,
    /// The file.
    pub name: &'static str,
    /// Whether it loads libraries, so that it is linked against glibc.
    pub is_dynamic: bool,
}

/// An image of ours.
#[derive(Debug)]
pub struct Image {
    /// What builds call it: `nix build .#WORD-image-ARCH`, and the file below images/.
    pub word: &'static str,
    /// Name of the image and begin of its archives', as the lock of tools has it too.
    pub name: &'static str,
    /// What is in it of ours.
    pub programs: &'static [Program],
    /// What is in it besides: image.sh's input and the locked tool's file.
    pub files: &'static [(&'static str, &'static str)],
    /// What it is made for.
    pub arches: &'static [Arch],
    /// The target that makes one archive of all architectures.
    pub index: Option<&'static str>,
}

/// What makes images.
pub const BUILDER: Program =
    Program { word: "builder", package: "images", name: "images", is_dynamic: false };

/// The agent's.
pub const AGENT: Image = Image {
    word: "agent",
    name: "deepflow-agent",
    programs: &[Program {
        word: "agent",
        package: "agentd",
        name: "deepflow-agent",
        is_dynamic: false,
    }],
    files: &[],
    arches: &Arch::ALL,
    index: Some("images"),
};

/// The server's, whose engine is a library that it loads.
pub const SERVER: Image = Image {
    word: "server",
    name: "deepflow-server",
    programs: &[
        Program { word: "server", package: "serverd", name: "deepflow-server", is_dynamic: true },
        Program { word: "ctl", package: "ctl", name: "deepflow-ctl", is_dynamic: false },
    ],
    files: &[("engine", "libchdb.so"), ("runtime", "libc6-amd64.deb")],
    arches: &[Arch::X86_64],
    index: None,
};

const ALL: [&Image; 2] = [&AGENT, &SERVER];

impl Program {
    /// As Rust says what it is built for.
    pub fn triple(&self, arch: Arch) -> String {
        if self.is_dynamic { arch.triple_of_glibc() } else { arch.triple() }
    }

    /// The target of it.
    pub fn target(&self, arch: Arch) -> String {
        format!("{}-{}", self.word, arch.name())
    }

    /// Its name among those for other architectures.
    pub fn with_arch(&self, arch: Arch) -> String {
        format!("{}-{}", self.name, arch.name())
    }
}

impl Image {
    /// By its word.
    pub fn parse(word: &str) -> Result<&'static Self> {
        let found = ALL.into_iter().find(|image| image.word == word);
        found.with_context(|| format!("{word:?} is nothing that we ship: agent or server"))
    }

    /// Refuses an architecture that it is not made for, and says why.
    pub fn ensure_for(&self, arch: Arch) -> Result<()> {
        ensure!(
            self.arches.contains(&arch),
            "no image of the {} for {}: {} locks its engine, libchdb, for x86_64 alone",
            self.word,
            arch.name(),
            lock::FILE
        );
        Ok(())
    }

    /// The target of it.
    pub fn target(&self, arch: Arch) -> String {
        format!("{}-image-{}", self.word, arch.name())
    }

    /// Name of its archive for an architecture.
    pub fn archive(&self, arch: Arch) -> String {
        format!("{}-{}.tar", self.name, arch.name())
    }

    /// Name of the archive of all its architectures.
    pub fn archive_of_all(&self) -> String {
        format!("{}.tar", self.name)
    }

    /// What image.sh is given to make it; `programs` and `tools` are the folders of both.
    pub fn inputs(&self, programs: &Path, tools: &Path) -> Vec<String> {
        let input = |word: &str, path: &Path| format!("{word}={}", path.display());
        let ours = self.programs.iter().map(|one| input(one.word, &programs.join(one.name)));
        let others = self.files.iter().map(|(word, file)| input(word, &tools.join(file)));
        ours.chain(others).collect()
    }

    /// Brings the tools that it is made with, and verifies them.
    pub fn fetch(&self, root: &Path) -> Result<()> {
        tools::fetch(root, Some(self.name), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_server_for_aarch64_and_the_refusal_says_why() {
        let told = SERVER.ensure_for(Arch::Aarch64).expect_err("refused");
        assert!(told.to_string().contains("libchdb, for x86_64 alone"), "{told}");
        AGENT.ensure_for(Arch::Aarch64).expect("there is one");
    }

    /// Names are defined in images/*.toml, targets in the flake and in BUILD.bazel.
    #[test]
    fn the_table_holds_what_images_and_builds_say() {
        let root = crate::generate::root();
        let read = |file: &str| std::fs::read_to_string(root.join(file)).expect(file);
        let (nix, bazel) = (read("tools/nix/default.nix"), read("BUILD.bazel"));
        for image in ALL {
            let said: toml::Table =
                read(&format!("images/{}.toml", image.word)).parse().expect("toml");
            assert_eq!(said["name"].as_str(), Some(image.name));
            let crates = said["crates"].as_array().expect("crates").iter();
            let crates: Vec<_> = crates.map(|one| one.as_str().expect("a name")).collect();
            let ours: Vec<_> = image.programs.iter().map(|one| one.package).collect();
            assert_eq!(crates, ours);
            let tools = lock::read(&root, Some(image.name)).expect("a lock");
            let tools = tools.iter().filter(|tool| tool.image.is_some());
            let wanted: Vec<_> = tools.map(|tool| tool.place().to_owned()).collect();
            let files: Vec<_> = image.files.iter().map(|(_, file)| (*file).to_owned()).collect();
            assert_eq!(files, wanted);
            for arch in image.arches {
                for target in image.programs.iter().map(|one| one.target(*arch)) {
                    assert!(nix.contains(&format!("{target} =")), "{target} by Nix");
                }
                assert!(nix.contains(&format!("{} =", image.target(*arch))));
            }
            for one in image.programs {
                assert!(bazel.contains(&format!("program = \"{}\"", one.name)), "{}", one.name);
            }
        }
    }
}
