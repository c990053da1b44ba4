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
    /// Where packages may lie that somebody brought.
    by_hand: Option<PathBuf>,
}

impl Archive {
    /// Opens it; asks nobody yet.
    pub fn open(root: &Path) -> Result<Self> {
        let folder = crate::cross::target_folder(root).join("debian");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.canonicalize()?, by_hand: None })
    }

    /// The same, with a folder in which packages may lie, too.
    #[must_use]
    pub fn beside(self, by_hand: Option<PathBuf>) -> Self {
        Self { by_hand, ..self }
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

    /// The file of a package, held to its digest where it is locked. One that lies in `by_hand` needs
    /// no archive.
    pub fn file(&self, package: &Package<'_>) -> Result<PathBuf> {
        let here = self.file_by_hand(package).or_else(|| self.file_from_before(package));
        let file = here.map_or_else(|| self.download(package), Ok)?;
        if let Some((_, wanted)) = package.lock {
            let found = sha256(&file)?;
            ensure!(found == wanted, "{}: sha256 is {found}, locked is {wanted}", file.display());
        }
        Ok(file)
    }

    /// A locked package as `apt-get download` names it, in the folder for sites without network.
    fn file_by_hand(&self, package: &Package<'_>) -> Option<PathBuf> {
        let (version, _) = package.lock?;
        let version = version.replace(':', "%3a");
        let name = format!("{}_{version}_{}.deb", package.name, package.arch);
        let file = self.by_hand.as_ref()?.join(name);
        file.is_file().then_some(file)
    }

    /// A locked package that was downloaded before and is still whole.
    fn file_from_before(&self, package: &Package<'_>) -> Option<PathBuf> {
        let (_, sha256_locked) = package.lock?;
        let file = find_package(&self.download_folder(package))?;
        sha256(&file).is_ok_and(|found| found == sha256_locked).then_some(file)
    }

    fn download_folder(&self, package: &Package<'_>) -> PathBuf {
        self.folder.join("download").join(wanted(package).replace([':', '/', '='], "-"))
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
        let which = wanted(package);
        let folder = self.download_folder(package);
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
                format!("{which} is not in the archive; lock a newer one (kernels: cargo xtask kernels lock)")
            })?;
        }
        find_package(&folder).context("no file came")
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

/// A package in the words of apt-get.
fn wanted(package: &Package<'_>) -> String {
    match package.lock {
        Some((version, _)) => format!("{}:{}={version}", package.name, package.arch),
        None => format!("{}:{}/{}", package.name, package.arch, package.suite),
    }
}

fn find_package(folder: &Path) -> Option<PathBuf> {
    let mut files = folder.read_dir().ok()?.flatten().map(|entry| entry.path());
    files.find(|path| path.extension().is_some_and(|end| end == "deb"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_brought_by_hand_is_held_to_its_lock() {
        let folder = std::env::temp_dir().join(format!("deepflow-debian-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("linux-image-x_6.1-1_amd64.deb");
        fs::write(&file, "abc").expect("written");
        let archive = Archive { folder: folder.clone(), by_hand: Some(folder.clone()) };
        let file_of = |sha256| {
            let lock = Some(("6.1-1", sha256));
            archive.file(&Package { name: "linux-image-x", arch: "amd64", suite: "sid", lock })
        };
        // FIPS 180-2, B.1.
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(file_of(right).expect("the right one"), file);
        let told = file_of(&right.replace("ba78", "ba79")).expect_err("another digest").to_string();
        assert!(told.contains("linux-image-x_6.1-1_amd64.deb: sha256 is ba78"), "{told}");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
