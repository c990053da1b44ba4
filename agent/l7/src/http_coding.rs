//! Takes the coding off a body as it comes (RFC 9110 §8.4.1): gzip and deflate.
//!
//! In: bytes of a coded body in any pieces. Out: its plain bytes, as far as they go. Never: more
//! memory than a window of 32 KiB and its tables, or more output than a bound.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

use crate::bytes::Reader;
use crate::http_content::Coding;

/// Takes the coding off one body.
pub(crate) struct Decoder {
    state: Box<InflateState>,
    /// What came of the header of gzip, until it is whole.
    header: Option<Vec<u8>>,
    /// Plain bytes that may come still.
    room: u64,
    is_over: bool,
}

/// Longest header of gzip. unit byte
const HEADER_BYTES: usize = 1024;

/// Most plain bytes that are made of one body; the rest is left. unit byte
const PLAIN_BYTES: u64 = 64 << 20;

/// Plain bytes at once. unit byte
const CHUNK_BYTES: usize = 4096;

impl Decoder {
    /// For a coding that is read here.
    pub fn new(coding: Coding) -> Option<Self> {
        let (format, header) = match coding {
            Coding::Gzip => (DataFormat::Raw, Some(Vec::new())),
            Coding::Deflate => (DataFormat::Zlib, None),
            Coding::Identity | Coding::Other => return None,
        };
        let state = InflateState::new_boxed(format);
        Some(Self { state, header, room: PLAIN_BYTES, is_over: false })
    }

    /// Whether nothing more comes of it.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        size_of::<InflateState>() + self.header.as_ref().map_or(0, Vec::capacity)
    }

    /// Takes the next bytes; `plain` gets what they are.
    pub fn take(&mut self, bytes: &[u8], mut plain: impl FnMut(&[u8])) {
        if self.is_over {
            return;
        }
        let Some(mut header) = self.header.take() else { return self.inflate(bytes, &mut plain) };
        let room = HEADER_BYTES - header.len();
        let before = header.len();
        header.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match header_end(&header) {
            Header::Ends(end) => self.inflate(&bytes[end - before..], &mut plain),
            Header::Short if header.len() < HEADER_BYTES => self.header = Some(header),
            Header::Short | Header::None => self.is_over = true,
        }
    }

    fn inflate(&mut self, mut bytes: &[u8], plain: &mut impl FnMut(&[u8])) {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            let result = inflate(&mut self.state, bytes, &mut chunk, MZFlush::None);
            bytes = bytes.get(result.bytes_consumed..).unwrap_or(&[]);
            plain(&chunk[..result.bytes_written]);
            self.room = self.room.saturating_sub(result.bytes_written as u64);
            match result.status {
                Ok(MZStatus::Ok) if self.room > 0 => {}
                // There was nothing to do: more must come.
                Err(miniz_oxide::MZError::Buf) if bytes.is_empty() => return,
                _ => {
                    self.is_over = true;
                    return;
                }
            }
            if bytes.is_empty() && result.bytes_written < CHUNK_BYTES {
                return;
            }
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Decoder").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

enum Header {
    /// So long it is.
    Ends(usize),
    Short,
    None,
}

/// Where the header of a gzip member ends (RFC 1952 §2.3).
fn header_end(bytes: &[u8]) -> Header {
    const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
    let common = bytes.len().min(MAGIC.len());
    if bytes[..common] != MAGIC[..common] {
        return Header::None;
    }
    let mut reader = Reader::new(bytes);
    match after_header(&mut reader) {
        Some(()) => Header::Ends(bytes.len() - reader.rest().len()),
        None => Header::Short,
    }
}

fn after_header(reader: &mut Reader<'_>) -> Option<()> {
    let [_, _, _, flags] = reader.array()?;
    reader.take(6)?;
    if flags & 4 != 0 {
        let extra = reader.u16_le()?;
        reader.take(extra.into())?;
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            reader.until_nul()?;
        }
    }
    if flags & 2 != 0 {
        reader.take(2)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(plain: &[u8], flags: u8, between: &[u8]) -> Vec<u8> {
        let raw = miniz_oxide::deflate::compress_to_vec(plain, 6);
        [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3], between, &raw, &[0; 8]].concat()
    }

    fn decode(coding: Coding, bytes: &[u8], size: usize) -> (Vec<u8>, bool) {
        let mut decoder = Decoder::new(coding).expect("a coding that is read");
        let mut out = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.take(piece, |plain| out.extend_from_slice(plain));
        }
        (out, decoder.is_over())
    }

    #[test]
    fn however_it_is_cut() {
        let plain: Vec<u8> = (0..20_000u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        let zlib = miniz_oxide::deflate::compress_to_vec_zlib(&plain, 6);
        let extras = [b"\x02\0ab".as_slice(), b"name\0", b"comment\0", b"cc"].concat();
        for size in [1, 2, 7, 4096, 1 << 20] {
            for bytes in [gzip(&plain, 0, b""), gzip(&plain, 0x1e, &extras)] {
                assert_eq!(decode(Coding::Gzip, &bytes, size), (plain.clone(), true), "{size}");
            }
            assert_eq!(decode(Coding::Deflate, &zlib, size), (plain.clone(), true), "{size}");
        }
        let half = gzip(&plain, 0, b"");
        let (out, is_over) = decode(Coding::Gzip, &half[..half.len() / 2], 100);
        assert!(!is_over && !out.is_empty() && plain.starts_with(&out));
    }

    #[test]
    fn damage_and_bombs_end_it() {
        assert!(decode(Coding::Gzip, b"<html>", 1).1);
        assert!(decode(Coding::Deflate, b"<html>", 1).1);
        assert!(decode(Coding::Gzip, &gzip(b"x", 8, &[b'n'; 5000]), 100).1);
        let bomb = gzip(&vec![0; 65 << 20], 0, b"");
        let mut decoder = Decoder::new(Coding::Gzip).expect("a coding that is read");
        let mut bytes = 0u64;
        bomb.chunks(1400)
            .for_each(|piece| decoder.take(piece, |plain| bytes += plain.len() as u64));
        assert!(decoder.is_over() && bytes < PLAIN_BYTES + CHUNK_BYTES as u64);
        assert!(decoder.held_bytes() < 64 << 10);
    }
}
