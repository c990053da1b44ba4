//! Speaks to the store: ClickHouse's HTTP interface over a UNIX socket or TCP.
//!
//! In: statements, and data in a ClickHouse format. Out: answers, or errors that say whether
//! another try makes sense. Never: a guess about an outcome that was not seen.

mod connector;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clickhouse::error::Error as ClientError;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;

use crate::engine::exception::code_of;
use connector::Connector;

/// Where the store listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A UNIX socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// Name and password of a user of the store.
#[derive(Clone)]
pub struct Login {
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
}

/// Why a statement did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store refused or failed the statement.
    #[error("{message}")]
    Exception {
        /// ClickHouse's error code.
        code: u32,
        /// ClickHouse's text.
        message: String,
    },
    /// The store was not reached, or the answer broke off: the outcome is not known.
    #[error("the storage engine does not answer: {0}")]
    Unreachable(String),
    /// The answer has more bytes than the caller takes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// An answer that is not what the statement asks for.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
}

impl StoreError {
    /// Whether the same statement may succeed later: the store is down, busy, out of memory, or
    /// short of disk space.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            // Timeouts, too many parts or queries, memory, disk space, aborted, files, unknown.
            Self::Exception { code, .. } => {
                matches!(code, 74..=76 | 159 | 173 | 202 | 209 | 210 | 236 | 241 | 243 | 252 | 1002)
            }
            Self::TooLarge(_) | Self::Unexpected(_) => false,
        }
    }
}

impl From<ClientError> for StoreError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::BadResponse(message) => match code_of(&message) {
                Some(code) => Self::Exception { code, message },
                None => Self::Unreachable(message),
            },
            ClientError::Network(source) => {
                let cause =
                    std::iter::successors(Some(&*source as &dyn std::error::Error), |e| e.source());
                let chain: Vec<String> = cause.map(ToString::to_string).collect();
                Self::Unreachable(chain.join(": "))
            }
            ClientError::TimedOut => Self::Unreachable("timeout".to_owned()),
            other => Self::Unexpected(other.to_string()),
        }
    }
}

/// A client of the store. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: clickhouse::Client,
    endpoint: Endpoint,
}

/// Idle connections are dropped after so long.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an insert may take before its outcome counts as not seen.
const INSERT_TIMEOUT: Duration = Duration::from_secs(120);

impl Client {
    /// A client of the store at `endpoint`. Nothing is connected yet.
    pub fn new(endpoint: Endpoint, login: Option<Login>) -> Self {
        let http = HyperClient::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .build(Connector::new(endpoint.clone()));
        let mut inner = clickhouse::Client::with_http_client(http)
            .with_url("http://engine/")
            .with_compression(clickhouse::Compression::None);
        if let Some(login) = login {
            inner = inner.with_user(login.user).with_password(login.password);
        }
        Self { inner, endpoint }
    }

    /// Where the store is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The client of the crate `clickhouse`, for typed rows.
    pub fn typed(&self) -> &clickhouse::Client {
        &self.inner
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.execute("SELECT 1").await
    }

    /// Runs a statement and lets its answer go.
    pub async fn execute(&self, sql: &str) -> Result<(), StoreError> {
        Ok(self.inner.query_raw(sql).execute().await?)
    }

    /// Runs a statement and returns its answer in `format`, of at most `bytes_max` bytes.
    pub async fn fetch(
        &self,
        sql: &str,
        format: &str,
        settings: &[(&str, String)],
        bytes_max: usize,
    ) -> Result<Bytes, StoreError> {
        let mut query = self.inner.query_raw(sql);
        for (name, value) in settings {
            query = query.with_setting(*name, value);
        }
        let mut cursor = query.fetch_bytes(format)?;
        let mut answer = BytesMut::new();
        while let Some(piece) = cursor.next().await? {
            if answer.len() + piece.len() > bytes_max {
                return Err(StoreError::TooLarge(bytes_max));
            }
            answer.extend_from_slice(&piece);
        }
        Ok(answer.freeze())
    }

    /// Inserts `data`, which is in the format that `sql` names.
    ///
    /// `token` makes it safe to insert the same data again: the store keeps one copy.
    pub async fn insert(
        &self,
        sql: &str,
        data: Vec<Bytes>,
        token: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut insert =
            self.inner.insert_formatted_with(sql).with_timeouts(None, Some(INSERT_TIMEOUT));
        if let Some(token) = token {
            insert = insert.with_setting("insert_deduplication_token", token);
        }
        for piece in data {
            insert.send(piece).await?;
        }
        Ok(insert.end().await?)
    }
}
