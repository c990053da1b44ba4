//! The write-ahead log: what makes a batch durable before it is acknowledged.
//!
//! In: batches, one after the other from one thread. Out: segment files, the watermark of each
//! (agent, stream), closed segments for the writer. Never: an acknowledgement before the bytes
//! are on disk, or a batch appended twice.
//!
//! ```text
//! <dir>/checkpoint       identity of the log, next segment, watermarks; replaced atomically
//! <dir>/<id>.wal         segments, id in 16 hex digits, deleted once they are in the store
//! ```
//! One thread owns all of it. It takes what is waiting, writes it with one write and one
//! fdatasync, answers, and so on (group commit). A session that was replaced by a newer one of
//! the same agent can append nothing more: what the newer one was told of the watermark stays
//! true.

mod checkpoint;
mod log;
mod segment;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use tokio::sync::oneshot;

use schema::wire::{AckOutcome, AgentUuid, BatchHeader, Rejection, Signal, StreamState};

use crate::IngestConfig;
use crate::stats::Counters;

pub(crate) use segment::{Frame, FrameKind, read_segment};

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// A file or folder could not be used.
    #[error("use {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The checkpoint cannot be read. Without it batches that come again would be doubled.
    #[error("{0} is damaged: restore it, or remove the folder and accept doubled or lost rows")]
    Damaged(PathBuf),
}

/// A batch on its way into the log.
pub(crate) struct Append {
    pub agent: AgentUuid,
    pub agent_id: u16,
    /// Session that brought it; from `Wal::begin`.
    pub epoch: u64,
    pub header: BatchHeader,
    /// `Ok` with the payload, or why the batch is refused for good.
    pub content: Result<Vec<u8>, Rejection>,
    /// Answered when durable; dropped unanswered when the session is over.
    pub reply: oneshot::Sender<AckOutcome>,
    /// Room in the server's memory that the batch holds until it is durable.
    pub room: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// A segment that nothing will be appended to.
#[derive(Clone, Debug)]
pub(crate) struct ClosedSegment {
    pub id: u64,
    pub path: PathBuf,
    /// Identity of the log; with `id` unique for ever.
    pub log_id: u64,
}

pub(crate) enum Request {
    Begin {
        agent: AgentUuid,
        oldest_unsettled: Vec<(Signal, u64)>,
        reply: oneshot::Sender<Session>,
    },
    Append(Append),
    /// The segment is in the store.
    Stored {
        segment: u64,
    },
    /// Close the open segment and end.
    Stop,
}

/// What a session starts with.
pub(crate) struct Session {
    pub epoch: u64,
    pub streams: Vec<StreamState>,
}

/// The log's handle.
#[derive(Clone)]
pub(crate) struct Wal {
    requests: mpsc::Sender<Request>,
}

impl Wal {
    /// Opens the log and starts its thread. Segments left by an earlier run come first in
    /// `closed`.
    pub fn start(
        config: &IngestConfig,
        counters: Arc<Counters>,
        closed: tokio::sync::mpsc::UnboundedSender<ClosedSegment>,
    ) -> Result<(Self, std::thread::JoinHandle<()>), WalError> {
        let log = log::Log::open(config, counters, closed)?;
        let (requests, inbox) = mpsc::channel();
        let spawned =
            std::thread::Builder::new().name("wal".into()).spawn(move || thread::run(log, &inbox));
        let thread =
            spawned.map_err(|source| WalError::Io { path: config.wal_dir.clone(), source })?;
        Ok((Self { requests }, thread))
    }

    /// Begins a session of an agent and ends its earlier one. `None` when the log has stopped.
    pub async fn begin(
        &self,
        agent: AgentUuid,
        oldest_unsettled: Vec<(Signal, u64)>,
    ) -> Option<Session> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Begin { agent, oldest_unsettled, reply });
        answer.await.ok()
    }

    /// Appends a batch; answered through `append.reply`.
    pub fn append(&self, append: Append) {
        self.send(Request::Append(append));
    }

    /// Deletes a segment that is in the store.
    pub fn stored(&self, segment: u64) {
        self.send(Request::Stored { segment });
    }

    /// Closes the open segment and ends the thread.
    pub fn stop(&self) {
        self.send(Request::Stop);
    }

    /// When the thread has ended nobody waits for an answer that matters: senders see their
    /// reply channel closed.
    fn send(&self, request: Request) {
        let _ = self.requests.send(request);
    }
}

#[cfg(test)]
mod tests;
