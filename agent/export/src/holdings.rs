//! Encoded batches that the server has not acknowledged: in memory, then in the spool.
//!
//! In: encoded batches, acknowledgements, what the server has of each stream. Out: what to send
//! next, in rising sequence. Never: a batch counted twice or not at all. A batch that may have
//! reached the server is counted as dropped only when the server says that it has not got it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use schema::Drop;
use schema::wire::{AckOutcome, BatchHeader, Signal, StreamState};

use crate::ExportConfig;
use crate::ledger::{Ledger, Record};
use crate::spool::Spool;
use crate::totals::Subject;

/// Where an outstanding batch is.
enum Place {
    Memory(Arc<[u8]>),
    Spool,
    /// Nowhere; it counts as dropped for this reason unless the server has it.
    Gone(Drop),
}

struct Entry {
    place: Place,
    subject: Subject,
    rows: u64,
    bytes: u64,
    /// Whether the server may have it.
    sent: bool,
}

/// All outstanding batches.
pub(crate) struct Holdings {
    pub ledger: Ledger,
    spool: Spool,
    entries: BTreeMap<(Signal, u64), Entry>,
    memory_bytes: usize,
    memory_bytes_max: usize,
    spool_bytes: u64,
    spool_bytes_max: u64,
    /// Highest sequence sent on this connection, per stream.
    cursors: BTreeMap<Signal, u64>,
}

impl Holdings {
    /// Takes up what the run before left. `clock` is µs since the epoch.
    pub fn open(config: &ExportConfig, clock: u64) -> io::Result<Self> {
        let spool = Spool::open(&config.spool_dir)?;
        let ledger = Ledger::open(&config.spool_dir.join("ledger"), clock)?;
        let mut holdings = Self {
            ledger,
            spool,
            entries: BTreeMap::new(),
            memory_bytes: 0,
            memory_bytes_max: config.memory_bytes_max,
            spool_bytes: 0,
            spool_bytes_max: config.spool_bytes_max,
            cursors: BTreeMap::new(),
        };
        for (key, batch) in &holdings.ledger.state.outstanding {
            let entry = Entry {
                place: Place::Gone(Drop::AgentKilled),
                subject: batch.subject,
                rows: batch.rows,
                bytes: 0,
                sent: true,
            };
            holdings.entries.insert(*key, entry);
        }
        for (signal, sequence, bytes) in holdings.spool.list()? {
            match holdings.entries.get_mut(&(signal, sequence)) {
                Some(entry) => {
                    entry.place = Place::Spool;
                    entry.bytes = bytes;
                    holdings.spool_bytes += bytes;
                }
                // Settled before the file was taken away.
                None => holdings.spool.remove(signal, sequence),
            }
        }
        Ok(holdings)
    }

    /// Gives a batch its sequence and keeps it.
    pub fn seal(&mut self, signal: Signal, subject: Subject, rows: u64, payload: Vec<u8>) {
        let sequence = self.ledger.state.next_sequence;
        let file_bytes = Spool::file_bytes(&payload);
        let place = if self.memory_bytes + payload.len() <= self.memory_bytes_max {
            Place::Memory(payload.into())
        } else if self.spill(signal, sequence, &payload) {
            Place::Spool
        } else {
            let reason = Drop::SpoolFull;
            return self.ledger.step(Record::Dropped { subject, reason, rows });
        };
        self.ledger.step(Record::Sealed { signal, sequence, subject, rows });
        let bytes = match &place {
            Place::Memory(payload) => {
                self.memory_bytes += payload.len();
                payload.len() as u64
            }
            _ => file_bytes,
        };
        self.entries.insert((signal, sequence), Entry { place, subject, rows, bytes, sent: false });
    }

    /// What the server has. Batches up to its watermark are settled; those above it are to be
    /// sent, and it has none of them: every earlier connection of ours is dead to it.
    pub fn connected(&mut self, streams: &[StreamState]) {
        let outstanding: Vec<(Signal, u64)> = self.entries.keys().copied().collect();
        for (signal, sequence) in outstanding {
            let stream = streams.iter().find(|stream| stream.signal == signal);
            match stream.filter(|stream| sequence <= stream.watermark) {
                Some(stream) if stream.rejected.contains(&sequence) => {
                    self.settle(signal, sequence, Some(Drop::BatchRejected));
                }
                Some(_) => self.settle(signal, sequence, None),
                None => self.confirm_unsent(signal, sequence),
            }
        }
        self.cursors.clear();
        let highest = streams.iter().map(|stream| stream.watermark).max().unwrap_or(0);
        let next = highest.saturating_add(1);
        if next > self.ledger.state.next_sequence {
            self.ledger.step(Record::Next { sequence: next });
        }
    }

    /// The next batch of a stream, and its payload. From now on the server may have it.
    pub fn next(&mut self, signal: Signal) -> Option<(BatchHeader, Arc<[u8]>)> {
        loop {
            let from = self.cursors.get(&signal).map_or(0, |cursor| cursor + 1);
            let mut ahead = self.entries.range_mut((signal, from)..=(signal, u64::MAX));
            let ((_, sequence), entry) =
                ahead.find(|(_, entry)| !matches!(entry.place, Place::Gone(_)))?;
            let sequence = *sequence;
            let payload = match &entry.place {
                Place::Memory(payload) => Some(payload.clone()),
                _ => self.spool.read(signal, sequence).map(Arc::from),
            };
            self.cursors.insert(signal, sequence);
            let Some(payload) = payload else {
                self.lose(signal, sequence, Drop::SpoolDamaged);
                continue;
            };
            entry.sent = true;
            let header = BatchHeader {
                signal,
                sequence,
                table_id: entry.subject.id(),
                rows: entry.rows as u32,
                payload_bytes: payload.len() as u32,
            };
            return Some((header, payload));
        }
    }

    /// An acknowledgement.
    pub fn acknowledged(&mut self, signal: Signal, sequence: u64, outcome: AckOutcome) {
        let dropped = match outcome {
            AckOutcome::Stored | AckOutcome::Duplicate => None,
            AckOutcome::Rejected(_) => Some(Drop::BatchRejected),
        };
        self.settle(signal, sequence, dropped);
    }

    /// Lowest outstanding sequence of each stream that has one.
    pub fn oldest_unsettled(&self) -> Vec<(Signal, u64)> {
        let oldest = |signal: Signal| {
            let mut entries = self.entries.range((signal, 0)..=(signal, u64::MAX));
            // Without one: everything below the next sequence is settled.
            entries.next().map_or(self.ledger.state.next_sequence, |((_, sequence), _)| *sequence)
        };
        Signal::ALL.into_iter().map(|signal| (signal, oldest(signal))).collect()
    }

    /// Moves what is in memory to the spool, for the next run.
    pub fn put_away(&mut self) {
        let in_memory: Vec<(Signal, u64, Arc<[u8]>)> = self
            .entries
            .iter()
            .filter_map(|((signal, sequence), entry)| match &entry.place {
                Place::Memory(payload) => Some((*signal, *sequence, payload.clone())),
                _ => None,
            })
            .collect();
        for (signal, sequence, payload) in in_memory {
            if self.spill(signal, sequence, &payload) {
                self.memory_bytes -= payload.len();
                let bytes = Spool::file_bytes(&payload);
                if let Some(entry) = self.entries.get_mut(&(signal, sequence)) {
                    entry.place = Place::Spool;
                    entry.bytes = bytes;
                }
            } else {
                self.lose(signal, sequence, Drop::SpoolFull);
            }
        }
        self.ledger.compact();
    }

    /// Batches that are not settled.
    pub fn outstanding(&self) -> usize {
        self.entries.len()
    }

    /// Bytes in the spool.
    pub fn spool_bytes(&self) -> u64 {
        self.spool_bytes
    }

    /// Bytes of batches in memory.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn settle(&mut self, signal: Signal, sequence: u64, dropped: Option<Drop>) {
        let Some(entry) = self.entries.remove(&(signal, sequence)) else { return };
        self.ledger.step(Record::Settled { signal, sequence, dropped });
        self.release(signal, sequence, &entry);
    }

    fn release(&mut self, signal: Signal, sequence: u64, entry: &Entry) {
        match &entry.place {
            Place::Memory(payload) => self.memory_bytes -= payload.len(),
            Place::Spool => {
                self.spool_bytes -= entry.bytes;
                self.spool.remove(signal, sequence);
            }
            Place::Gone(_) => {}
        }
    }

    /// The server has not got it.
    fn confirm_unsent(&mut self, signal: Signal, sequence: u64) {
        let Some(entry) = self.entries.get_mut(&(signal, sequence)) else { return };
        entry.sent = false;
        if let Place::Gone(reason) = entry.place {
            self.settle(signal, sequence, Some(reason));
        }
    }

    /// Lets a batch go; whether it counts as dropped may be for the server to say.
    fn lose(&mut self, signal: Signal, sequence: u64, reason: Drop) {
        let Some(entry) = self.entries.get_mut(&(signal, sequence)) else { return };
        if !entry.sent {
            return self.settle(signal, sequence, Some(reason));
        }
        let place = std::mem::replace(&mut entry.place, Place::Gone(reason));
        let gone = Entry {
            place,
            subject: entry.subject,
            rows: entry.rows,
            bytes: entry.bytes,
            sent: true,
        };
        self.release(signal, sequence, &gone);
    }

    /// Writes a payload to the spool; false when there is no room for it.
    fn spill(&mut self, signal: Signal, sequence: u64, payload: &[u8]) -> bool {
        let bytes = Spool::file_bytes(payload);
        if bytes > self.spool_bytes_max {
            return false;
        }
        while self.spool_bytes + bytes > self.spool_bytes_max {
            let is_spooled = |entry: &Entry| matches!(entry.place, Place::Spool);
            let least = self.entries.iter().rev().find(|(_, entry)| is_spooled(entry));
            let Some(((least, _), _)) = least else { return false };
            let victims = *least;
            if victims < signal {
                return false;
            }
            let mut oldest = self.entries.range((victims, 0)..=(victims, u64::MAX));
            let Some(((_, oldest), _)) = oldest.find(|(_, entry)| is_spooled(entry)) else {
                return false;
            };
            let oldest = *oldest;
            self.lose(victims, oldest, Drop::SpoolFull);
        }
        if let Err(error) = self.spool.write(signal, sequence, payload) {
            tracing::warn!(%error, "failed to write to the spool");
            return false;
        }
        self.spool_bytes += bytes;
        true
    }
}

#[cfg(test)]
mod tests;
