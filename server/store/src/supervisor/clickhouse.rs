//! An installed `clickhouse` program as the engine.
//!
//! In: the program found in PATH. Out: a configuration file and the command that runs a server on
//! a loopback port with a password of this start. Kept simple, because no modern ClickHouse server
//! was at hand to exercise it: see docs/adr for what that means. Never: a port open to others.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::client::{Endpoint, Login};

/// Oldest major version that is used. Its age is that of the features the tables need.
const VERSION_MIN: u32 = 24;

/// An installed ClickHouse.
pub struct Installed {
    program: PathBuf,
    data_dir: PathBuf,
    port: u16,
    password: String,
}

impl Installed {
    /// Finds a program that is new enough in the folders of `search_path` (the value of PATH).
    pub async fn find(search_path: &OsStr, data_dir: &Path) -> Option<Self> {
        let program = std::env::split_paths(search_path)
            .map(|folder| folder.join("clickhouse"))
            .find(|program| program.is_file())?;
        let output = Command::new(&program).args(["server", "--version"]).output().await.ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let major = major_version(&text)?;
        if major < VERSION_MIN {
            tracing::info!(program = %program.display(), major, "installed ClickHouse is too old");
            return None;
        }
        // The port is free now; when somebody takes it before the server does, the start fails
        // and says so.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
        let data_dir = data_dir.join("clickhouse-server");
        Some(Self { program, data_dir, port, password: random_password()? })
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    pub(super) fn login(&self) -> Login {
        Login { user: "deepflow".to_owned(), password: self.password.clone() }
    }

    pub(super) fn command(&self) -> Result<Command, String> {
        let failed = |error| format!("{}: {error}", self.data_dir.display());
        fs::create_dir_all(&self.data_dir).map_err(failed)?;
        let file = self.data_dir.join("config.xml");
        write_private(&file, &self.configuration()).map_err(failed)?;
        let mut command = Command::new(&self.program);
        // ClickHouse's own watchdog would outlive a killed server.
        command
            .arg("server")
            .arg("--config-file")
            .arg(&file)
            .env("CLICKHOUSE_WATCHDOG_ENABLE", "0");
        end_with_parent(&mut command);
        Ok(command)
    }

    fn configuration(&self) -> String {
        let folder = self.data_dir.display();
        let (port, password) = (self.port, &self.password);
        format!(
            "<clickhouse>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{port}</http_port>
  <path>{folder}/data/</path>
  <tmp_path>{folder}/tmp/</tmp_path>
  <user_files_path>{folder}/user_files/</user_files_path>
  <format_schema_path>{folder}/format_schemas/</format_schema_path>
  <timezone>UTC</timezone>
  <mark_cache_size>268435456</mark_cache_size>
  <user_directories><users_xml><path>config.xml</path></users_xml></user_directories>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <deepflow>
      <password>{password}</password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </deepflow>
  </users>
</clickhouse>
"
        )
    }
}

/// A ClickHouse server does not watch its standard input: the kernel ends it when we die.
#[allow(unsafe_code)]
fn end_with_parent(command: &mut Command) {
    let end = || {
        // SAFETY: a system call with constant arguments, allowed between fork and exec.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
        Ok(())
    };
    // SAFETY: `end` makes one system call and touches no memory of ours.
    unsafe { command.pre_exec(end) };
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(file)?.write_all(text.as_bytes())
}

fn random_password() -> Option<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom").ok()?.read_exact(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `ClickHouse server version 24.8.1.2 (official build).` → 24.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_once("version ")?.1;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read() {
        assert_eq!(major_version("ClickHouse server version 24.8.1.2 (official build)."), Some(24));
        assert_eq!(major_version("bash: no such thing"), None);
    }
}
