//! From closed segments to the store.
//!
//! In: closed segments, oldest first. Out: for each, first its process events to the inventory,
//! then one insert a table; then the segment is deleted. Never: a segment deleted before the store
//! has it, or an insert under another token when it is tried again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use schema::block::{self, Limits};
use schema::wire::{ProcessEvent, Signal};
use schema::{Batch, Column, ColumnDef, Drop, Table};

use crate::columns::{Stamp, append, complete, ends, stored_defs};
use crate::enrich::{EndKey, EndTags, Enrich};
use crate::sink::Sink;
use crate::stats::Counters;
use crate::wal::{ClosedSegment, Frame, FrameKind, Wal, read_segment};

const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// An insert holds about so many rows or bytes of text at most; a larger table of a segment is
/// inserted in parts.
const PART_ROWS_MAX: usize = 131_072;
const PART_TEXT_BYTES_MAX: usize = 256 << 20;
/// Segments kept aside because the store will never take them.
const REFUSED_SEGMENTS_MAX: usize = 16;

/// What the writer works with.
pub(crate) struct Writer<S, E> {
    pub sink: Arc<S>,
    pub enrich: Arc<E>,
    pub wal: Wal,
    pub counters: Arc<Counters>,
    pub server_id: u16,
}

/// Rows of one insert.
struct Part {
    table: Table,
    defs: Vec<ColumnDef>,
    columns: Vec<Column>,
    rows: usize,
    token: String,
}

impl<S: Sink, E: Enrich> Writer<S, E> {
    /// Writes segments until there will be no more.
    pub async fn run(self, mut closed: UnboundedReceiver<ClosedSegment>) {
        while let Some(segment) = closed.recv().await {
            self.write(&segment).await;
        }
    }

    async fn write(&self, segment: &ClosedSegment) {
        let path = segment.path.clone();
        let read = move || read_segment(&path);
        let content = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(content)) => content,
            Ok(Err(error)) => {
                // It stays on disk and is tried again at the next start.
                tracing::error!(%error, path = %segment.path.display(), "failed to read a segment");
                return;
            }
            Err(_) => return,
        };
        let mut row = content.first_row;
        let mut tables: BTreeMap<Table, Vec<(u64, Frame)>> = BTreeMap::new();
        let frames: Vec<Frame> = content.frames().collect();
        for frame in frames {
            if frame.kind != FrameKind::Batch {
                continue;
            }
            let first_row = row;
            row += u64::from(frame.rows);
            if frame.signal == Signal::Processes {
                self.announce(&frame).await;
            } else if let Some(table) = Table::from_id(frame.table_id) {
                tables.entry(table).or_default().push((first_row, frame));
            }
        }
        let mut inserts = JoinSet::new();
        for (table, frames) in tables {
            for part in self.parts(table, frames, segment).await {
                let (sink, counters) = (self.sink.clone(), self.counters.clone());
                inserts.spawn(async move { insert(&*sink, &counters, part).await });
            }
        }
        let mut refused = false;
        while let Some(result) = inserts.join_next().await {
            match result {
                Ok(taken) => refused |= !taken,
                // The sink panicked: the segment is tried again at the next start.
                Err(_) => return,
            }
        }
        if refused {
            keep_aside(&segment.path);
        }
        self.wal.stored(segment.id);
    }

    async fn announce(&self, frame: &Frame<'_>) {
        let Ok(events) = ProcessEvent::decode_all(frame.payload, frame.rows as usize) else {
            return tracing::error!("process events in the log are damaged");
        };
        let mut patience = Patience::default();
        while let Err(error) = self.enrich.processes(frame.agent_id, &events).await {
            tracing::warn!(%error, "the inventory does not take processes; trying again");
            patience.pause().await;
        }
    }

    /// Decodes and completes the batches of a table.
    async fn parts(
        &self,
        table: Table,
        frames: Vec<(u64, Frame<'_>)>,
        segment: &ClosedSegment,
    ) -> Vec<Part> {
        let defs = stored_defs(table);
        let mut parts: Vec<Part> = Vec::new();
        let mut text_bytes = usize::MAX;
        for (first_row, frame) in frames {
            let batch = match block::decode(frame.payload, &Limits::default()) {
                Ok(batch) => batch,
                Err(error) => {
                    // It was checked before it was taken: only a damaged disk comes here.
                    tracing::error!(%error, table = table.name(), "a batch in the log is damaged");
                    self.counters.dropped(Drop::BatchRejected, frame.rows);
                    continue;
                }
            };
            let rows = batch.rows;
            let columns = self.enriched(batch, &frame, first_row).await;
            let more_bytes: usize = columns.iter().map(text_bytes_of).sum();
            let room = parts.last().is_some_and(|part| part.rows + rows <= PART_ROWS_MAX)
                && text_bytes.saturating_add(more_bytes) <= PART_TEXT_BYTES_MAX;
            if !room {
                let (log, id, number) = (segment.log_id, segment.id, parts.len());
                let token = format!("{log:016x}-{id:016x}-{}-{number}", table.id());
                let defs = defs.clone();
                parts.push(Part { table, defs, columns: Vec::new(), rows: 0, token });
                text_bytes = 0;
            }
            if let Some(part) = parts.last_mut() {
                append(&mut part.columns, columns);
                part.rows += rows;
                text_bytes += more_bytes;
            }
        }
        parts
    }

    async fn enriched(&self, batch: Batch, frame: &Frame<'_>, first_row: u64) -> Vec<Column> {
        let ends = ends(batch.table, &batch.columns, batch.rows);
        let tags = self.resolve(frame.agent_id, &ends.keys).await;
        let stamp = Stamp {
            agent_id: frame.agent_id,
            server_id: self.server_id,
            first_row,
            ends: &ends,
            tags: &tags,
        };
        complete(batch.table, batch.columns, batch.rows, &stamp)
    }

    /// Asks the inventory until it answers.
    async fn resolve(&self, agent_id: u16, keys: &[EndKey]) -> Vec<EndTags> {
        if keys.is_empty() {
            return Vec::new();
        }
        let mut patience = Patience::default();
        loop {
            match self.enrich.resolve(agent_id, keys).await {
                Ok(tags) => return tags,
                Err(error) => {
                    tracing::warn!(%error, "the inventory does not resolve; trying again");
                }
            }
            patience.pause().await;
        }
    }
}

/// Pauses between attempts.
#[derive(Default)]
struct Patience {
    attempts: u32,
}

impl Patience {
    async fn pause(&mut self) {
        let pause = RETRY_MIN * 2u32.pow(self.attempts.min(8));
        self.attempts += 1;
        tokio::time::sleep(pause.min(RETRY_MAX)).await;
    }
}

/// Inserts until the store has the rows; false when it will never take them.
async fn insert<S: Sink>(sink: &S, counters: &Counters, part: Part) -> bool {
    let mut patience = Patience::default();
    loop {
        let Part { table, defs, columns, rows, token } = &part;
        match sink.insert(*table, defs, columns, *rows, token).await {
            Ok(()) => {
                counters.stored(*table, *rows);
                return true;
            }
            Err(error) if error.retryable => {
                counters.insert_retry();
                tracing::warn!(%error, table = table.name(), rows, "the store does not take rows; trying again");
            }
            Err(error) => {
                tracing::error!(%error, table = table.name(), rows, "the store refused rows for good");
                counters.dropped(Drop::BatchRejected, *rows as u32);
                return false;
            }
        }
        patience.pause().await;
    }
}

fn text_bytes_of(column: &Column) -> usize {
    match column {
        Column::Text(texts) => texts.bytes.len(),
        Column::List { values, .. } => text_bytes_of(values),
        _ => 0,
    }
}

/// Copies a segment into `refused/`, so that an operator can look into it.
fn keep_aside(path: &Path) {
    let (Some(dir), Some(name)) = (path.parent().map(|dir| dir.join("refused")), path.file_name())
    else {
        return;
    };
    let kept = std::fs::create_dir_all(&dir).and_then(|()| {
        if std::fs::read_dir(&dir)?.count() < REFUSED_SEGMENTS_MAX {
            std::fs::copy(path, dir.join(name))?;
        }
        Ok(())
    });
    if let Err(error) = kept {
        tracing::error!(%error, "failed to keep a refused segment aside");
    }
}
