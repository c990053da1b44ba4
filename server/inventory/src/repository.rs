//! Where the inventory is kept: a trait, so that SQLite and MySQL are alike to the rest.
//!
//! In: rows to add or change. Out: rows with their ids. Each change gets a revision, a number that
//! rises over all tables, by which the store's dictionaries follow. When a call returns, its
//! changes are durable.

use std::future::Future;

/// The database failed.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// A statement failed.
    #[error("inventory database: {0}")]
    Database(#[from] sqlx::Error),
    /// The database is of a newer program.
    #[error(
        "the inventory has version {found}, this program knows up to {known}: use a newer \
         deepflow-server, or another data folder"
    )]
    Newer {
        /// Version found.
        found: i64,
        /// Version known.
        known: i64,
    },
    /// No number is left.
    #[error("more than {0} agents or hosts: no number is left")]
    Exhausted(u16),
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Number, from 1.
    pub id: u16,
    /// Name.
    pub name: String,
    /// First address that is not loopback; empty = none.
    pub ip: String,
    /// Revision of the last change.
    pub revision: u64,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    /// Number, from 1.
    pub id: u16,
    /// Id that it made for itself.
    pub uuid: String,
    /// Its host.
    pub host_id: u16,
    /// Name of its host.
    pub hostname: String,
    /// Version of its program.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
    /// Distribution.
    pub os: String,
    /// Processors.
    pub cpu_count: u32,
    /// Memory of the machine. unit byte
    pub memory_bytes: u64,
    /// Address it connected from last.
    pub peer: String,
    /// First connection. unit µs, clock: wall
    pub first_seen_us: i64,
    /// Last sign of life. unit µs, clock: wall
    pub last_seen_us: i64,
    /// Revision of the last change.
    pub revision: u64,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRow {
    /// `gprocess_id`, from 1; 0 = not stored yet.
    pub id: u32,
    /// Agent that saw it.
    pub agent_id: u16,
    /// Host that it runs on.
    pub host_id: u16,
    /// Process id (tgid) on its host.
    pub process_id: u32,
    /// When it started, or was first named when `start_known` is false. unit µs, clock: wall
    pub start_time_us: i64,
    /// Whether the agent said when it started.
    pub start_known: bool,
    /// When it ended. unit µs, clock: wall; 0 = it runs
    pub ended_us: i64,
    /// Name as the kernel has it.
    pub name: String,
    /// Command line.
    pub command_line: String,
    /// Path of the executable.
    pub executable: String,
    /// Id of its container; empty = none.
    pub container_id: String,
    /// Revision of the last change.
    pub revision: u64,
}

/// What an agent says of itself when it connects.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The agent; its ids, first-seen time and revision are not looked at.
    pub agent: AgentRow,
    /// What tells its host from others: machine id, or the agent's uuid.
    pub machine_key: String,
    /// Addresses of the host, without loopback.
    pub addresses: Vec<String>,
}

/// An inventory database.
pub trait Repository: Send + Sync + 'static {
    /// Adds or updates an agent and its host; returns the agent.
    fn register(
        &self,
        registration: &Registration,
    ) -> impl Future<Output = Result<AgentRow, InventoryError>> + Send;

    /// Notes signs of life: (agent, time in µs). Not a change that gets a revision.
    fn seen(&self, times: &[(u16, i64)])
    -> impl Future<Output = Result<(), InventoryError>> + Send;

    /// Every agent, by number.
    fn agents(&self) -> impl Future<Output = Result<Vec<AgentRow>, InventoryError>> + Send;

    /// Every address of every host, as (address, host).
    fn addresses(&self) -> impl Future<Output = Result<Vec<(String, u16)>, InventoryError>> + Send;

    /// Rows of one process id of an agent, by start.
    fn processes_of(
        &self,
        agent_id: u16,
        process_id: u32,
    ) -> impl Future<Output = Result<Vec<ProcessRow>, InventoryError>> + Send;

    /// Adds rows with id 0 and updates others, in one transaction; sets ids and revisions.
    fn save_processes(
        &self,
        rows: &mut [ProcessRow],
    ) -> impl Future<Output = Result<(), InventoryError>> + Send;

    /// Deletes processes that ended before `ended_us`; returns how many.
    fn forget_processes(
        &self,
        ended_us: i64,
    ) -> impl Future<Output = Result<u64, InventoryError>> + Send;

    /// Processes changed after a revision, in order of revision, at most `limit`.
    fn processes_since(
        &self,
        revision: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<ProcessRow>, InventoryError>> + Send;

    /// Hosts changed after a revision.
    fn hosts_since(
        &self,
        revision: u64,
    ) -> impl Future<Output = Result<Vec<HostRow>, InventoryError>> + Send;

    /// Agents changed after a revision.
    fn agents_since(
        &self,
        revision: u64,
    ) -> impl Future<Output = Result<Vec<AgentRow>, InventoryError>> + Send;
}
