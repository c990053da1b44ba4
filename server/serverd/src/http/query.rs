//! `POST /v1/query/`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use query::{Failure, Outcome};
use serde::Deserialize;

use super::State;

/// Fields of the form.
#[derive(Deserialize)]
pub struct Fields {
    /// The statement.
    sql: String,
    /// Database of bare names.
    db: Option<String>,
    /// Taken for DeepFlow's clients; the precision is in a table's name for now.
    #[serde(rename = "data_precision")]
    _data_precision: Option<String>,
}

/// Answers a statement.
pub async fn run(
    Extract(state): Extract<Arc<State>>,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    let fields = match form {
        Ok(Form(fields)) => fields,
        Err(rejection) => {
            state.queries.count(Outcome::ClientError);
            let text = format!("form fields sql and db: {rejection}");
            return (StatusCode::BAD_REQUEST, Json(Failure::new(0, text))).into_response();
        }
    };
    match state.querier.run(&fields.sql, fields.db.as_deref()).await {
        Ok(answer) => {
            state.queries.count(Outcome::Success);
            Json(answer).into_response()
        }
        Err(error) => {
            state.queries.count(error.outcome());
            let status = StatusCode::from_u16(error.status());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(error.failure())).into_response()
        }
    }
}
