//! Names behind the integers in rows (SmartEncoding): tables and dictionaries of `flow_tag`.
//!
//! In: agents, hosts and processes from the inventory, enumerations from `schema`. Out: tables
//! with the names, and dictionaries over them for `dictGet` in queries. Never: names in rows.

mod enumerations;

use serde::Serialize;

use crate::client::{Client, StoreError};

/// A process, as `flow_tag.gprocess_map` gives it.
#[derive(Clone, Debug, PartialEq, Eq, clickhouse::Row, Serialize)]
pub struct ProcessTag {
    /// `gprocess_id` of rows.
    pub id: u64,
    /// Name as the kernel has it.
    pub name: String,
    /// Agent that saw it.
    pub agent_id: u16,
    /// Host that it runs on.
    pub host_id: u16,
    /// Process id (tgid) on its host.
    pub process_id: u32,
    /// Command line.
    pub command_line: String,
    /// Path of the executable.
    pub executable: String,
    /// Id of its container; empty = none.
    pub container_id: String,
    /// When it started. unit µs, clock: wall; 0 = not known
    pub started_us: i64,
    /// When it ended. unit µs, clock: wall; 0 = it runs
    pub ended_us: i64,
    /// Orders versions of the row: the highest counts.
    pub version: u64,
}

/// A host, as `flow_tag.host_map` and `chost_map` give it.
#[derive(Clone, Debug, PartialEq, Eq, clickhouse::Row, Serialize)]
pub struct HostTag {
    /// `host_id` of rows.
    pub id: u64,
    /// Host name.
    pub name: String,
    /// One of its addresses; empty = not known.
    pub ip: String,
    /// Orders versions of the row.
    pub version: u64,
}

/// An agent, as `flow_tag.vtap_map` gives it.
#[derive(Clone, Debug, PartialEq, Eq, clickhouse::Row, Serialize)]
pub struct AgentTag {
    /// `agent_id` of rows.
    pub id: u64,
    /// Name: that of its host.
    pub name: String,
    /// Host that it runs on.
    pub host_id: u16,
    /// Id that it made for itself.
    pub uuid: String,
    /// Orders versions of the row.
    pub version: u64,
}

/// A dictionary over a table.
struct Dictionary {
    name: &'static str,
    attributes: &'static str,
    key: &'static str,
    layout: &'static str,
    query: &'static str,
}

const TABLES: [&str; 5] = [
    "CREATE DATABASE IF NOT EXISTS flow_tag",
    // A process that ended is forgotten when no row can name it any more.
    "CREATE TABLE IF NOT EXISTS flow_tag.gprocess
     (`id` UInt64, `name` String, `agent_id` UInt16, `host_id` UInt16, `process_id` UInt32,
      `command_line` String CODEC(ZSTD(1)), `executable` String, `container_id` String,
      `started_us` Int64, `ended_us` Int64, `version` UInt64)
     ENGINE = ReplacingMergeTree(version) ORDER BY id
     TTL toDateTime(intDiv(ended_us, 1000000)) + INTERVAL 60 DAY DELETE WHERE ended_us > 0",
    "CREATE TABLE IF NOT EXISTS flow_tag.host
     (`id` UInt64, `name` String, `ip` String, `version` UInt64)
     ENGINE = ReplacingMergeTree(version) ORDER BY id",
    "CREATE TABLE IF NOT EXISTS flow_tag.agent
     (`id` UInt64, `name` String, `host_id` UInt16, `uuid` String, `version` UInt64)
     ENGINE = ReplacingMergeTree(version) ORDER BY id",
    "CREATE TABLE IF NOT EXISTS flow_tag.int_enum
     (`tag_name` String, `value` UInt64, `name` String, `description` String, `version` UInt64)
     ENGINE = ReplacingMergeTree(version) ORDER BY (tag_name, value)",
];

const DICTIONARIES: [Dictionary; 5] = [
    Dictionary {
        name: "gprocess_map",
        attributes: "id UInt64, name String, agent_id UInt16, host_id UInt16, process_id UInt32, \
                     command_line String, executable String, container_id String, \
                     started_us Int64, ended_us Int64",
        key: "id",
        layout: "HASHED()",
        query: "SELECT id, name, agent_id, host_id, process_id, command_line, executable, \
                container_id, started_us, ended_us FROM flow_tag.gprocess FINAL",
    },
    Dictionary {
        name: "host_map",
        attributes: "id UInt64, name String, ip String",
        key: "id",
        layout: "HASHED()",
        query: "SELECT id, name, ip FROM flow_tag.host FINAL",
    },
    Dictionary {
        name: "chost_map",
        attributes: "id UInt64, name String, ip String",
        key: "id",
        layout: "HASHED()",
        query: "SELECT id, name, ip FROM flow_tag.host FINAL",
    },
    Dictionary {
        name: "vtap_map",
        attributes: "id UInt64, name String, host_id UInt16, uuid String",
        key: "id",
        layout: "HASHED()",
        query: "SELECT id, name, host_id, uuid FROM flow_tag.agent FINAL",
    },
    Dictionary {
        name: "int_enum_map",
        attributes: "tag_name String, value UInt64, name String, description String",
        key: "tag_name, value",
        layout: "COMPLEX_KEY_HASHED()",
        query: "SELECT tag_name, value, name, description FROM flow_tag.int_enum FINAL",
    },
];

impl Dictionary {
    /// Reloaded by us after each change; the lifetime serves stores of several servers.
    fn definition(&self) -> String {
        format!(
            "CREATE OR REPLACE DICTIONARY flow_tag.{} ({}) PRIMARY KEY {} \
             SOURCE(CLICKHOUSE(QUERY '{}')) LAYOUT({}) LIFETIME(MIN 60 MAX 120)",
            self.name, self.attributes, self.key, self.query, self.layout
        )
    }
}

/// Creates tables and dictionaries, and writes the enumerations.
pub async fn create(client: &Client) -> Result<(), StoreError> {
    for statement in TABLES {
        client.execute(statement).await?;
    }
    for dictionary in &DICTIONARIES {
        client.execute(&dictionary.definition()).await?;
    }
    let rows = enumerations::rows();
    insert(client, "int_enum", &rows).await?;
    reload(client, &["int_enum_map"]).await
}

/// Writes names; the dictionaries know them when this returns.
pub async fn write(
    client: &Client,
    processes: &[ProcessTag],
    hosts: &[HostTag],
    agents: &[AgentTag],
) -> Result<(), StoreError> {
    let mut stale = Vec::new();
    if !processes.is_empty() {
        insert(client, "gprocess", processes).await?;
        stale.push("gprocess_map");
    }
    if !hosts.is_empty() {
        insert(client, "host", hosts).await?;
        stale.extend(["host_map", "chost_map"]);
    }
    if !agents.is_empty() {
        insert(client, "agent", agents).await?;
        stale.push("vtap_map");
    }
    reload(client, &stale).await
}

/// The highest version in a table of `flow_tag`; 0 when it is empty.
pub async fn newest_version(client: &Client, table: &str) -> Result<u64, StoreError> {
    let query = client.typed().query("SELECT max(version) FROM flow_tag.?");
    Ok(query.bind(clickhouse::sql::Identifier(table)).fetch_one::<u64>().await?)
}

async fn insert<R>(client: &Client, table: &str, rows: &[R]) -> Result<(), StoreError>
where
    R: clickhouse::RowOwned + clickhouse::RowWrite,
    for<'a> R: clickhouse::Row<Value<'a> = R>,
{
    let typed = client.typed().clone().with_database("flow_tag");
    let mut insert = typed.insert::<R>(table).await?;
    for row in rows {
        insert.write(row).await?;
    }
    Ok(insert.end().await?)
}

async fn reload(client: &Client, names: &[&str]) -> Result<(), StoreError> {
    for name in names {
        client.execute(&format!("SYSTEM RELOAD DICTIONARY flow_tag.{name}")).await?;
    }
    Ok(())
}
