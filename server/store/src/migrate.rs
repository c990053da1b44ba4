//! Brings the store's tables to the shape that this program knows.
//!
//! In: a client; the generated scripts of `migrations/`. Out: databases, tables, missing columns,
//! views and tag tables, and a record of it in `deepflow_admin.schema_migrations`. Never: a column
//! or a table dropped, a retention changed back, or work on data of a newer program.

mod script;
mod steps;

use serde::Deserialize;

use crate::client::{Client, StoreError};
use crate::{tags, views};
use script::TableDdl;

include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Version of the data's shape. It grows with every change that an older program cannot work
/// with; a column that is added does not count.
pub const SCHEMA_VERSION: u32 = schema::wire::SCHEMA_VERSION as u32;

/// Why the tables are not in shape.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The data were written by a newer program.
    #[error(
        "the data have schema version {found}, this program knows up to {SCHEMA_VERSION}: \
         use a newer deepflow-server, or another data folder"
    )]
    Newer {
        /// Version found.
        found: u32,
    },
    /// The store failed a statement.
    #[error("migration {name}")]
    Statement {
        /// Which script.
        name: String,
        /// What the store said.
        #[source]
        source: StoreError,
    },
}

const RECORD_DDL: [&str; 2] = [
    "CREATE DATABASE IF NOT EXISTS deepflow_admin",
    "CREATE TABLE IF NOT EXISTS deepflow_admin.schema_migrations
     (`version` UInt32, `name` String, `program` String, `applied_at` DateTime('UTC') DEFAULT now())
     ENGINE = MergeTree ORDER BY (version, applied_at)",
];

/// Brings everything to shape; returns what was changed, one line a change.
pub async fn run(client: &Client) -> Result<Vec<String>, MigrateError> {
    let named = |name: &str| {
        let name = name.to_owned();
        move |source| MigrateError::Statement { name, source }
    };
    for statement in RECORD_DDL {
        client.execute(statement).await.map_err(named("schema_migrations"))?;
    }
    let found = recorded_version(client).await.map_err(named("schema_migrations"))?;
    if found > SCHEMA_VERSION {
        return Err(MigrateError::Newer { found });
    }
    let mut changes = Vec::new();
    for step in steps::STEPS.iter().filter(|step| found > 0 && step.version > found) {
        for statement in step.statements {
            client.execute(statement).await.map_err(named(step.name))?;
        }
        changes.push(format!("step {} {}", step.version, step.name));
    }
    for (name, text) in FILES {
        for statement in script::statements(text) {
            client.execute(&statement).await.map_err(named(name))?;
            if let Some(table) = script::table(&statement) {
                changes.extend(add_columns(client, &table).await.map_err(named(name))?);
            }
        }
    }
    views::create(client).await.map_err(named("views"))?;
    tags::create(client).await.map_err(named("flow_tag"))?;
    if found < SCHEMA_VERSION {
        record(client).await.map_err(named("schema_migrations"))?;
        changes.push(format!("schema version {SCHEMA_VERSION}"));
    }
    Ok(changes)
}

async fn recorded_version(client: &Client) -> Result<u32, StoreError> {
    let sql = "SELECT max(version) FROM deepflow_admin.schema_migrations";
    Ok(client.typed().query_raw(sql).fetch_one::<u32>().await?)
}

async fn record(client: &Client) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO deepflow_admin.schema_migrations (version, name, program) \
         VALUES ({SCHEMA_VERSION}, 'tables', '{}')",
        env!("CARGO_PKG_VERSION")
    );
    client.execute(&sql).await
}

#[derive(clickhouse::Row, Deserialize)]
struct ColumnRow {
    name: String,
}

/// Adds the columns that a table of an older program lacks, at their places.
async fn add_columns(client: &Client, table: &TableDdl<'_>) -> Result<Vec<String>, StoreError> {
    let (database, name) = table.name.split_once('.').unwrap_or(("default", table.name));
    let present: Vec<ColumnRow> = client
        .typed()
        .query("SELECT name FROM system.columns WHERE database = ? AND table = ?")
        .bind(database)
        .bind(name.trim_matches('`'))
        .fetch_all()
        .await?;
    let mut added = Vec::new();
    let mut place = "FIRST".to_owned();
    for (column, definition) in &table.columns {
        if !present.iter().any(|row| row.name == *column) {
            let sql =
                format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {definition} {place}", table.name);
            client.execute(&sql).await?;
            added.push(format!("{}: column {column} added", table.name));
        }
        place = format!("AFTER `{column}`");
    }
    Ok(added)
}

#[cfg(test)]
mod tests {
    use schema::Table;

    use super::*;
    use crate::writer::quoted;

    /// What `add_columns` reads out of the generated files is what the program writes.
    #[test]
    fn scripts_hold_every_table_and_column() {
        let scripts: Vec<String> =
            FILES.iter().flat_map(|(_, text)| script::statements(text)).collect();
        let tables: Vec<TableDdl<'_>> = scripts.iter().filter_map(|s| script::table(s)).collect();
        for table in Table::ALL {
            let ddl = tables
                .iter()
                .find(|ddl| ddl.name == quoted(*table))
                .unwrap_or_else(|| panic!("no DDL of {}", table.name()));
            let names: Vec<&str> = ddl.columns.iter().map(|column| column.0).collect();
            let expected: Vec<&str> = table.columns().iter().map(|column| column.name).collect();
            assert_eq!(names, expected, "columns of {}", table.name());
        }
    }

    #[test]
    fn steps_are_in_order_and_none_is_beyond_the_version() {
        let versions: Vec<u32> = steps::STEPS.iter().map(|step| step.version).collect();
        assert!(versions.is_sorted_by(|a, b| a < b));
        assert!(versions.first().is_none_or(|first| *first > 1));
        assert!(versions.last().is_none_or(|last| *last <= SCHEMA_VERSION));
    }
}
