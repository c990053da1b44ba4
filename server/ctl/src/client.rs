//! Calls of the server's HTTP interface.
//!
//! In: a path and a body. Out: the JSON of the answer, or an error with the server's words.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Time of a call; a statement may take 60 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);

/// Why a call failed.
#[derive(Debug)]
pub enum CallError {
    /// The server said no, and why.
    Refused(String),
    /// What was asked makes no sense.
    Usage(String),
    /// No answer.
    Unreached(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(text) | Self::Usage(text) | Self::Unreached(text) => f.write_str(text),
        }
    }
}

/// A server.
pub struct Server {
    authority: String,
    base_path: String,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// The server at `http://host:port[/base]`.
    pub fn new(url: &str) -> Result<Self, CallError> {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        if rest.contains("://") {
            return Err(CallError::Usage(format!("{url}: only http:// is supported")));
        }
        let (authority, base_path) = match rest.split_once('/') {
            Some((authority, base)) => (authority, format!("/{}", base.trim_end_matches('/'))),
            None => (rest, String::new()),
        };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:20416") };
        let base_path = if base_path == "/" { String::new() } else { base_path };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CallError::Usage(error.to_string()))?;
        Ok(Self { authority, base_path, runtime })
    }

    /// GET of a path without its first slash.
    pub fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, "", Bytes::new())
    }

    /// PUT of JSON.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::PUT, path, "application/json", Bytes::from(body.to_string()))
    }

    /// POST of form fields.
    pub fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Value, CallError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.call(Method::POST, path, "application/x-www-form-urlencoded", Bytes::from(body))
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<Value, CallError> {
        let unreached = |cause: String| {
            CallError::Unreached(format!("no answer from {}: {cause}", self.authority))
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.base_path))
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, kind)
            .body(Full::new(body))
            .map_err(|error| CallError::Usage(error.to_string()))?;
        let (status, bytes) = self
            .runtime
            .block_on(async { tokio::time::timeout(CALL_TIMEOUT, self.exchange(request)).await })
            .map_err(|_| unreached(format!("timeout after {CALL_TIMEOUT:?}")))?
            .map_err(|error| unreached(error.to_string()))?;
        let json: Option<Value> = serde_json::from_slice(&bytes).ok();
        match json {
            Some(json) if (200..300).contains(&status) => Ok(json),
            Some(json) => {
                let text = json["DESCRIPTION"].as_str().or(json["error"].as_str());
                Err(CallError::Refused(text.unwrap_or("the server gave no reason").to_owned()))
            }
            None => {
                let text = String::from_utf8_lossy(&bytes).trim().to_owned();
                Err(CallError::Refused(format!("status {status}: {text}")))
            }
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> anyhow::Result<(u16, Bytes)> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        driver.abort();
        Ok((status, bytes))
    }
}
