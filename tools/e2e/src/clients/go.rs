//! A program of Go that is server and client of HTTP over TLS: `go/shop.go`, built with symbols and
//! stripped.
//!
//! In: a folder. Out: the two programs, and what their clients tell. The compiler keeps what it has
//! built of its library below `.tools`, so that a second build takes a second.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::python::Scripts;
use crate::exchanges::Exchange;
use crate::process;
use crate::servers;

const CACHE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/go");
const SOURCE: &str = include_str!("../../go/shop.go");

/// The programs.
#[derive(Debug)]
pub struct Shop {
    /// With symbols.
    pub whole: PathBuf,
    /// Without.
    pub bare: PathBuf,
}

impl Shop {
    /// Builds them below `folder`.
    pub fn build(folder: &Path) -> Result<Self> {
        std::fs::write(folder.join("shop.go"), SOURCE)?;
        let build = |name: &str, flags: &str| -> Result<PathBuf> {
            let mut command = Command::new(servers::program("go")?);
            command.args(["build", "-o", name, &format!("-ldflags={flags}"), "shop.go"]);
            command.envs([("GO111MODULE", "off"), ("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local")]);
            command.env("GOCACHE", Path::new(CACHE).join("cache"));
            command.env("GOPATH", Path::new(CACHE).join("path"));
            process::run(command.current_dir(folder))?;
            Ok(folder.join(name))
        };
        Ok(Self { whole: build("shop-whole", "")?, bare: build("shop-bare", "-s -w")? })
    }
}

/// Runs a client to its end: so many requests after so many seconds; what it tells.
pub fn ask(
    mut command: Command,
    what: &str,
    port: u16,
    (requests, wait_s): (u32, u32),
) -> Result<Vec<Exchange>> {
    let words = [port.to_string(), requests.to_string(), wait_s.to_string()];
    Scripts::read(&process::run(command.args(["ask", what]).args(words))?)
}
