//! What a fresh machine with only Debian, Rust and npm lacks, installed by package name.
//!
//! In: a purpose. Out: the commands and libraries that it needs. What is there already is left
//! alone, and nothing is asked of the network then: a second call takes milliseconds. It never
//! starts the services that come with a package.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

/// What the packages are for; each purpose includes the one before it, but for fuzzing, which needs
/// what a build needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Build the agent and the server, and run them.
    Run,
    /// Measure them under load.
    Bench,
    /// Every test, against real servers and in a browser.
    Test,
    /// Fuzz what reads foreign bytes.
    Fuzz,
}

impl Purpose {
    /// Whether this needs what `since` needs.
    fn includes(self, since: Self) -> bool {
        match self {
            Self::Fuzz => matches!(since, Self::Run | Self::Fuzz),
            _ => since <= self,
        }
    }
}

impl FromStr for Purpose {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "run" => Ok(Self::Run),
            "bench" => Ok(Self::Bench),
            "test" => Ok(Self::Test),
            "fuzz" => Ok(Self::Fuzz),
            _ => bail!("{word:?} is no purpose: run, bench, test or fuzz"),
        }
    }
}

/// A command that must be there, and the Debian package that brings it.
struct Need {
    command: &'static str,
    package: &'static str,
    since: Purpose,
}

const fn need(command: &'static str, package: &'static str, since: Purpose) -> Need {
    Need { command, package, since }
}

const NEEDS: [Need; 38] = [
    need("cc", "gcc", Purpose::Run),
    need("clang-16", "clang-16", Purpose::Run),
    need("llvm-strip-16", "llvm-16", Purpose::Run),
    need("nginx", "nginx", Purpose::Bench),
    need("wrk", "wrk", Purpose::Bench),
    need("curl", "curl", Purpose::Bench),
    need("redis-server", "redis-server", Purpose::Test),
    need("redis-benchmark", "redis-tools", Purpose::Test),
    need("mariadbd", "mariadb-server", Purpose::Test),
    need("mysql", "mariadb-client", Purpose::Test),
    need("sysbench", "sysbench", Purpose::Test),
    need("postgres", "postgresql", Purpose::Test),
    need("psql", "postgresql-client", Purpose::Test),
    need("named", "bind9", Purpose::Test),
    need("dig", "bind9-dnsutils", Purpose::Test),
    need("bpftool", "bpftool", Purpose::Test),
    need("memcached", "memcached", Purpose::Test),
    need("mosquitto", "mosquitto", Purpose::Test),
    need("rabbitmq-server", "rabbitmq-server", Purpose::Test),
    need("epmd", "erlang-base", Purpose::Test),
    need("nats-server", "nats-server", Purpose::Test),
    need("slapd", "slapd", Purpose::Test),
    need("fcgiwrap", "fcgiwrap", Purpose::Test),
    need("openssl", "openssl", Purpose::Test),
    need("gnutls-serv", "gnutls-bin", Purpose::Test),
    need("python3", "python3", Purpose::Test),
    need("pip3", "python3-pip", Purpose::Test),
    need("go", "golang-go", Purpose::Test),
    need("chromium", "chromium", Purpose::Test),
    need("ip", "iproute2", Purpose::Test),
    need("ethtool", "ethtool", Purpose::Test),
    need("c++", "g++", Purpose::Fuzz),
    need("tshark", "tshark", Purpose::Test),
    need("skopeo", "skopeo", Purpose::Test),
    need("umoci", "umoci", Purpose::Test),
    need("nix", "nix-bin", Purpose::Test),
    need("qemu-system-x86_64", "qemu-system-x86", Purpose::Test),
    need("qemu-system-aarch64", "qemu-system-arm", Purpose::Test),
];

/// Folders with a lock file of npm, and what they are for.
const NPM_FOLDERS: [(&str, Purpose); 3] = [
    ("server/store/engine", Purpose::Run),
    ("server/ui", Purpose::Test),
    ("tools/e2e/node", Purpose::Test),
];

/// Kept beside the installed packages: the lock file they were installed from.
const NPM_STAMP: &str = "node_modules/.installed-from-lock";

/// Client libraries of the end-to-end test, and where they go.
const PYTHON_LIBRARIES: (&str, &str) = ("tools/e2e/python/requirements.txt", ".tools/python");

/// Installs what `purpose` needs and the machine lacks.
///
/// # Errors
/// When something is missing and cannot be installed; the message says what and how.
pub fn install(root: &Path, purpose: Purpose) -> Result<()> {
    let mut packages: Vec<&str> = NEEDS
        .iter()
        .filter(|need| purpose.includes(need.since) && find(need.command).is_none())
        .map(|need| need.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        apt_install(&packages)?;
    }
    for (folder, since) in NPM_FOLDERS {
        let folder = root.join(folder);
        if purpose.includes(since)
            && purpose != Purpose::Fuzz
            && folder.join("package-lock.json").is_file()
        {
            npm_install(&folder)?;
        }
    }
    match purpose {
        Purpose::Test => {
            plugin_target(root)?;
            python_install(root)
        }
        Purpose::Run | Purpose::Bench | Purpose::Fuzz => Ok(()),
    }
}

/// What the example of a plug-in is built for (docs/plugins.md).
const PLUGIN_TARGET: &str = "wasm32-unknown-unknown";

/// Lets Rust build plug-ins. A Rust without rustup brings its targets by other means.
fn plugin_target(root: &Path) -> Result<()> {
    let rustc = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", PLUGIN_TARGET])
        .current_dir(root)
        .output()
        .context("failed to run rustc")?;
    if Path::new(String::from_utf8_lossy(&rustc.stdout).trim()).is_dir() {
        return Ok(());
    }
    if find("rustup").is_none() {
        println!("prerequisites: no rustup and no {PLUGIN_TARGET}: its test will be skipped");
        return Ok(());
    }
    println!("prerequisites: adding {PLUGIN_TARGET}");
    let status = Command::new("rustup")
        .args(["target", "add", PLUGIN_TARGET])
        .current_dir(root)
        .status()
        .context("failed to start rustup")?;
    ensure!(status.success(), "`rustup target add {PLUGIN_TARGET}` failed ({status})");
    Ok(())
}

/// The full path of a command, also where Debian keeps servers.
pub fn find(command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders.into_iter().map(|folder| folder.join(command)).find(|path| path.is_file())
}

fn apt_install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    println!("prerequisites: installing {list}");
    ensure!(
        find("apt-get").is_some(),
        "missing and no apt-get here to install them: {list}. Install them by your own means."
    );
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    if codename().as_deref() == Some("bookworm") {
        install.extend(["-t", "bookworm"]);
    }
    install.extend(packages);
    let by_hand = format!("as root: apt-get update && apt-get {}", install.join(" "));
    let _quiet = QuietServices::begin();
    as_root(&["apt-get", "update"]).with_context(|| format!("do it by hand, {by_hand}"))?;
    let words: Vec<&str> = std::iter::once("apt-get").chain(install.iter().copied()).collect();
    as_root(&words).with_context(|| format!("do it by hand, {by_hand}"))
}

fn codename() -> Option<String> {
    let release = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned())
}

fn as_root(words: &[&str]) -> Result<()> {
    let mut command = if is_root() {
        Command::new(words[0])
    } else {
        ensure!(find("sudo").is_some(), "not root, and no sudo here");
        let mut sudo = Command::new("sudo");
        sudo.arg(words[0]);
        sudo
    };
    command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    let status = command.status().with_context(|| format!("failed to start {}", words[0]))?;
    ensure!(status.success(), "`{}` failed ({status})", words.join(" "));
    Ok(())
}

/// Whether this process has user id 0.
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
    })
}

/// While it lives, installed packages do not start their services (Debian's policy-rc.d).
struct QuietServices {
    made: bool,
}

impl QuietServices {
    const POLICY: &'static str = "/usr/sbin/policy-rc.d";

    fn begin() -> Self {
        let wanted = is_root() && !Path::new(Self::POLICY).exists();
        let made = wanted
            && std::fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n").is_ok()
            && Command::new("chmod").args(["755", Self::POLICY]).status().is_ok();
        Self { made }
    }
}

impl Drop for QuietServices {
    fn drop(&mut self) {
        if self.made && std::fs::remove_file(Self::POLICY).is_err() {
            eprintln!("prerequisites: could not remove {}", Self::POLICY);
        }
    }
}

/// Installs the storage engine, a library that npm brings.
///
/// # Errors
/// When npm is missing or fails.
pub fn engine(root: &Path) -> Result<()> {
    npm_install(&root.join(NPM_FOLDERS[0].0))
}

fn npm_install(folder: &Path) -> Result<()> {
    let lock = std::fs::read_to_string(folder.join("package-lock.json"))?;
    let stamp = folder.join(NPM_STAMP);
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    ensure!(find("npm").is_some(), "npm is missing: install Debian's packages nodejs and npm");
    println!("prerequisites: npm ci in {}", folder.display());
    let status = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .status()
        .context("failed to start npm")?;
    ensure!(status.success(), "npm ci failed in {}", folder.display());
    std::fs::write(stamp, lock)?;
    Ok(())
}

/// Installs libraries beside the tree, for the interpreter that `python3` is.
fn python_install(root: &Path) -> Result<()> {
    let (list, folder) = (root.join(PYTHON_LIBRARIES.0), root.join(PYTHON_LIBRARIES.1));
    let version = Command::new("python3").arg("--version").output().context("python3")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let wanted = format!("{version}{}", std::fs::read_to_string(&list)?);
    let stamp = folder.join(".installed-from-list");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    println!("prerequisites: pip install into {}", folder.display());
    let status = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--root-user-action", "ignore"])
        .args(["--only-binary", ":all:", "--target"])
        .arg(&folder)
        .arg("--requirement")
        .arg(&list)
        .status()
        .context("failed to start python3")?;
    ensure!(status.success(), "pip failed for {}", list.display());
    std::fs::write(stamp, wanted)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_grow() {
        assert!(Purpose::Run < Purpose::Bench && Purpose::Bench < Purpose::Test);
        assert!("test".parse::<Purpose>().is_ok_and(|purpose| purpose == Purpose::Test));
        assert!("all".parse::<Purpose>().is_err());
        assert!(Purpose::Fuzz.includes(Purpose::Run) && !Purpose::Fuzz.includes(Purpose::Test));
        assert!(!Purpose::Test.includes(Purpose::Fuzz));
    }

    #[test]
    fn commands_are_found_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-command-here").is_none());
    }
}
