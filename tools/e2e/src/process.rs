//! Child processes that cannot be forgotten: what is started here is ended here, by its id.
//!
//! In: a command. Out: a handle whose end of life ends the process. Output goes to a file that is
//! shown when something fails. It never touches a process that it did not start.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long a process may take to end after SIGTERM.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `folder/name.log`.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its exit status when it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until `ready` or fails with the last lines of the output.
    pub fn wait_until(&mut self, limit: Duration, ready: impl FnMut() -> bool) -> Result<()> {
        let name = self.name.clone();
        let outcome = wait_until(limit, ready, || match self.ended() {
            Some(status) => bail!("{name} ended early: {status}"),
            None => Ok(()),
        });
        outcome.with_context(|| {
            format!("{} is not ready; it said:\n{}", self.name, tail(&self.output()))
        })
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            ensure!(begin.elapsed() < limit, "{} did not end in {limit:?}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end as Ctrl-C would, and waits.
    pub fn interrupt(&mut self) -> Result<ExitStatus> {
        signal(self.id(), "INT")?;
        self.wait(END_TIMEOUT)
    }

    /// Ends it at once, without asking.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("failed to kill")?;
        self.child.wait().context("failed to wait")?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        let asked = signal(self.id(), "TERM").is_ok() && self.wait(END_TIMEOUT).is_ok();
        if !asked && let Err(error) = self.kill() {
            eprintln!("{} could not be ended: {error:#}", self.name);
        }
    }
}

/// Sends a signal to one process that a test started (or a child of it).
pub fn signal(id: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status()?;
    ensure!(status.success(), "kill -{name} {id} failed");
    Ok(())
}

/// Polls `ready` until it holds, `broken` fails, or the limit is over.
pub fn wait_until(
    limit: Duration,
    mut ready: impl FnMut() -> bool,
    mut broken: impl FnMut() -> Result<()>,
) -> Result<()> {
    let begin = Instant::now();
    while !ready() {
        broken()?;
        ensure!(begin.elapsed() < limit, "not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Runs a command to its end and returns what it printed; fails when it fails.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("failed to start {:?}", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {}", output.status, tail(&format!("{text}{error}")));
    }
    Ok(text)
}

/// A TCP port on loopback that nobody has now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Whether something accepts connections there.
pub fn accepts(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

/// The process's direct children, oldest first.
pub fn children(id: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let own = list.unwrap_or_default();
    let mut ids: Vec<u32> = own.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    if let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) {
        for thread in threads.flatten() {
            let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            ids.extend(text.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The last lines of a text.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Processor time that a process has taken. unit s; resolution 10 ms (proc(5))
pub fn cpu_seconds(id: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let words: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok());
    Ok((ticks(11).context("utime")? + ticks(12).context("stime")?) / 100.0)
}
