//! The log's state and files, owned by its thread.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use schema::wire::{AckOutcome, AgentUuid, Signal, StreamState};

use super::checkpoint::{Checkpoint, StreamMark};
use super::segment::{Frame, FrameKind, HEADER_BYTES, encode_header, read_segment};
use super::{Append, ClosedSegment, Session, WalError};
use crate::IngestConfig;
use crate::stats::Counters;

/// Rejected sequences remembered a stream; above it the oldest are forgotten.
const REJECTED_MAX: usize = 4096;

/// The segment that batches are appended to.
struct OpenSegment {
    id: u64,
    path: PathBuf,
    file: File,
    /// Bytes that are durable.
    bytes: u64,
    rows: u64,
    opened: Instant,
}

/// What `Log::stage` decided about a batch.
pub(super) enum Staged {
    /// It will be durable with the group's next flush.
    Answer(AckOutcome),
    /// No room in the log now.
    Full,
    /// Its session is over.
    Stale,
}

pub(super) struct Log {
    config: IngestConfig,
    counters: Arc<Counters>,
    closed: UnboundedSender<ClosedSegment>,
    /// `checkpoint.streams` holds the marks with everything staged.
    checkpoint: Checkpoint,
    epochs: BTreeMap<AgentUuid, u64>,
    segment: Option<OpenSegment>,
    /// Bytes of closed segments, by number, and their sum.
    closed_bytes: BTreeMap<u64, u64>,
    closed_bytes_sum: u64,
    /// A failed write could not be undone: nothing more may be appended or acknowledged.
    broken: bool,
    /// Frames of the group, not yet written.
    group: Vec<u8>,
    group_rows: u64,
    /// Marks before the group, to go back to when the write fails.
    marks_before: Vec<((AgentUuid, Signal), Option<StreamMark>)>,
}

impl Log {
    pub fn open(
        config: &IngestConfig,
        counters: Arc<Counters>,
        closed: UnboundedSender<ClosedSegment>,
    ) -> Result<Self, WalError> {
        let dir = &config.wal_dir;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        let path = dir.join("checkpoint");
        let checkpoint = open_checkpoint(&path, config.fsync)?;
        let mut log = Self {
            config: config.clone(),
            counters,
            closed,
            checkpoint,
            epochs: BTreeMap::new(),
            segment: None,
            closed_bytes: BTreeMap::new(),
            closed_bytes_sum: 0,
            broken: false,
            group: Vec::new(),
            group_rows: 0,
            marks_before: Vec::new(),
        };
        log.recover()?;
        Ok(log)
    }

    /// Takes up the segments of an earlier run.
    fn recover(&mut self) -> Result<(), WalError> {
        let dir = self.config.wal_dir.clone();
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(at(&dir))? {
            let path = entry.map_err(at(&dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            let id = name.strip_suffix(".wal").and_then(|id| u64::from_str_radix(id, 16).ok());
            found.extend(id.map(|id| (id, path.clone())));
        }
        found.sort();
        for (id, path) in found {
            self.recover_segment(id, &path).map_err(at(&path))?;
        }
        self.count_bytes();
        Ok(())
    }

    fn recover_segment(&mut self, id: u64, path: &Path) -> io::Result<()> {
        let segment = read_segment(path)?;
        if segment.is_torn() {
            tracing::warn!(path = %path.display(), "segment ends in a batch that was not acknowledged");
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(segment.whole_bytes as u64)?;
            file.sync_all()?;
        }
        let mut rows = 0;
        for frame in segment.frames() {
            let mark = self.checkpoint.streams.entry((frame.agent, frame.signal)).or_default();
            mark.watermark = mark.watermark.max(frame.sequence);
            match frame.kind {
                FrameKind::Batch => rows += u64::from(frame.rows),
                FrameKind::Rejection => {
                    mark.rejected.insert(frame.sequence);
                }
            }
        }
        self.checkpoint.next_segment = self.checkpoint.next_segment.max(id + 1);
        self.checkpoint.next_row = self.checkpoint.next_row.max(segment.first_row + rows);
        self.closed_bytes.insert(id, segment.whole_bytes as u64);
        self.closed_bytes_sum += segment.whole_bytes as u64;
        let log_id = self.checkpoint.log_id;
        let _ = self.closed.send(ClosedSegment { id, path: path.to_owned(), log_id });
        Ok(())
    }

    /// Begins a session; the agent's earlier one is over.
    pub fn begin(&mut self, agent: AgentUuid, oldest_unsettled: &[(Signal, u64)]) -> Session {
        let epoch = self.epochs.entry(agent).or_insert(0);
        *epoch += 1;
        let epoch = *epoch;
        for (signal, oldest) in oldest_unsettled {
            if let Some(mark) = self.checkpoint.streams.get_mut(&(agent, *signal)) {
                mark.rejected = mark.rejected.split_off(oldest);
            }
        }
        let streams = Signal::ALL
            .into_iter()
            .filter_map(|signal| {
                let mark = self.checkpoint.streams.get(&(agent, signal))?;
                let rejected = mark.rejected.iter().copied().collect();
                Some(StreamState { signal, watermark: mark.watermark, rejected })
            })
            .collect();
        Session { epoch, streams }
    }

    /// Whether a batch's session is still the agent's newest.
    pub fn is_current(&self, append: &Append) -> bool {
        self.epochs.get(&append.agent) == Some(&append.epoch)
    }

    /// Puts a batch into the group, unless it is there already.
    pub fn stage(&mut self, append: &Append) -> Staged {
        if !self.is_current(append) {
            return Staged::Stale;
        }
        let header = &append.header;
        let key = (append.agent, header.signal);
        let before = self.checkpoint.streams.get(&key);
        if let Some(mark) = before.filter(|mark| header.sequence <= mark.watermark) {
            let outcome = match &append.content {
                Err(reason) if mark.rejected.contains(&header.sequence) => {
                    AckOutcome::Rejected(*reason)
                }
                _ => AckOutcome::Duplicate,
            };
            return Staged::Answer(outcome);
        }
        let (kind, payload) = match &append.content {
            Ok(payload) => (FrameKind::Batch, payload.as_slice()),
            Err(_) => (FrameKind::Rejection, [].as_slice()),
        };
        let frame = Frame {
            kind,
            agent: append.agent,
            agent_id: append.agent_id,
            signal: header.signal,
            sequence: header.sequence,
            table_id: header.table_id,
            rows: header.rows,
            payload,
        };
        let bytes = frame.encoded_bytes() as u64;
        if self.total_bytes() + self.group.len() as u64 + bytes > self.config.wal_bytes_max {
            return Staged::Full;
        }
        frame.encode(&mut self.group);
        self.marks_before.push((key, before.cloned()));
        let mark = self.checkpoint.streams.entry(key).or_default();
        mark.watermark = header.sequence;
        match &append.content {
            Ok(_) => {
                self.group_rows += u64::from(header.rows);
                Staged::Answer(AckOutcome::Stored)
            }
            Err(reason) => {
                mark.rejected.insert(header.sequence);
                if mark.rejected.len() > REJECTED_MAX {
                    mark.rejected.pop_first();
                }
                Staged::Answer(AckOutcome::Rejected(*reason))
            }
        }
    }

    /// Whether the log can be used no more.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the group is large enough to be flushed.
    pub fn is_group_full(&self) -> bool {
        self.group.len() as u64 >= self.config.segment_bytes_max / 2
    }

    /// Makes the group durable. After an error none of it is, and the log is as before.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        let result = self.write_group();
        if result.is_err() {
            for (key, mark) in self.marks_before.drain(..).rev() {
                match mark {
                    Some(mark) => self.checkpoint.streams.insert(key, mark),
                    None => self.checkpoint.streams.remove(&key),
                };
            }
            // Whatever reached the file is cut off; later batches go to a new segment.
            if let Some(segment) = &self.segment {
                self.broken = segment.file.set_len(segment.bytes).is_err();
                self.close_segment();
            }
        }
        self.group.clear();
        self.group_rows = 0;
        self.marks_before.clear();
        self.count_bytes();
        result
    }

    fn write_group(&mut self) -> io::Result<()> {
        if self.segment.is_none() {
            self.segment = Some(self.open_segment()?);
        }
        let Some(segment) = &mut self.segment else { return Ok(()) };
        segment.file.seek(SeekFrom::Start(segment.bytes))?;
        segment.file.write_all(&self.group)?;
        if self.config.fsync {
            segment.file.sync_data()?;
        }
        segment.bytes += self.group.len() as u64;
        segment.rows += self.group_rows;
        self.checkpoint.next_row += self.group_rows;
        Ok(())
    }

    fn open_segment(&mut self) -> io::Result<OpenSegment> {
        let id = self.checkpoint.next_segment;
        // A number is used once, even when making the file fails.
        self.checkpoint.next_segment += 1;
        let path = self.config.wal_dir.join(format!("{id:016x}.wal"));
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all(&encode_header(id, self.checkpoint.next_row))?;
        if self.config.fsync {
            file.sync_all()?;
            File::open(&self.config.wal_dir)?.sync_all()?;
        }
        Ok(OpenSegment {
            id,
            path,
            file,
            bytes: HEADER_BYTES as u64,
            rows: 0,
            opened: Instant::now(),
        })
    }

    /// How long until the open segment is to be closed; `None` when there is none.
    pub fn due_in(&self) -> Option<Duration> {
        let segment = self.segment.as_ref()?;
        let large = segment.bytes >= self.config.segment_bytes_max
            || segment.rows >= self.config.segment_rows_max;
        let age = segment.opened.elapsed();
        Some(if large { Duration::ZERO } else { self.config.segment_age_max.saturating_sub(age) })
    }

    /// Hands the open segment to the writer.
    pub fn close_segment(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        self.closed_bytes.insert(segment.id, segment.bytes);
        self.closed_bytes_sum += segment.bytes;
        if self.broken {
            // It may end in batches that were not acknowledged and come again: not for the store
            // before the next start has read which batches it holds.
            return;
        }
        let log_id = self.checkpoint.log_id;
        let _ = self.closed.send(ClosedSegment { id: segment.id, path: segment.path, log_id });
    }

    /// Forgets a segment that is in the store: checkpoint first, then the file.
    pub fn remove_segment(&mut self, id: u64) -> io::Result<()> {
        let path = self.config.wal_dir.join("checkpoint");
        self.checkpoint.write(&path, self.config.fsync)?;
        fs::remove_file(self.config.wal_dir.join(format!("{id:016x}.wal")))?;
        self.closed_bytes_sum -= self.closed_bytes.remove(&id).unwrap_or(0);
        self.count_bytes();
        Ok(())
    }

    fn total_bytes(&self) -> u64 {
        let open = self.segment.as_ref().map_or(0, |segment| segment.bytes);
        self.closed_bytes_sum + open
    }

    fn count_bytes(&self) {
        self.counters.set_wal_bytes(self.total_bytes());
    }

    /// Counts rows that had to wait because the log was full.
    pub fn count_full(&self, append: &Append) {
        self.counters.dropped(schema::Drop::WalFull, append.header.rows);
    }
}

fn open_checkpoint(path: &Path, fsync: bool) -> Result<Checkpoint, WalError> {
    match fs::read(path) {
        Ok(bytes) => Checkpoint::decode(&bytes).ok_or_else(|| WalError::Damaged(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let checkpoint =
                Checkpoint { log_id: random().map_err(at(path))?, ..Checkpoint::default() };
            checkpoint.write(path, fsync).map_err(at(path))?;
            Ok(checkpoint)
        }
        Err(error) => Err(at(path)(error)),
    }
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> WalError {
    let path = path.to_owned();
    move |source| WalError::Io { path, source }
}
