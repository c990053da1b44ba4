//! What is taken for CQL, and types of columns.

use crate::bytes::Reader;
use crate::cassandra::{body, probe};
use crate::protocol::Probe;
use crate::segment::Direction;

fn client(bytes: &[u8]) -> Probe {
    probe::first_bytes(Direction::ClientToServer, bytes, false)
}

fn server(bytes: &[u8]) -> Probe {
    probe::first_bytes(Direction::ServerToClient, bytes, false)
}

#[test]
fn first_envelopes() {
    let startup = b"\x04\0\0\x01\x01\0\0\0\x16\0\x01\0\x0bCQL_VERSION\0\x053.0.0";
    assert_eq!(client(startup), Probe::Certain);
    for end in 1..20 {
        assert_eq!(client(&startup[..end]), Probe::Short, "{end}");
    }
    assert_eq!(client(b"\x04\0\0\0\x05\0\0\0\0"), Probe::Possible);
    assert_eq!(client(b"\x04\0\0\x02\x07\0\0\0\x0f\0\0\0\x08SELECT 1\0\x01\0"), Probe::Certain);
    assert_eq!(server(b"\x84\0\0\x01\x02\0\0\0\0"), Probe::Possible);
    assert_eq!(server(b"\x84\0\0\x02\0\0\0\0\x09\0\0\x20\0\0\x03bad"), Probe::Certain);
    assert_eq!(server(b"\x84\0\0\x02\x08\0\0\0\x04\0\0\0\x01"), Probe::Possible);
}

#[test]
fn others_are_not() {
    for bytes in [
        &b"\x04\0\0\0\x05\0\0\0\x01a"[..],
        b"\x04\0\x80\0\x05\0\0\0\0",
        b"\x04\x20\0\0\x05\0\0\0\0",
        // A connection request of RDP.
        b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
        // A query that is longer than its envelope.
        b"\x04\0\0\x02\x07\0\0\0\x0f\0\0\0\x09SELECT 1\0\x01\0",
        b"\x04\0\0\x02\x07\0\0\0\x0f\0\0\0\x08\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0",
    ] {
        assert_eq!(client(bytes), Probe::No, "{bytes:x?}");
    }
}

#[test]
fn types_are_passed_over() {
    let left = |bytes: &'static [u8]| {
        let mut reader = Reader::new(bytes);
        body::pass_type(&mut reader).map(|()| reader.rest())
    };
    assert_eq!(left(b"\0\x0drest"), Some(&b"rest"[..]));
    assert_eq!(left(b"\0\x21\0\x0d\0\x20\0\x09rest"), Some(&b"rest"[..]));
    assert_eq!(left(b"\0\x31\0\x02\0\x09\0\x0drest"), Some(&b"rest"[..]));
    assert_eq!(left(b"\0\0\0\x01xrest"), Some(&b"rest"[..]));
    assert_eq!(left(b"\0\x30\0\x01k\0\x01t\0\x01\0\x01f\0\x09rest"), Some(&b"rest"[..]));
    assert_eq!(left(b"\0\x31\xff\xff"), None);
}
