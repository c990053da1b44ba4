//! What is MQTT and what is not.

use super::*;

fn probe(bytes: &[u8], is_client: bool) -> Probe {
    let direction = if is_client { Direction::ClientToServer } else { Direction::ServerToClient };
    probe::first_bytes(direction, bytes, true)
}

#[test]
fn packets_are_recognised_by_lengths_that_add_up() {
    let connect = b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04dev1";
    assert_eq!(probe(connect, true), Probe::Certain);
    assert_eq!(probe(connect, false), Probe::No);
    for (place, byte) in [(0, 0x12), (3, 5), (5, b'q'), (8, 9)] {
        let mut wrong = connect.to_vec();
        wrong[place] = byte;
        assert_eq!(probe(&wrong, true), Probe::No, "{byte} at {place}");
    }
    for bytes in [
        &b"\x30\x07\0\x03a/bhi"[..],
        b"\x32\x07\0\x03a/b\0\x01",
        b"\x82\x08\0\x01\0\x03a/+\x01",
        b"\x82\x09\0\x01\0\0\x03a/+\x01",
        b"\xa2\x07\0\x01\0\x03a/b",
        b"\xc0\0",
        b"\x40\x02\0\x01",
        b"\x40\x04\0\x01\x10\0",
        b"\xe0\x02\x04\0",
    ] {
        assert_eq!(probe(bytes, true), Probe::Possible, "{bytes:?}");
    }
    assert_eq!(probe(b"\x30\x07\0\x03a/bhi\x30\x07\0\x03a/bhi", true), Probe::Certain);
}

#[test]
fn what_is_none_is_not_recognised() {
    for bytes in [
        // Flags, kinds, lengths, topics and ids that cannot be.
        &b"\x36\x07\0\x03a/b\0\x01"[..],
        b"\x80\x08\0\x01\0\x03a/+\x01",
        b"\x30\x04\0\x03a/bhi",
        b"\x30\x07\0\x03a\x01bhi",
        b"\x30\x07\0\x03a/#hi",
        b"\x32\x07\0\x03a/b\0\0",
        b"\x82\x08\0\x01\0\x03a/+\x03",
        b"\x82\x08\0\0\0\x03a/+\x01",
        b"\xc0\x01\0",
        b"\xe0\x01\x33",
        b"\x30\x80\x00\0\x03a/bhi",
        b"0123456789 text that begins with a digit",
    ] {
        assert_eq!(probe(bytes, true), Probe::No, "{bytes:?}");
    }
    // DNS over TCP behind its length.
    assert_eq!(probe(b"\x20\x9c\x01\0\0\x01\0\0\0\0\0\0\x06zipkin", false), Probe::No);
}

#[test]
fn properties_of_a_publish_are_told_from_a_payload() {
    assert!(property::are_of_publish(b"\x03\x23\0\x07payload"));
    assert!(property::are_of_publish(b"\x0b\x26\0\x03key\0\x03valx"));
    for payload in
        [&b"{\"value\": 1}"[..], b"\0payload", b"\x01\x01\x01", b"12.5", b"\x03\x21\0\x07"]
    {
        assert!(!property::are_of_publish(payload), "{payload:?}");
    }
}
