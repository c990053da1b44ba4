//! One engine process: how it is started and ended.
//!
//! In: the program, its data folder and address. Out: a child whose standard input is its leash:
//! when the server dies, the pipe closes and the engine ends. Never: a child in our process group,
//! so that Ctrl-C reaches the server alone, which then ends things in order.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};

use super::SupervisorError;
use super::clickhouse::Installed;
use crate::client::{Endpoint, Login};
use crate::engine::library;

/// Bytes that the path of a UNIX socket may have, with room to spare for the final NUL.
const SOCKET_PATH_MAX: usize = 100;

/// Which engine to run, and how.
pub enum ChildConfig {
    /// `deepflow-server engine` over libchdb.
    Library {
        /// The program `deepflow-server`.
        program: PathBuf,
        /// `libchdb.so`.
        library: PathBuf,
        /// Folder of the data.
        data_dir: PathBuf,
        /// UNIX socket to listen on.
        socket: PathBuf,
    },
    /// An installed ClickHouse server.
    Installed(Installed),
}

/// A running engine and its leash. (`Child::wait` would close a standard input left in it.)
pub(super) struct Running {
    pub(super) child: Child,
    leash: Option<ChildStdin>,
}

impl ChildConfig {
    /// Chooses the engine: an installed ClickHouse if there is one that is new enough and
    /// `libchdb` was not asked for by its place, else the library.
    pub async fn choose(
        program: PathBuf,
        library_hint: Option<&Path>,
        search_path: &OsStr,
        data_dir: &Path,
    ) -> Result<Self, SupervisorError> {
        if library_hint.is_none()
            && let Some(installed) = Installed::find(search_path, data_dir).await
        {
            return Ok(Self::Installed(installed));
        }
        let library = library::find(library_hint, Some(&program))
            .map_err(|looked| SupervisorError::NoEngine { looked })?;
        Ok(Self::library(program, library, data_dir))
    }

    /// The library, with its data in `data_dir/clickhouse` and its socket in `data_dir`.
    pub fn library(program: PathBuf, library: PathBuf, data_dir: &Path) -> Self {
        // A name of this process: the engine of a killed server may still answer at the old one.
        let name = format!("engine-{}.sock", std::process::id());
        let mut socket = data_dir.join(&name);
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            socket = Path::new("/tmp").join(format!("deepflow-{name}"));
        }
        Self::Library { program, library, data_dir: data_dir.join("clickhouse"), socket }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Library { .. } => "libchdb",
            Self::Installed(_) => "clickhouse",
        }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Library { socket, .. } => Endpoint::Unix(socket.clone()),
            Self::Installed(installed) => installed.endpoint(),
        }
    }

    pub(super) fn login(&self) -> Option<Login> {
        match self {
            Self::Library { .. } => None,
            Self::Installed(installed) => Some(installed.login()),
        }
    }

    pub(super) fn spawn(&self) -> Result<Running, String> {
        let mut command = match self {
            Self::Library { program, library, data_dir, socket } => {
                let mut command = Command::new(program);
                command
                    .arg("engine")
                    .arg("--ends-with-stdin")
                    .arg("--library")
                    .arg(library)
                    .arg("--data-dir")
                    .arg(data_dir)
                    .arg("--socket")
                    .arg(socket)
                    // Times without a zone are UTC everywhere.
                    .env("TZ", "UTC");
                command
            }
            Self::Installed(installed) => installed.command()?,
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", command.as_std().get_program().display()))?;
        let leash = child.stdin.take();
        Ok(Running { child, leash })
    }
}

impl Running {
    pub(super) async fn end(self, timeout: Duration) {
        drop(self.leash);
        end(self.child, timeout).await;
    }
}

/// Asks a child to end by SIGTERM; kills it after `timeout`.
pub async fn end(mut child: Child, timeout: Duration) {
    terminate(&child);
    if tokio::time::timeout(timeout, child.wait()).await.is_err() {
        tracing::warn!(?timeout, "a child process did not end; killing it");
        let _ = child.kill().await;
    }
}

#[allow(unsafe_code)]
fn terminate(child: &Child) {
    let Some(pid) = child.id().and_then(|pid| libc::pid_t::try_from(pid).ok()) else { return };
    // SAFETY: sends a signal to a child of ours that was not waited for yet (`id` is `Some`), so
    // that its number is not another process's.
    unsafe { libc::kill(pid, libc::SIGTERM) };
}
