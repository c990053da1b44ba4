//! `cargo xtask tools`: what we ship is built with these tools and no others.
//!
//! In: `tools.lock.toml`, Cargo.lock, and the ordinary clients, or a folder that somebody carried
//! here. Out: `.tools/ship`, from which `cargo xtask static`, Nix and Bazel take everything. What is
//! missing or has another digest is refused by its name. Never: an address, a file that was not
//! held to its digest.

mod bring;
pub mod lock;
mod nar;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use lock::{Tool, Unpacked};

/// Where tools are, below the root of the tree.
pub const FOLDER: &str = ".tools/ship";
const USAGE: &str = "usage: cargo xtask tools fetch|verify|store [--image NAME] [--from FOLDER]";

/// Runs the verb.
pub fn run(root: &Path, words: &[&str]) -> Result<()> {
    let (mut image, mut from) = (None, None);
    let [verb, options @ ..] = words else { bail!(USAGE) };
    for pair in options.chunks(2) {
        match pair {
            ["--image", name] => image = Some(*name),
            ["--from", folder] => from = Some(PathBuf::from(folder)),
            _ => bail!(USAGE),
        }
    }
    match *verb {
        "store" => {
            fetch(root, image, from.as_deref())?;
            crate::nix::store(root, image)
        }
        "fetch" => fetch(root, image, from.as_deref()),
        "verify" => {
            let folder = from.unwrap_or_else(|| root.join(FOLDER));
            verify(root, image, &folder)
        }
        _ => bail!(USAGE),
    }
}

/// Brings what is not here, by the ordinary clients or from a folder, then verifies all of it.
/// What an image alone is made with is brought for that one.
pub fn fetch(root: &Path, image: Option<&str>, from: Option<&Path>) -> Result<()> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder)?;
    let lock = lock::read(root, image)?;
    for tool in &lock {
        if digest(tool, &folder).is_ok_and(|found| found == tool.sha256) {
            continue;
        }
        println!("tools: bringing {} {}", tool.name, tool.version);
        let place = folder.join(tool.place());
        bring::remove(&place)?;
        match from {
            Some(from) => bring::copy(&from.join(tool.place()), &place),
            None => bring::by_client(root, tool, &place),
        }
        .with_context(|| format!("{} {} could not be brought", tool.name, tool.version))?;
    }
    bring::crates(root, &folder, from)?;
    verify(root, image, &folder)?;
    for tool in &lock {
        unpack(tool, &folder)?;
    }
    bring::vendor(root, &folder)
}

/// Holds every tool and crate to its digest.
pub fn verify(root: &Path, image: Option<&str>, folder: &Path) -> Result<()> {
    let lock = lock::read(root, image)?;
    for tool in &lock {
        let found = digest(tool, folder)?;
        ensure!(
            found == tool.sha256,
            "{} {}: sha256 is {found}, {} has {}",
            tool.name,
            tool.version,
            lock::FILE,
            tool.sha256
        );
    }
    let crates = lock::crates(root)?;
    for one in &crates {
        let path = folder.join("archives").join(one.file());
        let bytes = fs::read(&path).with_context(|| {
            format!("crate {} {} is missing: {}", one.name, one.version, path.display())
        })?;
        let found = nar::of_bytes(&bytes);
        ensure!(
            found == one.sha256,
            "crate {} {}: sha256 is {found}, Cargo.lock has {}",
            one.name,
            one.version,
            one.sha256
        );
    }
    println!("tools: {} tools and {} crates are as they are locked", lock.len(), crates.len());
    Ok(())
}

/// Digest of a tool as it lies in a folder.
fn digest(tool: &Tool, folder: &Path) -> Result<String> {
    let path = folder.join(tool.place());
    let missing = || {
        format!(
            "{} {} is missing: {} is not there; `cargo xtask tools fetch` brings it",
            tool.name,
            tool.version,
            path.display()
        )
    };
    fs::symlink_metadata(&path).with_context(missing)?;
    if tool.is_folder { nar::of_folder(&path) } else { nar::of_file(&path) }
}

/// sha256 of a file.
pub fn sha256(path: &Path) -> Result<String> {
    nar::of_file(path)
}

/// Unpacks a verified archive beside itself, where it is one.
fn unpack(tool: &Tool, folder: &Path) -> Result<()> {
    let Some(Unpacked { archive_folder, name }) = tool.unpacked() else { return Ok(()) };
    let place = folder.join(name);
    let stamp = folder.join(format!("{name}.sha256"));
    if fs::read_to_string(&stamp).is_ok_and(|was| was == tool.sha256) {
        return Ok(());
    }
    bring::remove(&place)?;
    bring::unzip(&folder.join(tool.place()), archive_folder, &place)?;
    fs::write(stamp, &tool.sha256)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with a lock of one tool and one crate, and both of them.
    fn site() -> tempfile::TempDir {
        let site = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            let path = site.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        let (tool, one) = (nar::of_bytes(b"a tool"), nar::of_bytes(b"a crate"));
        put(
            lock::FILE,
            &format!(
                "[[tool]]\nname = \"hammer\"\nversion = \"1\"\nsha256 = \"{tool}\"\nby = \"npm\"\n"
            ),
        );
        put(
            "Cargo.lock",
            &format!("[[package]]\nname = \"nail\"\nversion = \"2\"\nchecksum = \"{one}\"\n"),
        );
        put("carried/hammer", "a tool");
        put("carried/archives/nail-2.crate", "a crate");
        site
    }

    fn refusal(site: &tempfile::TempDir) -> String {
        let told = verify(site.path(), None, &site.path().join("carried")).expect_err("refused");
        format!("{told:#}")
    }

    #[test]
    fn what_is_as_locked_passes() {
        let site = site();
        verify(site.path(), None, &site.path().join("carried")).expect("verified");
    }

    #[test]
    fn a_changed_or_missing_tool_is_refused_by_its_name() {
        let site = site();
        let path = site.path().join("carried/hammer");
        fs::write(&path, "another tool").expect("written");
        let told = refusal(&site);
        assert!(told.contains("hammer 1: sha256 is") && told.contains(lock::FILE), "{told}");
        fs::remove_file(&path).expect("removed");
        assert!(refusal(&site).contains("hammer 1 is missing"));
    }

    #[test]
    fn what_an_image_alone_wants_is_asked_for_with_it() {
        let site = site();
        let lock = site.path().join(lock::FILE);
        let text = fs::read_to_string(&lock).expect("a lock");
        let saw = text.replace("hammer", "saw").replace("by =", "image = \"server\"\nby =");
        fs::write(&lock, text + &saw).expect("written");
        let carried = site.path().join("carried");
        verify(site.path(), None, &carried).expect("not asked for");
        let told = verify(site.path(), Some("server"), &carried).expect_err("refused");
        assert!(format!("{told:#}").contains("saw 1 is missing"), "{told:#}");
    }

    #[test]
    fn a_changed_or_missing_crate_is_refused_by_its_name() {
        let site = site();
        let path = site.path().join("carried/archives/nail-2.crate");
        fs::write(&path, "another crate").expect("written");
        assert!(refusal(&site).contains("crate nail 2: sha256 is"));
        fs::remove_file(&path).expect("removed");
        assert!(refusal(&site).contains("crate nail 2 is missing"));
    }

    #[test]
    fn a_changed_lock_refuses_what_was_brought_from_a_folder() {
        let site = site();
        let lock = site.path().join(lock::FILE);
        let text = fs::read_to_string(&lock).expect("a lock");
        fs::write(&lock, text.replace(&nar::of_bytes(b"a tool"), &"0".repeat(64)))
            .expect("written");
        let carried = site.path().join("carried");
        let told = fetch(site.path(), None, Some(&carried)).expect_err("refused").to_string();
        assert!(told.contains("hammer 1"), "{told}");
    }
}
