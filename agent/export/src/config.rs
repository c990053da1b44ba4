//! What the exporter is told at start.

use std::path::PathBuf;

use schema::wire::HostFacts;

/// Settings of the exporter. `ExportConfig::new` gives the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportConfig {
    /// Server, as `host:port`; a name is resolved at each connection.
    pub server: String,
    /// Folder of the agent's id, key and certificates; made when missing, 0700.
    pub identity_dir: PathBuf,
    /// Where the enrolment token comes from; needed until the agent is enrolled.
    pub token: TokenSource,
    /// Folder of the spool and the ledger; made when missing, 0700.
    pub spool_dir: PathBuf,
    /// Bytes of the disk spool; above it the least valuable is dropped. Default 1 GiB.
    pub spool_bytes_max: u64,
    /// Bytes of encoded batches in memory; above it they go to the spool. Default 16 MiB.
    pub memory_bytes_max: usize,
    /// Batches that wait to be encoded; above it the least valuable is dropped. Default 256.
    pub queue_batches_max: usize,
    /// Rows that wait to be encoded. Default 200 000.
    pub queue_rows_max: usize,
    /// Flow logs a second; 0 = no limit. Default 10 000.
    pub l4_throttle_rows: u32,
    /// Request logs a second; 0 = no limit. Default 10 000.
    pub l7_throttle_rows: u32,
    /// Version of the agent's program, for the server's list.
    pub agent_version: String,
    /// Facts of the host, for the server's list.
    pub host: HostFacts,
}

/// Where the enrolment token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// A file, read when needed; it may appear later.
    File(PathBuf),
    /// The token itself.
    Text(String),
    /// None: the agent must be enrolled already.
    Absent,
}

impl ExportConfig {
    /// The defaults.
    pub fn new(
        server: String,
        identity_dir: PathBuf,
        token: TokenSource,
        spool_dir: PathBuf,
    ) -> Self {
        Self {
            server,
            identity_dir,
            token,
            spool_dir,
            spool_bytes_max: 1 << 30,
            memory_bytes_max: 16 << 20,
            queue_batches_max: 256,
            queue_rows_max: 200_000,
            l4_throttle_rows: 10_000,
            l7_throttle_rows: 10_000,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            host: HostFacts::default(),
        }
    }
}
