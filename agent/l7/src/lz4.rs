//! Decompresses the start of an LZ4 block:
//! github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
//!
//! ```text
//! sequence := token: u8 (literals: u4, match - 4: u4; 15: goes on in bytes of 255)
//!             literals  [offset: u16 le]
//! ```
//! In: a block, perhaps cut off. Out: its first plain bytes. Never: more of them than asked for.

use crate::bytes::Reader;

/// The first `limit` plain bytes of a block; fewer where it is damaged or cut off.
pub(crate) fn decompress(block: &[u8], limit: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(limit.min(block.len().saturating_mul(4)));
    let mut reader = Reader::new(block);
    while out.len() < limit && sequence(&mut reader, &mut out, limit).is_some() {}
    out
}

/// Reads one sequence; `None` at the end of the block.
fn sequence(reader: &mut Reader<'_>, out: &mut Vec<u8>, limit: usize) -> Option<()> {
    let token = reader.u8()?;
    let literals = length(reader, token >> 4)?;
    let found = reader.take_up_to(literals);
    let room = limit - out.len();
    out.extend_from_slice(&found[..found.len().min(room)]);
    let offset = usize::from(reader.u16_le()?);
    let copied = length(reader, token & 15)?.saturating_add(4);
    let start = out.len().checked_sub(offset).filter(|_| offset > 0)?;
    let room = limit - out.len();
    // The match may reach into itself.
    for at in start..start + copied.min(room) {
        out.push(out[at]);
    }
    Some(())
}

fn length(reader: &mut Reader<'_>, start: u8) -> Option<usize> {
    let mut length = usize::from(start);
    if start < 15 {
        return Some(length);
    }
    loop {
        let more = reader.u8()?;
        length = length.saturating_add(usize::from(more));
        if more < 255 {
            return Some(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_matches() {
        assert_eq!(decompress(b"\x50hello", 100), b"hello");
        // Four literals, a match of 8 that reaches into itself, then the last literals.
        assert_eq!(decompress(b"\x44abcd\x04\0\x20xy", 100), b"abcdabcdabcdxy");
        assert_eq!(decompress(b"\x1fa\x01\0\xff\x05\x00", 1000), [b'a'; 1 + 4 + 15 + 255 + 5]);
        assert_eq!(decompress(b"\x1fa\x01\0\xff\x05\x00", 7), b"aaaaaaa");
        let long = [&b"\xf0\x03"[..], &[b'z'; 18]].concat();
        assert_eq!(decompress(&long, 100), [b'z'; 18]);
    }

    #[test]
    fn damaged_blocks_end_early() {
        for block in [&b""[..], b"\xf0", b"\xf0\xff", b"\x04\x01\0", b"\x10a\0\0", b"\x10a\x09\0"] {
            assert!(decompress(block, 100).len() <= 1, "{block:x?}");
        }
    }
}
