//! A cursor over bytes that cannot run past their end.
//!
//! In: a slice. Out: integers, slices and texts from its front, `None` when it is too short.
//! Never: a panic.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(front)
    }

    /// As many of `bytes` as there are.
    pub fn take_up_to(&mut self, bytes: usize) -> &'a [u8] {
        let (front, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        front
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*front)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16_be(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32_be(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64_be(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn u16_le(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u24_le(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    pub fn u32_le(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64_le(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes up to the next NUL, which is passed over.
    pub fn until_nul(&mut self) -> Option<&'a [u8]> {
        let end = find(self.rest, 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }
}

/// Where `byte` first stands.
pub(crate) fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    memchr::memchr(byte, bytes)
}

/// Bytes as text of at most `limit` bytes; what is not UTF-8 is replaced.
pub(crate) fn text(bytes: &[u8], limit: usize) -> schema::Text {
    let cut = &bytes[..bytes.len().min(limit)];
    match std::str::from_utf8(cut) {
        Ok(text) => text.into(),
        Err(error) if error.error_len().is_none() && cut.len() < bytes.len() => {
            // The limit fell inside a character.
            std::str::from_utf8(&cut[..error.valid_up_to()]).unwrap_or_default().into()
        }
        Err(_) => schema::Text::from_utf8_lossy(cut),
    }
}

/// Whether `bytes` is a name as programs give them: not empty, not long, only letters, digits
/// and `_ . $ - : / @ < > [ ] ; ,` and their like, no blank.
pub(crate) fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() <= 512 && bytes.iter().all(u8::is_ascii_graphic)
}

/// A hash that is the same on any machine.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// A decimal number that fills all of `bytes`.
pub(crate) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The six bits of a digit of base64 (RFC 4648, either alphabet).
pub(crate) fn base64_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}
