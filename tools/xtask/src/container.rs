//! `cargo xtask images start`: the server's image as a container, by other people's tools.
//!
//! In: an archive; skopeo, umoci, runc, root. Out: what the server in it answers to the `deepflow-ctl`
//! in it, or an error. It runs as docs/images.md says: read-only, without capabilities, as the image's
//! own user. Never: a container or a folder that is left behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::prerequisites::{find, is_root};

/// Until when the server must answer.
const READY_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(100);
const CONTROL: &str = "/usr/bin/deepflow-ctl";
/// Where the runtime has what is of the host or is the container's own.
const RUNTIMES_OWN: [&str; 5] =
    ["/etc/hosts", "/etc/resolv.conf", "/sys/fs/cgroup", "/tmp", "/var/lib/deepflow"];

/// Starts it, asks it, ends it.
pub fn start(archive: &Path) -> Result<()> {
    ensure!(is_root(), "needs root, for runc");
    for tool in ["skopeo", "umoci", "runc"] {
        ensure!(find(tool).is_some(), "no {tool} here; it is Debian's package of that name");
    }
    let site = tempfile::tempdir()?;
    let layout = format!("{}:one", site.path().join("layout").display());
    let from = format!("oci-archive:{}", archive.display());
    let to = format!("oci:{layout}");
    said(Command::new("skopeo").args(["copy", "--insecure-policy", "--quiet", &from, &to]))?;
    let bundle = site.path().join("bundle");
    said(Command::new("umoci").args(["unpack", "--image", &layout]).arg(&bundle))?;
    let place = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&place)?)?;
    narrow(&mut config, site.path())?;
    fs::write(&place, config.to_string())?;

    let name = format!("deepflow-{}", std::process::id());
    let container = Container::run(name, &bundle)?;
    let begin = Instant::now();
    let status = container.ready()?;
    println!("ready after {:.1} s\n{}", begin.elapsed().as_secs_f64(), status.trim_end());
    let answer = container.control(&["--output", "csv", "query", "SELECT 6 * 7 AS n"])?;
    ensure!(answer == "n\n42\n", "the engine answers {answer:?}");
    container.end()
}

/// What a runtime does for every container, and nothing that the image does not need.
fn narrow(config: &mut Value, site: &Path) -> Result<()> {
    let process = &mut config["process"];
    let id = |name: &str| process["user"][name].as_u64().and_then(|id| u32::try_from(id).ok());
    let user = (id("uid"), id("gid"));
    ensure!(user.0.is_some_and(|uid| uid != 0), "the image runs as root");
    let data = site.join("data");
    fs::create_dir(&data)?;
    chown(&data, user.0, user.1)?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o770))?;
    let hosts = site.join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost deepflow\n")?;
    process["terminal"] = json!(false);
    process["noNewPrivileges"] = json!(true);
    process["capabilities"] = json!({});
    config["root"]["readonly"] = json!(true);
    config["hostname"] = json!("deepflow");
    let mounts = config["mounts"].as_array_mut().context("no mounts")?;
    mounts.retain(|one| !RUNTIMES_OWN.iter().any(|path| one["destination"] == **path));
    let bind = |at: &str, from: &Path, how: &str| json!({ "destination": at, "type": "bind", "source": from, "options": ["bind", how] });
    mounts.push(json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" }));
    mounts.push(bind("/var/lib/deepflow", &data, "rw"));
    mounts.push(bind("/etc/hosts", &hosts, "ro"));
    Ok(())
}

/// One that runs; it ends with this.
struct Container {
    name: String,
    runtime: Child,
    log: PathBuf,
}

impl Container {
    fn run(name: String, bundle: &Path) -> Result<Self> {
        let log = bundle.join("log");
        let output = fs::File::create(&log)?;
        let mut command = Command::new("runc");
        command.args(["run", "--bundle"]).arg(bundle).arg(&name).stdin(Stdio::null());
        let runtime = command.stdout(output.try_clone()?).stderr(output).spawn().context("runc")?;
        Ok(Self { name, runtime, log })
    }

    fn control(&self, words: &[&str]) -> Result<String> {
        said(Command::new("runc").args(["exec", &self.name, CONTROL]).args(words))
    }

    /// What it says of itself as soon as it answers.
    fn ready(&self) -> Result<String> {
        let begin = Instant::now();
        loop {
            match self.control(&["status"]) {
                Ok(status) => return Ok(status),
                Err(error) if begin.elapsed() > READY_WITHIN => {
                    let log = fs::read_to_string(&self.log).unwrap_or_default();
                    bail!("the server did not answer: {error:#}\n{log}");
                }
                Err(_) => std::thread::sleep(ASK_EVERY),
            }
        }
    }

    /// Ends it as a runtime does, and holds it to ending well.
    fn end(mut self) -> Result<()> {
        said(Command::new("runc").args(["kill", &self.name, "TERM"]))?;
        let status = self.runtime.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It is gone already if it ended well.
        let _ = Command::new("runc").args(["delete", "--force", &self.name]).output();
        let _ = self.runtime.wait();
    }
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {}", command.get_program(), error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_neither_capabilities_nor_a_root_to_write_to() {
        let site = tempfile::tempdir().expect("a folder");
        let user = fs::metadata(site.path()).expect("a folder");
        use std::os::unix::fs::MetadataExt;
        // Only root may give a folder away.
        let id = if is_root() { 10_001 } else { user.uid() };
        let mounts = json!([{ "destination": "/proc" }, { "destination": "/tmp" }]);
        let process = json!({ "user": { "uid": id, "gid": user.gid() }, "capabilities": ["all"] });
        let mut config = json!({ "process": process, "mounts": mounts, "root": {} });
        narrow(&mut config, site.path()).expect("narrowed");
        assert_eq!(config["process"]["capabilities"], json!({}));
        assert_eq!(config["root"]["readonly"], true);
        let mounts = config["mounts"].as_array().expect("mounts").iter();
        let places: Vec<_> = mounts.map(|one| one["destination"].clone()).collect();
        assert_eq!(places, ["/proc", "/tmp", "/var/lib/deepflow", "/etc/hosts"]);
    }

    #[test]
    fn an_image_that_runs_as_root_is_refused() {
        let site = tempfile::tempdir().expect("a folder");
        let mut config = json!({ "process": { "user": { "uid": 0, "gid": 0 } } });
        let told = narrow(&mut config, site.path()).expect_err("refused").to_string();
        assert!(told.contains("as root"), "{told}");
    }
}
