//! A laboratory for live capture: network namespaces, links between them, an agent inside; disks.
//!
//! In: root, `ip`, `ethtool`. Out: namespaces with names of their own that go with their handles,
//! programs that run in them, and the rows that an agent wrote there. It never touches an interface
//! that it did not make.

mod agent;
mod slow_disk;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

pub use agent::{Agent, Rows};
pub use slow_disk::SlowDisk;

use crate::process;
use crate::report::Report;

/// Numbers of namespaces within this process.
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// How long a program of the laboratory may take to end once it was asked.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Whether there can be a laboratory here; says why not. With CI=true that is a failed check.
pub fn is_possible(report: &mut Report) -> bool {
    let made = Namespace::new("try").and_then(|space| {
        space.ip("link add name try0 type veth peer name try1")?;
        space.run("ethtool", &["-K", "try0", "gro", "on"]).map(drop)
    });
    let Err(error) = made else { return true };
    let why = format!("needs root, network namespaces, veth, `ip`, `ethtool`: {error:#}");
    report.cannot_run(&why);
    false
}

/// A network namespace of this test's own.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one, with its loopback up. `label` shows in its name.
    pub fn new(label: &str) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("lab-{}-{number}-{label}", std::process::id());
        done("ip", &["netns", "add", &name])?;
        let space = Self { name };
        space.ip("link set lo up")?;
        Ok(space)
    }

    /// The command `program`, to be run in here.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program.as_ref());
        command
    }

    /// The same, in this cgroup: entered first, since in here `/sys` is another.
    pub fn command_in(&self, group: &Path, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.display());
        command.args(["-c", &enter, "sh", "ip", "netns", "exec", &self.name]).arg(program);
        command
    }

    /// `ip` with these words in here.
    pub fn ip(&self, words: &str) -> Result<()> {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(words.split(' ')).collect();
        done("ip", &words).map(drop)
    }

    /// Runs a program in here to its end; what it printed.
    pub fn run(&self, program: &str, words: &[&str]) -> Result<String> {
        process::run(self.command(program).args(words))
    }

    /// A kernel counter of this namespace by its name in `nstat`, such as `TcpRetransSegs`.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let text = self.run("nstat", &["-az", "--json", name])?;
        let value: Value = serde_json::from_str(&text).context("nstat")?;
        value["kernel"][name].as_u64().with_context(|| format!("no counter {name}"))
    }

    /// A pair of interfaces: `name` here, `peer_name` in `peer`; both up, without offloads, so that
    /// packets on the wire are the segments that the kernel counts.
    pub fn link(&self, name: &str, peer: &Self, peer_name: &str) -> Result<()> {
        let words =
            format!("link add name {name} type veth peer name {peer_name} netns {}", peer.name);
        self.ip(&words)?;
        for (space, name) in [(self, name), (peer, peer_name)] {
            let off = ["-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off"];
            space.run("ethtool", &off)?;
            space.ip(&format!("link set {name} up"))?;
        }
        Ok(())
    }

    /// No IPv6, whose neighbour discovery would be packets that nobody sent.
    pub fn without_ipv6(&self) -> Result<()> {
        self.run("sysctl", &["-qw", "net.ipv6.conf.all.disable_ipv6=1"]).map(drop)
    }

    /// Whether something in here listens on a TCP port; no connection is made to find out.
    pub fn listens(&self, port: u16) -> bool {
        let tables = self.run("cat", &["/proc/net/tcp", "/proc/net/tcp6"]).unwrap_or_default();
        let end = format!(":{port:04X}");
        tables.lines().any(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let is_port = columns.next().is_some_and(|address| address.ends_with(&end));
            // State 10 is LISTEN.
            is_port && columns.nth(1) == Some("0A")
        })
    }

    /// Index of an interface.
    pub fn index(&self, name: &str) -> Result<u64> {
        let text = self.run("cat", &[&format!("/sys/class/net/{name}/ifindex")])?;
        text.trim().parse().context("ifindex")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = done("ip", &["netns", "del", &self.name]) {
            eprintln!("namespace {} is left: {error:#}", self.name);
        }
    }
}

/// A program of the laboratory that runs until its standard input ends, then prints its findings.
#[derive(Debug)]
pub struct Helper {
    child: std::process::Child,
    name: String,
}

impl Helper {
    /// Starts it in a namespace and waits until it says that it is ready.
    pub fn start(space: &Namespace, program: &Path, words: &[&str]) -> Result<Self> {
        Self::spawn(space.command(program).args(words))
    }

    /// Starts a command and waits until it says that it is ready.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let mut first = [0; 6];
        let output = child.stdout.as_mut().context("no output pipe")?;
        std::io::Read::read_exact(output, &mut first)
            .with_context(|| format!("{name} is not ready"))?;
        ensure!(&first == b"ready\n", "{name} said {:?}", String::from_utf8_lossy(&first));
        Ok(Self { child, name })
    }

    /// Lets it end; the lines of JSON that it printed.
    pub fn finish(mut self) -> Result<Vec<Value>> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        let output = self.child.stdout.as_mut().context("no output pipe")?;
        std::io::Read::read_to_string(output, &mut text)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        lines(&text)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let begin = std::time::Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < END_TIMEOUT {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the programs of the laboratory are: examples of `agent/source`.
pub fn program(programs: &Path, name: &str) -> Result<PathBuf> {
    let path = programs.join("examples").join(name);
    ensure!(path.is_file(), "{} is not built (cargo build -p source --examples)", path.display());
    Ok(path)
}

/// Values of text with one JSON value a line.
pub fn lines(text: &str) -> Result<Vec<Value>> {
    let parse = |line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"));
    text.lines().filter(|line| !line.is_empty()).map(parse).collect()
}

/// A number of a JSON value; 0 where it is missing or null.
pub fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

fn done(program: &str, words: &[&str]) -> Result<String> {
    process::run(Command::new(program).args(words))
}
