//! `/metrics`: the server's counters as Prometheus text, by the rows of `schema/metrics.toml`.
//!
//! In: counters of ingest, query and engine. Out: text, and the same values by name for
//! `/v1/health`. Never: a metric that is not in the schema.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use ingest::IngestStats;
use query::Outcome;
use schema::metrics::{self, Metric};

/// Statements answered, by outcome.
#[derive(Debug, Default)]
pub struct QueryCounters {
    success: AtomicU64,
    client_error: AtomicU64,
    server_error: AtomicU64,
}

impl QueryCounters {
    /// Counts one statement.
    pub fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Success => &self.success,
            Outcome::ClientError => &self.client_error,
            Outcome::ServerError => &self.server_error,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A value: metric, label (name, value) if it has one, number.
pub type Sample = (&'static Metric, Option<(&'static str, String)>, u64);

/// Every value now.
pub fn samples(stats: &IngestStats, queries: &QueryCounters, engine_restarts: u64) -> Vec<Sample> {
    let mut all: Vec<Sample> = vec![
        (&metrics::SERVER_BATCHES_TOTAL, None, stats.batches),
        (&metrics::SERVER_CONNECTIONS, None, stats.connections),
        (&metrics::SERVER_WAL_BYTES, None, stats.wal_bytes),
        (&metrics::SERVER_ENGINE_RESTARTS_TOTAL, None, engine_restarts),
    ];
    let tables = [
        (&metrics::SERVER_ROWS_RECEIVED_TOTAL, &stats.rows_received),
        (&metrics::SERVER_ROWS_STORED_TOTAL, &stats.rows_stored),
    ];
    for (metric, rows) in tables {
        all.extend(rows.iter().map(|(table, rows)| {
            let name = format!("{}.{}", table.database(), table.name());
            (metric, Some(("table", name)), *rows)
        }));
    }
    all.extend(stats.dropped.iter().map(|(reason, rows)| {
        (&metrics::SERVER_DROPPED_TOTAL, Some(("reason", reason.name().to_owned())), *rows)
    }));
    all.extend(stats.refused.iter().map(|(cause, count)| {
        (&metrics::SERVER_REFUSED_TOTAL, Some(("cause", cause.name().to_owned())), *count)
    }));
    let outcomes = [
        ("success", &queries.success),
        ("client_error", &queries.client_error),
        ("server_error", &queries.server_error),
    ];
    all.extend(outcomes.map(|(outcome, counter)| {
        let label = Some(("outcome", outcome.to_owned()));
        (&metrics::SERVER_QUERIES_TOTAL, label, counter.load(Ordering::Relaxed))
    }));
    all
}

/// The values as Prometheus text, grouped by metric.
pub fn text(samples: &[Sample]) -> String {
    let mut groups: BTreeMap<&str, (&Metric, Vec<&Sample>)> = BTreeMap::new();
    for sample in samples {
        groups.entry(sample.0.name).or_insert((sample.0, Vec::new())).1.push(sample);
    }
    let mut out = String::new();
    for (name, (metric, samples)) in groups {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {}", metric.doc, metric.kind);
        for sample in samples {
            let _ = writeln!(out, "{} {}", series(sample), sample.2);
        }
    }
    out
}

/// `name{label="value"}`.
pub fn series(sample: &Sample) -> String {
    match &sample.1 {
        Some((label, value)) => format!("{}{{{label}=\"{value}\"}}", sample.0.name),
        None => sample.0.name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_text() {
        let mut stats = IngestStats { batches: 3, ..IngestStats::default() };
        stats.rows_stored.insert(schema::Table::L7FlowLog, 7);
        let queries = QueryCounters::default();
        queries.count(Outcome::ClientError);
        let text = text(&samples(&stats, &queries, 1));
        for line in [
            "# TYPE server_batches_total counter",
            "server_batches_total 3",
            "server_rows_stored_total{table=\"flow_log.l7_flow_log\"} 7",
            "server_queries_total{outcome=\"client_error\"} 1",
            "server_engine_restarts_total 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in:\n{text}");
        }
        let types = text.lines().filter(|l| l.starts_with("# TYPE server_queries_total"));
        assert_eq!(types.count(), 1);
    }
}
