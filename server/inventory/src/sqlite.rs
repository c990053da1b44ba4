//! The inventory in SQLite: one file in the server's data folder.
//!
//! In: the file's path. Out: a [`Repository`]. Every commit is flushed to the disk. Never: two
//! writers (SQLite has one lock; the pool's second connection reads).

use std::path::Path;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row, Sqlite, Transaction};

use crate::repository::{AgentRow, HostRow, InventoryError, ProcessRow, Registration, Repository};

/// Scripts by version; the database's `user_version` says which have run.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/sqlite/0001_initial.sql")];

const AGENT_COLUMNS: &str = "id, uuid, host_id, hostname, version, kernel, arch, os, cpu_count, \
                             memory_bytes, peer, first_seen_us, last_seen_us, revision";

type Result<T> = std::result::Result<T, InventoryError>;

/// An inventory in one SQLite file.
pub struct SqliteRepository {
    pool: SqlitePool,
}

impl SqliteRepository {
    /// Opens the file, made when missing, and brings its tables into shape.
    pub async fn open(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
        let repository = Self { pool };
        repository.migrate().await?;
        Ok(repository)
    }

    async fn migrate(&self) -> Result<()> {
        let known = MIGRATIONS.len() as i64;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.pool).await?;
        if found > known {
            return Err(InventoryError::Newer { found, known });
        }
        for (at, script) in MIGRATIONS.iter().enumerate().skip(found as usize) {
            let mut transaction = self.pool.begin().await?;
            sqlx::raw_sql(*script).execute(&mut *transaction).await?;
            let version = format!("PRAGMA user_version = {}", at + 1);
            sqlx::raw_sql(sqlx::AssertSqlSafe(version)).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        Ok(())
    }
}

async fn next_revision(transaction: &mut Transaction<'_, Sqlite>) -> Result<i64> {
    let sql = "UPDATE revision SET latest = latest + 1 RETURNING latest";
    Ok(sqlx::query_scalar(sql).fetch_one(&mut **transaction).await?)
}

impl Repository for SqliteRepository {
    async fn register(&self, registration: &Registration) -> Result<AgentRow> {
        let agent = &registration.agent;
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let revision = next_revision(&mut transaction).await?;
        let host_id: i64 = sqlx::query_scalar(
            "INSERT INTO host (machine_key, name, ip, revision) VALUES (?, ?, ?, ?)
             ON CONFLICT (machine_key) DO UPDATE SET
               name = excluded.name, ip = excluded.ip, revision = excluded.revision
             RETURNING id",
        )
        .bind(&registration.machine_key)
        .bind(&agent.hostname)
        .bind(registration.addresses.first().map_or("", String::as_str))
        .bind(revision)
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM host_address WHERE host_id = ?")
            .bind(host_id)
            .execute(&mut *transaction)
            .await?;
        for ip in &registration.addresses {
            sqlx::query("INSERT OR IGNORE INTO host_address (ip, host_id) VALUES (?, ?)")
                .bind(ip)
                .bind(host_id)
                .execute(&mut *transaction)
                .await?;
        }
        let row = sqlx::query(
            "INSERT INTO agent (uuid, host_id, hostname, version, kernel, arch, os, cpu_count,
               memory_bytes, peer, first_seen_us, last_seen_us, revision)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (uuid) DO UPDATE SET
               host_id = excluded.host_id, hostname = excluded.hostname,
               version = excluded.version, kernel = excluded.kernel, arch = excluded.arch,
               os = excluded.os, cpu_count = excluded.cpu_count,
               memory_bytes = excluded.memory_bytes, peer = excluded.peer,
               last_seen_us = excluded.last_seen_us, revision = excluded.revision
             RETURNING *",
        )
        .bind(&agent.uuid)
        .bind(host_id)
        .bind(&agent.hostname)
        .bind(&agent.version)
        .bind(&agent.kernel)
        .bind(&agent.arch)
        .bind(&agent.os)
        .bind(agent.cpu_count)
        .bind(agent.memory_bytes as i64)
        .bind(&agent.peer)
        .bind(agent.last_seen_us)
        .bind(agent.last_seen_us)
        .bind(revision)
        .fetch_one(&mut *transaction)
        .await?;
        let agent = agent_row(&row)?;
        transaction.commit().await?;
        Ok(agent)
    }

    async fn seen(&self, times: &[(u16, i64)]) -> Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for (agent_id, time_us) in times {
            sqlx::query("UPDATE agent SET last_seen_us = max(last_seen_us, ?) WHERE id = ?")
                .bind(time_us)
                .bind(agent_id)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn agents(&self) -> Result<Vec<AgentRow>> {
        self.agents_since(0).await
    }

    async fn addresses(&self) -> Result<Vec<(String, u16)>> {
        let rows = sqlx::query("SELECT ip, host_id FROM host_address ORDER BY ip, host_id")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok((row.try_get("ip")?, small(row, "host_id")?))).collect()
    }

    async fn processes_of(&self, agent_id: u16, process_id: u32) -> Result<Vec<ProcessRow>> {
        let sql = "SELECT * FROM process WHERE agent_id = ? AND process_id = ? \
                   ORDER BY start_time_us, id";
        let rows = sqlx::query(sql).bind(agent_id).bind(process_id).fetch_all(&self.pool).await?;
        rows.iter().map(process_row).collect()
    }

    async fn save_processes(&self, rows: &mut [ProcessRow]) -> Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let mut saved = Vec::with_capacity(rows.len());
        for row in rows.iter() {
            let revision = next_revision(&mut transaction).await?;
            let id: i64 = sqlx::query_scalar(
                "INSERT INTO process (id, agent_id, host_id, process_id, start_time_us,
                   start_known, ended_us, name, command_line, executable, container_id, revision)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET
                   start_time_us = excluded.start_time_us, start_known = excluded.start_known,
                   ended_us = excluded.ended_us, name = excluded.name,
                   command_line = excluded.command_line, executable = excluded.executable,
                   container_id = excluded.container_id, revision = excluded.revision
                 RETURNING id",
            )
            .bind((row.id != 0).then_some(row.id))
            .bind(row.agent_id)
            .bind(row.host_id)
            .bind(row.process_id)
            .bind(row.start_time_us)
            .bind(row.start_known)
            .bind(row.ended_us)
            .bind(&row.name)
            .bind(&row.command_line)
            .bind(&row.executable)
            .bind(&row.container_id)
            .bind(revision)
            .fetch_one(&mut *transaction)
            .await?;
            let id = u32::try_from(id).map_err(|error| sqlx::Error::Decode(error.into()))?;
            saved.push((id, revision as u64));
        }
        transaction.commit().await?;
        for (row, (id, revision)) in rows.iter_mut().zip(saved) {
            (row.id, row.revision) = (id, revision);
        }
        Ok(())
    }

    async fn forget_processes(&self, ended_us: i64) -> Result<u64> {
        let sql = "DELETE FROM process WHERE ended_us > 0 AND ended_us < ?";
        let done = sqlx::query(sql).bind(ended_us).execute(&self.pool).await?;
        Ok(done.rows_affected())
    }

    async fn processes_since(&self, revision: u64, limit: u32) -> Result<Vec<ProcessRow>> {
        let sql = "SELECT * FROM process WHERE revision > ? ORDER BY revision LIMIT ?";
        let rows = sqlx::query(sql).bind(revision as i64).bind(limit).fetch_all(&self.pool).await?;
        rows.iter().map(process_row).collect()
    }

    async fn hosts_since(&self, revision: u64) -> Result<Vec<HostRow>> {
        let sql = "SELECT id, name, ip, revision FROM host WHERE revision > ? ORDER BY revision";
        let rows = sqlx::query(sql).bind(revision as i64).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(HostRow {
                    id: small(row, "id")?,
                    name: row.try_get("name")?,
                    ip: row.try_get("ip")?,
                    revision: large(row, "revision")?,
                })
            })
            .collect()
    }

    async fn agents_since(&self, revision: u64) -> Result<Vec<AgentRow>> {
        let sql = format!("SELECT {AGENT_COLUMNS} FROM agent WHERE revision > ? ORDER BY id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(revision as i64)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(agent_row).collect()
    }
}

// === Rows ===

fn agent_row(row: &SqliteRow) -> Result<AgentRow> {
    Ok(AgentRow {
        id: small(row, "id")?,
        uuid: row.try_get("uuid")?,
        host_id: small(row, "host_id")?,
        hostname: row.try_get("hostname")?,
        version: row.try_get("version")?,
        kernel: row.try_get("kernel")?,
        arch: row.try_get("arch")?,
        os: row.try_get("os")?,
        cpu_count: row.try_get("cpu_count")?,
        memory_bytes: large(row, "memory_bytes")?,
        peer: row.try_get("peer")?,
        first_seen_us: row.try_get("first_seen_us")?,
        last_seen_us: row.try_get("last_seen_us")?,
        revision: large(row, "revision")?,
    })
}

fn process_row(row: &SqliteRow) -> Result<ProcessRow> {
    Ok(ProcessRow {
        id: row.try_get("id")?,
        agent_id: small(row, "agent_id")?,
        host_id: small(row, "host_id")?,
        process_id: row.try_get("process_id")?,
        start_time_us: row.try_get("start_time_us")?,
        start_known: row.try_get("start_known")?,
        ended_us: row.try_get("ended_us")?,
        name: row.try_get("name")?,
        command_line: row.try_get("command_line")?,
        executable: row.try_get("executable")?,
        container_id: row.try_get("container_id")?,
        revision: large(row, "revision")?,
    })
}

/// A number of an agent or a host, which rows hold in 16 bits.
fn small(row: &SqliteRow, name: &str) -> Result<u16> {
    let value: i64 = row.try_get(name)?;
    u16::try_from(value).map_err(|_| InventoryError::Exhausted(u16::MAX))
}

fn large(row: &SqliteRow, name: &str) -> Result<u64> {
    let value: i64 = row.try_get(name)?;
    Ok(value as u64)
}
