//! What the agent reports of itself: to the server's health page and into the store.

use std::time::Duration;

use export::{ExportStats, Exporter, Subject};
use schema::wire::AgentStatistics;
use schema::{Batch, Table, metrics};

use crate::live::{StatusBoard, now_ns};
use crate::telemetry;

/// Longest time between two reports.
pub const EVERY: Duration = Duration::from_secs(2);

/// Sends one report, and one metric set for the store.
pub fn send(exporter: &Exporter, board: &StatusBoard) {
    let stats = exporter.stats();
    let now_us = now_ns() / 1_000;
    let (mut values, mut problems) = from_board(board);
    values.extend(from_export(&stats));
    values.extend(of_process());
    if !stats.problem.is_empty() {
        problems.push(format!("no connection to the server: {}", stats.problem));
    }
    exporter.submit(batch_of(now_us, &values));
    exporter.report(AgentStatistics {
        time_us: now_us as i64,
        configuration_version: exporter.configuration().version,
        metrics: values,
        problems,
    });
}

/// One metric set of an agent that has no server.
pub fn batch(board: &StatusBoard) -> Batch {
    let (mut values, _) = from_board(board);
    values.extend(of_process());
    batch_of(now_ns() / 1_000, &values)
}

fn batch_of(now_us: u64, values: &[(String, f64)]) -> Batch {
    let set: Vec<(&str, f64)> =
        values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let row = telemetry::row(now_us / 1_000_000, "deepflow_agent", &[], &set);
    Batch::new(Table::DeepflowCollector, &[row])
}

fn of_process() -> [(String, f64); 2] {
    let (resident_bytes, cpu_ms) = telemetry::usage();
    [
        (metrics::AGENT_MEMORY_RSS_BYTES.name.to_owned(), resident_bytes as f64),
        (metrics::AGENT_CPU_MILLISECONDS_TOTAL.name.to_owned(), cpu_ms as f64),
    ]
}

/// Metrics with their tags, as in a Prometheus exposition, and problems of all threads.
fn from_board(board: &StatusBoard) -> (Vec<(String, f64)>, Vec<String>) {
    let mut values = Vec::new();
    let mut problems = Vec::new();
    let mut losses = telemetry::Losses::default();
    for (thread, status) in board.read() {
        for (name, value) in &status.metrics {
            values.push((format!("{name}{{source={thread:?}}}"), *value));
        }
        problems.extend(status.problems.iter().cloned());
        losses.join(&status.losses);
    }
    let name = metrics::AGENT_DROPPED_TOTAL.name;
    for (reason, count) in losses.iter() {
        values.push((format!("{name}{{reason={:?}}}", reason.name()), count as f64));
    }
    (values, problems)
}

fn from_export(stats: &ExportStats) -> Vec<(String, f64)> {
    let mut values = vec![
        (metrics::AGENT_SPOOL_BYTES.name.to_owned(), stats.spool_bytes as f64),
        (metrics::AGENT_SENT_BYTES_TOTAL.name.to_owned(), stats.sent_bytes as f64),
    ];
    for (subject, totals) in &stats.totals {
        let table = match subject {
            Subject::Table(table) => format!("{}.{}", table.database(), table.name()),
            Subject::Processes => subject.name().to_owned(),
        };
        let mut push = |metric: &schema::metrics::Metric, count: u64| {
            values.push((format!("{}{{table={table:?}}}", metric.name), count as f64));
        };
        push(&metrics::AGENT_ROWS_OBSERVED_TOTAL, totals.observed);
        push(&metrics::AGENT_ROWS_ACKNOWLEDGED_TOTAL, totals.acknowledged);
        push(&metrics::AGENT_ROWS_WAITING, totals.waiting);
        for (reason, count) in &totals.dropped {
            let name = metrics::AGENT_DROPPED_TOTAL.name;
            let tags = format!("{{table={table:?},reason={:?}}}", reason.name());
            values.push((format!("{name}{tags}"), *count as f64));
        }
    }
    values
}
