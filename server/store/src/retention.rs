//! How long rows are kept: the TTL of tables, which can be changed at any time.
//!
//! In: a table and hours. Out: `ALTER TABLE … MODIFY TTL`; parts whose rows are all too old are
//! dropped by the store in the background. Never: a row younger than the retention dropped.

use schema::Table;
use serde::{Deserialize, Serialize};

use crate::client::{Client, StoreError};
use crate::writer::quoted;

/// Longest retention. unit h
pub const HOURS_MAX: u32 = 24_000;

/// Retention of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// `database.table`.
    pub table: String,
    /// How long rows are kept. unit h; 0 = for ever
    pub hours: u32,
    /// Rows stored now.
    pub rows: u64,
    /// Bytes on disk now, compressed.
    pub stored_bytes: u64,
}

/// Why a retention was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// There is no such table.
    #[error("unknown table {name:?}; tables are {}", table_names().join(", "))]
    UnknownTable {
        /// Name that was asked for.
        name: String,
    },
    /// Out of bounds.
    #[error("retention of {0} h is not in 1..={HOURS_MAX} h")]
    Hours(u32),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// `database.table` of every table.
pub fn table_names() -> Vec<String> {
    Table::ALL.iter().map(|table| full_name(*table)).collect()
}

/// Finds a table by `database.table`, or by `table` alone.
pub fn find_table(name: &str) -> Option<Table> {
    Table::ALL.iter().copied().find(|table| full_name(*table) == name || table.name() == name)
}

/// Sets the retention of a table.
pub async fn set(client: &Client, table: &str, hours: u32) -> Result<(), RetentionError> {
    let found =
        find_table(table).ok_or_else(|| RetentionError::UnknownTable { name: table.to_owned() })?;
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(RetentionError::Hours(hours));
    }
    let sql = format!(
        "ALTER TABLE {} MODIFY TTL time + INTERVAL {hours} HOUR \
         SETTINGS materialize_ttl_after_modify = 1",
        quoted(found)
    );
    Ok(client.execute(&sql).await?)
}

#[derive(clickhouse::Row, Deserialize)]
struct TableRow {
    table: String,
    definition: String,
    rows: u64,
    stored_bytes: u64,
}

/// Retention and size of every table.
pub async fn list(client: &Client) -> Result<Vec<Retention>, RetentionError> {
    let sql = "SELECT concat(database, '.', name) AS table, engine_full AS definition, \
               ifNull(total_rows, 0) AS rows, ifNull(total_bytes, 0) AS stored_bytes \
               FROM system.tables WHERE engine LIKE '%MergeTree' ORDER BY table";
    let rows: Vec<TableRow> =
        client.typed().query_raw(sql).fetch_all().await.map_err(StoreError::from)?;
    let names = table_names();
    Ok(rows
        .into_iter()
        .filter(|row| names.contains(&row.table))
        .map(|row| Retention {
            hours: hours_of(&row.definition),
            table: row.table,
            rows: row.rows,
            stored_bytes: row.stored_bytes,
        })
        .collect())
}

fn full_name(table: Table) -> String {
    format!("{}.{}", table.database(), table.name())
}

/// The hours of `… TTL time + toIntervalHour(72) …`; 0 when there is no TTL.
fn hours_of(definition: &str) -> u32 {
    let ttl = definition.split_once(" TTL ").map_or("", |(_, rest)| rest);
    let hours = ttl.split_once("toIntervalHour(").map(|(_, rest)| rest);
    hours.and_then(|rest| rest.split(')').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_from_the_definition() {
        let definition = "MergeTree PARTITION BY toStartOfInterval(time, toIntervalHour(4)) ORDER BY \
                          time TTL time + toIntervalHour(72) SETTINGS ttl_only_drop_parts = 1";
        assert_eq!(hours_of(definition), 72);
        assert_eq!(hours_of("MergeTree PARTITION BY toIntervalHour(4) ORDER BY time"), 0);
    }

    #[test]
    fn tables_are_found_by_either_name() {
        assert_eq!(find_table("flow_log.l7_flow_log"), Some(Table::L7FlowLog));
        assert_eq!(find_table("application.1s"), Some(Table::Application1s));
        assert_eq!(find_table("nope"), None);
    }
}
