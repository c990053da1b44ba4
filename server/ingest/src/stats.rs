//! Counters of ingest: the `server_*` rows of `schema/metrics.toml`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use schema::{Drop, Table};

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// A datagram that is no QUIC packet of ours; counted by datagram.
    GarbageDatagram,
    /// A handshake that did not end well, for another reason than those below.
    Handshake,
    /// A certificate that is not ours, of another agent, or none.
    Certificate,
    /// A wrong enrolment token.
    Token,
    /// A protocol or schema version that is not supported.
    Version,
    /// A message that cannot be read.
    Garbage,
    /// Too many connections.
    TooManyConnections,
    /// The server could not do its work: inventory or log.
    Unavailable,
}

impl Refusal {
    /// Label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::GarbageDatagram => "garbage_datagram",
            Self::Handshake => "handshake",
            Self::Certificate => "certificate",
            Self::Token => "token",
            Self::Version => "version",
            Self::Garbage => "garbage",
            Self::TooManyConnections => "too_many_connections",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestStats {
    /// `server_batches_total`: batches taken in, duplicates and rejected ones included.
    pub batches: u64,
    /// `server_rows_received_total`: rows acknowledged as stored, per table. Rows of process
    /// events are not counted.
    pub rows_received: BTreeMap<Table, u64>,
    /// `server_rows_stored_total`: rows that the store has, per table. After a restart rows that
    /// wait in the log count again when they are stored.
    pub rows_stored: BTreeMap<Table, u64>,
    /// `server_dropped_total`: rows, per reason. `batch_duplicate` and `wal_full` are no losses.
    pub dropped: BTreeMap<Drop, u64>,
    /// `server_connections`: agents connected now.
    pub connections: u64,
    /// Agents enrolled since the start.
    pub enrolled: u64,
    /// `server_refused_total`, per cause.
    pub refused: BTreeMap<Refusal, u64>,
    /// `server_wal_bytes`.
    pub wal_bytes: u64,
    /// Inserts that failed and are tried again.
    pub insert_retries: u64,
}

/// Live counters.
#[derive(Default)]
pub(crate) struct Counters {
    batches: AtomicU64,
    pub connections: AtomicU64,
    pub enrolled: AtomicU64,
    wal_bytes: AtomicU64,
    insert_retries: AtomicU64,
    maps: Mutex<Maps>,
}

#[derive(Default)]
struct Maps {
    rows_received: BTreeMap<Table, u64>,
    rows_stored: BTreeMap<Table, u64>,
    dropped: BTreeMap<Drop, u64>,
    refused: BTreeMap<Refusal, u64>,
}

impl Counters {
    pub fn batch(&self) {
        self.batches.fetch_add(1, Relaxed);
    }

    pub fn insert_retry(&self) {
        self.insert_retries.fetch_add(1, Relaxed);
    }

    pub fn set_wal_bytes(&self, bytes: u64) {
        self.wal_bytes.store(bytes, Relaxed);
    }

    pub fn received(&self, table: Table, rows: u32) {
        self.with(|maps| *maps.rows_received.entry(table).or_default() += u64::from(rows));
    }

    pub fn stored(&self, table: Table, rows: usize) {
        self.with(|maps| *maps.rows_stored.entry(table).or_default() += rows as u64);
    }

    pub fn dropped(&self, reason: Drop, rows: u32) {
        self.with(|maps| *maps.dropped.entry(reason).or_default() += u64::from(rows));
    }

    pub fn refused(&self, cause: Refusal) {
        self.with(|maps| *maps.refused.entry(cause).or_default() += 1);
    }

    pub fn snapshot(&self) -> IngestStats {
        self.with(|maps| IngestStats {
            batches: self.batches.load(Relaxed),
            rows_received: maps.rows_received.clone(),
            rows_stored: maps.rows_stored.clone(),
            dropped: maps.dropped.clone(),
            connections: self.connections.load(Relaxed),
            enrolled: self.enrolled.load(Relaxed),
            refused: maps.refused.clone(),
            wal_bytes: self.wal_bytes.load(Relaxed),
            insert_retries: self.insert_retries.load(Relaxed),
        })
    }

    /// A panic elsewhere leaves whole numbers behind: a poisoned lock is used on.
    fn with<T>(&self, f: impl FnOnce(&mut Maps) -> T) -> T {
        f(&mut self.maps.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}
