//! A disk that is slow when it is told to be: reads wait for their turn, writes until it thaws.
//!
//! In: root, `losetup`, `mkfs.ext4`, `fsfreeze`, a cgroup hierarchy that limits disks. Out: a mounted
//! file system on a loop device, and a cgroup whose processes may read it so many times a second. All
//! of it goes with its handle.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process;
use crate::report::Report;

const DISK_BYTES: u64 = 64 << 20;
const CGROUPS: &str = "/sys/fs/cgroup";

/// The disk.
#[derive(Debug)]
pub struct SlowDisk {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its loop device.
    pub device: String,
    /// The cgroup of those who read slowly.
    pub group: PathBuf,
}

impl SlowDisk {
    /// Makes one below `folder`; says why there cannot be one here. With CI=true that is a failed
    /// check.
    pub fn make(folder: &Path, reads_a_second: u32, report: &mut Report) -> Option<Self> {
        match Self::try_make(folder, reads_a_second) {
            Ok(disk) => Some(disk),
            Err(error) => {
                let why = format!("needs root, loop devices, limits on disks: {error:#}");
                report.cannot_run(&why);
                None
            }
        }
    }

    fn try_make(folder: &Path, reads_a_second: u32) -> Result<Self> {
        let (image, mount) = (folder.join("disk"), folder.join("mount"));
        std::fs::File::create(&image)?.set_len(DISK_BYTES)?;
        std::fs::create_dir_all(&mount)?;
        let group = find_limits()?.join(format!("deepflow-e2e-{}", std::process::id()));
        process::run(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        let found = process::run(Command::new("losetup").args(["--find", "--show"]).arg(&image))?;
        let disk = Self { mount, device: found.trim().to_owned(), group };
        process::run(Command::new("mount").arg(&disk.device).arg(&disk.mount))?;
        std::fs::create_dir_all(&disk.group)?;
        disk.limit(reads_a_second)?;
        Ok(disk)
    }

    fn limit(&self, reads_a_second: u32) -> Result<()> {
        let number = std::fs::metadata(&self.device)?.rdev();
        // dev_t of Linux, for numbers below 256.
        let (major, minor) = (number >> 8 & 0xff, number & 0xff);
        let old = self.group.join("blkio.throttle.read_iops_device");
        let (file, line) = if old.is_file() {
            (old, format!("{major}:{minor} {reads_a_second}"))
        } else {
            (self.group.join("io.max"), format!("{major}:{minor} riops={reads_a_second}"))
        };
        std::fs::write(&file, line).with_context(|| file.display().to_string())
    }

    /// A command whose reads are slow.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("/bin/sh");
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.group.display());
        command.args(["-c", &enter, "sh"]).arg(program.as_ref());
        command
    }

    /// Nobody writes for so long.
    pub fn freeze(&self, time: Duration) -> Result<()> {
        let thaw = Thaw(&self.mount);
        process::run(Command::new("fsfreeze").arg("--freeze").arg(&self.mount))?;
        std::thread::sleep(time);
        drop(thaw);
        Ok(())
    }
}

/// Thaws at the end, however it comes.
struct Thaw<'a>(&'a Path);

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        let thawed = process::run(Command::new("fsfreeze").arg("--unfreeze").arg(self.0));
        if let Err(error) = thawed {
            eprintln!("{} stays frozen: {error:#}", self.0.display());
        }
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // What was never made cannot be taken away.
        let _ = process::run(Command::new("umount").arg(&self.mount));
        let _ = process::run(Command::new("losetup").arg("--detach").arg(&self.device));
        let _ = std::fs::remove_dir(&self.group);
    }
}

/// The cgroup below which disks are limited: version 1, else the root of version 2.
fn find_limits() -> Result<PathBuf> {
    let old = Path::new(CGROUPS).join("blkio");
    if old.join("blkio.throttle.read_iops_device").is_file() {
        return Ok(old);
    }
    let root = PathBuf::from(CGROUPS);
    let control = root.join("cgroup.subtree_control");
    std::fs::write(&control, "+io").with_context(|| control.display().to_string())?;
    Ok(root)
}
