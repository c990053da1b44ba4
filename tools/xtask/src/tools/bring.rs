//! Brings tools by the ordinary clients, which know themselves where things are.
//!
//! In: a locked tool and where it goes. Out: it lies there, unverified. Never: an address, a
//! verdict on what came.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::lock::{self, Client, Tool};

/// Asks the client that the lock names.
pub fn by_client(root: &Path, tool: &Tool, place: &Path) -> Result<()> {
    match tool.by {
        Client::Rustup => rust(root, tool, place),
        Client::Pip => wheel(tool, place),
        Client::Npm => npm(root, tool, place),
        Client::Apt => deb(root, tool, place),
    }
}

/// The parts of the toolchain that a build needs, from where rustup keeps them.
fn rust(root: &Path, tool: &Tool, place: &Path) -> Result<()> {
    let version = said(Command::new("rustc").arg("--version").current_dir(root))?;
    ensure!(
        version.split(' ').nth(1) == Some(&tool.version),
        "this machine's Rust is {}, locked is {}",
        version.trim(),
        tool.version
    );
    let sysroot = said(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root))?;
    let sysroot = PathBuf::from(sysroot.trim()).canonicalize()?;
    let host = "x86_64-unknown-linux-gnu";
    let mut parts = vec![format!("rustc-{host}"), format!("cargo-{host}")];
    for target in &tool.targets {
        let part = format!("rust-std-{target}");
        if !manifest(&sysroot, &part).is_file() {
            run(Command::new("rustup").args(["target", "add", target]).current_dir(root))?;
        }
        parts.push(part);
    }
    for part in parts {
        let list = manifest(&sysroot, &part);
        let list = fs::read_to_string(&list)
            .with_context(|| format!("{} is missing: not by rustup?", list.display()))?;
        let entries = list.lines().filter_map(|line| line.split_once(':'));
        // Manual pages and licences are not needed to build.
        for (kind, path) in entries.filter(|(_, path)| !path.starts_with("share/")) {
            let (from, to) = (sysroot.join(path), place.join(path));
            match kind {
                "file" => link_or_copy(&from, &to)?,
                _ => copy(&from, &to)?,
            }
        }
    }
    Ok(())
}

fn manifest(sysroot: &Path, part: &str) -> PathBuf {
    sysroot.join("lib/rustlib").join(format!("manifest-{part}"))
}

fn wheel(tool: &Tool, place: &Path) -> Result<()> {
    let wanted = format!("{}=={}", tool.name, tool.version);
    let folder = scratch(place)?;
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--platform", "manylinux2010_x86_64", "--dest"])
        .arg(&folder)
        .arg(wanted))?;
    take_only(&folder, place)
}

/// A library that npm's lock file brings for `make run` as well.
fn npm(root: &Path, tool: &Tool, place: &Path) -> Result<()> {
    crate::prerequisites::engine(root)?;
    let package = tool.package.as_deref().context("`package` is missing in the lock")?;
    let from = root.join("server/store/engine/node_modules").join(package);
    link_or_copy(&from.join(tool.place()), place)
}

fn deb(root: &Path, tool: &Tool, place: &Path) -> Result<()> {
    let package = tool.package.as_deref().context("`package` is missing in the lock")?;
    let (name, arch) = package.split_once(':').context("`package` is NAME:ARCHITECTURE")?;
    let wanted = crate::debian::Package {
        name,
        arch,
        suite: "bookworm",
        lock: Some((&tool.version, &tool.sha256)),
    };
    link_or_copy(&crate::debian::Archive::open(root)?.file(&wanted)?, place)
}

/// Archives of all crates of Cargo.lock: from a folder, or from cargo's own cache.
pub fn crates(root: &Path, folder: &Path, from: Option<&Path>) -> Result<()> {
    let archives = folder.join("archives");
    fs::create_dir_all(&archives)?;
    let wanted = lock::crates(root)?;
    let lacks = |one: &&lock::Crate| !archives.join(one.file()).is_file();
    let missing: Vec<&lock::Crate> = wanted.iter().filter(lacks).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let caches = match from {
        Some(from) => vec![from.join("archives")],
        None => {
            run(Command::new("cargo").args(["fetch", "--quiet", "--locked"]).current_dir(root))?;
            let cache = crate::cross::cargo_home()?.join("registry/cache");
            fs::read_dir(&cache)
                .with_context(|| cache.display().to_string())?
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<_>>()?
        }
    };
    for one in missing {
        let name = one.file();
        let found = caches.iter().map(|cache| cache.join(&name)).find(|path| path.is_file());
        let found =
            found.with_context(|| format!("crate {} {} is missing", one.name, one.version))?;
        fs::copy(found, archives.join(&name))?;
    }
    Ok(())
}

/// Unpacks the archives of crates as cargo wants them (`cargo vendor --versioned-dirs`).
pub fn vendor(root: &Path, folder: &Path) -> Result<()> {
    let place = folder.join("crates");
    let stamp = folder.join("crates.lock");
    let lock = fs::read(root.join("Cargo.lock"))?;
    if fs::read(&stamp).is_ok_and(|was| was == lock) {
        return Ok(());
    }
    remove(&place)?;
    fs::create_dir_all(&place)?;
    for one in lock::crates(root)? {
        let archive = folder.join("archives").join(one.file());
        run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&place))?;
        let path = place.join(format!("{}-{}", one.name, one.version));
        let checksums = serde_json::json!({ "files": {}, "package": one.sha256 });
        fs::write(path.join(".cargo-checksum.json"), checksums.to_string())?;
    }
    fs::write(stamp, lock)?;
    Ok(())
}

/// A folder of a zip archive.
pub fn unzip(archive: &Path, folder: &str, place: &Path) -> Result<()> {
    let beside = scratch(place)?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(archive).arg(&beside))?;
    fs::rename(beside.join(folder), place)?;
    fs::remove_dir_all(&beside)?;
    // Python forgets who can be run.
    run(Command::new("chmod").arg("755").arg(place.join("zig")))
}

/// A file or folder, with who can be run.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(above) = to.parent() {
        fs::create_dir_all(above)?;
    }
    run(Command::new("cp")
        .args(["-r", "--preserve=mode,links", "--reflink=auto", "-T"])
        .args([from, to]))
}

/// Removes a file or folder, or nothing.
pub fn remove(place: &Path) -> Result<()> {
    match fs::symlink_metadata(place) {
        Ok(facts) if facts.is_dir() => fs::remove_dir_all(place)?,
        Ok(_) => fs::remove_file(place)?,
        Err(_) => {}
    }
    Ok(())
}

fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(above) = to.parent() {
        fs::create_dir_all(above)?;
    }
    let from = from.canonicalize().with_context(|| from.display().to_string())?;
    if fs::hard_link(&from, to).is_err() {
        fs::copy(&from, to).with_context(|| from.display().to_string())?;
    }
    Ok(())
}

/// An empty folder beside a place.
fn scratch(place: &Path) -> Result<PathBuf> {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(OsStr::new(".part"));
    let folder = place.with_file_name(name);
    remove(&folder)?;
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Moves the only file of a folder to a place.
fn take_only(folder: &Path, place: &Path) -> Result<()> {
    let files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let [file] = files.as_slice() else { bail!("{} files came", files.len()) };
    fs::rename(file, place)?;
    fs::remove_dir(folder)?;
    Ok(())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(command: &mut Command) -> Result<()> {
    said(command).map(|_| ())
}
