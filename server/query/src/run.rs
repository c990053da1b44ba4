//! Runs a statement within its limits.
//!
//! In: a statement and the database of its bare names. Out: an answer, or a failure with the HTTP
//! status that tells whose fault it is. Never: more statements at once than the limit; the rest
//! wait, and time out like those that run.

use std::time::Duration;

use store::{Client, StoreError};

use crate::answer::{Answer, Failure};
use crate::guard;

/// Limits of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows of an answer; the rest is cut off and the answer says so. Default 10 000.
    pub rows_max: usize,
    /// Time of a statement. Default 60 s.
    pub time_max: Duration,
    /// Memory of a statement in the engine. Default 4 GiB.
    pub memory_bytes_max: u64,
    /// Bytes of an answer. Default 64 MiB.
    pub answer_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows_max: 10_000,
            time_max: Duration::from_secs(60),
            memory_bytes_max: 4 << 30,
            answer_bytes_max: 64 << 20,
        }
    }
}

/// How a statement ended, as counted in `server_queries_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Success,
    /// It was refused, wrong, or beyond a limit.
    ClientError,
    /// The store failed or is not there.
    ServerError,
}

/// Why a statement was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The guard refused it.
    #[error(transparent)]
    Refused(#[from] guard::Refusal),
    /// It took too long.
    #[error("the statement took longer than {0:?}")]
    Timeout(Duration),
    /// The store failed it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer cannot be read.
    #[error("unreadable answer of the engine: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl QueryError {
    /// HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Refused(_) => 400,
            Self::Timeout(_) => 408,
            Self::Store(StoreError::Exception { code, .. }) => match code {
                159 => 408,
                158 | 241 | 307 | 396 => 413,
                // Unknown exceptions, files, memory of the machine, space, aborted.
                49 | 74..=76 | 173 | 236 | 243 | 1001 | 1002 => 500,
                _ => 400,
            },
            Self::Store(StoreError::TooLarge(_)) => 413,
            Self::Store(StoreError::Unreachable(_)) => 503,
            Self::Store(StoreError::Unexpected(_)) | Self::Unreadable(_) => 500,
        }
    }

    /// How it is counted.
    pub fn outcome(&self) -> Outcome {
        if self.status() < 500 { Outcome::ClientError } else { Outcome::ServerError }
    }

    /// The JSON shape.
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::Store(StoreError::Exception { code, .. }) => *code,
            _ => 0,
        };
        Failure::new(code, self.to_string())
    }
}

/// Answers statements.
#[derive(Clone)]
pub struct Querier {
    client: Client,
    limits: Limits,
}

/// What our own clock allows beyond the engine's limit, which ends a statement with a better
/// message.
const GRACE: Duration = Duration::from_secs(5);

impl Querier {
    /// Answers from a store.
    pub fn new(client: Client, limits: Limits) -> Self {
        Self { client, limits }
    }

    /// Answers one statement. `database` is that of bare names.
    pub async fn run(&self, sql: &str, database: Option<&str>) -> Result<Answer, QueryError> {
        let statement = guard::check(sql)?;
        let limits = &self.limits;
        let mut settings = self.settings();
        if let Some(database) = database.filter(|name| !name.is_empty()) {
            settings.push(("database", database.to_owned()));
        }
        let fetch = self.client.fetch(statement, "JSONCompact", &settings, limits.answer_bytes_max);
        let bytes = tokio::time::timeout(limits.time_max + GRACE, fetch)
            .await
            .map_err(|_| QueryError::Timeout(limits.time_max))??;
        Ok(Answer::parse(&bytes, limits.rows_max)?)
    }

    /// One row more than the limit tells that there are more.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let limits = &self.limits;
        vec![
            ("limit", (limits.rows_max + 1).to_string()),
            ("max_execution_time", limits.time_max.as_secs().to_string()),
            ("timeout_before_checking_execution_speed", "0".to_owned()),
            ("max_memory_usage", limits.memory_bytes_max.to_string()),
            ("max_result_bytes", limits.answer_bytes_max.to_string()),
            ("output_format_json_quote_64bit_integers", "0".to_owned()),
            ("output_format_json_quote_denormals", "0".to_owned()),
            ("readonly", "1".to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_tells_whose_fault_it_is() {
        let exception =
            |code| QueryError::Store(StoreError::Exception { code, message: "Code".to_owned() });
        assert_eq!(exception(60).status(), 400);
        assert_eq!(exception(159).status(), 408);
        assert_eq!(exception(241).status(), 413);
        let down = QueryError::Store(StoreError::Unreachable("down".to_owned()));
        assert_eq!((down.status(), down.outcome()), (503, Outcome::ServerError));
        assert_eq!(QueryError::from(guard::Refusal::Empty).status(), 400);
        assert_eq!(exception(60).failure().code, 60);
    }
}
