//! The inventory at work: caches over the database, and what ingest asks of it.
//!
//! In: connections, processes and statistics of agents; ends of conversations. Out: numbers and
//! tags. Ends that were seen before are answered from memory. Never: memory that grows with the
//! number of processes: the cache is emptied at a limit and fills again from the database.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use ingest::{AgentRegistration, EndKey, EndTags, Enrich, EnrichError};
use schema::AutoInstanceType;
use schema::wire::{AgentStatistics, Configuration, Hello, ProcessEvent};
use serde::Serialize;
use tokio::sync::Notify;

use crate::processes::{Lives, Owner};
use crate::repository::{AgentRow, InventoryError, ProcessRow, Registration, Repository};

/// Process ids held in memory; at the limit all are let go and read again as they are needed.
const CACHED_PROCESS_IDS_MAX: usize = 100_000;

/// The inventory.
pub struct Inventory<R> {
    repository: R,
    cache: Mutex<Cache>,
    /// Serialises what adds or changes processes.
    writing: tokio::sync::Mutex<()>,
    changed: Notify,
}

#[derive(Default)]
struct Cache {
    /// By (agent, process id).
    lives: HashMap<(u16, u32), Lives>,
    /// By agent.
    agents: HashMap<u16, Live>,
    /// Hosts that have an address.
    hosts: HashMap<IpAddr, BTreeSet<u16>>,
}

/// What is known of an agent since the start of the server.
#[derive(Clone, Default)]
struct Live {
    host_id: u16,
    /// Connections open now; a new one may come before the old one is seen to have ended.
    connections: u32,
    last_seen_us: i64,
    statistics: Option<AgentStatistics>,
}

/// An agent as the control interface lists it.
#[derive(Clone, Debug, Serialize)]
pub struct AgentView {
    /// Number in rows.
    pub agent_id: u16,
    /// Id that it made for itself.
    pub uuid: String,
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
    /// Addresses of its host.
    pub addresses: Vec<String>,
    /// Number of its host.
    pub host_id: u16,
    /// `connected` or `disconnected`.
    pub state: &'static str,
    /// Address it connected from last.
    pub peer: String,
    /// First connection. unit µs, clock: wall
    pub first_seen_us: i64,
    /// Last sign of life. unit µs, clock: wall
    pub last_seen_us: i64,
}

/// The latest report of an agent.
#[derive(Clone, Debug)]
pub struct AgentHealth {
    /// Number in rows.
    pub agent_id: u16,
    /// What it reported; `None` when it has not since the server's start.
    pub statistics: Option<AgentStatistics>,
}

impl<R: Repository> Inventory<R> {
    /// Reads hosts and agents; processes are read as they are needed.
    pub async fn open(repository: R) -> Result<Self, InventoryError> {
        let mut cache = Cache::default();
        for (ip, host_id) in repository.addresses().await? {
            if let Ok(ip) = ip.parse() {
                cache.hosts.entry(ip).or_default().insert(host_id);
            }
        }
        for agent in repository.agents().await? {
            let live = Live { host_id: agent.host_id, ..Live::default() };
            cache.agents.insert(agent.id, live);
        }
        Ok(Self {
            repository,
            cache: Mutex::new(cache),
            writing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// The database.
    pub fn repository(&self) -> &R {
        &self.repository
    }

    /// Returns when something changed that names depend on.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Every agent, by number.
    pub async fn agents(&self) -> Result<Vec<AgentView>, InventoryError> {
        let rows = self.repository.agents().await?;
        let addresses = self.repository.addresses().await?;
        let cache = self.cache();
        let view = |row: AgentRow| {
            let live = cache.agents.get(&row.id).cloned().unwrap_or_default();
            let of_host = addresses.iter().filter(|(_, host_id)| *host_id == row.host_id);
            AgentView {
                agent_id: row.id,
                addresses: of_host.map(|(ip, _)| ip.clone()).collect(),
                state: if live.connections > 0 { "connected" } else { "disconnected" },
                last_seen_us: row.last_seen_us.max(live.last_seen_us),
                uuid: row.uuid,
                hostname: row.hostname,
                version: row.version,
                kernel: row.kernel,
                arch: row.arch,
                os: row.os,
                cpu_count: row.cpu_count,
                memory_bytes: row.memory_bytes,
                host_id: row.host_id,
                peer: row.peer,
                first_seen_us: row.first_seen_us,
            }
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// The latest report of every agent that was connected since the start, by number.
    pub fn health(&self) -> Vec<AgentHealth> {
        let cache = self.cache();
        let mut all: Vec<AgentHealth> = cache
            .agents
            .iter()
            .map(|(id, live)| AgentHealth { agent_id: *id, statistics: live.statistics.clone() })
            .collect();
        all.sort_by_key(|health| health.agent_id);
        all
    }

    /// Forgets processes that ended before a time.
    pub async fn forget_processes(&self, ended_us: i64) -> Result<u64, InventoryError> {
        let _writing = self.writing.lock().await;
        let forgotten = self.repository.forget_processes(ended_us).await?;
        if forgotten > 0 {
            self.cache().lives.clear();
        }
        Ok(forgotten)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The lives of a process id, from memory or from the database.
    async fn lives(&self, agent_id: u16, process_id: u32) -> Result<Lives, InventoryError> {
        if let Some(lives) = self.cache().lives.get(&(agent_id, process_id)) {
            return Ok(lives.clone());
        }
        Ok(Lives { rows: self.repository.processes_of(agent_id, process_id).await? })
    }

    fn host_of(&self, agent_id: u16) -> u16 {
        self.cache().agents.get(&agent_id).map_or(0, |live| live.host_id)
    }

    /// Saves the changed rows of several process ids at once, then lets readers see them.
    async fn save(
        &self,
        agent_id: u16,
        mut touched: HashMap<u32, (Lives, BTreeSet<usize>)>,
    ) -> Result<HashMap<u32, Lives>, InventoryError> {
        let mut places = Vec::new();
        let mut rows: Vec<ProcessRow> = Vec::new();
        for (process_id, (lives, changed)) in &touched {
            for at in changed {
                places.push((*process_id, *at));
                rows.push(lives.rows[*at].clone());
            }
        }
        if !rows.is_empty() {
            self.repository.save_processes(&mut rows).await?;
            self.changed.notify_one();
        }
        for ((process_id, at), row) in places.into_iter().zip(rows) {
            if let Some((lives, _)) = touched.get_mut(&process_id) {
                lives.rows[at] = row;
            }
        }
        let saved: HashMap<u32, Lives> =
            touched.into_iter().map(|(id, (lives, _))| (id, lives)).collect();
        let mut cache = self.cache();
        if cache.lives.len() + saved.len() > CACHED_PROCESS_IDS_MAX {
            cache.lives.clear();
        }
        for (process_id, lives) in &saved {
            cache.lives.insert((agent_id, *process_id), lives.clone());
        }
        Ok(saved)
    }

    /// Answers from memory; `None` for an end whose process is not there yet.
    fn resolve_cached(&self, agent_id: u16, ends: &[EndKey]) -> Vec<Option<EndTags>> {
        let cache = self.cache();
        let answer = |end: &EndKey| {
            if end.process_id == 0 {
                return Some(tags(0, cache.host_of_address(agent_id, end.ip), end.ip));
            }
            let lives = cache.lives.get(&(agent_id, end.process_id))?;
            let row = lives.settled(time_us(end), &end.process_name)?;
            Some(tags(row.id, row.host_id, end.ip))
        };
        ends.iter().map(answer).collect()
    }

    async fn resolve_all(
        &self,
        agent_id: u16,
        ends: &[EndKey],
    ) -> Result<Vec<EndTags>, InventoryError> {
        let mut answers = self.resolve_cached(agent_id, ends);
        if answers.iter().any(Option::is_none) {
            let _writing = self.writing.lock().await;
            let host_id = self.host_of(agent_id);
            let mut touched: HashMap<u32, (Lives, BTreeSet<usize>)> = HashMap::new();
            let missing = ends.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
            for (end, _) in missing {
                let process_id = end.process_id;
                if let Entry::Vacant(place) = touched.entry(process_id) {
                    let lives = self.lives(agent_id, process_id).await?;
                    place.insert((lives, BTreeSet::new()));
                }
                let Some((lives, changed)) = touched.get_mut(&process_id) else { continue };
                let rows = lives.rows.len();
                let owner = Owner { agent_id, host_id, process_id };
                let (at, is_changed) = lives.find_or_add(owner, time_us(end), &end.process_name);
                if lives.rows.len() > rows {
                    *changed = shifted(changed, at);
                }
                if is_changed {
                    changed.insert(at);
                }
            }
            let saved = self.save(agent_id, touched).await?;
            for (end, answer) in ends.iter().zip(&mut answers).filter(|(_, a)| a.is_none()) {
                let lives = saved.get(&end.process_id);
                let found = lives.and_then(|lives| {
                    Some(&lives.rows[lives.find(time_us(end), &end.process_name)?])
                });
                *answer = found.map(|row| tags(row.id, row.host_id, end.ip));
            }
        }
        Ok(answers.into_iter().map(Option::unwrap_or_default).collect())
    }
}

/// Places after a row was put in at `at`.
fn shifted(places: &BTreeSet<usize>, at: usize) -> BTreeSet<usize> {
    places.iter().map(|place| if *place >= at { place + 1 } else { *place }).collect()
}

impl Cache {
    /// The host of an address: the agent's own for loopback and its own addresses, another when
    /// only one host has it; else 0.
    fn host_of_address(&self, agent_id: u16, ip: IpAddr) -> u16 {
        let own = self.agents.get(&agent_id).map_or(0, |live| live.host_id);
        if ip.is_loopback() {
            return own;
        }
        match self.hosts.get(&ip) {
            Some(hosts) if hosts.contains(&own) => own,
            Some(hosts) if hosts.len() == 1 => hosts.first().copied().unwrap_or(0),
            _ => 0,
        }
    }
}

impl<R: Repository> Enrich for Inventory<R> {
    async fn agent_connected(
        &self,
        hello: &Hello,
        peer: SocketAddr,
    ) -> Result<AgentRegistration, EnrichError> {
        let registration = registration(hello, peer);
        let agent = self.repository.register(&registration).await.map_err(failed)?;
        let mut cache = self.cache();
        let live = cache.agents.entry(agent.id).or_default();
        live.host_id = agent.host_id;
        live.connections += 1;
        live.last_seen_us = agent.last_seen_us;
        for hosts in cache.hosts.values_mut() {
            hosts.remove(&agent.host_id);
        }
        for ip in registration.addresses.iter().filter_map(|ip| ip.parse().ok()) {
            cache.hosts.entry(ip).or_default().insert(agent.host_id);
        }
        drop(cache);
        self.changed.notify_one();
        Ok(AgentRegistration { agent_id: agent.id, configuration: Configuration::default() })
    }

    async fn agent_disconnected(&self, agent_id: u16) {
        let seen_us = {
            let mut cache = self.cache();
            let Some(live) = cache.agents.get_mut(&agent_id) else { return };
            live.connections = live.connections.saturating_sub(1);
            live.last_seen_us
        };
        if let Err(error) = self.repository.seen(&[(agent_id, seen_us)]).await {
            tracing::warn!(agent_id, %error, "last sign of life not noted");
        }
    }

    async fn agent_statistics(&self, agent_id: u16, statistics: &AgentStatistics) {
        let mut cache = self.cache();
        let live = cache.agents.entry(agent_id).or_default();
        live.last_seen_us = now_us();
        live.statistics = Some(statistics.clone());
    }

    async fn processes(&self, agent_id: u16, events: &[ProcessEvent]) -> Result<(), EnrichError> {
        let _writing = self.writing.lock().await;
        let host_id = self.host_of(agent_id);
        let mut touched: HashMap<u32, (Lives, BTreeSet<usize>)> = HashMap::new();
        for event in events {
            let process_id = event.process_id;
            if let Entry::Vacant(place) = touched.entry(process_id) {
                let lives = self.lives(agent_id, process_id).await.map_err(failed)?;
                place.insert((lives, BTreeSet::new()));
            }
            let Some((lives, changed)) = touched.get_mut(&process_id) else { continue };
            let rows = lives.rows.len();
            let at = lives.apply(Owner { agent_id, host_id, process_id }, event);
            if let Some(at) = at {
                if lives.rows.len() > rows {
                    *changed = shifted(changed, at);
                }
                changed.insert(at);
            }
        }
        self.save(agent_id, touched).await.map_err(failed)?;
        Ok(())
    }

    async fn resolve(&self, agent_id: u16, ends: &[EndKey]) -> Result<Vec<EndTags>, EnrichError> {
        self.resolve_all(agent_id, ends).await.map_err(failed)
    }
}

fn registration(hello: &Hello, peer: SocketAddr) -> Registration {
    let host = &hello.host;
    let uuid = hello.agent_uuid.to_string();
    let mut addresses: Vec<String> = Vec::new();
    for address in host.interfaces.iter().flat_map(|interface| &interface.addresses) {
        if !address.is_loopback() && !addresses.contains(&address.to_string()) {
            addresses.push(address.to_string());
        }
    }
    let machine_key =
        if host.machine_id.is_empty() { uuid.clone() } else { host.machine_id.clone() };
    let agent = AgentRow {
        id: 0,
        uuid,
        host_id: 0,
        hostname: host.hostname.clone(),
        version: hello.agent_version.clone(),
        kernel: host.kernel.clone(),
        arch: host.arch.clone(),
        os: host.os.clone(),
        cpu_count: host.cpu_count,
        memory_bytes: host.memory_bytes,
        peer: peer.to_string(),
        first_seen_us: 0,
        last_seen_us: now_us(),
        revision: 0,
    };
    Registration { agent, machine_key, addresses }
}

/// The best known instance and service of an end: process, host, address.
fn tags(gprocess_id: u32, host_id: u16, ip: IpAddr) -> EndTags {
    let (id, kind) = if gprocess_id != 0 {
        (gprocess_id, AutoInstanceType::Gprocess)
    } else if host_id != 0 {
        (host_id.into(), AutoInstanceType::Chost)
    } else if is_internet(ip) {
        (0, AutoInstanceType::Internet)
    } else {
        (0, AutoInstanceType::Ip)
    };
    EndTags {
        gprocess_id,
        host_id,
        auto_instance_id: id,
        auto_instance_type: kind.id(),
        auto_service_id: id,
        auto_service_type: kind.id(),
    }
}

/// Whether an address is of the public internet.
fn is_internet(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_unspecified()
                || shared)
        }
        IpAddr::V6(ip) => ip.segments()[0] & 0xe000 == 0x2000,
    }
}

fn time_us(end: &EndKey) -> i64 {
    i64::from(end.time_s) * 1_000_000
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

fn failed(error: InventoryError) -> EnrichError {
    EnrichError(error.to_string())
}
