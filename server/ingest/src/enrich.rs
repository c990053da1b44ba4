//! What the server knows about agents, hosts and processes, seen from ingest.
//!
//! In: who connected, which processes it announced, which ends of conversations its rows name.
//! Out: the integers that go into the rows. Never: names in rows.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};

use schema::Text;
use schema::wire::{AgentStatistics, Configuration, Hello, ProcessEvent};

/// The inventory. Implemented by crate `inventory` and by test doubles.
///
/// Every call may come again with the same arguments (after a crash) and must then give the same
/// answer; ids that were handed out are durable when the call returns.
pub trait Enrich: Send + Sync + 'static {
    /// An agent connected and was authenticated as `hello.agent_uuid`.
    fn agent_connected(
        &self,
        hello: &Hello,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<AgentRegistration, EnrichError>> + Send;

    /// The agent's connection ended.
    fn agent_disconnected(&self, agent_id: u16) -> impl Future<Output = ()> + Send;

    /// The agent reported its state; about once in 10 s.
    fn agent_statistics(
        &self,
        agent_id: u16,
        statistics: &AgentStatistics,
    ) -> impl Future<Output = ()> + Send;

    /// Processes that started or ended on the agent's host. Called before `resolve` of rows that
    /// were sent after them, in the order of events.
    fn processes(
        &self,
        agent_id: u16,
        events: &[ProcessEvent],
    ) -> impl Future<Output = Result<(), EnrichError>> + Send;

    /// Finds the tags of ends of conversations that the agent saw; one answer a key, in order.
    /// Keys of one call are distinct and come from rows of one table and segment.
    fn resolve(
        &self,
        agent_id: u16,
        ends: &[EndKey],
    ) -> impl Future<Output = Result<Vec<EndTags>, EnrichError>> + Send;
}

/// What the server answers to a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRegistration {
    /// Number of the agent; column `agent_id`; from 1.
    pub agent_id: u16,
    /// Configuration to hand to the agent.
    pub configuration: Configuration,
}

/// One end (client or server) of a conversation, as a row names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndKey {
    /// Address of the end.
    pub ip: IpAddr,
    /// Process id (tgid) on the agent's host; 0 = not local or not known.
    pub process_id: u32,
    /// Name of that process; empty = not known.
    pub process_name: Text,
    /// When the first row of this segment that names the end was measured. unit s, clock: wall.
    /// Not part of what makes keys distinct.
    pub time_s: u32,
}

/// Integers of one end, as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndTags {
    /// `gprocess_id`; 0 = not known.
    pub gprocess_id: u32,
    /// `host_id`; 0 = not known.
    pub host_id: u16,
    /// `auto_instance_id`.
    pub auto_instance_id: u32,
    /// `auto_instance_type`, a number of `schema::AutoInstanceType`.
    pub auto_instance_type: u8,
    /// `auto_service_id`.
    pub auto_service_id: u32,
    /// `auto_service_type`, a number of `schema::AutoInstanceType`.
    pub auto_service_type: u8,
}

/// The inventory could not answer now; the call is made again later.
#[derive(Debug, thiserror::Error)]
#[error("inventory: {0}")]
pub struct EnrichError(pub String);
