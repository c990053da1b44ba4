//! Where the kernel lists its tracepoints.
//!
//! In: the mount points in use, else a tracefs of our own that is mounted nowhere. Out: numbers of
//! tracepoints, lines for files that take commands. Never: a mount that others see or that stays.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::sys;

const MOUNT_POINTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// A tracefs that can be read.
#[derive(Debug)]
pub enum TraceFs {
    /// Mounted at this folder by the system.
    Mounted(PathBuf),
    /// Our own, mounted nowhere.
    Detached(OwnedFd),
}

impl TraceFs {
    /// Finds it. The error is that of the attempt to have one of our own.
    pub fn open() -> io::Result<Self> {
        for point in MOUNT_POINTS {
            if fs::exists(format!("{point}/events")).unwrap_or(false) {
                return Ok(Self::Mounted(point.into()));
            }
        }
        sys::detached_tracefs().map(Self::Detached)
    }

    /// Number of a tracepoint, by which perf knows it.
    pub fn tracepoint_id(&self, category: &str, name: &str) -> io::Result<u64> {
        let text = self.read(&format!("events/{category}/{name}/id"))?;
        text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// A file's text.
    pub fn read(&self, path: &str) -> io::Result<String> {
        let mut text = String::new();
        match self {
            Self::Mounted(point) => text = fs::read_to_string(point.join(path))?,
            Self::Detached(dir) => {
                let path = CString::new(path)?;
                sys::open_at(dir.as_fd(), &path, libc::O_RDONLY)?.read_to_string(&mut text)?;
            }
        }
        Ok(text)
    }

    /// Writes a line to a file that takes commands; what it has stays.
    pub fn append(&self, path: &str, line: &str) -> io::Result<()> {
        let mut file = match self {
            Self::Mounted(point) => fs::File::options().append(true).open(point.join(path))?,
            Self::Detached(dir) => {
                let path = CString::new(path)?;
                sys::open_at(dir.as_fd(), &path, libc::O_WRONLY | libc::O_APPEND)?
            }
        };
        file.write_all(line.as_bytes())
    }
}
