//! What agent and server say of themselves: `GET /v1/health`.
//!
//! In: the document. Out: sums of metrics by name and tag, losses by reason, and the identity
//! `observed = acknowledged + waiting + Σ dropped{reason}` in rows.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::http;
use crate::report::Report;

/// Reasons that are counted in rows but lose none.
const NOT_A_LOSS: [&str; 1] = ["batch_duplicate"];

/// One reading.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Telemetry {
    /// The agent's metrics: `name{tag="value"}` → value.
    pub agent: BTreeMap<String, u64>,
    /// The server's metrics.
    pub server: BTreeMap<String, u64>,
    /// Rows lost, by reason.
    pub dropped_rows: BTreeMap<String, u64>,
}

impl Telemetry {
    /// Asks the server at `address`; the agent's part is the sum over all agents.
    pub fn read(address: &str) -> Result<Self> {
        let response = http::get(address, "/v1/health")?;
        let document: Value = serde_json::from_str(&response.body)
            .with_context(|| format!("/v1/health: {}", response.body))?;
        let mut telemetry = Self::default();
        add_metrics(&mut telemetry.server, &document["server"]["metrics"]);
        for agent in document["agents"].as_array().unwrap_or(&Vec::new()) {
            add_metrics(&mut telemetry.agent, &agent["metrics"]);
            for drop in agent["drops"].as_array().unwrap_or(&Vec::new()) {
                let reason = drop["reason"].as_str().unwrap_or("").to_owned();
                let count = whole(&drop["count"]);
                if drop["unit"] == "row" && count > 0 && !NOT_A_LOSS.contains(&reason.as_str()) {
                    *telemetry.dropped_rows.entry(reason).or_insert(0) += count;
                }
            }
        }
        Ok(telemetry)
    }

    /// Rows observed, and rows accounted for: acknowledged, waiting, dropped.
    pub fn balance(&self) -> (u64, u64) {
        let accounted = sum(&self.agent, "agent_rows_acknowledged_total", "")
            + sum(&self.agent, "agent_rows_waiting", "")
            + self.dropped_rows.values().sum::<u64>();
        (sum(&self.agent, "agent_rows_observed_total", ""), accounted)
    }

    /// Reads until the identity holds and no request row waits, or the limit is over: agent and
    /// server report in turns.
    pub fn check_balance(address: &str, report: &mut Report, limit: Duration) -> Result<Self> {
        let begin = std::time::Instant::now();
        loop {
            let telemetry = Self::read(address)?;
            let (observed, accounted) = telemetry.balance();
            let waiting = sum(&telemetry.agent, "agent_rows_waiting", "l7_flow_log");
            let holds = observed > 0 && observed == accounted && waiting == 0;
            if holds || begin.elapsed() > limit {
                let detail = format!(
                    "{observed} observed, {accounted} accounted for, {waiting} waiting, {:?} dropped",
                    telemetry.dropped_rows
                );
                report.check("observed = stored + waiting + dropped", holds, &detail);
                return Ok(telemetry);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The sum of a metric over its tags, or over those whose text has `tag`.
pub fn sum(metrics: &BTreeMap<String, u64>, name: &str, tag: &str) -> u64 {
    metrics
        .iter()
        .filter(|(key, _)| key.split('{').next() == Some(name) && key.contains(tag))
        .map(|(_, value)| value)
        .sum()
}

fn add_metrics(into: &mut BTreeMap<String, u64>, metrics: &Value) {
    for (name, value) in metrics.as_object().into_iter().flatten() {
        *into.entry(name.clone()).or_insert(0) += whole(value);
    }
}

fn whole(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_f64().map(|float| float as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_by_name_and_tag() {
        let metrics = BTreeMap::from([
            ("rows_total{table=\"a\"}".to_owned(), 3),
            ("rows_total{table=\"b\"}".to_owned(), 4),
            ("rows_total_more".to_owned(), 100),
        ]);
        assert_eq!(sum(&metrics, "rows_total", ""), 7);
        assert_eq!(sum(&metrics, "rows_total", "table=\"b\""), 4);
    }

    #[test]
    fn the_identity_counts_losses() {
        let agent = BTreeMap::from([
            ("agent_rows_observed_total{table=\"a\"}".to_owned(), 10),
            ("agent_rows_acknowledged_total{table=\"a\"}".to_owned(), 6),
            ("agent_rows_waiting".to_owned(), 1),
        ]);
        let dropped_rows = BTreeMap::from([("spool_full".to_owned(), 3)]);
        let telemetry = Telemetry { agent, dropped_rows, ..Telemetry::default() };
        assert_eq!(telemetry.balance(), (10, 10));
    }
}
