//! HTTP: queries, control, health, metrics and the web page.
//!
//! In: requests. Out: JSON as README.md has it. Never: an answer to a page of another site: names
//! in the header Host that are not ours are refused (DNS rebinding), and nothing allows CORS.

mod control;
mod query;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use ingest::IngestHandle;
use inventory::{Inventory, SqliteRepository};
use store::{EngineState, Supervisor};

use crate::assets;
use crate::metrics::{self, QueryCounters};

/// What the handlers use.
pub struct State {
    /// Storage engine.
    pub engine: Supervisor,
    /// Answers statements.
    pub querier: ::query::Querier,
    /// Agents, hosts, processes.
    pub inventory: Arc<Inventory<SqliteRepository>>,
    /// Ingest.
    pub ingest: IngestHandle,
    /// Statements by outcome.
    pub queries: QueryCounters,
    /// Start of the server. unit µs, clock: wall
    pub started_us: i64,
    /// Host names of requests besides addresses and localhost.
    pub allowed_hosts: Vec<String>,
}

impl State {
    fn samples(&self) -> Vec<metrics::Sample> {
        metrics::samples(&self.ingest.stats(), &self.queries, self.engine.restarts())
    }
}

const SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
                               frame-ancestors 'self'; base-uri 'self'; form-action 'self'";

/// The routes, at `/` and, if it is not empty, at `base_path`.
pub fn router(state: Arc<State>, base_path: &str) -> Router {
    let routes = Router::new()
        .route("/v1/query/", post(query::run))
        .route("/v1/query", post(query::run))
        .route("/v1/agents", get(control::agents))
        .route("/v1/health", get(control::health))
        .route("/v1/retention", get(control::retentions))
        .route("/v1/retention/{table}", put(control::set_retention))
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(healthz));
    let mut router = routes.clone().fallback(asset);
    if !base_path.is_empty() {
        router = router.nest(base_path, routes.fallback(asset));
    }
    router.layer(middleware::from_fn_with_state(state.clone(), check_host)).with_state(state)
}

async fn healthz(Extract(state): Extract<Arc<State>>) -> Response {
    match state.engine.state() {
        EngineState::Ready => "ok\n".into_response(),
        other => {
            let text = format!("storage engine: {other:?}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn metrics_text(Extract(state): Extract<Arc<State>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics::text(&state.samples())).into_response()
}

async fn asset(method: axum::http::Method, uri: Uri) -> Response {
    if method != axum::http::Method::GET && method != axum::http::Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, "no such interface\n").into_response();
    }
    match assets::find(uri.path().trim_start_matches('/')) {
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.content_type),
                (header::CONTENT_SECURITY_POLICY, SECURITY_POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::REFERRER_POLICY, "same-origin"),
                // The files change with the program only, but the program may change any time.
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, asset.bytes).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such page\n").into_response(),
    }
}

/// Refuses names that are not ours.
async fn check_host(
    Extract(state): Extract<Arc<State>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    if is_host_allowed(headers.get(header::HOST), &state.allowed_hosts) {
        // Handlers hold the state; this layer must not, or the server could not end.
        drop(state);
        return next.run(request).await;
    }
    let text = "this host name is not allowed: add it to http.allowed_hosts\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

fn is_host_allowed(host: Option<&HeaderValue>, allowed: &[String]) -> bool {
    let Some(host) = host else { return true };
    let Ok(host) = host.to_str() else { return false };
    // `[::1]:20416`, `127.0.0.1:20416`, `name:20416`
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_answered() {
        let allowed = ["df.example".to_owned()];
        let is_allowed =
            |host: &'static str| is_host_allowed(Some(&HeaderValue::from_static(host)), &allowed);
        for host in ["127.0.0.1:20416", "[::1]:20416", "localhost:1", "DF.example", "10.0.0.1"] {
            assert!(is_allowed(host), "{host}");
        }
        for host in ["evil.example:20416", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert!(!is_allowed(host), "{host}");
        }
        assert!(is_host_allowed(None, &[]), "HTTP/1.0 has none");
    }
}
