//! ClickHouse's HTTP interface, as far as clients of the crate `clickhouse` and our own use it.
//!
//! In: connections on a UNIX socket or a loopback port. Out: answers and exceptions with the
//! headers and statuses of ClickHouse. An insert's data go to the engine as they arrive; an answer
//! is held in memory, so callers bound it by settings. Never: compressed bodies, sessions, users.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use tokio::sync::{Semaphore, mpsc};

use super::exception::{Exception, code};
use super::ffi::Output;
use super::request::Request;
use super::session::{Engine, FORMAT_DEFAULT};
use super::statement::{InsertParts, split_insert};

/// Bytes of a statement in a body; more is refused with 413.
const STATEMENT_BYTES_MAX: usize = 64 << 20;
/// Pieces of insert data on their way to the engine; at the limit the sender waits.
const PIECES_MAX: usize = 16;
/// Statements at once; more wait.
const CONCURRENCY_MAX: usize = 32;

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    engine: Engine,
    permits: Arc<Semaphore>,
}

impl Front {
    /// A front of an open engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine, permits: Arc::new(Semaphore::new(CONCURRENCY_MAX)) }
    }

    /// Waits until no statement runs, and lets none begin.
    pub async fn drain(&self) {
        let _all = self.permits.acquire_many(CONCURRENCY_MAX as u32).await;
        self.permits.close();
    }

    /// Answers one request.
    pub async fn answer(
        self,
        request: hyper::Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let response = match (request.method(), request.uri().path()) {
            (&Method::GET, "/ping") => plain(StatusCode::OK, "Ok.\n"),
            (&Method::GET | &Method::POST, "/") => self.run(request).await,
            (_, "/") => plain(StatusCode::METHOD_NOT_ALLOWED, "use GET or POST\n"),
            _ => plain(StatusCode::NOT_FOUND, "there is / and /ping\n"),
        };
        Ok(response)
    }

    async fn run(self, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let read_only = request.method() == Method::GET;
        let mut parameters = match Request::parse(request.uri().query().unwrap_or("")) {
            Ok(parameters) => parameters,
            Err(exception) => return failed(&exception, None),
        };
        let query_id = parameters.query_id.clone();
        let boundary = multipart_boundary(&request);
        let body = request.into_body();
        let outcome = match boundary {
            Some(boundary) => match read_statement(body, BytesMut::new()).await {
                Ok(fields) => match parameters.add_multipart(&boundary, &fields) {
                    Ok(()) => self.run_text(parameters, Bytes::new(), read_only).await,
                    Err(exception) => Err(exception),
                },
                Err(exception) => Err(exception),
            },
            None => self.run_plain(parameters, body, read_only).await,
        };
        match outcome {
            Ok((output, format)) => succeeded(output, &format, query_id.as_deref()),
            Err(exception) => failed(&exception, query_id.as_deref()),
        }
    }

    /// A request whose body continues its statement: data of an insert, or text.
    async fn run_plain(
        self,
        parameters: Request,
        mut body: Incoming,
        read_only: bool,
    ) -> Result<(Output, String), Exception> {
        if let Some(insert) = split_insert(parameters.query.as_bytes()) {
            let rest = parameters.query.as_bytes()[insert.data_offset..].to_vec();
            return self.run_insert(parameters, insert, Bytes::from(rest), body, read_only).await;
        }
        let mut head = BytesMut::from(parameters.query.as_bytes());
        if !head.is_empty() {
            head.extend_from_slice(b"\n");
        }
        // The first piece tells whether an insert with data follows in the body.
        if let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| interrupted(&error))?;
            if let Ok(data) = frame.into_data() {
                head.extend_from_slice(&data);
            }
        }
        if let Some(insert) = split_insert(&head) {
            let rest = head.split_off(insert.data_offset).freeze();
            return self.run_insert(parameters, insert, rest, body, read_only).await;
        }
        let statement = read_statement(body, head).await?;
        self.run_text(parameters, statement, read_only).await
    }

    async fn run_text(
        self,
        mut parameters: Request,
        statement: Bytes,
        read_only: bool,
    ) -> Result<(Output, String), Exception> {
        let sql = if statement.is_empty() {
            std::mem::take(&mut parameters.query)
        } else {
            String::from_utf8(statement.to_vec())
                .map_err(|_| Exception::new(code::SYNTAX_ERROR, "the statement is not UTF-8"))?
        };
        if sql.trim().is_empty() {
            return Err(Exception::new(code::SYNTAX_ERROR, "Empty query"));
        }
        let format = parameters.default_format.clone().unwrap_or(FORMAT_DEFAULT.to_owned());
        let output = self.blocking(move |engine| engine.run(&parameters, &sql, read_only)).await?;
        Ok((output, format))
    }

    async fn run_insert(
        self,
        parameters: Request,
        insert: InsertParts,
        first: Bytes,
        mut body: Incoming,
        read_only: bool,
    ) -> Result<(Output, String), Exception> {
        if read_only {
            return Err(Exception::new(164, "Cannot insert by GET: use POST. (READONLY)"));
        }
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        let worker = self.blocking(move |engine| {
            engine.insert(&parameters, &insert.sql, &insert.format, receiver)
        });
        let feed = async move {
            if !first.is_empty() && sender.send(Ok(first)).await.is_err() {
                return;
            }
            while let Some(frame) = body.frame().await {
                let piece = match frame.map(hyper::body::Frame::into_data) {
                    Ok(Ok(data)) => Ok(data),
                    Ok(Err(_trailers)) => continue,
                    Err(error) => Err(format!("the request broke off: {error}")),
                };
                // A closed channel means that the engine has failed: read on, so that the
                // client gets to read why.
                let _ = sender.send(piece).await;
            }
        };
        let (output, ()) = tokio::join!(worker, feed);
        Ok((output?, FORMAT_DEFAULT.to_owned()))
    }

    async fn blocking<F>(&self, work: F) -> Result<Output, Exception>
    where
        F: FnOnce(Engine) -> Result<Output, Exception> + Send + 'static,
    {
        let stopped = || Exception::new(code::UNKNOWN, "the engine is stopping");
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| stopped())?;
        let engine = self.engine.clone();
        tokio::task::spawn_blocking(move || {
            let outcome = work(engine);
            drop(permit);
            outcome
        })
        .await
        .map_err(|_| stopped())?
    }
}

/// Reads the rest of a body behind `head`.
async fn read_statement(mut body: Incoming, mut head: BytesMut) -> Result<Bytes, Exception> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| interrupted(&error))?;
        if let Ok(data) = frame.into_data() {
            if head.len() + data.len() > STATEMENT_BYTES_MAX {
                let message = format!("the statement is longer than {STATEMENT_BYTES_MAX} bytes");
                return Err(Exception::new(code::QUERY_IS_TOO_LARGE, &message));
            }
            head.extend_from_slice(&data);
        }
    }
    Ok(head.freeze())
}

fn interrupted(error: &hyper::Error) -> Exception {
    Exception::new(code::UNKNOWN, &format!("the request broke off: {error}"))
}

fn multipart_boundary(request: &hyper::Request<Incoming>) -> Option<String> {
    let kind = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let rest = kind.strip_prefix("multipart/form-data")?;
    let boundary = rest.split_once("boundary=")?.1;
    Some(boundary.trim_matches('"').to_owned())
}

// === Answers ===

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}

fn succeeded(output: Output, format: &str, query_id: Option<&str>) -> Response<Full<Bytes>> {
    let summary = format!(
        r#"{{"read_rows":"{}","written_rows":"{}","result_bytes":"{}"}}"#,
        output.rows_read,
        output.rows_written,
        output.bytes.len()
    );
    let mut response = Response::new(Full::new(Bytes::from(output.bytes)));
    set(&mut response, "X-ClickHouse-Summary", &summary);
    set(&mut response, "X-ClickHouse-Format", format);
    if let Some(query_id) = query_id {
        set(&mut response, "X-ClickHouse-Query-Id", query_id);
    }
    response
}

fn failed(exception: &Exception, query_id: Option<&str>) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(exception.status());
    let mut response = plain(
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        &format!("{}\n", exception.message),
    );
    set(&mut response, "X-ClickHouse-Exception-Code", &exception.code.to_string());
    if let Some(query_id) = query_id {
        set(&mut response, "X-ClickHouse-Query-Id", query_id);
    }
    response
}

fn set(response: &mut Response<Full<Bytes>>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
