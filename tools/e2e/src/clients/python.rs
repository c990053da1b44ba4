//! Clients (and servers) that are libraries of Python: the scripts of `python/`, run as they are.
//!
//! In: a namespace, the name of a script and its words. Out: the exchanges that it tells of, as
//! `talk.py` says. The libraries are those of `python/requirements.txt`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::exchanges::Exchange;
use crate::lab::{self, Namespace};
use crate::process;

/// Where `cargo xtask prerequisites test` installs the libraries.
const LIBRARIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/python");

const SCRIPTS: [(&str, &str); 12] = [
    ("talk.py", include_str!("../../python/talk.py")),
    ("http2_talk.py", include_str!("../../python/http2_talk.py")),
    ("grpc_talk.py", include_str!("../../python/grpc_talk.py")),
    ("memcached_talk.py", include_str!("../../python/memcached_talk.py")),
    ("mqtt_talk.py", include_str!("../../python/mqtt_talk.py")),
    ("amqp_talk.py", include_str!("../../python/amqp_talk.py")),
    ("nats_talk.py", include_str!("../../python/nats_talk.py")),
    ("tls_talk.py", include_str!("../../python/tls_talk.py")),
    ("zmtp_talk.py", include_str!("../../python/zmtp_talk.py")),
    ("ldap_talk.py", include_str!("../../python/ldap_talk.py")),
    ("smtp_talk.py", include_str!("../../python/smtp_talk.py")),
    ("thrift_talk.py", include_str!("../../python/thrift_talk.py")),
];

/// The scripts in a folder of their own.
#[derive(Debug)]
pub struct Scripts {
    folder: PathBuf,
}

impl Scripts {
    /// Writes them below `folder`.
    pub fn write(folder: &Path) -> Result<Self> {
        ensure!(
            Path::new(LIBRARIES).is_dir(),
            "{LIBRARIES} is missing: `make prerequisites` brings it"
        );
        let folder = folder.join("python");
        std::fs::create_dir_all(&folder)?;
        for (name, text) in SCRIPTS {
            std::fs::write(folder.join(name), text)?;
        }
        Ok(Self { folder })
    }

    /// The command that runs a script in a namespace.
    pub fn command(&self, space: &Namespace, script: &str, words: &[&str]) -> Command {
        let mut command = space.command("python3");
        command.env("PYTHONPATH", LIBRARIES).env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(self.folder.join(script)).args(words);
        command
    }

    /// Adds the same to a command that runs what it is given.
    pub fn append(&self, command: &mut Command, script: &str, words: &[&str]) {
        command.env("PYTHONPATH", LIBRARIES).env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg("python3").arg(self.folder.join(script)).args(words);
    }

    /// Runs a client to its end; what it tells.
    pub fn ask(&self, space: &Namespace, script: &str, words: &[&str]) -> Result<Vec<Exchange>> {
        let text = process::run(&mut self.command(space, script, words))?;
        Self::read(&text).with_context(|| script.to_owned())
    }

    /// What a client told.
    pub fn read(text: &str) -> Result<Vec<Exchange>> {
        lab::lines(text)?.iter().map(Exchange::read).collect()
    }
}
