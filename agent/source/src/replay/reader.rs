//! Buffered reading that knows its place in the file and never keeps more than one record.

use std::io::{BufReader, ErrorKind, Read};

use super::{MAX_RECORD_BYTES, ReplayError};

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Lowest byte first.
    Little,
    /// Highest byte first.
    Big,
}

impl Order {
    /// The u16 at `at`; 0 where the bytes end before.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let Some(two) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { return 0 };
        match self {
            Self::Little => u16::from_le_bytes(*two),
            Self::Big => u16::from_be_bytes(*two),
        }
    }

    /// The u32 at `at`; 0 where the bytes end before.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let Some(four) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { return 0 };
        match self {
            Self::Little => u32::from_le_bytes(*four),
            Self::Big => u32::from_be_bytes(*four),
        }
    }
}

/// A stream with its offset and one record's buffer.
#[derive(Debug)]
pub(super) struct Reader<R> {
    input: BufReader<R>,
    offset: u64,
    record: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads from the start of `input`.
    pub(super) fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(1 << 16, input), offset: 0, record: Vec::new() }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The first four bytes of the file.
    pub(super) fn magic(&mut self) -> Result<[u8; 4], ReplayError> {
        let mut magic = [0; 4];
        match self.read_up_to(&mut magic)? {
            0 => Err(ReplayError::Empty),
            4 => Ok(magic),
            _ => Err(ReplayError::Foreign { magic, hint: " (and no more)" }),
        }
    }

    /// Fills `buffer`; `None` when the file ends right here.
    pub(super) fn header<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<Option<[u8; N]>, ReplayError> {
        let mut buffer = [0; N];
        match self.read_up_to(&mut buffer)? {
            0 => Ok(None),
            got if got == N => Ok(Some(buffer)),
            _ => Err(ReplayError::Truncated { offset: self.offset, what }),
        }
    }

    /// Fills a header that must be there.
    pub(super) fn need<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], ReplayError> {
        let missing = ReplayError::Truncated { offset: self.offset, what };
        self.header(what)?.ok_or(missing)
    }

    /// Reads `len` bytes into the record's buffer; `len` above the limit is damage.
    pub(super) fn record(&mut self, len: u32, what: &'static str) -> Result<(), ReplayError> {
        if len > MAX_RECORD_BYTES {
            return Err(ReplayError::Damaged { offset: self.offset, what, value: len.into() });
        }
        let mut record = std::mem::take(&mut self.record);
        record.resize(len as usize, 0);
        let got = self.read_up_to(&mut record);
        self.record = record;
        if got? < len as usize {
            return Err(ReplayError::Truncated { offset: self.offset, what });
        }
        Ok(())
    }

    /// The bytes of the last [`Reader::record`].
    pub(super) fn bytes(&self) -> &[u8] {
        &self.record
    }

    /// Steps over `len` bytes.
    pub(super) fn skip(&mut self, len: u64, what: &'static str) -> Result<(), ReplayError> {
        let taken = std::io::copy(&mut (&mut self.input).take(len), &mut std::io::sink())
            .map_err(|source| ReplayError::Io { offset: self.offset, source })?;
        self.offset += taken;
        if taken < len {
            return Err(ReplayError::Truncated { offset: self.offset, what });
        }
        Ok(())
    }

    fn read_up_to(&mut self, buffer: &mut [u8]) -> Result<usize, ReplayError> {
        let mut got = 0;
        while got < buffer.len() {
            match self.input.read(&mut buffer[got..]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(ReplayError::Io { offset: self.offset, source }),
            }
        }
        self.offset += got as u64;
        Ok(got)
    }
}
