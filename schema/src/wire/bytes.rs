//! Bytes of messages: a writer and a bounded reader.
//!
//! ```text
//! uint := LEB128, at most 10 bytes      text := [bytes: uint][UTF-8]      list := [entries: uint]…
//! ```

use super::{LIST_ENTRIES_MAX, TEXT_BYTES_MAX};

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end within the named field.
    #[error("message ends within {0}")]
    Truncated(&'static str),
    /// The kind of message is not known.
    #[error("unknown message kind {0}")]
    UnknownKind(u8),
    /// Another kind of message belongs here.
    #[error("expected {expected}, got message kind {kind}")]
    UnexpectedKind {
        /// What belongs here.
        expected: &'static str,
        /// What came.
        kind: u8,
    },
    /// A length above its bound.
    #[error("{field} has {length}, more than {limit}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// What it claims, in bytes or entries.
        length: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A text that is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A number outside its field's range.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// A peer of another protocol version.
    #[error("protocol version {theirs}, need {ours}")]
    ProtocolVersion {
        /// The peer's.
        theirs: u16,
        /// Ours.
        ours: u16,
    },
}

/// Appends fields to a buffer.
#[derive(Default)]
pub(crate) struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn f64(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A byte string; what exceeds `TEXT_BYTES_MAX` is cut, so that the peer can read it.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
        self.uint(kept.len() as u64);
        self.raw(kept);
    }

    /// A text, cut like `bytes` at a character's border.
    pub fn text(&mut self, text: &str) {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes(&text.as_bytes()[..end]);
    }

    /// A list, cut at `LIST_ENTRIES_MAX`.
    pub fn list<T>(&mut self, entries: &[T], mut put: impl FnMut(&mut Self, &T)) {
        let kept = &entries[..entries.len().min(LIST_ENTRIES_MAX)];
        self.uint(kept.len() as u64);
        for entry in kept {
            put(self, entry);
        }
    }
}

/// Takes fields from bytes.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(WireError::Truncated(field))?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        self.take(N, field)?.try_into().map_err(|_| WireError::Truncated(field))
    }

    pub fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        Ok(self.array::<1>(field)?[0])
    }

    pub fn uint(&mut self, field: &'static str) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(field)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(WireError::OutOfRange(field));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::OutOfRange(field))
    }

    /// A number that must fit `T`.
    pub fn fit<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, WireError> {
        T::try_from(self.uint(field)?).map_err(|_| WireError::OutOfRange(field))
    }

    pub fn f64(&mut self, field: &'static str) -> Result<f64, WireError> {
        Ok(f64::from_le_bytes(self.array(field)?))
    }

    pub fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], WireError> {
        let length = self.uint(field)?;
        if length > TEXT_BYTES_MAX as u64 {
            return Err(WireError::TooLong { field, length, limit: TEXT_BYTES_MAX as u64 });
        }
        self.take(length as usize, field)
    }

    pub fn text(&mut self, field: &'static str) -> Result<String, WireError> {
        let bytes = self.bytes(field)?;
        Ok(std::str::from_utf8(bytes).map_err(|_| WireError::NotUtf8(field))?.to_owned())
    }

    /// A list. Allocates as entries are read, so that a claimed length costs nothing.
    pub fn list<T>(
        &mut self,
        field: &'static str,
        mut take: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let length = self.uint(field)?;
        if length > LIST_ENTRIES_MAX as u64 {
            return Err(WireError::TooLong { field, length, limit: LIST_ENTRIES_MAX as u64 });
        }
        let mut entries = Vec::new();
        for _ in 0..length {
            entries.push(take(self)?);
        }
        Ok(entries)
    }
}
