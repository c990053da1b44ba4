//! Recognition of Pulsar's frames.

use super::*;

const LOOKUP: &[u8] = b"\0\0\0\x0e\0\0\0\x0a\x08\x17\xba\x01\x05\x0a\x01t\x10\x01";
const PING: &[u8] = b"\0\0\0\x09\0\0\0\x05\x08\x12\x92\x01\0";

#[test]
fn frames_are_recognised() {
    for bytes in [LOOKUP, PING] {
        assert_eq!(probe(bytes, false), Probe::Certain, "{bytes:?}");
        for end in 1..12 {
            assert_eq!(probe(&bytes[..end], false), Probe::Short, "{end} of {bytes:?}");
        }
        assert_eq!(probe(&bytes[..9], true), Probe::No);
    }
}

#[test]
fn what_is_no_frame_is_not_recognised() {
    for (place, byte) in [
        (0, 0x20),
        (3, 0x0d),
        (4, 1),
        (7, 3),
        (7, 0x0b),
        (8, 0x0a),
        (9, 1),
        (10, 0xb2),
        (12, 4),
        (13, 7),
    ] {
        let mut wrong = LOOKUP.to_vec();
        wrong[place] = byte;
        assert_eq!(probe(&wrong, true), Probe::No, "{byte} at {place}");
    }
}

#[test]
fn kinds_are_found_by_number() {
    for (number, name) in
        [(2, "CONNECT"), (40, "GET_OR_CREATE_SCHEMA_RESPONSE"), (68, "TOPIC_MIGRATED")]
    {
        assert_eq!(command::kind_of(number).map(|kind| kind.name), Some(name));
    }
    assert!(command::kind_of(1).is_none() && command::kind_of(45).is_none());
    assert_eq!((command::error_name(25), command::error_name(26)), ("ProducerFenced", ""));
}
