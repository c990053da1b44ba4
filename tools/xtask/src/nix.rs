//! Builds by Nix on this machine's own tools, without network and in Nix's sandbox.
//!
//! In: `.tools/ship`, flake.nix, the offline set in place of nixpkgs. Out: what the flake makes.
//! Never: a substituter, an address, a build outside of the sandbox.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::ship;
use crate::shipped::SERVER;
use crate::tools::{self, lock};

/// Debian's Nix has no shell of its own; the sandbox shows the machine's.
const SETTINGS: &str = "experimental-features = nix-command flakes\n\
    build-users-group =\n\
    sandbox = true\n\
    sandbox-fallback = false\n\
    substituters =\n\
    warn-dirty = false\n\
    sandbox-paths = /bin /usr /lib /lib64 /etc/alternatives";

/// How much is shown of what Nix says when it cannot build.
const PROBE_LINES: usize = 2;

/// `cargo xtask nix`: the agents and images that are named, or all.
pub fn run(root: &Path, words: &[&str]) -> Result<()> {
    let image = words.iter().any(|word| word.starts_with("server")).then_some(SERVER.name);
    tools::fetch(root, image, None)?;
    store(root, image)?;
    let folder = crate::cross::target_folder(root).join("nix");
    fs::create_dir_all(&folder)?;
    let names: &[&str] = if words.is_empty() { &["agent-x86_64", "agent-aarch64"] } else { words };
    for name in names {
        let link = folder.join(name);
        let mut command = command(root, name, &folder)?;
        let status = command.arg("--out-link").arg(&link).status().context("nix")?;
        ensure!(status.success(), "nix build .#{name} failed");
        println!("{name}: {}", link.canonicalize()?.display());
    }
    Ok(())
}

/// Builds a package of the flake, whose inputs are in the store; `folder` is for the offline set.
pub fn command(root: &Path, name: &str, folder: &Path) -> Result<Command> {
    let mut command = nix("nix");
    command.arg("build").args(["--override-input", "nixpkgs"]).arg(offline_set(root, folder)?);
    command.args(["--no-write-lock-file", "--print-build-logs"]);
    command.arg(format!(".#{name}")).current_dir(root);
    Ok(command)
}

/// A copy of the offline set that tells the commit of the tree, if it is at one: Nix does not say it of a
/// flake whose input is overridden.
fn offline_set(root: &Path, folder: &Path) -> Result<String> {
    let copy = folder.join("offline");
    fs::create_dir_all(&copy)?;
    for file in ["flake.nix", "packages.nix", "brought.nix"] {
        fs::copy(root.join("tools/nix/offline").join(file), copy.join(file)).context(file)?;
    }
    let revision = copy.join("revision.nix");
    match ship::clean_revision(root) {
        Ok(commit) => fs::write(&revision, format!("\"{commit}\"\n"))?,
        Err(_) if revision.exists() => fs::remove_file(&revision)?,
        Err(_) => {}
    }
    Ok(format!("path:{}", copy.canonicalize()?.display()))
}

/// Adds the verified tools and crates to the store, by digest.
pub fn store(root: &Path, image: Option<&str>) -> Result<()> {
    let folder = root.join(tools::FOLDER);
    for tool in lock::read(root, image)? {
        let kind: &[&str] = if tool.is_folder { &["--recursive"] } else { &[] };
        add(&folder, kind, &[OsStr::new(tool.place()).to_owned()])?;
    }
    let crates = lock::crates(root)?;
    let files: Vec<_> = crates.iter().map(|one| one.file().into()).collect();
    add(&folder.join("archives"), &[], &files)
}

fn add(folder: &Path, kind: &[&str], names: &[std::ffi::OsString]) -> Result<()> {
    let mut command = nix("nix-store");
    command.arg("--add-fixed").args(kind).arg("sha256").args(names).current_dir(folder);
    let output = command.output().context("nix-store")?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "nix-store --add-fixed: {}", error.trim());
    Ok(())
}

/// Builds nothing of ours, to see whether Nix can build in its sandbox on this machine: it needs root
/// and namespaces.
pub fn probe() -> Result<()> {
    in_sandbox(": > $out", &[]).map(drop)
}

/// Runs a script in the sandbox, with words for Nix; gives what it wrote to `$out`.
pub fn in_sandbox(script: &str, words: &[String]) -> Result<String> {
    // A name that the store does not have yet.
    let name = "probe-${toString builtins.currentTime}";
    let builds = format!("builder = \"/bin/sh\"; args = [ \"-c\" \"{script}\" ];");
    let expression =
        format!("derivation {{ name = \"{name}\"; system = \"x86_64-linux\"; {builds} }}");
    let mut command = nix("nix-build");
    let output = command.arg("--no-out-link").args(words).args(["-E", &expression]).output();
    let output = output.context("nix-build")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let end = lines[lines.len().saturating_sub(PROBE_LINES)..].join(" ");
    ensure!(output.status.success(), "{end}");
    let place = String::from_utf8(output.stdout).context("nix-build")?;
    fs::read_to_string(place.trim()).with_context(|| place.trim().to_owned())
}

fn nix(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("NIX_CONFIG", SETTINGS);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Nix says when it refuses an expression; `None` where it cannot be asked.
    fn refusal(program: &str, words: &[&str], expression: &str) -> Option<String> {
        let root = crate::generate::root();
        if let Some(why) = crate::reproduce::lacks_nix(&root) {
            println!("not run: {why}");
            return None;
        }
        let text = format!("let pkgs = import ./tools/nix/offline/packages.nix; in {expression}");
        let mut command = nix(program);
        let output = command.args(words).args(["-E", &text]).current_dir(root).output();
        let output = output.expect("nix starts");
        assert!(!output.status.success(), "taken: {expression}");
        Some(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[test]
    fn nix_refuses_a_tool_that_is_not_in_the_store_by_its_name() {
        let zeroes = "0".repeat(64);
        let tool = format!(
            "import ./tools/nix/offline/brought.nix {{ name = \"hammer\"; sha256 = \"{zeroes}\"; \
             message = \"hammer 1 is not in the store: run `cargo xtask tools store`\"; }}"
        );
        let Some(told) = refusal("nix-build", &["--no-out-link"], &tool) else { return };
        let all = "hammer 1 is not in the store: run `cargo xtask tools store`";
        assert!(told.contains(all), "{told}");
    }

    #[test]
    fn nix_makes_no_image_of_a_tree_with_changes() {
        let image =
            "(import ./tools/nix { inherit pkgs; revision = null; }).packages.server-image-x86_64";
        let Some(told) = refusal("nix-build", &["--no-out-link"], image) else { return };
        assert!(told.contains("changes that no commit has"), "{told}");
    }

    #[test]
    fn nix_refuses_a_server_for_aarch64_and_says_why() {
        let server =
            "(import ./tools/nix { inherit pkgs; revision = null; }).packages.server-aarch64";
        let Some(told) = refusal("nix-build", &["--no-out-link"], server) else { return };
        assert!(told.contains("libchdb, for x86_64 alone"), "{told}");
    }
}
