//! Decompresses the start of a Snappy block:
//! github.com/google/snappy/blob/main/format_description.txt
//!
//! ```text
//! block   := plain_length: varint  element*
//! element := literal | copy of what stands `offset` bytes before the end of the output
//! ```
//! In: a block, perhaps cut off. Out: its first plain bytes. Never: more of them than asked for.

/// The first `limit` plain bytes of a block; fewer where it is damaged or cut off.
pub(crate) fn decompress(block: &[u8], limit: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let Some((plain_bytes, mut rest)) = length(block) else { return out };
    let limit = limit.min(plain_bytes as usize);
    out.reserve(limit.min(rest.len().saturating_mul(4)));
    while out.len() < limit {
        let Some(after) = element(rest, &mut out, limit) else { break };
        rest = after;
    }
    out
}

/// Length of the whole, once it is plain, and what stands after it.
pub(crate) fn length(block: &[u8]) -> Option<(u32, &[u8])> {
    let mut length = 0u64;
    for (place, byte) in block.iter().take(5).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(length).ok()?, &block[place + 1..]));
        }
    }
    None
}

/// Reads one element; gives back what stands after it.
fn element<'a>(bytes: &'a [u8], out: &mut Vec<u8>, limit: usize) -> Option<&'a [u8]> {
    let (&tag, rest) = bytes.split_first()?;
    let number = |count: usize| {
        let octets = rest.get(..count)?;
        Some(octets.iter().rev().fold(0usize, |number, byte| number << 8 | usize::from(*byte)))
    };
    let upper = usize::from(tag >> 2);
    let room = limit - out.len();
    let (length, offset, used) = match tag & 3 {
        0 => {
            let extra = upper.saturating_sub(59);
            let length = if extra == 0 { upper } else { number(extra)? } + 1;
            let literal = &rest[extra..];
            out.extend_from_slice(&literal[..length.min(literal.len()).min(room)]);
            return literal.get(length..);
        }
        1 => (4 + (upper & 7), usize::from(tag >> 5) << 8 | number(1)?, 1),
        2 => (upper + 1, number(2)?, 2),
        _ => (upper + 1, number(4)?, 4),
    };
    let start = out.len().checked_sub(offset).filter(|_| offset > 0)?;
    // The copy may reach into itself.
    for at in start..start + length.min(room) {
        out.push(out[at]);
    }
    Some(&rest[used..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_copies() {
        // Wikipedia's text about Wikipedia is the format's usual example; this is its own.
        let block = b"\x0e\x0cabcd\x12\x04\0";
        assert_eq!(decompress(block, 100), b"abcdabcda");
        let run = b"\x0a\x00x\x22\x01\0";
        assert_eq!(decompress(run, 100), b"xxxxxxxxxx");
        assert_eq!(decompress(run, 3), b"xxx");
        let short = b"\x08\x00y\x0d\x01";
        assert_eq!(decompress(short, 100), b"yyyyyyyy");
        let long = [&b"\xc8\x01\xf0\xc7"[..], &[b'z'; 200]].concat();
        assert_eq!(decompress(&long, 1000), [b'z'; 200]);
    }

    #[test]
    fn damaged_blocks_end_early() {
        for block in [&b""[..], b"\xff", b"\x05\xf4\xff", b"\x05\x06\x01\0", b"\x05\x00a\x06\x09\0"]
        {
            assert!(decompress(block, 100).len() <= 1, "{block:x?}");
        }
        assert_eq!(decompress(b"\xff\xff\xff\xff\xff\x01\0", 100), b"");
    }
}
