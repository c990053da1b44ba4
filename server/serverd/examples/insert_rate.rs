//! Measures the writer: rows per second into the real engine, and bytes per row on disk.
//!
//! `cargo run --release -p serverd --example insert_rate -- target/release/deepflow-server
//! libchdb.so [ROWS]`. In: made rows that look like a busy host's: 40 processes, 400 endpoints,
//! ascending times, skewed durations. Out: one line a table.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ingest::Sink;
use schema::{Column, ColumnDef, ColumnType, Origin, Table, TextColumn};
use store::{ChildConfig, Supervisor, Writer};

const BLOCK_ROWS: usize = 50_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, program, library, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: insert_rate DEEPFLOW-SERVER LIBCHDB [ROWS]");
    };
    let rows: usize = rest.first().map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("insert-rate-{}", std::process::id()));
    let config = ChildConfig::library(PathBuf::from(program), PathBuf::from(library), &folder);
    let engine = Supervisor::start(config).await?;
    store::migrate::run(engine.client()).await?;
    // Merges are measured apart: they are the cost of later reads, spread over time.
    engine.client().execute("SYSTEM STOP MERGES").await?;
    for table in [Table::L7FlowLog, Table::L4FlowLog, Table::Application1s] {
        measure(&engine, table, rows).await?;
    }
    engine.shutdown().await;
    std::fs::remove_dir_all(Path::new(&folder))?;
    Ok(())
}

async fn measure(engine: &Supervisor, table: Table, rows: usize) -> anyhow::Result<()> {
    let writer = Writer::new(engine.client().clone());
    let defs: Vec<ColumnDef> =
        table.columns().iter().filter(|def| def.origin != Origin::Unset).copied().collect();
    let blocks = rows.div_ceil(BLOCK_ROWS);
    let mut seconds = 0.0;
    let cpu_before = cpu_seconds(engine.process_id());
    for block in 0..blocks {
        let columns: Vec<Column> = defs.iter().map(|def| made(def, block)).collect();
        let started = Instant::now();
        writer.insert(table, &defs, &columns, BLOCK_ROWS, &format!("{block}")).await?;
        seconds += started.elapsed().as_secs_f64();
    }
    let cpu = cpu_seconds(engine.process_id()) - cpu_before;
    let quoted = format!("{}.`{}`", table.database(), table.name());
    engine.client().execute(&format!("SYSTEM START MERGES {quoted}")).await?;
    let before_merge = cpu_seconds(engine.process_id());
    engine.client().execute(&format!("OPTIMIZE TABLE {quoted} FINAL")).await?;
    let merge = cpu_seconds(engine.process_id()) - before_merge;
    let sql = format!(
        "SELECT sum(rows), sum(data_compressed_bytes) / sum(rows) FROM system.parts \
         WHERE active AND database = '{}' AND table = '{}'",
        table.database(),
        table.name()
    );
    let answer = engine.client().fetch(&sql, "TSV", &[], 1 << 20).await?;
    let all = (blocks * BLOCK_ROWS) as f64;
    println!(
        "{quoted}: {:.0} rows/s (wall), {:.0} rows per CPU-second of the engine; rows and bytes \
         per row: {}; one merge of all: {:.0} rows per CPU-second",
        all / seconds,
        all / cpu,
        String::from_utf8_lossy(&answer).trim(),
        all / merge
    );
    let sql = format!(
        "SELECT name, round(data_compressed_bytes / {all}, 2) AS b FROM system.columns WHERE \
         database = '{}' AND table = '{}' ORDER BY b DESC LIMIT 16",
        table.database(),
        table.name()
    );
    let answer = engine.client().fetch(&sql, "TSV", &[], 1 << 20).await?;
    println!(
        "  {}",
        String::from_utf8_lossy(&answer).trim().replace('\n', ", ").replace('\t', " ")
    );
    Ok(())
}

/// User and system time of a process. unit s
fn cpu_seconds(process_id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// A column of made values. The same block gives the same values.
fn made(def: &ColumnDef, block: usize) -> Column {
    let first = (block * BLOCK_ROWS) as u64;
    let numbers = || (first..first + BLOCK_ROWS as u64).map(Row);
    let name = def.name;
    let text = |of: &dyn Fn(Row) -> String| {
        let mut column = TextColumn::default();
        numbers().for_each(|row| column.push(&of(row)));
        Column::Text(column)
    };
    match def.kind {
        ColumnType::Seconds => Column::U32(numbers().map(|row| row.second()).collect()),
        ColumnType::Micros => {
            let end = if name == "end_time" { 1 } else { 0 };
            Column::I64(numbers().map(|row| row.micros() + end * row.duration() as i64).collect())
        }
        ColumnType::Ip4 if name.ends_with("_1") || name == "ip4" => {
            Column::U32(numbers().map(|row| 0x0a00_0000 + row.service() % 16).collect())
        }
        ColumnType::Ip4 if name == "ip4_0" => {
            Column::U32(numbers().map(|row| 0x0a00_0100 + row.client() % 32).collect())
        }
        ColumnType::LowCard | ColumnType::Text => match name {
            "process_kname_0" => text(&|row| format!("client-{}", row.client() % 12)),
            "process_kname_1" | "process_kname" => text(&|row| format!("server-{}", row.service())),
            "observation_point" => text(&|row| ["c-p", "s-p", "local"][row.at(3)].to_owned()),
            "request_type" => text(&|row| ["GET", "POST", "PUT"][row.at(3)].to_owned()),
            "version" => text(&|_| "1.1".to_owned()),
            "request_domain" => text(&|row| format!("service-{}.example", row.service())),
            "endpoint" => text(&|row| format!("/api/v1/part-{}", row.endpoint())),
            "request_resource" => {
                text(&|row| format!("/api/v1/part-{}/{}", row.endpoint(), row.random(9) % 5000))
            }
            _ => Column::defaults(def.kind, BLOCK_ROWS),
        },
        ColumnType::OptI32 => {
            let codes = numbers().map(|row| if row.random(3) % 50 == 0 { 500 } else { 200 });
            let values = Box::new(Column::I32(codes.collect()));
            Column::Opt { present: vec![true; BLOCK_ROWS], values }
        }
        ColumnType::OptI64 => {
            let values =
                Column::I64(numbers().map(|row| 200 + (row.random(4) % 800) as i64).collect());
            Column::Opt { present: vec![true; BLOCK_ROWS], values: Box::new(values) }
        }
        _ => number_column(def, &numbers().collect::<Vec<_>>()),
    }
}

fn number_column(def: &ColumnDef, rows: &[Row]) -> Column {
    let of = |row: &Row| -> u64 {
        match def.name {
            "_id" => u64::from(row.second()) << 32 | 1 << 22 | (row.0 & 0x3f_ffff),
            "flow_id" => 1 << 40 | row.flow(),
            "client_port" => 32768 + row.flow() % 28000,
            "server_port" => 8000 + u64::from(row.service()),
            "process_id_0" | "gprocess_id_0" => 1000 + u64::from(row.client()),
            "process_id_1" | "gprocess_id_1" | "process_id" | "gprocess_id" => {
                2000 + u64::from(row.service())
            }
            "req_tcp_seq" | "resp_tcp_seq" | "syn_seq" | "syn_ack_seq" => row.sequence(),
            "syscall_trace_id_request" | "syscall_trace_id_response" => 1 << 50 | row.0,
            "syscall_thread_0" | "syscall_thread_1" => 3000 + row.random(5) % 8,
            "syscall_cap_seq_0" | "syscall_cap_seq_1" => row.0 / 40 % 1000,
            "response_duration" | "rrt_max" | "duration" => row.duration(),
            "rrt_sum" | "srt_sum" | "art_sum" | "cit_sum" => row.duration() * 3,
            "rtt" | "rtt_client" | "rtt_server" => 20 + row.random(6) % 60,
            "srt_max" | "art_max" | "cit_max" => row.duration() / 2,
            "byte_tx" | "byte_rx" | "total_byte_tx" | "total_byte_rx" => 400 + row.random(7) % 4000,
            "l3_byte_tx" | "l3_byte_rx" | "l4_byte_tx" | "l4_byte_rx" => 300 + row.random(7) % 4000,
            "packet_tx" | "packet_rx" | "total_packet_tx" | "total_packet_rx" => {
                4 + row.random(8) % 12
            }
            "captured_request_byte" | "captured_response_byte" => 200 + row.random(4) % 800,
            "request" | "response" | "rrt_count" | "srt_count" | "art_count" => {
                1 + row.random(2) % 9
            }
            "l7_protocol" => 20,
            "type" | "host_id_0" | "host_id_1" | "agent_id" | "is_ipv4" => 1,
            "protocol" => 6,
            "close_type" | "tcp_flags_bit_0" | "tcp_flags_bit_1" => 1 + row.random(1) % 2,
            _ => 0,
        }
    };
    match Column::new(def.kind) {
        Column::U8(_) => Column::U8(rows.iter().map(|row| of(row) as u8).collect()),
        Column::U16(_) => Column::U16(rows.iter().map(|row| of(row) as u16).collect()),
        Column::U32(_) => Column::U32(rows.iter().map(|row| of(row) as u32).collect()),
        Column::U64(_) => Column::U64(rows.iter().map(of).collect()),
        Column::F64(_) => Column::F64(rows.iter().map(|row| of(row) as f64).collect()),
        _ => Column::defaults(def.kind, rows.len()),
    }
}

/// A made row: everything follows from its number.
#[derive(Clone, Copy)]
struct Row(u64);

impl Row {
    /// A mixed number; splitmix64.
    fn random(self, salt: u64) -> u64 {
        let mut z = self.0.wrapping_add(salt << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 20
    }

    fn at(self, choices: u64) -> usize {
        (self.random(11) % choices) as usize
    }

    /// 2000 rows a second.
    fn micros(self) -> i64 {
        1_795_881_600_000_000 + (self.0 * 500) as i64 + (self.random(12) % 400) as i64
    }

    fn second(self) -> u32 {
        (self.micros() / 1_000_000) as u32
    }

    /// Skewed: most are short. unit µs
    fn duration(self) -> u64 {
        150 + (self.random(13) % 1000) * (self.random(14) % 1000) / 100
    }

    /// Few connections carry most requests.
    fn flow(self) -> u64 {
        self.0 / 4000 * 200 + (self.random(15) % 200).min(self.random(16) % 200)
    }

    fn service(self) -> u32 {
        (self.flow() % 28) as u32
    }

    fn client(self) -> u32 {
        (self.flow() % 40) as u32
    }

    fn endpoint(self) -> u64 {
        (self.random(17) % 400).min(self.random(18) % 400)
    }

    /// As bytes of a connection go up.
    fn sequence(self) -> u64 {
        (self.flow().wrapping_mul(0x9e37_79b1) + self.0 * 37) & 0xffff_ffff
    }
}
