//! Where rows end: the store, seen from ingest.
//!
//! In: all rows of one table of one closed write-ahead log segment. Out: rows that are durable in
//! the store, exactly once. Never: knowledge of ClickHouse.

use std::future::Future;

use schema::{Column, ColumnDef, Table};

/// The store. Implemented by crate `store` and by test sinks.
pub trait Sink: Send + Sync + 'static {
    /// Stores `rows` rows of `table`; returns when they are durable.
    ///
    /// `defs` and `columns` go together, in the store's column order: every column whose origin
    /// is agent or server. Columns of origin unset are left to the store's defaults.
    ///
    /// `token` is the same whenever the same rows come again (after a crash, or after an attempt
    /// whose outcome was not seen); the store must then keep one copy.
    fn insert(
        &self,
        table: Table,
        defs: &[ColumnDef],
        columns: &[Column],
        rows: usize,
        token: &str,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// Why an insert did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("insert: {message}")]
pub struct SinkError {
    /// Whether the same insert may succeed later: true for a store that is down or busy (it is
    /// then tried again without end); false for rows that the store will never take (they are
    /// then counted as `batch_rejected` and kept aside in a file).
    pub retryable: bool,
    /// What the store said.
    pub message: String,
}
