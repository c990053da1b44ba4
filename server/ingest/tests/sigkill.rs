//! The server is killed again and again while an agent sends: no row is lost, none is doubled.
//!
//! The process runs twice: as the test, which is the agent and the executioner; and, with the
//! argument `child`, as the server with a sink of files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use export::{ExportConfig, Exporter, Subject, TokenSource};
use ingest::{
    AgentRegistration, EndKey, EndTags, Enrich, EnrichError, IngestConfig, Sink, SinkError,
};
use schema::wire::{AgentStatistics, Configuration, Hello, ProcessEvent};
use schema::{Batch, Column, ColumnDef, Table, l7_flow_log};

const KILLS: u32 = 60;
const TEST_NAME: &str = "no_row_is_lost_or_doubled_when_the_server_is_killed";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("child") => serve(Path::new(&arguments[1]), arguments[2].parse().unwrap()),
        // The protocol of test runners: list, or run what is not filtered out.
        _ if arguments.iter().any(|argument| argument == "--list") => {
            if !arguments.iter().any(|argument| argument == "--ignored") {
                println!("{TEST_NAME}: test");
            }
        }
        _ => {
            kill_and_count();
            println!("test {TEST_NAME} ... ok");
        }
    }
}

/// One file an insert, named by its token: a repeated token changes nothing.
struct FileSink {
    dir: PathBuf,
}

impl Sink for FileSink {
    async fn insert(
        &self,
        _: Table,
        defs: &[ColumnDef],
        columns: &[Column],
        rows: usize,
        token: &str,
    ) -> Result<(), SinkError> {
        let place = defs.iter().position(|def| def.name == "flow_id").unwrap();
        let Column::U64(ids) = &columns[place] else { panic!("flow_id") };
        assert_eq!(ids.len(), rows);
        let path = self.dir.join(token);
        if path.exists() {
            return Ok(());
        }
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let part = self.dir.join(format!("{token}.part"));
        let written = fs::write(&part, text).and_then(|()| fs::rename(&part, &path));
        written.map_err(|error| SinkError { retryable: true, message: error.to_string() })
    }
}

struct NoInventory;

impl Enrich for NoInventory {
    async fn agent_connected(
        &self,
        _: &Hello,
        _: SocketAddr,
    ) -> Result<AgentRegistration, EnrichError> {
        Ok(AgentRegistration { agent_id: 1, configuration: Configuration::default() })
    }

    async fn agent_disconnected(&self, _: u16) {}

    async fn agent_statistics(&self, _: u16, _: &AgentStatistics) {}

    async fn processes(&self, _: u16, _: &[ProcessEvent]) -> Result<(), EnrichError> {
        Ok(())
    }

    async fn resolve(&self, _: u16, ends: &[EndKey]) -> Result<Vec<EndTags>, EnrichError> {
        Ok(vec![EndTags::default(); ends.len()])
    }
}

/// The child: serves until it is killed.
fn serve(dir: &Path, port: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let authority = control::Authority::open(&dir.join("authority")).unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        let mut config = IngestConfig::new(listen, dir.join("wal"), Arc::new(authority));
        // Small, so that kills hit every step of a segment's life.
        config.segment_age_max = Duration::from_millis(20);
        let sink = FileSink { dir: dir.join("sink") };
        let _handle = ingest::start(config, Arc::new(sink), Arc::new(NoInventory)).await.unwrap();
        std::future::pending::<()>().await;
    });
}

/// A server that does not outlive the test.
struct Server(Child);

impl Server {
    fn start(dir: &Path, port: u16) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        Self(command.arg("child").arg(dir).arg(port.to_string()).spawn().unwrap())
    }
}

/// SIGKILL.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill_and_count() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sink")).unwrap();
    // Made here, so that the token is there before the first child is.
    control::Authority::open(&dir.path().join("authority")).unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = ExportConfig::new(
        format!("127.0.0.1:{port}"),
        dir.path().join("identity"),
        TokenSource::File(dir.path().join("authority/enrol.token")),
        dir.path().join("spool"),
    );
    config.l7_throttle_rows = 0;
    let exporter = Exporter::start(config).unwrap();
    let mut sent = 0u64;
    let mut chance = 0x9e37_79b9u64;
    let mut submit_for = |exporter: &Exporter, time: Duration| {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let ids = sent..sent + 1 + sent % 40;
            sent = ids.end;
            exporter.submit(batch(ids));
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    for kill in 0..KILLS {
        let sessions = exporter.stats().sessions;
        let child = Server::start(dir.path(), port);
        let patience = Instant::now() + Duration::from_secs(20);
        while exporter.stats().sessions == sessions {
            assert!(Instant::now() < patience, "kill {kill}: {:?}", exporter.stats());
            submit_for(&exporter, Duration::from_millis(5));
        }
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        submit_for(&exporter, Duration::from_micros((chance >> 40) % 120_000));
        drop(child);
    }
    let child = Server::start(dir.path(), port);
    let patience = Instant::now() + Duration::from_secs(30);
    while exporter.stats().outstanding_batches > 0 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
    let stats = exporter.shutdown(Duration::from_secs(30));
    let totals = &stats.totals[&Subject::Table(Table::L7FlowLog)];
    assert!(totals.is_balanced());
    assert_eq!((totals.observed, totals.acknowledged), (sent, sent), "{totals:?}");
    wait_for_the_sink(dir.path(), sent);
    drop(child);
    let counts = counts(dir.path());
    assert_eq!(counts.len() as u64, sent, "rows lost");
    assert!(counts.values().all(|count| *count == 1), "rows doubled");
    println!("{KILLS} kills, {} sessions, {sent} rows, none lost, none doubled", stats.sessions);
}

fn batch(ids: std::ops::Range<u64>) -> Batch {
    let rows: Vec<_> =
        ids.map(|id| l7_flow_log::Row { flow_id: id, ..l7_flow_log::Row::default() }).collect();
    Batch::new(Table::L7FlowLog, &rows)
}

fn counts(dir: &Path) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(dir.join("sink")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "part") {
            continue;
        }
        for id in fs::read_to_string(path).unwrap().lines() {
            *counts.entry(id.parse().unwrap()).or_default() += 1;
        }
    }
    counts
}

/// Acknowledged rows are in the log; the sink has them a little later.
fn wait_for_the_sink(dir: &Path, rows: u64) {
    let patience = Instant::now() + Duration::from_secs(20);
    while (counts(dir).len() as u64) < rows && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(100));
    }
}
