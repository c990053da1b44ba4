//! Runs one request in a session of its own.
//!
//! In: a parsed request, its statement and, for an insert, its data as they arrive. Out: the bytes
//! of the answer, or an exception. Never: a setting that lives longer than its request.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::exception::{Exception, code};
use super::ffi::{Chdb, Connection, Output};
use super::request::Request;

/// Format of answers to requests that name none, as in ClickHouse.
pub const FORMAT_DEFAULT: &str = "TabSeparated";

/// The opened engine: one data folder.
#[derive(Clone)]
pub struct Engine {
    chdb: Arc<Chdb>,
    data_dir: Arc<PathBuf>,
}

/// A piece of an insert's data, or the news that the sender failed before their end.
pub type DataPiece = Result<Bytes, String>;

impl Engine {
    /// An engine over a loaded library and its data folder.
    pub fn new(chdb: Arc<Chdb>, data_dir: PathBuf) -> Self {
        Self { chdb, data_dir: Arc::new(data_dir) }
    }

    /// Opens a session. The engine closes its storage with the last one: keep one open.
    pub fn connect(&self) -> Result<Connection, Exception> {
        self.chdb
            .connect(&self.data_dir)
            .map_err(|error| Exception::new(code::UNKNOWN, &error.to_string()))
    }

    /// Runs a statement whose data, if any, are in its text. Blocks.
    pub fn run(&self, request: &Request, sql: &str, read_only: bool) -> Result<Output, Exception> {
        let mut session = self.prepared(request, read_only)?;
        let format = request.default_format.as_deref().unwrap_or(FORMAT_DEFAULT);
        session.query(sql, format, &request.parameters).map_err(|text| Exception::parse(&text))
    }

    /// Runs an insert whose data arrive in pieces; the sender dropped is their end. Blocks.
    pub fn insert(
        &self,
        request: &Request,
        sql: &str,
        format: &str,
        mut data: mpsc::Receiver<DataPiece>,
    ) -> Result<Output, Exception> {
        let mut session = self.prepared(request, false)?;
        let mut insert = session.insert(sql, format).map_err(|text| Exception::parse(&text))?;
        while let Some(piece) = data.blocking_recv() {
            match piece {
                Ok(bytes) => {
                    if !insert.append(&bytes) {
                        break;
                    }
                }
                // Dropping the insert cancels it.
                Err(cause) => return Err(Exception::new(code::UNKNOWN, &cause)),
            }
        }
        insert.finish().map_err(|text| Exception::parse(&text))
    }

    fn prepared(&self, request: &Request, read_only: bool) -> Result<Connection, Exception> {
        let mut session = self.connect()?;
        for statement in request.preparation(read_only) {
            session.query(&statement, "Null", &[]).map_err(|text| Exception::parse(&text))?;
        }
        Ok(session)
    }
}
