//! `/v1/agents`, `/v1/health`, `/v1/retention`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schema::wire::AgentStatistics;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::EngineState;
use store::retention::{self, RetentionError};

use super::State;
use crate::metrics::series;

/// Metric whose tag `reason` names a loss.
const DROPPED: &str = schema::metrics::AGENT_DROPPED_TOTAL.name;

/// Lists agents.
pub async fn agents(Extract(state): Extract<Arc<State>>) -> Response {
    match state.inventory.agents().await {
        Ok(agents) => Json(json!({ "agents": agents })).into_response(),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A reason of loss with its count.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Loss {
    reason: &'static str,
    count: u64,
    unit: &'static str,
    stage: &'static str,
}

/// Tells how server and agents are.
pub async fn health(Extract(state): Extract<Arc<State>>) -> Response {
    let agents = match state.inventory.agents().await {
        Ok(agents) => agents,
        Err(error) => return failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let reports = state.inventory.health();
    let agents: Vec<_> = agents
        .into_iter()
        .map(|agent| {
            let report = reports.iter().find(|report| report.agent_id == agent.agent_id);
            let statistics = report.and_then(|report| report.statistics.as_ref());
            let metrics: BTreeMap<&str, f64> = statistics
                .map(|s| s.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect())
                .unwrap_or_default();
            json!({
                "agent_id": agent.agent_id,
                "hostname": agent.hostname,
                "state": agent.state,
                "reported_us": statistics.map(|statistics| statistics.time_us),
                "metrics": metrics,
                "drops": statistics.map(losses).unwrap_or_default(),
                "problems": statistics.map(|s| s.problems.clone()).unwrap_or_default(),
            })
        })
        .collect();
    let (engine_state, detail) = match state.engine.state() {
        EngineState::Starting => ("starting", String::new()),
        EngineState::Ready => ("ready", String::new()),
        EngineState::Down(cause) => ("down", cause),
        EngineState::Stopped => ("stopped", String::new()),
    };
    let metrics: BTreeMap<String, u64> =
        state.samples().iter().map(|sample| (series(sample), sample.2)).collect();
    Json(json!({
        "server": {
            "version": env!("CARGO_PKG_VERSION"),
            "started_us": state.started_us,
            "engine": {
                "kind": state.engine.kind(),
                "state": engine_state,
                "restarts": state.engine.restarts(),
                "detail": detail,
            },
            "metrics": metrics,
        },
        "agents": agents,
    }))
    .into_response()
}

/// Every reason of loss that the agent reported, by its tag `reason`.
fn losses(statistics: &AgentStatistics) -> Vec<Loss> {
    let mut counts: BTreeMap<schema::Drop, f64> = BTreeMap::new();
    for (name, value) in &statistics.metrics {
        let Some(tags) = name.strip_prefix(DROPPED) else { continue };
        let reason = tags.split_once("reason=\"").and_then(|(_, rest)| rest.split('"').next());
        let drop = schema::Drop::ALL.iter().find(|drop| Some(drop.name()) == reason);
        if let Some(drop) = drop {
            *counts.entry(*drop).or_default() += value;
        }
    }
    let loss = |(drop, count): (schema::Drop, f64)| Loss {
        reason: drop.name(),
        count: count as u64,
        unit: drop.unit(),
        stage: drop.stage(),
    };
    counts.into_iter().map(loss).collect()
}

/// Lists retentions.
pub async fn retentions(Extract(state): Extract<Arc<State>>) -> Response {
    match retention::list(state.engine.client()).await {
        Ok(list) => Json(json!({ "retention": list })).into_response(),
        Err(error) => retention_failed(&error),
    }
}

/// Body of PUT.
#[derive(Deserialize)]
pub struct Hours {
    hours: u32,
}

/// Sets the retention of a table.
pub async fn set_retention(
    Extract(state): Extract<Arc<State>>,
    Path(table): Path<String>,
    body: Result<Json<Hours>, JsonRejection>,
) -> Response {
    let hours = match body {
        Ok(Json(body)) => body.hours,
        Err(rejection) => return failed(StatusCode::BAD_REQUEST, &rejection.to_string()),
    };
    let client = state.engine.client();
    if let Err(error) = retention::set(client, &table, hours).await {
        return retention_failed(&error);
    }
    match retention::list(client).await {
        Ok(list) => {
            let changed: Vec<_> = list
                .into_iter()
                .filter(|row| retention::find_table(&row.table) == retention::find_table(&table))
                .collect();
            Json(json!({ "retention": changed })).into_response()
        }
        Err(error) => retention_failed(&error),
    }
}

fn retention_failed(error: &RetentionError) -> Response {
    let status = match error {
        RetentionError::UnknownTable { .. } => StatusCode::NOT_FOUND,
        RetentionError::Hours(_) => StatusCode::BAD_REQUEST,
        RetentionError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    failed(status, &error.to_string())
}

fn failed(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_read_by_their_reason() {
        let statistics = AgentStatistics {
            metrics: vec![
                ("agent_dropped_total{reason=\"ring_full\"}".to_owned(), 3.0),
                ("agent_dropped_total{reason=\"queue_full\",table=\"a\"}".to_owned(), 1.0),
                ("agent_dropped_total{reason=\"queue_full\",table=\"b\"}".to_owned(), 2.0),
                ("agent_packets_total".to_owned(), 9.0),
            ],
            ..AgentStatistics::default()
        };
        let losses = losses(&statistics);
        let counts: Vec<_> = losses.iter().map(|loss| (loss.reason, loss.count)).collect();
        assert_eq!(counts, [("ring_full", 3), ("queue_full", 3)]);
    }
}
