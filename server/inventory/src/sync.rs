//! Keeps the store's names (`flow_tag`) in step with the inventory.
//!
//! In: changes, by their revisions. Out: rows of `flow_tag` and reloaded dictionaries. The store's
//! highest revision says where to go on, so that a new store, or one that was down, catches up.

use std::sync::Arc;
use std::time::Duration;

use store::tags::{AgentTag, HostTag, ProcessTag};
use store::{Client, StoreError};

use crate::Inventory;
use crate::repository::{AgentRow, HostRow, InventoryError, ProcessRow, Repository};

/// Processes written at once.
const PROCESSES_MAX: u32 = 5_000;
/// At most one round in this time, so that a burst of short processes is one reload.
const ROUND_MIN: Duration = Duration::from_millis(500);
/// Pause after a failed round.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The inventory failed.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes changes of the inventory to the store.
pub struct Synchroniser<R> {
    inventory: Arc<Inventory<R>>,
    client: Client,
    /// What the store has: (processes, hosts, agents); `None` = to be asked.
    written: Option<(u64, u64, u64)>,
}

impl<R: Repository> Synchroniser<R> {
    /// From an inventory to a store.
    pub fn new(inventory: Arc<Inventory<R>>, client: Client) -> Self {
        Self { inventory, client, written: None }
    }

    /// Follows changes until dropped.
    pub async fn run(mut self) {
        loop {
            match self.round().await {
                Ok(true) => {}
                Ok(false) => {
                    self.inventory.changed().await;
                    tokio::time::sleep(ROUND_MIN).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "names not written to the store; trying again");
                    self.written = None;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Writes what changed; returns whether there may be more.
    pub async fn round(&mut self) -> Result<bool, SyncError> {
        let written = match self.written {
            Some(written) => written,
            None => self.ask_store().await?,
        };
        let repository = self.inventory.repository();
        let processes = repository.processes_since(written.0, PROCESSES_MAX).await?;
        let hosts = repository.hosts_since(written.1).await?;
        let agents = repository.agents_since(written.2).await?;
        let latest = |before: u64, revisions: &mut dyn Iterator<Item = u64>| {
            revisions.fold(before, u64::max)
        };
        let now_written = (
            latest(written.0, &mut processes.iter().map(|row| row.revision)),
            latest(written.1, &mut hosts.iter().map(|row| row.revision)),
            latest(written.2, &mut agents.iter().map(|row| row.revision)),
        );
        let processes: Vec<ProcessTag> = processes.into_iter().map(process_tag).collect();
        let hosts: Vec<HostTag> = hosts.into_iter().map(host_tag).collect();
        let agents: Vec<AgentTag> = agents.into_iter().map(agent_tag).collect();
        store::tags::write(&self.client, &processes, &hosts, &agents).await?;
        self.written = Some(now_written);
        Ok(processes.len() == PROCESSES_MAX as usize)
    }

    async fn ask_store(&self) -> Result<(u64, u64, u64), SyncError> {
        let newest = async |table| store::tags::newest_version(&self.client, table).await;
        Ok((newest("gprocess").await?, newest("host").await?, newest("agent").await?))
    }
}

fn process_tag(row: ProcessRow) -> ProcessTag {
    ProcessTag {
        id: row.id.into(),
        name: row.name,
        agent_id: row.agent_id,
        host_id: row.host_id,
        process_id: row.process_id,
        command_line: row.command_line,
        executable: row.executable,
        container_id: row.container_id,
        started_us: if row.start_known { row.start_time_us } else { 0 },
        ended_us: row.ended_us,
        version: row.revision,
    }
}

fn host_tag(row: HostRow) -> HostTag {
    HostTag { id: row.id.into(), name: row.name, ip: row.ip, version: row.revision }
}

fn agent_tag(row: AgentRow) -> AgentTag {
    AgentTag {
        id: row.id.into(),
        name: row.hostname,
        host_id: row.host_id,
        uuid: row.uuid,
        version: row.revision,
    }
}
