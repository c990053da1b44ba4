//! Real servers on loopback, each with its own folder, its own port and its own truth.
//!
//! In: a folder. Out: running servers that end with their handle, and what each says that it was
//! asked, which is what the stored tables are compared with. None is a service of the machine.

pub mod bind;
pub mod mariadb;
pub mod nginx;
pub mod plain;
pub mod postgresql;
pub mod rabbitmq;
pub mod redis;
pub mod web;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The full path of a program, also where Debian keeps servers.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not installed: `make prerequisites` brings it"))
}
