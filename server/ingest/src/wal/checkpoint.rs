//! The checkpoint: what the log must remember of segments that are deleted.
//!
//! ```text
//! checkpoint := "DFCP" [version: u8 = 1][log_id: u64][next_segment: u64][next_row: u64]
//!               [streams: u32] stream… [crc32 of all before: u32]           all little-endian
//! stream     := [agent: 16][signal: u8][watermark: u64][rejected: u32][sequence: u64]…
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use schema::wire::{AgentUuid, Signal};

const MAGIC: &[u8; 5] = b"DFCP\x01";

/// What the server has of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamMark {
    /// Highest sequence that is durable or was refused for good.
    pub watermark: u64,
    /// Those that were refused, until the agent has settled them.
    pub rejected: BTreeSet<u64>,
}

/// State of the log apart from its segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Random number made with the log.
    pub log_id: u64,
    /// Number that the next segment gets.
    pub next_segment: u64,
    /// Number that the next row gets.
    pub next_row: u64,
    /// Marks of every stream ever seen.
    pub streams: BTreeMap<(AgentUuid, Signal), StreamMark>,
}

impl Checkpoint {
    /// Writes the file so that after a crash it is the old one or the new one.
    pub fn write(&self, path: &Path, fsync: bool) -> io::Result<()> {
        let part = path.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(&self.encode())?;
        if fsync {
            file.sync_all()?;
        }
        fs::rename(&part, path)?;
        match path.parent() {
            Some(dir) if fsync => File::open(dir)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for number in [self.log_id, self.next_segment, self.next_row] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(self.streams.len() as u32).to_le_bytes());
        for ((agent, signal), mark) in &self.streams {
            out.extend_from_slice(&agent.0);
            out.push(signal.id());
            out.extend_from_slice(&mark.watermark.to_le_bytes());
            out.extend_from_slice(&(mark.rejected.len() as u32).to_le_bytes());
            mark.rejected.iter().for_each(|seq| out.extend_from_slice(&seq.to_le_bytes()));
        }
        let checksum = crc32fast::hash(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// The checkpoint of a file's bytes; `None` when damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let mut rest = content.strip_prefix(MAGIC)?;
        let mut checkpoint = Self {
            log_id: take_u64(&mut rest)?,
            next_segment: take_u64(&mut rest)?,
            next_row: take_u64(&mut rest)?,
            streams: BTreeMap::new(),
        };
        for _ in 0..take_u32(&mut rest)? {
            let agent = AgentUuid(take(&mut rest)?);
            let signal = Signal::from_id(take::<1>(&mut rest)?[0])?;
            let watermark = take_u64(&mut rest)?;
            let mut rejected = BTreeSet::new();
            for _ in 0..take_u32(&mut rest)? {
                rejected.insert(take_u64(&mut rest)?);
            }
            checkpoint.streams.insert((agent, signal), StreamMark { watermark, rejected });
        }
        rest.is_empty().then_some(checkpoint)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}
