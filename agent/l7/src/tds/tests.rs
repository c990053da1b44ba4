//! What is taken for TDS, and tokens cut anywhere.

use crate::protocol::Probe;
use crate::segment::Direction;
use crate::tds::probe;
use crate::tds::token::Tokens;

fn packet(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 8).to_be_bytes();
    [&[kind, 1, length[0], length[1], 0, 0, 1, 0], payload].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

const HEADERS: &[u8] = b"\x16\0\0\0\x12\0\0\0\x02\0\0\0\0\0\0\0\0\0\x01\0\0\0";

#[test]
fn first_packets() {
    let client = |bytes: &[u8]| probe::first_bytes(Direction::ClientToServer, bytes, false);
    let batch = packet(1, &[HEADERS, &utf16("SELECT 1")].concat());
    assert_eq!(client(&batch), Probe::Certain);
    for end in 1..30 {
        assert_eq!(client(&batch[..end]), Probe::Short, "{end}");
    }
    assert_eq!(client(&packet(1, &utf16("SELECT 1"))), Probe::Possible);
    let call = [HEADERS, b"\xff\xff\x0a\0\0\0"].concat();
    assert_eq!(client(&packet(3, &call)), Probe::Certain);
    let prelogin = b"\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x10\0\0\0\0\0\0";
    assert_eq!(client(&packet(0x12, prelogin)), Probe::Certain);
    assert_eq!(client(&packet(6, b"")), Probe::Possible);
    let server = |bytes: &[u8]| probe::first_bytes(Direction::ServerToClient, bytes, false);
    assert_eq!(server(&packet(4, prelogin)), Probe::Certain);
    assert_eq!(server(&packet(4, b"\xfd\0\0\0\0\0\0\0\0\0\0\0\0")), Probe::Possible);
    for bytes in [
        &b"\x01\0\0\0\x0e"[..],
        b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
        b"\x12\x01\0\x1a\0\0\x01\0\x01\0\x0b\0\x06",
        b"\x01\x01\0\x20\0\0\x01\0SELECT 1 FROM a_table",
    ] {
        assert_eq!(client(bytes), Probe::No, "{bytes:x?}");
    }
}

/// An answer with columns of every form, two rows, an error and a count.
fn answer() -> Vec<u8> {
    let column =
        |kind: &[u8], table: &[u8]| [b"\0\0\0\0\x09\0", kind, table, b"\x01", &utf16("c")].concat();
    let mut bytes = b"\x81\x06\0".to_vec();
    bytes.extend(column(b"\x38", b""));
    bytes.extend(column(b"\x26\x08", b""));
    bytes.extend(column(b"\xe7\x40\0\x09\x04\xd0\0\x34", b""));
    bytes.extend(column(b"\xe7\xff\xff\x09\x04\xd0\0\x34", b""));
    bytes.extend(column(b"\x63\xff\xff\xff\x7f\x09\x04\xd0\0\x34", b"\x01\x01\0t\0"));
    bytes.extend(column(b"\x28", b""));
    bytes.extend(b"\xd1\x01\0\0\0\x00\x04\0a\0b\0");
    bytes.extend(b"\x06\0\0\0\0\0\0\0\x04\0\0\0a\0b\0\x02\0\0\0c\0\0\0\0\0");
    bytes.extend([&b"\x10"[..], &[7; 16], &[8; 8], b"\x03\0\0\0xyz"].concat());
    bytes.extend(b"\x03\x01\x02\x03");
    bytes.extend(b"\xd2\x3e\x01\0\0\0");
    bytes.extend(b"\xaa\x14\0\xb5\x04\0\0\x01\x0d\x03\0b\0a\0d\0\0\0\x01\0\0\0");
    bytes.extend(b"\xff\x12\0\xc1\0\x02\0\0\0\0\0\0\0");
    bytes.extend(b"\xac\0\0\0\x01\0\0\0\0\0\0\x26\x04\x04\x2a\0\0\0");
    bytes.extend(b"\xfe\0\0\xe0\0\0\0\0\0\0\0\0\0");
    bytes
}

#[test]
fn tokens_cut_anywhere() {
    let bytes = answer();
    for at in 0..bytes.len() {
        for step in [1, 3, 1000] {
            let mut tokens = Tokens::default();
            tokens.read(&bytes[..at], false, 100);
            for piece in bytes[at..].chunks(step) {
                tokens.read(piece, false, 100);
            }
            let outcome = &tokens.outcome;
            let fault = outcome.error.as_ref().map(|fault| (fault.number, fault.class));
            assert_eq!(fault, Some((1205, 13)), "{at} {step}");
            assert_eq!((outcome.rows, outcome.handle), (Some(2), Some(42)), "{at} {step}");
        }
    }
}

#[test]
fn what_is_not_known_leaves_the_last_token() {
    let mut bytes = b"\x81\x01\0\0\0\0\0\x09\0\x99whatever this is".to_vec();
    bytes.extend(b"\xfd\x10\0\xc1\0\x07\0\0\0\0\0\0\0");
    let mut tokens = Tokens::default();
    tokens.read(&bytes, true, 100);
    assert_eq!(tokens.outcome.rows, Some(7));
}
