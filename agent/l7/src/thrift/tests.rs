//! Structs are walked through to their ends, whole or byte by byte; names are told apart.

use super::*;
use crate::thrift::value::Encoding;

/// Walks through a struct in pieces of `bytes`; gives where it ended.
fn end(encoding: Encoding, all: &[u8], bytes: usize) -> Option<usize> {
    let mut walk = Walk::new(encoding);
    let (mut at, mut seen) = (0, bytes.min(all.len()));
    loop {
        let used = walk.step(all.get(at..seen).unwrap_or(&[])).ok()? as usize;
        at += used;
        if walk.is_over() {
            return Some(at);
        }
        if used == 0 && seen == all.len() {
            return None;
        }
        seen = (seen + bytes).min(all.len());
    }
}

const BINARY: &[u8] = b"\x02\0\x01\x01\x03\0\x02\x07\x04\0\x03\0\0\0\0\0\0\0\0\x06\0\x04\0\x01\
    \x08\0\x05\0\0\0\x01\x0a\0\x06\0\0\0\0\0\0\0\x01\x0b\0\x07\0\0\0\x03abc\x0c\0\x08\x0b\0\x01\
    \0\0\0\x01z\0\x0d\0\x09\x0b\x08\0\0\0\x02\0\0\0\x01k\0\0\0\x01\0\0\0\0\0\0\0\x02\
    \x0f\0\x0a\x0c\0\0\0\x02\0\x08\0\x01\0\0\0\x09\0\x0e\0\x0b\x08\0\0\0\x02\0\0\0\x01\0\0\0\x02\
    \x0d\0\x0c\0\0\0\0\0\0\x10\0\x0d\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\0";

const COMPACT: &[u8] = b"\x11\x12\x13\x07\x14\x80\x01\x15\x02\x16\xff\xff\x03\x17\0\0\0\0\0\0\0\0\
    \x18\x03abc\x1c\x18\x01z\0\x1b\x02\x85\x01k\x02\0\x04\x19\x2c\0\x15\x12\0\x1a\xf5\x10\
    \x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08\x1b\0\x1d\0\x01\x02\x03\x04\
    \x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x05\xc8\x01\x02\x19\x31\x01\x02\x01\0";

#[test]
fn structs_are_walked_through() {
    for (encoding, all) in [(Encoding::Binary, BINARY), (Encoding::Compact, COMPACT)] {
        for bytes in [all.len(), 1, 2, 3, 7] {
            let more = [all, b"\x80\x01"].concat();
            assert_eq!(end(encoding, all, bytes), Some(all.len()), "{encoding:?} by {bytes}");
            assert_eq!(end(encoding, &more, more.len()), Some(all.len()), "{encoding:?}");
        }
    }
}

#[test]
fn structs_that_make_no_sense() {
    let deep = [0x0c, 0, 1].repeat(100);
    let bad: [&[u8]; 4] =
        [b"\x09\0\x01", b"\x0f\0\x01\x08\xff\xff\xff\xff", b"\x0f\0\x01\x07", &deep];
    for bytes in bad {
        assert!(Walk::new(Encoding::Binary).step(bytes).is_err(), "{bytes:?}");
    }
    assert!(Walk::new(Encoding::Compact).step(b"\x1e").is_err());
    assert!(Walk::new(Encoding::Compact).step(&[&[0x16], &[0xff; 12][..]].concat()).is_err());
}

#[test]
fn names() {
    assert_eq!(split(b"Calculator:add"), (&b"Calculator"[..], &b"add"[..]));
    assert_eq!(split(b"add"), (&b""[..], &b"add"[..]));
}
