//! What ingest is told at start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::Authority;

/// Settings of the ingest endpoint. `IngestConfig::new` gives the defaults.
#[derive(Clone)]
pub struct IngestConfig {
    /// UDP address to listen on; port 0 takes a free one. Default port 20033.
    pub listen: SocketAddr,
    /// Folder of the write-ahead log and its checkpoint; made when missing.
    pub wal_dir: PathBuf,
    /// Certificate authority: server certificate, enrolment, check of agents' certificates.
    pub authority: Arc<Authority>,
    /// This server's number, 10 bits; part of row ids. Default 1.
    pub server_id: u16,
    /// Connections at once; more are refused. Default 4096.
    pub connections_max: usize,
    /// Encoded bytes of a batch; a larger one is rejected. Default 8 MiB.
    pub batch_bytes_max: usize,
    /// Rows of a batch; a larger one is rejected. Default 262 144.
    pub batch_rows_max: usize,
    /// A connection that says nothing for so long is closed. Default 30 s.
    pub idle_timeout: Duration,
    /// Whether a batch is flushed to the disk (fdatasync) before it is acknowledged. Without it
    /// acknowledged rows survive the death of the server but not of the machine. Default true.
    pub fsync: bool,
    /// A segment with data is closed after so long. Default 300 ms.
    pub segment_age_max: Duration,
    /// A segment is closed at so many bytes. Default 8 MiB.
    pub segment_bytes_max: u64,
    /// A segment is closed at so many rows: it bounds the memory of an insert. Default 131 072.
    pub segment_rows_max: u64,
    /// Bytes of the write-ahead log on disk; at the limit batches are taken no more and stay with
    /// the agents. Default 4 GiB.
    pub wal_bytes_max: u64,
    /// Bytes of batches in memory on their way to the log, of all agents. Default 64 MiB.
    pub memory_bytes_max: usize,
}

impl IngestConfig {
    /// The defaults.
    pub fn new(listen: SocketAddr, wal_dir: PathBuf, authority: Arc<Authority>) -> Self {
        Self {
            listen,
            wal_dir,
            authority,
            server_id: 1,
            connections_max: 4096,
            batch_bytes_max: 8 << 20,
            batch_rows_max: 262_144,
            idle_timeout: Duration::from_secs(30),
            fsync: true,
            segment_age_max: Duration::from_millis(300),
            segment_bytes_max: 8 << 20,
            segment_rows_max: 131_072,
            wal_bytes_max: 4 << 30,
            memory_bytes_max: 64 << 20,
        }
    }
}
