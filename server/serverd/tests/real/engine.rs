//! The engine, its supervisor, migrations, the writer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ingest::Sink;
use query::{Limits, Querier, QueryError};
use schema::{Column, ColumnDef, ColumnType, Json, Origin, Table, TextColumn};
use serde::{Deserialize, Serialize};
use store::migrate::MigrateError;
use store::tags::{HostTag, ProcessTag};
use store::{Client, EngineState, StoreError, Supervisor, Writer, native};

use crate::rig;

/// Runs a test with an engine on a fresh folder, and ends it.
fn with_engine<F: AsyncFnOnce(&Supervisor, &Path)>(test: F) {
    let Some(library) = rig::library() else { return };
    let folder = tempfile::tempdir().expect("folder");
    runtime().block_on(async {
        let engine = rig::engine(&library, folder.path()).await;
        test(&engine, folder.path()).await;
        engine.shutdown().await;
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime")
}

async fn fetch(client: &Client, sql: &str) -> String {
    let bytes = client.fetch(sql, "JSONCompactEachRow", &[], 1 << 20).await.expect(sql);
    String::from_utf8(bytes.to_vec()).expect("UTF-8").trim_end().to_owned()
}

fn texts(values: &[&str]) -> Column {
    let mut column = TextColumn::default();
    values.iter().for_each(|value| column.push(value));
    Column::Text(column)
}

/// One column a type: type, ClickHouse's type as the generator writes it, values, as JSON.
fn every_type() -> Vec<(ColumnType, &'static str, Column, [&'static str; 2])> {
    let opt = |values| Column::Opt { present: vec![true, false], values: Box::new(values) };
    let list = |values| Column::List { ends: vec![0, 2], values: Box::new(values) };
    // The second text holds what once broke inserts with data in the statement.
    let odd = "\n\n;'\\`\" ü\t";
    vec![
        (ColumnType::U8, "UInt8", Column::U8(vec![0, 255]), ["0", "255"]),
        (ColumnType::U16, "UInt16", Column::U16(vec![1, 65535]), ["1", "65535"]),
        (ColumnType::U32, "UInt32", Column::U32(vec![1, u32::MAX]), ["1", "4294967295"]),
        (ColumnType::U64, "UInt64", Column::U64(vec![1, 1 << 60]), ["1", "1152921504606846976"]),
        (ColumnType::I8, "Int8", Column::I8(vec![-1, 127]), ["-1", "127"]),
        (ColumnType::I32, "Int32", Column::I32(vec![-2, i32::MAX]), ["-2", "2147483647"]),
        (ColumnType::I64, "Int64", Column::I64(vec![-3, 1 << 40]), ["-3", "1099511627776"]),
        (ColumnType::F64, "Float64", Column::F64(vec![0.5, -1e9]), ["0.5", "-1000000000"]),
        (ColumnType::Text, "String", texts(&["", odd]), [r#""""#, r#""\n\n;'\\`\" ü\t""#]),
        (ColumnType::LowCard, "LowCardinality(String)", texts(&["a", ""]), [r#""a""#, r#""""#]),
        (
            ColumnType::Ip4,
            "IPv4",
            Column::U32(vec![0x7f00_0001, 0xc0a8_0102]),
            [r#""127.0.0.1""#, r#""192.168.1.2""#],
        ),
        (
            ColumnType::Ip6,
            "IPv6",
            Column::Ip6(vec![[0; 16], std::net::Ipv6Addr::LOCALHOST.octets()]),
            [r#""::""#, r#""::1""#],
        ),
        (
            ColumnType::Seconds,
            "DateTime('UTC')",
            Column::U32(vec![0, 1_795_881_600]),
            [r#""1970-01-01 00:00:00""#, r#""2026-11-28 16:00:00""#],
        ),
        (
            ColumnType::Micros,
            "DateTime64(6, 'UTC')",
            Column::I64(vec![1, 1_795_881_600_123_456]),
            [r#""1970-01-01 00:00:00.000001""#, r#""2026-11-28 16:00:00.123456""#],
        ),
        (ColumnType::OptU8, "Nullable(UInt8)", opt(Column::U8(vec![9, 0])), ["9", "null"]),
        (ColumnType::OptU64, "Nullable(UInt64)", opt(Column::U64(vec![9, 0])), ["9", "null"]),
        (ColumnType::OptI32, "Nullable(Int32)", opt(Column::I32(vec![-9, 0])), ["-9", "null"]),
        (ColumnType::OptI64, "Nullable(Int64)", opt(Column::I64(vec![-9, 0])), ["-9", "null"]),
        (
            ColumnType::ListLowCard,
            "Array(LowCardinality(String))",
            list(texts(&["x", "y"])),
            ["[]", r#"["x","y"]"#],
        ),
        (ColumnType::ListText, "Array(String)", list(texts(&["x", ""])), ["[]", r#"["x",""]"#]),
        (
            ColumnType::ListF64,
            "Array(Float64)",
            list(Column::F64(vec![1.5, 2.0])),
            ["[]", "[1.5,2]"],
        ),
    ]
}

#[test]
fn every_column_type_comes_back_as_it_went() {
    with_engine(async |engine, _| {
        let client = engine.client();
        let types = every_type();
        let names = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",
            "r", "s", "t", "u",
        ];
        let ddl: Vec<String> =
            names.iter().zip(&types).map(|(name, t)| format!("{name} {}", t.1)).collect();
        let ddl = format!(
            "CREATE TABLE default.every ({}) ENGINE = MergeTree ORDER BY b",
            ddl.join(", ")
        );
        client.execute(&ddl).await.expect("table");
        let defs: Vec<ColumnDef> = names
            .iter()
            .zip(&types)
            .map(|(name, t)| ColumnDef {
                id: 1,
                name,
                kind: t.0,
                origin: Origin::Agent,
                json: Json::Plain,
            })
            .collect();
        let (columns, expected): (Vec<Column>, Vec<[&str; 2]>) =
            types.into_iter().map(|t| (t.2, t.3)).unzip();
        let block = Bytes::from(native::encode(&defs, &columns.iter().collect::<Vec<_>>(), 2));
        client
            .insert("INSERT INTO default.every FORMAT Native", vec![block], None)
            .await
            .expect("insert");
        let settings = [("output_format_json_quote_64bit_integers", "0".to_owned())];
        let got = client
            .fetch(
                "SELECT * FROM default.every ORDER BY b",
                "JSONCompactEachRow",
                &settings,
                1 << 20,
            )
            .await
            .expect("select");
        let got: Vec<Vec<serde_json::Value>> = got
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("a row"))
            .collect();
        for (column, values) in expected.iter().enumerate() {
            for (row, value) in values.iter().enumerate() {
                let value: serde_json::Value = serde_json::from_str(value).expect("JSON");
                let same = match (&got[row][column], &value) {
                    (serde_json::Value::Number(a), serde_json::Value::Number(b)) => {
                        a.as_f64() == b.as_f64() && a.as_u64() == b.as_u64()
                            || a.as_f64() == b.as_f64() && a.is_f64() != b.is_f64()
                    }
                    (a, b) => a.to_string().replace(".0", "") == b.to_string().replace(".0", ""),
                };
                assert!(same, "{}: {} is not {value}", defs[column].name, got[row][column]);
            }
        }
    });
}

#[derive(Debug, PartialEq, clickhouse::Row, Serialize, Deserialize)]
struct Pair {
    id: u64,
    name: String,
}

#[test]
fn the_crate_clickhouse_works_over_the_socket() {
    with_engine(async |engine, _| {
        let client = engine.client();
        let typed = client.typed();
        client
            .execute(
                "CREATE TABLE default.pair (id UInt64, name String) \
                        ENGINE = MergeTree ORDER BY id",
            )
            .await
            .expect("table");
        let rows: Vec<Pair> = (0..1000).map(|id| Pair { id, name: format!("{id}\n\t'") }).collect();
        let mut insert = typed.insert::<Pair>("pair").await.expect("insert");
        for row in &rows {
            insert.write(row).await.expect("row");
        }
        insert.end().await.expect("end");
        let sql = "SELECT ?fields FROM default.pair WHERE name != ? ORDER BY id";
        let got: Vec<Pair> = typed.query(sql).bind("it's").fetch_all().await.expect("rows");
        assert_eq!(got, rows);
        let bound = typed.query("SELECT {a:UInt8} + {b:UInt8}").param("a", 40).param("b", 2);
        assert_eq!(bound.fetch_one::<u16>().await.expect("parameters"), 42);

        let error = client.execute("SELECT nope FROM default.pair").await.expect_err("no column");
        assert!(matches!(&error, StoreError::Exception { code: 47, .. }), "{error}");
        let error = client.execute("SELEC 1").await.expect_err("syntax");
        assert!(matches!(&error, StoreError::Exception { code: 62, .. }), "{error}");
        let error = client
            .fetch(
                "INSERT INTO default.pair VALUES (1, 'x')",
                "Null",
                &[("readonly", "1".to_owned())],
                10,
            )
            .await
            .expect_err("readonly");
        assert!(matches!(&error, StoreError::Exception { code: 164, .. }), "{error}");
        assert_eq!(fetch(client, "SELECT count() FROM default.pair").await, "[1000]");
    });
}

fn l7_rows(first: u64, rows: usize) -> (Vec<ColumnDef>, Vec<Column>) {
    let defs: Vec<ColumnDef> = Table::L7FlowLog
        .columns()
        .iter()
        .filter(|def| def.origin != Origin::Unset)
        .copied()
        .collect();
    let columns = defs
        .iter()
        .map(|def| match def.name {
            "time" => Column::U32(vec![1_795_881_600; rows]),
            "_id" => Column::U64((first..first + rows as u64).collect()),
            _ => Column::defaults(def.kind, rows),
        })
        .collect();
    (defs, columns)
}

#[test]
fn a_token_keeps_one_copy_also_across_restarts() {
    let Some(library) = rig::library() else { return };
    let folder = tempfile::tempdir().expect("folder");
    runtime().block_on(async {
        let (defs, columns) = l7_rows(0, 10);
        for _ in 0..2 {
            let engine = rig::engine(&library, folder.path()).await;
            // A table that is younger than the rows' retention allows: rows are of the future.
            store::migrate::run(engine.client()).await.expect("migrations");
            let writer = Writer::new(engine.client().clone());
            for _ in 0..2 {
                writer.insert(Table::L7FlowLog, &defs, &columns, 10, "token-1").await.expect("ok");
            }
            let count = fetch(engine.client(), "SELECT count() FROM flow_log.l7_flow_log").await;
            assert_eq!(count, "[10]");
            engine.shutdown().await;
        }
    });
}

#[test]
fn killed_engine_loses_no_acknowledged_block_and_doubles_none() {
    const ROWS: usize = 500;
    const BLOCKS: u64 = 60;
    with_engine(async |engine, _| {
        store::migrate::run(engine.client()).await.expect("migrations");
        let writer = Arc::new(Writer::new(engine.client().clone()));
        let inserting = tokio::spawn({
            let writer = writer.clone();
            async move {
                let mut retries = 0;
                for block in 0..BLOCKS {
                    let (defs, columns) = l7_rows(block * ROWS as u64, ROWS);
                    let token = format!("block-{block}");
                    while let Err(error) =
                        writer.insert(Table::L7FlowLog, &defs, &columns, ROWS, &token).await
                    {
                        assert!(error.retryable, "{error}");
                        retries += 1;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                retries
            }
        });
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let mut state = engine.watch();
            state.wait_for(|state| *state == EngineState::Ready).await.expect("ready");
            rig::signal(engine.process_id(), "KILL");
            state.wait_for(|state| *state != EngineState::Ready).await.expect("seen");
        }
        let retries = inserting.await.expect("inserted");
        assert!(retries > 0 && engine.restarts() >= 3, "the kills were felt");
        let sql = "SELECT count(), uniqExact(_id) FROM flow_log.l7_flow_log";
        let all = ROWS as u64 * BLOCKS;
        assert_eq!(fetch(engine.client(), sql).await, format!("[{all}, {all}]"));
    });
}

#[test]
fn migrations_add_columns_and_refuse_newer_data() {
    with_engine(async |engine, _| {
        let client = engine.client();
        let first = store::migrate::run(client).await.expect("fresh");
        assert_eq!(first, ["schema version 1"]);
        assert_eq!(store::migrate::run(client).await.expect("again"), Vec::<String>::new());

        client
            .execute("ALTER TABLE flow_log.l7_flow_log DROP COLUMN endpoint")
            .await
            .expect("drop");
        let changes = store::migrate::run(client).await.expect("older");
        assert_eq!(changes, ["flow_log.`l7_flow_log`: column endpoint added"]);
        let names = fetch(
            client,
            "SELECT groupArray(name) FROM (SELECT name FROM system.columns \
            WHERE table = 'l7_flow_log' ORDER BY position)",
        )
        .await;
        assert!(
            names.contains("\"request_resource\",\"endpoint\"")
                || names.contains("\"request_resource\", \"endpoint\""),
            "{names}"
        );

        store::retention::set(client, "flow_log.l7_flow_log", 5).await.expect("retention");
        store::migrate::run(client).await.expect("again");
        let list = store::retention::list(client).await.expect("list");
        let l7 = list.iter().find(|row| row.table == "flow_log.l7_flow_log").expect("there");
        assert_eq!(l7.hours, 5, "migrations leave a retention that was set alone");

        client
            .execute(
                "INSERT INTO deepflow_admin.schema_migrations (version, name, program) \
            VALUES (99, 'future', '9.9')",
            )
            .await
            .expect("insert");
        let error = store::migrate::run(client).await.expect_err("newer");
        assert!(matches!(error, MigrateError::Newer { found: 99 }), "{error}");
        assert!(error.to_string().contains("version 99"), "{error}");
    });
}

#[test]
fn names_are_known_at_once() {
    with_engine(async |engine, _| {
        let client = engine.client();
        store::migrate::run(client).await.expect("migrations");
        let mut process = ProcessTag {
            id: 7,
            name: "bash".into(),
            agent_id: 1,
            host_id: 1,
            process_id: 42,
            command_line: "curl x".into(),
            executable: String::new(),
            container_id: String::new(),
            started_us: 1,
            ended_us: 0,
            version: 1,
        };
        let host = HostTag { id: 1, name: "web-1".into(), ip: "10.0.0.1".into(), version: 1 };
        store::tags::write(client, &[process.clone()], &[host], &[]).await.expect("write");
        let sql = "SELECT dictGet('flow_tag.gprocess_map', 'name', toUInt64(7)), \
                   dictGet('flow_tag.host_map', 'name', toUInt64(1)), \
                   dictGet('flow_tag.int_enum_map', 'name', ('type', toUInt64(2)))";
        assert_eq!(fetch(client, sql).await, r#"["bash", "web-1", "session"]"#);
        (process.name, process.version) = ("curl".into(), 2);
        store::tags::write(client, &[process], &[], &[]).await.expect("write");
        assert_eq!(fetch(client, sql).await, r#"["curl", "web-1", "session"]"#);
        assert_eq!(store::tags::newest_version(client, "gprocess").await.expect("version"), 2);
    });
}

#[test]
fn queries_are_limited() {
    with_engine(async |engine, _| {
        let limits = Limits { rows_max: 10, time_max: Duration::from_secs(1), ..Limits::default() };
        let querier = Querier::new(engine.client().clone(), limits);
        let answer = querier.run("SELECT number FROM numbers(11);", None).await.expect("rows");
        assert_eq!((answer.result.row_count, answer.result.truncated), (10, true));
        let answer = querier.run("SELECT number FROM numbers(10)", None).await.expect("rows");
        assert_eq!((answer.result.row_count, answer.result.truncated), (10, false));

        let slow = "SELECT max(sipHash64(number)) FROM numbers(100000000000)";
        let error = querier.run(slow, None).await.expect_err("slow");
        assert_eq!(error.status(), 408, "{error}");
        let limits = Limits { answer_bytes_max: 1 << 16, ..Limits::default() };
        let narrow = Querier::new(engine.client().clone(), limits);
        let big = narrow.run("SELECT repeat('x', 1000000)", None).await.expect_err("big");
        assert_eq!(big.status(), 413, "{big}");
        for sql in ["SELECT 1 SETTINGS max_execution_time = 0", "SELECT 1 SETTINGS readonly = 0"] {
            let error = querier.run(sql, None).await.expect_err(sql);
            assert!(
                matches!(&error, QueryError::Store(StoreError::Exception { code: 164, .. })),
                "{error}"
            );
        }
    });
}

#[test]
fn one_engine_a_folder() {
    with_engine(async |engine, data_dir| {
        let second = std::process::Command::new(rig::SERVER)
            .args(["engine", "--socket"])
            .arg(data_dir.join("second.sock"))
            .arg("--data-dir")
            .arg(data_dir.join("clickhouse"))
            .output()
            .expect("runs");
        assert!(!second.status.success());
        let text = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(text.contains("in use by another engine"), "{text}");
        engine.client().ping().await.expect("the first goes on");
    });
}
