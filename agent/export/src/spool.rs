//! The disk spool: encoded batches, one file each.
//!
//! ```text
//! <dir>/<signal, 2 digits>-<sequence, 16 hex digits>.batch
//! file := "DFSP" [version: u8 = 1][crc32 of payload: u32 le][payload]
//! ```
//! Files outlive the process at once and the machine as the file system pleases: a spool is for
//! outages of the server, and what is damaged is counted.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use schema::wire::Signal;

const MAGIC: &[u8; 5] = b"DFSP\x01";
const HEADER_BYTES: usize = 9;

/// The spool's folder.
pub(crate) struct Spool {
    dir: PathBuf,
}

impl Spool {
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Batches that are there, with the bytes of their files.
    pub fn list(&self) -> io::Result<Vec<(Signal, u64, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((signal, sequence)) = name.to_str().and_then(parse_name) else { continue };
            found.push((signal, sequence, entry.metadata()?.len()));
        }
        found.sort();
        Ok(found)
    }

    /// Bytes that a payload takes in the spool.
    pub fn file_bytes(payload: &[u8]) -> u64 {
        (HEADER_BYTES + payload.len()) as u64
    }

    /// Writes a batch; a file that could not be written whole is taken away.
    pub fn write(&self, signal: Signal, sequence: u64, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
        bytes.extend_from_slice(payload);
        let path = self.path(signal, sequence);
        fs::write(&path, bytes).inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })
    }

    /// Reads a batch; `None` when it is not there or damaged.
    pub fn read(&self, signal: Signal, sequence: u64) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.path(signal, sequence)).ok()?;
        let checksum = bytes.strip_prefix(MAGIC)?.first_chunk::<4>().copied()?;
        bytes.drain(..HEADER_BYTES);
        (crc32fast::hash(&bytes) == u32::from_le_bytes(checksum)).then_some(bytes)
    }

    /// Takes a batch away.
    pub fn remove(&self, signal: Signal, sequence: u64) {
        let path = self.path(signal, sequence);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, path = %path.display(), "failed to remove a spool file");
        }
    }

    fn path(&self, signal: Signal, sequence: u64) -> PathBuf {
        self.dir.join(format!("{:02}-{sequence:016x}.batch", signal.id()))
    }
}

fn parse_name(name: &str) -> Option<(Signal, u64)> {
    let (signal, sequence) = name.strip_suffix(".batch")?.split_once('-')?;
    Some((Signal::from_id(signal.parse().ok()?)?, u64::from_str_radix(sequence, 16).ok()?))
}
