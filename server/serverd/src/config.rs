//! The server's configuration: a YAML file, overridden by the command line.
//!
//! In: text. Out: checked values. A key that is not known is an error that names it. Never: the
//! environment (the command line's part hands it in).

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use query::Limits;
use serde::Deserialize;

use crate::run::AgentProgram;

/// Port of HTTP unless configured.
const HTTP_PORT: u16 = 20416;
/// Where root's data go unless configured.
const SYSTEM_DATA_DIR: &str = "/var/lib/deepflow";

/// The file. Every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    /// Folder of all data. Default /var/lib/deepflow for root, else ~/.local/share/deepflow.
    data_dir: Option<PathBuf>,
    http: RawHttp,
    ingest: RawIngest,
    query: RawQuery,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHttp {
    /// Address and port. Default 127.0.0.1:20416.
    listen: Option<SocketAddr>,
    /// Path under which a reverse proxy shows the server, as `/deepflow`; the server answers
    /// there and at `/`. Default none.
    base_path: String,
    /// Host names that requests may carry besides IP addresses and localhost (against DNS
    /// rebinding). Default none.
    allowed_hosts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawIngest {
    /// Address and UDP port for agents. Default 127.0.0.1:20033.
    listen: Option<SocketAddr>,
    /// Whether batches are flushed to the disk before they are acknowledged. Default true.
    fsync: Option<bool>,
    /// Limit of the write-ahead log. unit MiB; default 4096
    wal_mebibytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawQuery {
    /// Rows of an answer. Default 10000.
    rows_max: Option<usize>,
    /// Time of a statement. unit s; default 60
    seconds_max: Option<u64>,
    /// Memory of a statement. unit MiB; default 4096
    memory_mebibytes_max: Option<u64>,
}

/// What the command line and the environment say.
pub struct Overrides {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--ingest-listen`.
    pub ingest_listen: Option<SocketAddr>,
    /// Where the user's data live.
    pub user_data_home: Option<PathBuf>,
    /// This program.
    pub program: PathBuf,
    /// DEEPFLOW_LIBCHDB.
    pub library: Option<PathBuf>,
    /// PATH.
    pub search_path: OsString,
}

/// Checked configuration.
pub struct Config {
    /// Folder of all data.
    pub data_dir: PathBuf,
    /// HTTP.
    pub listen: SocketAddr,
    /// Empty, or a path that begins with a slash and does not end with one.
    pub base_path: String,
    /// Host names of requests.
    pub allowed_hosts: Vec<String>,
    /// QUIC.
    pub ingest_listen: SocketAddr,
    /// Flush before acknowledging.
    pub ingest_fsync: bool,
    /// Limit of the write-ahead log.
    pub wal_bytes_max: u64,
    /// Limits of statements.
    pub limits: Limits,
    /// This program, which is the engine's too.
    pub program: PathBuf,
    /// Place of libchdb.so, when it was given.
    pub library: Option<PathBuf>,
    /// Where programs are found.
    pub search_path: OsString,
    /// The agent to run as well.
    pub agent: Option<AgentProgram>,
}

impl Config {
    /// Reads the file, if there is one, and lays the overrides over it.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> anyhow::Result<Self> {
        let raw = match file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("configuration {}", file.display()))?;
                parse(&text).with_context(|| format!("configuration {}", file.display()))?
            }
            None => RawConfig::default(),
        };
        Self::new(raw, overrides)
    }

    fn new(raw: RawConfig, overrides: Overrides) -> anyhow::Result<Self> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let defaults = Limits::default();
        let data_dir = match overrides.data_dir.or(raw.data_dir) {
            Some(data_dir) => data_dir,
            None => default_data_dir(overrides.user_data_home)?,
        };
        Ok(Self {
            data_dir,
            listen: overrides.listen.or(raw.http.listen).unwrap_or(local(HTTP_PORT)),
            base_path: base_path(&raw.http.base_path)?,
            allowed_hosts: raw.http.allowed_hosts,
            ingest_listen: overrides
                .ingest_listen
                .or(raw.ingest.listen)
                .unwrap_or(local(schema::wire::INGEST_PORT)),
            ingest_fsync: raw.ingest.fsync.unwrap_or(true),
            wal_bytes_max: raw.ingest.wal_mebibytes.unwrap_or(4096) << 20,
            limits: Limits {
                rows_max: raw.query.rows_max.unwrap_or(defaults.rows_max),
                time_max: raw.query.seconds_max.map_or(defaults.time_max, Duration::from_secs),
                memory_bytes_max: raw
                    .query
                    .memory_mebibytes_max
                    .map_or(defaults.memory_bytes_max, |mebibytes| mebibytes << 20),
                answer_bytes_max: defaults.answer_bytes_max,
            },
            program: overrides.program,
            library: overrides.library,
            search_path: overrides.search_path,
            agent: None,
        })
    }
}

fn parse(text: &str) -> anyhow::Result<RawConfig> {
    if text.trim().is_empty() {
        return Ok(RawConfig::default());
    }
    Ok(serde_yaml_ng::from_str(text)?)
}

fn base_path(text: &str) -> anyhow::Result<String> {
    let path = text.trim_end_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let is_good = path.is_empty() || (path.starts_with('/') && path.chars().all(is_plain));
    if !is_good {
        bail!("http.base_path {text:?}: not a path like /deepflow");
    }
    Ok(path.to_owned())
}

/// The system's folder when it can be written, else the user's.
fn default_data_dir(user_data_home: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let system = PathBuf::from(SYSTEM_DATA_DIR);
    let may_write = std::fs::create_dir_all(&system).is_ok()
        && std::fs::metadata(&system).is_ok_and(|m| !m.permissions().readonly())
        && std::fs::write(system.join(".probe"), b"").is_ok();
    if may_write {
        let _ = std::fs::remove_file(system.join(".probe"));
        return Ok(system);
    }
    let home = user_data_home.context("no folder for data: give --data-dir")?;
    Ok(home.join("deepflow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides() -> Overrides {
        Overrides {
            data_dir: Some("/d".into()),
            listen: None,
            ingest_listen: None,
            user_data_home: None,
            program: "/p".into(),
            library: None,
            search_path: OsString::new(),
        }
    }

    #[test]
    fn file_and_command_line() {
        let raw = parse("http:\n  listen: 127.0.0.1:1\n  base_path: /x/\nquery:\n  rows_max: 5\n");
        let mut overrides = overrides();
        overrides.ingest_listen = Some(([127, 0, 0, 1], 2).into());
        let config = Config::new(raw.expect("readable"), overrides).expect("valid");
        assert_eq!((config.listen.port(), config.ingest_listen.port()), (1, 2));
        assert_eq!((config.base_path.as_str(), config.limits.rows_max), ("/x", 5));
    }

    #[test]
    fn wrong_keys_and_types_are_named() {
        let error = parse("http:\n  lisen: 127.0.0.1:1\n").expect_err("wrong key").to_string();
        assert!(error.contains("lisen") && error.contains("listen"), "{error}");
        let error = parse("query:\n  rows_max: many\n").expect_err("wrong type").to_string();
        assert!(error.contains("rows_max"), "{error}");
        assert!(Config::new(parse("http: {base_path: x y}").expect("yaml"), overrides()).is_err());
    }
}
