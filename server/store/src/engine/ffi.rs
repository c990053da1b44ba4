//! The few calls of `libchdb` (ClickHouse as a library) that the engine needs.
//!
//! In: a path of the library, a data folder, statements. Out: result bytes or the engine's error
//! text. Never: a symbol other than those listed here, an unloaded library (its threads outlive
//! any handle), or a connection used by two threads at once.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

use libloading::Library;

/// Why `libchdb` could not be loaded or opened.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The library is not a loadable file, or lacks a symbol.
    #[error("load {path}: {source}")]
    Library {
        /// File that was tried.
        path: PathBuf,
        /// What the dynamic linker said.
        #[source]
        source: libloading::Error,
    },
    /// The engine refused the data folder (it prints the reason on stderr).
    #[error("open data folder {0}")]
    Open(PathBuf),
}

type RawConnection = *mut c_void;
type RawResult = *mut c_void;
type RawInsert = *mut c_void;

type ConnectFn = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut RawConnection;
type CloseFn = unsafe extern "C" fn(*mut RawConnection);
type QueryFn =
    unsafe extern "C" fn(RawConnection, *const c_char, usize, *const c_char, usize) -> RawResult;
type QueryParametersFn = unsafe extern "C" fn(
    RawConnection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> RawResult;
type InsertFn =
    unsafe extern "C" fn(RawConnection, *const c_char, usize, *const c_char, usize) -> RawInsert;
type AppendFn = unsafe extern "C" fn(RawInsert, *const c_void, usize) -> c_int;
type DoneFn = unsafe extern "C" fn(RawInsert) -> RawResult;
type OnInsertFn = unsafe extern "C" fn(RawInsert);
type InsertErrorFn = unsafe extern "C" fn(RawInsert) -> *const c_char;
type OnResultFn = unsafe extern "C" fn(RawResult);
type BufferFn = unsafe extern "C" fn(RawResult) -> *const c_char;
type CountFn = unsafe extern "C" fn(RawResult) -> u64;
type LengthFn = unsafe extern "C" fn(RawResult) -> usize;
type SignalsFn = unsafe extern "C" fn(c_int);

/// The library with its symbols resolved. Lives as long as the process.
pub struct Chdb {
    connect: ConnectFn,
    close: CloseFn,
    query: QueryFn,
    query_parameters: QueryParametersFn,
    insert: InsertFn,
    insert_append: AppendFn,
    insert_done: DoneFn,
    insert_cancel: OnInsertFn,
    insert_error: InsertErrorFn,
    insert_destroy: OnInsertFn,
    result_destroy: OnResultFn,
    result_buffer: BufferFn,
    result_length: LengthFn,
    result_error: InsertErrorFn,
    rows_read: CountFn,
    rows_written: CountFn,
}

impl Chdb {
    /// Loads the library at `path` and leaves the process's signal handlers alone.
    pub fn load(path: &Path) -> Result<Arc<Self>, LoadError> {
        let failed = |source| LoadError::Library { path: path.to_owned(), source };
        // SAFETY: the library's initialisers are those of ClickHouse; we are the only user of it
        // in this process and load it once.
        let library = unsafe { Library::new(path) }.map_err(failed)?;
        let loaded = Self::resolve(&library).map_err(failed)?;
        // The engine's threads run library code until the process ends: never unload it.
        Box::leak(Box::new(library));
        Ok(Arc::new(loaded))
    }

    fn resolve(library: &Library) -> Result<Self, libloading::Error> {
        // SAFETY: the symbol exists (or this fails) and has the given type in `chdb.h` 26.7.
        let silence: SignalsFn = *unsafe { library.get(b"chdb_set_signal_handlers_enabled\0") }?;
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the symbol exists (or this fails) and has the type of the field it goes
                // to in `chdb.h` 26.7; the library is never unloaded, so the pointer stays valid.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }?
            };
        }
        let loaded = Self {
            connect: symbol!("chdb_connect"),
            close: symbol!("chdb_close_conn"),
            query: symbol!("chdb_query_n"),
            query_parameters: symbol!("chdb_query_with_params_n"),
            insert: symbol!("chdb_stream_insert_n"),
            insert_append: symbol!("chdb_stream_append"),
            insert_done: symbol!("chdb_stream_done"),
            insert_cancel: symbol!("chdb_stream_cancel_insert"),
            insert_error: symbol!("chdb_stream_insert_error"),
            insert_destroy: symbol!("chdb_destroy_insert_stream"),
            result_destroy: symbol!("chdb_destroy_query_result"),
            result_buffer: symbol!("chdb_result_buffer"),
            result_length: symbol!("chdb_result_length"),
            result_error: symbol!("chdb_result_error"),
            rows_read: symbol!("chdb_result_storage_rows_read"),
            rows_written: symbol!("chdb_result_rows_written"),
        };
        // SAFETY: takes a flag, is called before any connection.
        unsafe { silence(0) };
        Ok(loaded)
    }

    /// Opens a connection (a session) to the data folder; one folder a process.
    pub fn connect(self: &Arc<Self>, data_dir: &Path) -> Result<Connection, LoadError> {
        let failed = || LoadError::Open(data_dir.to_owned());
        let path = CString::new(format!("--path={}", data_dir.display())).map_err(|_| failed())?;
        let name = c"deepflow-engine".to_owned();
        let mut arguments = [name.as_ptr().cast_mut(), path.as_ptr().cast_mut()];
        // SAFETY: `arguments` holds two NUL-terminated strings that live through the call, which
        // does not write to them.
        let handle = unsafe { (self.connect)(arguments.len() as c_int, arguments.as_mut_ptr()) };
        // SAFETY: a handle that is not null points to a connection.
        if handle.is_null() || unsafe { *handle }.is_null() {
            return Err(failed());
        }
        Ok(Connection { chdb: self.clone(), handle })
    }
}

/// A session of the engine. Its settings and its database are its own.
pub struct Connection {
    chdb: Arc<Chdb>,
    handle: *mut RawConnection,
}

// SAFETY: the C API allows a connection to move between threads; it is `!Sync`, and every call
// takes `&mut self`, so that no two threads use it at once.
unsafe impl Send for Connection {}

/// What a statement gave.
pub struct Output {
    /// Bytes in the format asked for.
    pub bytes: Vec<u8>,
    /// Rows read from tables.
    pub rows_read: u64,
    /// Rows written to tables.
    pub rows_written: u64,
}

impl Connection {
    /// Runs one statement, with values for its `{name:Type}` places, and returns all it gives.
    pub fn query(
        &mut self,
        sql: &str,
        format: &str,
        parameters: &[(String, String)],
    ) -> Result<Output, String> {
        if parameters.is_empty() {
            // SAFETY: the connection is open; both texts are given with their lengths and live
            // through the call.
            let result = unsafe {
                (self.chdb.query)(
                    self.raw(),
                    sql.as_ptr().cast(),
                    sql.len(),
                    format.as_ptr().cast(),
                    format.len(),
                )
            };
            return self.take(result);
        }
        let names: Vec<*const c_char> = parameters.iter().map(|p| p.0.as_ptr().cast()).collect();
        let name_lengths: Vec<usize> = parameters.iter().map(|p| p.0.len()).collect();
        let values: Vec<*const c_char> = parameters.iter().map(|p| p.1.as_ptr().cast()).collect();
        let value_lengths: Vec<usize> = parameters.iter().map(|p| p.1.len()).collect();
        // SAFETY: as above; the four arrays have `parameters.len()` entries each.
        let result = unsafe {
            (self.chdb.query_parameters)(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                parameters.len(),
            )
        };
        self.take(result)
    }

    /// Begins an INSERT (without its FORMAT clause) whose data follow in `format`.
    pub fn insert(&mut self, sql: &str, format: &str) -> Result<Insert<'_>, String> {
        // SAFETY: the connection is open; both texts live through the call.
        let stream = unsafe {
            (self.chdb.insert)(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
            )
        };
        let insert = Insert { connection: self, stream, finished: false };
        match insert.error() {
            Some(error) => Err(error),
            None => Ok(insert),
        }
    }

    fn raw(&self) -> RawConnection {
        // SAFETY: checked not to be null when it was opened, and open until `drop`.
        unsafe { *self.handle }
    }

    /// Copies a result out and frees it.
    fn take(&self, result: RawResult) -> Result<Output, String> {
        let chdb = &self.chdb;
        if result.is_null() {
            return Err("the engine gave no result".to_owned());
        }
        // SAFETY: `result` is a live result of this library in all calls up to its destruction;
        // the buffer it names has `length` bytes and lives as long as it does.
        unsafe {
            let error = text((chdb.result_error)(result));
            let buffer = (chdb.result_buffer)(result).cast::<u8>();
            let length = (chdb.result_length)(result);
            let bytes = if buffer.is_null() || length == 0 {
                Vec::new()
            } else {
                std::slice::from_raw_parts(buffer, length).to_vec()
            };
            let rows_read = (chdb.rows_read)(result);
            let rows_written = (chdb.rows_written)(result);
            (chdb.result_destroy)(result);
            match error {
                Some(error) => Err(error),
                None => Ok(Output { bytes, rows_read, rows_written }),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: open, and not used afterwards.
        unsafe { (self.chdb.close)(self.handle) };
        self.handle = ptr::null_mut();
    }
}

/// An INSERT that takes its data in pieces. Dropped before `finish`, it is cancelled.
pub struct Insert<'a> {
    connection: &'a mut Connection,
    stream: RawInsert,
    finished: bool,
}

impl Insert<'_> {
    /// Appends bytes; blocks while the engine is behind. False when the insert has failed already
    /// (`finish` tells why).
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        // SAFETY: the stream is live; the library copies `bytes`.
        let state = unsafe {
            (self.connection.chdb.insert_append)(self.stream, bytes.as_ptr().cast(), bytes.len())
        };
        state == 0
    }

    /// Ends the data, and returns when the rows are written.
    pub fn finish(mut self) -> Result<Output, String> {
        self.finished = true;
        // SAFETY: the stream is live.
        let result = unsafe { (self.connection.chdb.insert_done)(self.stream) };
        self.connection.take(result)
    }

    fn error(&self) -> Option<String> {
        // SAFETY: the stream is live, as far as the library gave one.
        unsafe { text((self.connection.chdb.insert_error)(self.stream)) }
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        let chdb = &self.connection.chdb;
        if !self.finished {
            // SAFETY: the stream is live.
            unsafe { (chdb.insert_cancel)(self.stream) };
        }
        // SAFETY: the stream is live, and not used afterwards.
        unsafe { (chdb.insert_destroy)(self.stream) };
    }
}

/// Copies a C string; `None` for null.
///
/// # Safety
/// `pointer` is null or points to a NUL-terminated string.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: by the caller's promise.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// Ends the process at once. The engine's threads are still at work, and the library's
/// destructors are not made for that; its data on disk are whole at any time.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process without running any more of its code.
    unsafe { libc::_exit(status) }
}
