//! A store and an inventory in memory, a server made of them, and a network that can be cut.

#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use control::Authority;
use export::{ExportConfig, ExportStats, Subject, TokenSource, Totals};
use ingest::{
    AgentRegistration, EndKey, EndTags, Enrich, EnrichError, IngestConfig, IngestHandle, Sink,
    SinkError,
};
use schema::wire::{AgentStatistics, Configuration, Hello, ProcessEvent, ProcessEventKind};
use schema::{Batch, Column, ColumnDef, Table, l7_flow_log};

/// Rows of an insert.
type Insert = (Table, Vec<ColumnDef>, Vec<Column>, usize);

/// A store in memory that keeps one copy of each token.
#[derive(Default)]
pub struct MemorySink {
    inserts: Mutex<BTreeMap<String, Insert>>,
    failing: AtomicBool,
    losing_answer: AtomicBool,
}

impl Sink for MemorySink {
    async fn insert(
        &self,
        table: Table,
        defs: &[ColumnDef],
        columns: &[Column],
        rows: usize,
        token: &str,
    ) -> Result<(), SinkError> {
        let error = |message: &str| SinkError { retryable: true, message: message.to_owned() };
        if self.failing.load(SeqCst) {
            return Err(error("the store is down"));
        }
        assert!(columns.iter().all(|column| column.len() == rows));
        assert_eq!(defs.len(), columns.len());
        let insert = (table, defs.to_vec(), columns.to_vec(), rows);
        self.inserts.lock().unwrap().entry(token.to_owned()).or_insert(insert);
        if self.losing_answer.swap(false, SeqCst) {
            return Err(error("the answer is lost"));
        }
        Ok(())
    }
}

impl MemorySink {
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, SeqCst);
    }

    pub fn lose_next_answer(&self) {
        self.losing_answer.store(true, SeqCst);
    }

    pub fn rows(&self, table: Table) -> usize {
        let inserts = self.inserts.lock().unwrap();
        inserts.values().filter(|insert| insert.0 == table).map(|insert| insert.3).sum()
    }

    /// `flow_id`s of all request logs, sorted; a doubled row shows twice.
    pub fn flow_ids(&self) -> Vec<u64> {
        let mut ids = self.numbers("flow_id");
        ids.sort_unstable();
        ids
    }

    pub fn gprocess_ids(&self) -> Vec<u64> {
        self.numbers("gprocess_id_1")
    }

    pub fn row_ids_are_distinct(&self) -> bool {
        let ids = self.numbers("_id");
        ids.iter().collect::<BTreeSet<_>>().len() == ids.len()
    }

    fn numbers(&self, name: &str) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (table, defs, columns, _) in self.inserts.lock().unwrap().values() {
            if *table != Table::L7FlowLog {
                continue;
            }
            let place = defs.iter().position(|def| def.name == name).unwrap();
            match &columns[place] {
                Column::U64(values) => numbers.extend(values),
                Column::U32(values) => numbers.extend(values.iter().map(|v| u64::from(*v))),
                other => panic!("{name}: {other:?}"),
            }
        }
        numbers
    }
}

/// An inventory in memory: process p is global process p + 1000.
#[derive(Default)]
pub struct Inventory {
    processes: Mutex<Vec<ProcessEvent>>,
    statistics: Mutex<Option<AgentStatistics>>,
}

impl Enrich for Inventory {
    async fn agent_connected(
        &self,
        hello: &Hello,
        _: SocketAddr,
    ) -> Result<AgentRegistration, EnrichError> {
        assert_eq!(hello.host.hostname, "test-host");
        let configuration = Configuration { version: 1, yaml: "first".into() };
        Ok(AgentRegistration { agent_id: 3, configuration })
    }

    async fn agent_disconnected(&self, agent_id: u16) {
        assert_eq!(agent_id, 3);
    }

    async fn agent_statistics(&self, _: u16, statistics: &AgentStatistics) {
        *self.statistics.lock().unwrap() = Some(statistics.clone());
    }

    async fn processes(&self, _: u16, events: &[ProcessEvent]) -> Result<(), EnrichError> {
        self.processes.lock().unwrap().extend(events.iter().cloned());
        Ok(())
    }

    async fn resolve(&self, _: u16, ends: &[EndKey]) -> Result<Vec<EndTags>, EnrichError> {
        let tags = |end: &EndKey| EndTags {
            gprocess_id: if end.process_id == 0 { 0 } else { end.process_id + 1000 },
            ..EndTags::default()
        };
        Ok(ends.iter().map(tags).collect())
    }
}

impl Inventory {
    pub fn processes(&self) -> Vec<ProcessEvent> {
        self.processes.lock().unwrap().clone()
    }

    pub fn statistics(&self) -> Option<AgentStatistics> {
        self.statistics.lock().unwrap().clone()
    }
}

/// A server on a port of its own, whose ingest can be stopped and started.
pub struct Server {
    pub dir: tempfile::TempDir,
    pub sink: Arc<MemorySink>,
    pub inventory: Arc<Inventory>,
    pub authority: Arc<Authority>,
    config: IngestConfig,
    handle: Option<IngestHandle>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut IngestConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::open(&dir.path().join("authority")).unwrap());
        let listen = "127.0.0.1:0".parse().unwrap();
        let mut config = IngestConfig::new(listen, dir.path().join("wal"), authority.clone());
        config.segment_age_max = Duration::from_millis(50);
        change(&mut config);
        let (sink, inventory) = (Arc::default(), Arc::default());
        let mut server = Self { dir, sink, inventory, authority, config, handle: None };
        server.start_ingest().await;
        server.config.listen = server.handle().local_address();
        server
    }

    pub async fn start_ingest(&mut self) {
        let (sink, inventory) = (self.sink.clone(), self.inventory.clone());
        self.handle = Some(ingest::start(self.config.clone(), sink, inventory).await.unwrap());
    }

    pub async fn stop_ingest(&mut self) {
        self.handle.take().unwrap().shutdown(Duration::from_secs(5)).await;
    }

    pub async fn stop(mut self) {
        self.stop_ingest().await;
    }

    pub fn handle(&self) -> &IngestHandle {
        self.handle.as_ref().unwrap()
    }

    pub fn address(&self) -> String {
        self.config.listen.to_string()
    }

    pub fn token(&self) -> String {
        self.authority.token().to_string()
    }

    pub fn secret(&self) -> String {
        self.authority.token().secret.clone()
    }
}

/// An agent with folders of its own under the server's.
pub fn agent_config(server: &Server, address: &str) -> ExportConfig {
    let dir: &Path = server.dir.path();
    let token = TokenSource::File(server.authority.token_path().to_owned());
    let mut config =
        ExportConfig::new(address.to_owned(), dir.join("identity"), token, dir.join("spool"));
    config.host.hostname = "test-host".into();
    config.l7_throttle_rows = 0;
    config
}

/// Request logs that can be told apart.
pub fn logs(ids: std::ops::Range<u64>) -> Batch {
    let row = |id: u64| l7_flow_log::Row {
        flow_id: id,
        time: 1_700_000_000 + (id / 1000) as u32,
        is_ipv4: 1,
        ip4_0: 0x7f00_0001,
        process_id_1: 42,
        request_resource: format!("/items/{id}").into(),
        ..l7_flow_log::Row::default()
    };
    Batch::new(Table::L7FlowLog, &ids.map(row).collect::<Vec<_>>())
}

pub fn processes(count: u32) -> Vec<ProcessEvent> {
    let event = |process_id: u32| ProcessEvent {
        kind: ProcessEventKind::Started,
        process_id,
        parent_process_id: 1,
        start_time_us: 1,
        time_us: 2,
        name: format!("process-{process_id}"),
        command_line: String::new(),
        executable: String::new(),
        container_id: String::new(),
    };
    (1..=count).map(event).collect()
}

/// The ledger of a table; it must balance whenever it is looked at.
pub fn totals_of(stats: &ExportStats, table: Table) -> Totals {
    let balanced = stats.totals.values().all(Totals::is_balanced);
    assert!(balanced, "{:?}", stats.totals);
    stats.totals.get(&Subject::Table(table)).cloned().unwrap_or_default()
}

/// Waits up to 30 s.
pub async fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A UDP relay between one agent and a server; when cut, datagrams vanish both ways.
pub struct Relay {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    pub async fn start(server: &str) -> Self {
        let outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = outside.local_addr().unwrap();
        let is_cut = Arc::new(AtomicBool::new(false));
        let (cut, server) = (is_cut.clone(), server.parse::<SocketAddr>().unwrap());
        let task = tokio::spawn(async move {
            // A socket for each of the agent's, as a NAT has.
            let mut insides: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
            let outside = Arc::new(outside);
            let mut buffer = vec![0; 65_536];
            loop {
                let Ok((length, agent)) = outside.recv_from(&mut buffer).await else { continue };
                if cut.load(SeqCst) {
                    continue;
                }
                let inside = match insides.get(&agent) {
                    Some(inside) => inside.clone(),
                    None => {
                        let inside = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                        let way_back = back(inside.clone(), outside.clone(), agent, cut.clone());
                        tokio::spawn(way_back);
                        insides.insert(agent, inside.clone());
                        inside
                    }
                };
                let _ = inside.send_to(&buffer[..length], server).await;
            }
        });
        Self { address, is_cut, task }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn back(
    inside: Arc<UdpSocket>,
    outside: Arc<UdpSocket>,
    agent: SocketAddr,
    cut: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = inside.recv(&mut buffer).await {
        if !cut.load(SeqCst) {
            let _ = outside.send_to(&buffer[..length], agent).await;
        }
    }
}
