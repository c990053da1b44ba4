//! ClickHouse DDL from the tables: one migration a table, all of them idempotent.

use std::fmt::Write;

use super::NOTICE;
use super::facts::{Column, Facts, Precision, Table};

/// Rows that each table's engine remembers for insert deduplication tokens: blocks.
const DEDUPLICATION_WINDOW_BLOCKS: u32 = 10_000;

/// Parts below this are one file, not two files a column. With 140 columns the making of files was
/// two thirds of an insert's CPU time on ext4 (87 k → 254 k request rows per CPU-second). unit byte
const WIDE_PART_BYTES_MIN: u64 = 256 << 20;

/// `server/store/migrations/NNNN_<database>_<table>.sql`.
pub fn files(facts: &Facts) -> Vec<(String, String)> {
    facts
        .tables
        .iter()
        .enumerate()
        .map(|(number, table)| {
            let name = format!("{:04}_{}_{}.sql", number + 1, table.database, table.name);
            (name, migration(table))
        })
        .collect()
}

fn migration(table: &Table) -> String {
    let mut out = format!(
        "-- {NOTICE}\n-- {}\n\nCREATE DATABASE IF NOT EXISTS {};\n",
        table.doc, table.database
    );
    if table.precisions.is_empty() {
        out += &create(table, &table.name, &table.single);
        return out;
    }
    for precision in &table.precisions {
        out += &create(table, &format!("{}.{}", table.name, precision.name), precision);
    }
    let first = &table.precisions[0].name;
    let _ = writeln!(
        out,
        "\nCREATE VIEW IF NOT EXISTS {db}.{name} AS SELECT * FROM {db}.`{name}.{first}`;",
        db = table.database,
        name = table.name
    );
    out
}

fn create(table: &Table, name: &str, precision: &Precision) -> String {
    let mut out = format!("\nCREATE TABLE IF NOT EXISTS {}.`{name}`\n(\n", table.database);
    let lines: Vec<String> = table.columns.iter().map(line).collect();
    out += &lines.join(",\n");
    let hours = precision.partition.trim_end_matches('h');
    let partition = match hours {
        "1" => "toStartOfHour(time)".to_owned(),
        hours => format!("toStartOfInterval(time, INTERVAL {hours} HOUR)"),
    };
    let _ = write!(
        out,
        "\n)\nENGINE = MergeTree\nPARTITION BY {partition}\nORDER BY ({})\nTTL time + INTERVAL {} HOUR\n\
         SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = {DEDUPLICATION_WINDOW_BLOCKS}, \
         min_bytes_for_wide_part = {WIDE_PART_BYTES_MIN};\n",
        table.order_by.join(", "),
        precision.ttl_hours
    );
    out
}

fn line(column: &Column) -> String {
    let codec = codec(column);
    let doc = column.doc.replace('\'', "''");
    format!("    `{}` {} COMMENT '{doc}'{codec}", column.name, clickhouse_type(&column.kind))
}

/// The store's type of a column type of `schema/tables`.
pub fn clickhouse_type(kind: &str) -> &'static str {
    match kind {
        "u8" => "UInt8",
        "u16" => "UInt16",
        "u32" => "UInt32",
        "u64" => "UInt64",
        "i8" => "Int8",
        "i32" => "Int32",
        "i64" => "Int64",
        "f64" => "Float64",
        "low_card" => "LowCardinality(String)",
        "ip4" => "IPv4",
        "ip6" => "IPv6",
        "seconds" => "DateTime('UTC')",
        "micros" => "DateTime64(6, 'UTC')",
        "opt_u8" => "Nullable(UInt8)",
        "opt_u64" => "Nullable(UInt64)",
        "opt_i32" => "Nullable(Int32)",
        "opt_i64" => "Nullable(Int64)",
        "list_low_card" => "Array(LowCardinality(String))",
        "list_text" => "Array(String)",
        "list_f64" => "Array(Float64)",
        _ => "String",
    }
}

fn codec(column: &Column) -> &'static str {
    match column.kind.as_str() {
        "seconds" | "micros" => " CODEC(DoubleDelta, ZSTD(1))",
        "u16" | "u32" | "u64" | "i32" | "i64" | "opt_u64" | "opt_i32" | "opt_i64" => {
            " CODEC(T64, ZSTD(1))"
        }
        _ => " CODEC(ZSTD(1))",
    }
}
