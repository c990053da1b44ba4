//! The ledger: what was observed, what is outstanding and what became of it, over restarts.
//!
//! In: each step of a batch. Out: the state after the last step, also when the agent was killed
//! in between. Never: waiting for a disk; a record is in the kernel's cache when a step counts,
//! which outlives the process.
//!
//! ```text
//! ledger := "DFLG" [version: u8 = 1] record…
//! record := [bytes: u8][crc32 of body: u32 le][body: bytes]
//! body   := 1 sealed  [signal: u8][sequence: u64][subject: u16][rows: u64]
//!         | 2 settled [signal: u8][sequence: u64][reason: u16]      reason 0: acknowledged
//!         | 3 dropped [subject: u16][reason: u16][rows: u64]        observed, never sealed
//!         | 4 total   [subject: u16][reason: u16][rows: u64]        reason 0: acknowledged
//!         | 5 next    [sequence: u64]                               lowest sequence not used
//! ```
//! Integers are little-endian. When the file has grown it is replaced by one that states the
//! totals and what is outstanding.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use schema::Drop;
use schema::wire::Signal;

use crate::totals::{Subject, Totals};

const MAGIC: &[u8; 5] = b"DFLG\x01";
/// The file is replaced when it is larger than this and than twice what it must hold.
const COMPACT_BYTES: u64 = 1 << 20;

/// A batch that is neither acknowledged nor dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outstanding {
    pub subject: Subject,
    pub rows: u64,
}

/// State that the records add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub totals: BTreeMap<Subject, Totals>,
    pub outstanding: BTreeMap<(Signal, u64), Outstanding>,
    pub next_sequence: u64,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Sealed { signal: Signal, sequence: u64, subject: Subject, rows: u64 },
    Settled { signal: Signal, sequence: u64, dropped: Option<Drop> },
    Dropped { subject: Subject, reason: Drop, rows: u64 },
    Total { subject: Subject, dropped: Option<Drop>, rows: u64 },
    Next { sequence: u64 },
}

/// The file and its state.
pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
    bytes: u64,
    compacted_bytes: u64,
    pub state: State,
}

impl Ledger {
    /// Opens the ledger; what follows a damaged record is ignored. New sequences start above
    /// `clock`, so that a ledger that was lost repeats none.
    pub fn open(path: &Path, clock: u64) -> io::Result<Self> {
        let mut state = State::default();
        match fs::read(path) {
            Ok(bytes) => replay(&bytes, &mut state),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        state.next_sequence = state.next_sequence.max(clock).max(1);
        let file = write_compacted(path, &state)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, compacted_bytes: bytes, state })
    }

    /// Takes a step: first the state, then the file. A file that cannot be written is reported
    /// and does not stop the agent: what is lost is only exactness after a kill.
    pub fn step(&mut self, record: Record) {
        self.state.apply(record);
        let mut bytes = Vec::with_capacity(32);
        encode(record, &mut bytes);
        if let Err(error) = self.file.write_all(&bytes) {
            tracing::error!(%error, path = %self.path.display(), "failed to write the ledger");
        }
        self.bytes += bytes.len() as u64;
        if self.bytes > COMPACT_BYTES && self.bytes > 2 * self.compacted_bytes {
            self.compact();
        }
    }

    /// Replaces the file by a short one.
    pub fn compact(&mut self) {
        match write_compacted(&self.path, &self.state) {
            Ok(file) => {
                self.bytes = file.metadata().map_or(self.bytes, |metadata| metadata.len());
                self.compacted_bytes = self.bytes;
                self.file = file;
            }
            Err(error) => {
                tracing::error!(%error, path = %self.path.display(), "failed to compact the ledger");
            }
        }
    }
}

impl State {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Sealed { signal, sequence, subject, rows } => {
                self.outstanding.insert((signal, sequence), Outstanding { subject, rows });
                let totals = self.totals.entry(subject).or_default();
                totals.observed += rows;
                totals.waiting += rows;
                self.next_sequence = self.next_sequence.max(sequence + 1);
            }
            Record::Settled { signal, sequence, dropped } => {
                let Some(batch) = self.outstanding.remove(&(signal, sequence)) else { return };
                let totals = self.totals.entry(batch.subject).or_default();
                totals.waiting -= batch.rows;
                match dropped {
                    None => totals.acknowledged += batch.rows,
                    Some(reason) => totals.drop_rows(reason, batch.rows),
                }
            }
            Record::Dropped { subject, reason, rows } => {
                let totals = self.totals.entry(subject).or_default();
                totals.observed += rows;
                totals.drop_rows(reason, rows);
            }
            Record::Total { subject, dropped, rows } => {
                let totals = self.totals.entry(subject).or_default();
                totals.observed += rows;
                match dropped {
                    None => totals.acknowledged += rows,
                    Some(reason) => totals.drop_rows(reason, rows),
                }
            }
            Record::Next { sequence } => {
                self.next_sequence = self.next_sequence.max(sequence);
            }
        }
    }

    /// Records that add up to this state.
    fn records(&self) -> Vec<Record> {
        let mut records = vec![Record::Next { sequence: self.next_sequence }];
        for (subject, totals) in &self.totals {
            let subject = *subject;
            records.push(Record::Total { subject, dropped: None, rows: totals.acknowledged });
            records.extend(totals.dropped.iter().map(|(reason, rows)| Record::Total {
                subject,
                dropped: Some(*reason),
                rows: *rows,
            }));
        }
        records.extend(self.outstanding.iter().map(|((signal, sequence), batch)| Record::Sealed {
            signal: *signal,
            sequence: *sequence,
            subject: batch.subject,
            rows: batch.rows,
        }));
        records
    }
}

fn write_compacted(path: &Path, state: &State) -> io::Result<File> {
    let part = path.with_extension("part");
    let mut bytes = MAGIC.to_vec();
    state.records().into_iter().for_each(|record| encode(record, &mut bytes));
    fs::write(&part, &bytes)?;
    fs::rename(&part, path)?;
    OpenOptions::new().append(true).open(path)
}

fn replay(bytes: &[u8], state: &mut State) {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return };
    while let Some((record, after)) = decode(rest) {
        state.apply(record);
        rest = after;
    }
    if !rest.is_empty() {
        tracing::warn!(bytes = rest.len(), "the ledger ends in a damaged record");
    }
}

fn encode(record: Record, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 5]);
    let reason_id = |dropped: Option<Drop>| dropped.map_or(0, |reason| reason as u16);
    match record {
        Record::Sealed { signal, sequence, subject, rows } => {
            out.extend_from_slice(&[1, signal.id()]);
            out.extend_from_slice(&sequence.to_le_bytes());
            out.extend_from_slice(&subject.id().to_le_bytes());
            out.extend_from_slice(&rows.to_le_bytes());
        }
        Record::Settled { signal, sequence, dropped } => {
            out.extend_from_slice(&[2, signal.id()]);
            out.extend_from_slice(&sequence.to_le_bytes());
            out.extend_from_slice(&reason_id(dropped).to_le_bytes());
        }
        Record::Dropped { subject, reason, rows } => {
            put_total(3, subject, reason as u16, rows, out);
        }
        Record::Total { subject, dropped, rows } => {
            put_total(4, subject, reason_id(dropped), rows, out);
        }
        Record::Next { sequence } => {
            out.push(5);
            out.extend_from_slice(&sequence.to_le_bytes());
        }
    }
    out[start] = (out.len() - start - 5) as u8;
    let checksum = crc32fast::hash(&out[start + 5..]);
    out[start + 1..start + 5].copy_from_slice(&checksum.to_le_bytes());
}

fn put_total(kind: u8, subject: Subject, reason: u16, rows: u64, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&subject.id().to_le_bytes());
    out.extend_from_slice(&reason.to_le_bytes());
    out.extend_from_slice(&rows.to_le_bytes());
}

fn decode(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let (body, after) = rest.split_at_checked(usize::from(*length))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (kind, fields) = body.split_first()?;
    let u64_at = |at: usize| Some(u64::from_le_bytes(*fields.get(at..)?.first_chunk()?));
    let u16_at = |at: usize| Some(u16::from_le_bytes(*fields.get(at..)?.first_chunk()?));
    let reason_at = |at: usize| {
        let id = u16_at(at)?;
        let known = Drop::ALL.iter().copied().find(|reason| *reason as u16 == id);
        if id == 0 { Some(None) } else { known.map(Some) }
    };
    let record = match kind {
        1 => Record::Sealed {
            signal: Signal::from_id(*fields.first()?)?,
            sequence: u64_at(1)?,
            subject: Subject::from_id(u16_at(9)?)?,
            rows: u64_at(11)?,
        },
        2 => Record::Settled {
            signal: Signal::from_id(*fields.first()?)?,
            sequence: u64_at(1)?,
            dropped: reason_at(9)?,
        },
        3 => Record::Dropped {
            subject: Subject::from_id(u16_at(0)?)?,
            reason: reason_at(2)??,
            rows: u64_at(4)?,
        },
        4 => Record::Total {
            subject: Subject::from_id(u16_at(0)?)?,
            dropped: reason_at(2)?,
            rows: u64_at(4)?,
        },
        5 => Record::Next { sequence: u64_at(0)? },
        _ => return None,
    };
    Some((record, after))
}

#[cfg(test)]
mod tests {
    use schema::Table;

    use super::*;

    const LOGS: Subject = Subject::Table(Table::L7FlowLog);

    fn steps() -> Vec<Record> {
        let sealed = |sequence, rows| Record::Sealed {
            signal: Signal::RequestLogs,
            sequence,
            subject: LOGS,
            rows,
        };
        let settled =
            |sequence, dropped| Record::Settled { signal: Signal::RequestLogs, sequence, dropped };
        vec![
            sealed(100, 5),
            sealed(101, 6),
            settled(100, None),
            Record::Dropped { subject: LOGS, reason: Drop::QueueFull, rows: 3 },
            sealed(102, 7),
            settled(101, Some(Drop::SpoolFull)),
        ]
    }

    #[test]
    fn it_balances_after_every_step_and_every_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let mut ledger = Ledger::open(&path, 50).unwrap();
        assert_eq!(ledger.state.next_sequence, 50);
        for step in steps() {
            ledger.step(step);
            assert!(ledger.state.totals.values().all(Totals::is_balanced));
        }
        let expected = ledger.state.clone();
        assert_eq!(expected.next_sequence, 103);
        let whole = fs::read(&path).unwrap();
        assert_eq!(Ledger::open(&path, 0).unwrap().state, expected);
        for cut in 0..whole.len() {
            let mut state = State::default();
            replay(&whole[..cut], &mut state);
            assert!(state.totals.values().all(Totals::is_balanced), "cut at {cut}");
        }
    }

    #[test]
    fn it_is_compacted_without_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let mut ledger = Ledger::open(&path, 1).unwrap();
        for sequence in 1..60_000 {
            let signal = Signal::RequestLogs;
            ledger.step(Record::Sealed { signal, sequence, subject: LOGS, rows: 1 });
            if sequence > 10 {
                ledger.step(Record::Settled { signal, sequence: sequence - 10, dropped: None });
            }
        }
        assert!(fs::metadata(&path).unwrap().len() <= COMPACT_BYTES + 64);
        assert_eq!(Ledger::open(&path, 1).unwrap().state, ledger.state);
        assert_eq!(ledger.state.outstanding.len(), 10);
    }
}
