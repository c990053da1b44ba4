//! Packages of Debian for any architecture and suite, unpacked beside the build, not installed.
//!
//! In: a package, with its version and sha256 where it is locked. Out: a folder with its files.
//! The archive is the one that this machine's own APT uses, and APT checks its signature; nothing
//! of the machine's package state is touched. Never: an address of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Suites that are asked.
const SUITES: [&str; 4] = ["bullseye", "bookworm", "trixie", "sid"];
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What is wanted of the archive.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Debian's architecture.
    pub arch: &'a str,
    /// The suite it is in.
    pub suite: &'a str,
    /// Version and sha256 of the file; `None`: what the suite has.
    pub lock: Option<(&'a str, &'a str)>,
}

/// A private view of the archive below `target/debian`.
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Opens it; asks nobody yet.
    pub fn open(root: &Path) -> Result<Self> {
        let folder = crate::cross::target_folder(root).join("debian");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.canonicalize()? })
    }

    /// The unpacked files of a package, brought if they are not there.
    pub fn unpack(&self, package: &Package<'_>) -> Result<PathBuf> {
        let version = package.lock.map_or("any", |(version, _)| version);
        let place = format!("{}_{}_{version}", package.name, package.arch).replace([':', '~'], "-");
        let place = self.folder.join("files").join(place);
        if place.join(".whole").exists() {
            return Ok(place);
        }
        let file = self.file(package)?;
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::create_dir_all(&place)?;
        let place_word = place.to_string_lossy().into_owned();
        run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&place_word))?;
        fs::write(place.join(".whole"), "")?;
        Ok(place)
    }

    /// The file of a package, held to its digest where it is locked.
    pub fn file(&self, package: &Package<'_>) -> Result<PathBuf> {
        let file = self.download(package)?;
        if let Some((_, wanted)) = package.lock {
            let found = sha256(&file)?;
            ensure!(found == wanted, "{}: sha256 is {found}, locked is {wanted}", file.display());
        }
        Ok(file)
    }

    /// Version and sha256 that the suite has now.
    pub fn lock(&self, package: &Package<'_>) -> Result<(String, String)> {
        let file = self.download(&Package { lock: None, ..*package })?;
        let output = Command::new("dpkg-deb").arg("-f").arg(&file).arg("Version").output()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((version, sha256(&file)?))
    }

    fn download(&self, package: &Package<'_>) -> Result<PathBuf> {
        let settings = self.settings()?;
        let which = match package.lock {
            Some((version, _)) => format!("{}:{}={version}", package.name, package.arch),
            None => format!("{}:{}/{}", package.name, package.arch, package.suite),
        };
        let folder = self.folder.join("download").join(which.replace([':', '/', '='], "-"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let apt = || {
            let mut command = Command::new("apt-get");
            command.env("APT_CONFIG", &settings).current_dir(&folder).arg("-q");
            command
        };
        let fetched = self.folder.join("lists").read_dir()?.count() > 2
            && run(apt().args(["download", &which])).is_ok();
        if !fetched {
            run(apt().arg("update"))?;
            run(apt().args(["download", &which])).with_context(|| {
                format!("{which} is not in the archive; for a newer one: cargo xtask kernels lock")
            })?;
        }
        let mut files = folder.read_dir()?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        files.find(|path| path.extension().is_some_and(|end| end == "deb")).context("no file came")
    }

    /// Writes the private configuration; gives its path.
    fn settings(&self) -> Result<PathBuf> {
        let folder = &self.folder;
        for place in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(place))?;
        }
        let mirror = mirror()?;
        let sources: String = SUITES
            .iter()
            .map(|suite| format!("deb [arch=amd64,arm64 signed-by={KEYS}] {mirror} {suite} main\n"))
            .collect();
        fs::write(folder.join("sources.list"), sources)?;
        let at = folder.display();
        let text = format!(
            "Dir::Etc::sourcelist \"{at}/sources.list\"; Dir::Etc::sourceparts \"-\";\n\
             Dir::State::lists \"{at}/lists\"; Dir::Cache \"{at}/cache\";\n\
             Dir::State::status \"/dev/null\"; Acquire::Languages \"none\";\n\
             APT::Architectures {{ \"amd64\"; \"arm64\"; }};\n\
             APT::Sandbox::User \"\";\n"
        );
        let path = folder.join("apt.conf");
        fs::write(&path, text)?;
        Ok(path)
    }
}

/// The archive that this machine's APT uses for Debian.
fn mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(parts.flatten().map(|entry| entry.path()));
    }
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let mut words = lines.flat_map(str::split_whitespace);
        if let Some(word) = words.find(|word| word.trim_end_matches('/').ends_with("/debian")) {
            return Ok(word.to_owned());
        }
    }
    bail!("no archive of Debian in /etc/apt/sources.list*: this needs a Debian machine")
}

fn sha256(file: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(file).output().context("sha256sum")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().next().map(str::to_owned).context("sha256sum printed nothing")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {}", error.trim());
    Ok(())
}
