//! Measures the way of request logs from an agent's exporter to the server's log and on to a sink
//! that only counts. Two processes on one machine: this one is the agent, its child the server.
//!
//! `cargo run --release -p ingest --example throughput [rows]`

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use export::{ExportConfig, Exporter, Subject, TokenSource};
use ingest::{
    AgentRegistration, EndKey, EndTags, Enrich, EnrichError, IngestConfig, Sink, SinkError,
};
use schema::block::{Encoder, Limits, decode};
use schema::wire::{AgentStatistics, Configuration, Hello, ProcessEvent};
// At the root, since the generator of made-up traffic names them by `crate::`.
use schema::{Batch, Column, ColumnDef, Table, Text, l4_flow_log, l7_flow_log};

#[allow(dead_code, reason = "its flow logs are not used here")]
#[path = "../../../schema/src/block/traffic.rs"]
mod traffic;

const BATCH_ROWS: usize = 5000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("server") => serve(Path::new(&arguments[1]), arguments[2].parse().expect("a port")),
        rows => measure(rows.map_or(2_000_000, |rows| rows.parse().expect("a number of rows"))),
    }
}

struct CountingSink;

impl Sink for CountingSink {
    async fn insert(
        &self,
        _: Table,
        _: &[ColumnDef],
        _: &[Column],
        _: usize,
        _: &str,
    ) -> Result<(), SinkError> {
        Ok(())
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

fn serve(dir: &Path, port: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let authority = control::Authority::open(&dir.join("authority")).expect("an authority");
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        let config = IngestConfig::new(listen, dir.join("wal"), Arc::new(authority));
        let handle = ingest::start(config, Arc::new(CountingSink), Arc::new(NoInventory)).await;
        let _handle = handle.expect("ingest");
        std::future::pending::<()>().await;
    });
}

fn measure(rows: usize) {
    let batches: Vec<Batch> = (0..8)
        .map(|seed| Batch::new(Table::L7FlowLog, &traffic::l7_rows(BATCH_ROWS, 60, seed + 1)))
        .collect();
    codec_cost(&batches);
    let dir = std::env::temp_dir().join(format!("ingest-throughput-{}", std::process::id()));
    control::Authority::open(&dir.join("authority")).expect("an authority");
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = port.expect("a port").port();
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    let mut child = command
        .args(["server".as_ref(), dir.as_os_str(), port.to_string().as_ref()])
        .spawn()
        .expect("the server");
    let mut config = ExportConfig::new(
        format!("127.0.0.1:{port}"),
        dir.join("identity"),
        TokenSource::File(dir.join("authority/enrol.token")),
        dir.join("spool"),
    );
    config.l7_throttle_rows = 0;
    config.memory_bytes_max = 64 << 20;
    let exporter = Exporter::start(config).expect("the exporter");
    while !exporter.stats().connected {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (start, agent, server) =
        (Instant::now(), cpu_seconds("self"), cpu_seconds(&child.id().to_string()));
    let subject = Subject::Table(Table::L7FlowLog);
    for i in 0..rows / BATCH_ROWS {
        let waiting = |exporter: &Exporter| {
            exporter.stats().totals.get(&subject).map_or(0, |totals| totals.waiting)
        };
        while waiting(&exporter) > 20 * BATCH_ROWS as u64 {
            std::thread::sleep(Duration::from_millis(1));
        }
        exporter.submit(batches[i % batches.len()].clone());
    }
    while exporter.stats().outstanding_batches > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let wall = start.elapsed().as_secs_f64();
    // The rest of the segments on their way to the sink.
    std::thread::sleep(Duration::from_secs(1));
    let agent = cpu_seconds("self") - agent;
    let server = cpu_seconds(&child.id().to_string()) - server;
    let stats = exporter.shutdown(Duration::from_secs(5));
    let rows = stats.totals[&subject].acknowledged as f64;
    println!("acknowledged {rows} rows in {wall:.2} s: {:.0} rows/s", rows / wall);
    println!(
        "server: {server:.2} CPU s, {:.0} rows per CPU s (QUIC, check, log, decode, enrich)",
        rows / server
    );
    println!("agent:  {agent:.2} CPU s, {:.2} µs a row", agent / rows * 1e6);
    println!("wire:   {:.1} bytes a row", stats.sent_bytes as f64 / rows);
    let _ = child.kill();
    let _ = child.wait();
    let _ = std::fs::remove_dir_all(dir);
}

/// CPU time of the codec; many rounds, since the clock counts in 1/100 s.
fn codec_cost(batches: &[Batch]) {
    const ROUNDS: usize = 10;
    let mut encoder = Encoder::new().expect("zstd");
    let rows = (ROUNDS * batches.len() * BATCH_ROWS) as f64;
    let start = cpu_seconds("self");
    let blocks: Vec<Vec<u8>> = (0..ROUNDS)
        .flat_map(|_| batches)
        .map(|batch| encoder.encode(batch).expect("zstd"))
        .collect();
    let encode = cpu_seconds("self") - start;
    let start = cpu_seconds("self");
    let limits = Limits::default();
    let decoded: usize =
        blocks.iter().map(|block| decode(block, &limits).expect("a block").rows).sum();
    let decode = cpu_seconds("self") - start;
    assert_eq!(decoded as f64, rows);
    let (encode_ns, decode_ns) = (encode / rows * 1e9, decode / rows * 1e9);
    println!("codec:  encode {encode_ns:.0} ns, decode {decode_ns:.0} ns a row (CPU)");
}

/// User and system time of a process (`/proc/<pid>/stat`, fields 14 and 15, in 1/100 s).
fn cpu_seconds(process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or("").split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
