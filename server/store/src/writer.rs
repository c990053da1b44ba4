//! Writes ingest's rows into the store's tables.
//!
//! In: columns of one table with a token. Out: one Native block inserted under that token. Never:
//! rows kept back: when `insert` returns, the store has them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use ingest::{Sink, SinkError};
use schema::{Column, ColumnDef, Table};

use crate::client::{Client, StoreError};
use crate::native;

/// The store as ingest sees it.
pub struct Writer {
    client: Client,
    counters: Vec<TableCounters>,
}

/// What was written to one table since the start.
#[derive(Debug, Default)]
pub struct TableCounters {
    /// Rows. unit row
    pub rows: AtomicU64,
    /// Inserts that succeeded. unit insert
    pub inserts: AtomicU64,
    /// Inserts that failed. unit insert
    pub failures: AtomicU64,
    /// Time from the begin of encoding to the store's answer, of inserts that succeeded. unit µs
    pub busy_us: AtomicU64,
}

impl Writer {
    /// A writer to the store that `client` speaks to.
    pub fn new(client: Client) -> Self {
        let counters = Table::ALL.iter().map(|_| TableCounters::default()).collect();
        Self { client, counters }
    }

    /// Counters of each table.
    pub fn counters(&self) -> impl Iterator<Item = (Table, &TableCounters)> {
        Table::ALL.iter().copied().zip(&self.counters)
    }

    fn counters_of(&self, table: Table) -> &TableCounters {
        let at = Table::ALL.iter().position(|other| *other == table);
        &self.counters[at.expect("`ALL` holds every table")]
    }
}

impl Sink for Writer {
    async fn insert(
        &self,
        table: Table,
        defs: &[ColumnDef],
        columns: &[Column],
        rows: usize,
        token: &str,
    ) -> Result<(), SinkError> {
        if rows == 0 {
            return Ok(());
        }
        let started = Instant::now();
        // `time` is never 0, so that at least one column is left.
        let (defs, columns): (Vec<ColumnDef>, Vec<&Column>) = defs
            .iter()
            .zip(columns)
            .filter(|(def, column)| def.name == "time" || !native::is_default(column))
            .unzip();
        let block = native::encode(&defs, &columns, rows);
        let sql = insert_statement(table, &defs);
        let outcome = self.client.insert(&sql, vec![Bytes::from(block)], Some(token)).await;
        let counters = self.counters_of(table);
        match outcome {
            Ok(()) => {
                let busy_us = started.elapsed().as_micros() as u64;
                counters.rows.fetch_add(rows as u64, Ordering::Relaxed);
                counters.inserts.fetch_add(1, Ordering::Relaxed);
                counters.busy_us.fetch_add(busy_us, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                counters.failures.fetch_add(1, Ordering::Relaxed);
                Err(sink_error(&error))
            }
        }
    }
}

/// `INSERT INTO db.table (columns) FORMAT Native`.
fn insert_statement(table: Table, defs: &[ColumnDef]) -> String {
    let names: Vec<String> = defs.iter().map(|def| format!("`{}`", def.name)).collect();
    format!("INSERT INTO {} ({}) FORMAT Native", quoted(table), names.join(", "))
}

/// `` database.`table` ``.
pub(crate) fn quoted(table: Table) -> String {
    format!("{}.`{}`", table.database(), table.name())
}

fn sink_error(error: &StoreError) -> SinkError {
    SinkError { retryable: error.is_retryable(), message: error.to_string() }
}
