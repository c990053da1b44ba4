//! Content under its digest: what an OCI layout is made of.
//!
//! In: bytes, or a part of a file. Out: their sha256 and size, and the bytes again. Large ones stay
//! on the disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Content and its digest.
#[derive(Debug)]
pub struct Blob {
    /// sha256 in lower-case hexadecimal digits.
    pub sha256: String,
    /// Length.
    pub size_bytes: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File { file: File, offset: u64 },
}

impl Blob {
    /// A small one.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        let size_bytes = bytes.len() as u64;
        Self { sha256: sha256(&bytes), size_bytes, place: Place::Memory(bytes) }
    }

    /// A document, keys in the order of the alphabet.
    ///
    /// # Errors
    /// None in practice: what is given is JSON already.
    pub fn of_json(value: &Value) -> Result<Self> {
        Ok(Self::of(serde_json::to_vec(value).context("JSON")?))
    }

    /// A part of a file whose digest is known.
    #[must_use]
    pub fn in_file(file: File, offset: u64, size_bytes: u64, sha256: String) -> Self {
        Self { sha256, size_bytes, place: Place::File { file, offset } }
    }

    /// `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("sha256:{}", self.sha256)
    }

    /// Where it is in a layout.
    #[must_use]
    pub fn path(&self) -> String {
        path_of(&self.sha256)
    }

    /// Descriptor (image-spec, `descriptor.md`).
    #[must_use]
    pub fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest(), "size": self.size_bytes })
    }

    /// Hands its bytes to `write`.
    ///
    /// # Errors
    /// Of the disk, and of `write`.
    pub fn read<R>(&self, write: impl FnOnce(&mut dyn Read) -> Result<R>) -> Result<R> {
        match &self.place {
            Place::Memory(bytes) => write(&mut bytes.as_slice()),
            Place::File { file, offset } => {
                let mut file = file.try_clone().context("a file opened twice")?;
                file.seek(SeekFrom::Start(*offset)).context("a place in a file")?;
                write(&mut file.take(self.size_bytes))
            }
        }
    }

    /// Reads it all and holds it to its digest and size.
    ///
    /// # Errors
    /// When they differ.
    pub fn verify(&self) -> Result<()> {
        let (found, size_bytes) = self.read(|bytes| sha256_of(bytes))?;
        ensure!(
            found == self.sha256 && size_bytes == self.size_bytes,
            "{} holds {size_bytes} bytes with sha256 {found}, not {}",
            self.path(),
            self.size_bytes
        );
        Ok(())
    }
}

/// Where a digest is in a layout.
#[must_use]
pub fn path_of(sha256: &str) -> String {
    format!("blobs/sha256/{sha256}")
}

/// In lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Digest and length of all that can be read.
///
/// # Errors
/// Of the reader.
pub fn sha256_of(reader: &mut dyn Read) -> Result<(String, u64)> {
    let mut sink = Hashing::new(io::sink());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = reader.read(&mut chunk).context("cannot read")?;
        if length == 0 {
            let (_, sha256, size_bytes) = sink.finish();
            return Ok((sha256, size_bytes));
        }
        sink.write_all(&chunk[..length])?;
    }
}

/// Whether this is a sha256 as we write it.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Counts and digests what passes through.
#[derive(Debug)]
pub struct Hashing<W> {
    inner: W,
    digest: Sha256,
    size_bytes: u64,
}

impl<W: Write> Hashing<W> {
    /// Nothing has passed yet.
    pub fn new(inner: W) -> Self {
        Self { inner, digest: Sha256::new(), size_bytes: 0 }
    }

    /// What it wrote to, digest and length.
    pub fn finish(self) -> (W, String, u64) {
        (self.inner, hexadecimal(&self.digest.finalize()), self.size_bytes)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.digest.update(&bytes[..length]);
        self.size_bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
