//! The tables of Kafka against messages of many versions, and what is no Kafka.

use super::*;
use crate::kafka::layout::End;

fn walk(key: i16, version: i16, is_request: bool, body: &[u8]) -> (Found<'_>, End) {
    let api = api::of(key).expect("a known key");
    let fields = if is_request { api.layout.request } else { api.layout.response };
    layout::walk(fields, version, version >= api.flexible, body, body.len())
}

#[test]
fn every_version_ends_where_its_message_does() {
    // ListOffsets: v0 has a number of offsets, v1 not; v4 an epoch; v6 is flexible.
    let cases: [(i16, &[u8]); 4] = [
        (0, b"\0\0\0\x01\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x09TIMESTAM\0\0\0\x01"),
        (1, b"\0\0\0\x01\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x09TIMESTAM"),
        (4, b"\0\0\0\x01\0\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x09EPOCTIMESTAM"),
        (6, b"\0\0\0\x01\0\x02\x02a\x02\0\0\0\x09EPOCTIMESTAM\0\x01\x07\x02xy\0"),
    ];
    for (version, body) in cases {
        let (found, end) = walk(2, version, true, body);
        assert_eq!(
            (found.topic, found.partition, end),
            (Some(&b"a"[..]), Some(9), End::Exact),
            "v{version}"
        );
        for other in (0..=11).filter(|other| *other != version) {
            let same = (2..=3).contains(&version) && (2..=3).contains(&other)
                || (4..=5).contains(&version) && (4..=5).contains(&other)
                || (6..=9).contains(&version) && (6..=9).contains(&other);
            let (_, end) = walk(2, other, true, body);
            assert_eq!(end == End::Exact, same, "v{version} as v{other}");
        }
    }
}

#[test]
fn lengths_that_cannot_be_are_wrong() {
    for body in [&b"\0\x01a\x7f\xff\xff\xff"[..], b"\0\x01a\xff\xff\xff\xfe", b"\0\x50a", b"\x80\0"]
    {
        let (_, end) = walk(42, 0, true, body);
        assert_eq!(end, End::Wrong, "{body:?}");
    }
    let (found, end) = layout::walk(api::of(12).unwrap().layout.request, 0, false, b"\0\x02gr", 99);
    assert_eq!((found.group, end), (Some(&b"gr"[..]), End::Short));
}

#[test]
fn ids_of_topics_are_shown_as_kafka_does() {
    assert_eq!(topics::id_text([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(topics::id_text([0xff; 16]), "_____________________w");
}

#[test]
fn errors_have_names() {
    assert_eq!(error::name_of(0), None);
    assert_eq!(error::name_of(-1), Some("UNKNOWN_SERVER_ERROR"));
    assert_eq!(error::name_of(3), Some("UNKNOWN_TOPIC_OR_PARTITION"));
    assert_eq!(error::name_of(100), Some("UNKNOWN_TOPIC_ID"));
    assert_eq!(error::name_of(133), Some("SHARE_SESSION_LIMIT_REACHED"));
    assert_eq!((error::name_of(134), error::name_of(-2)), (None, None));
}

#[test]
fn what_is_no_request_is_not_recognised() {
    let request = b"\0\0\0\x18\0\x0c\0\x04\0\0\0\x01\0\x03app\0\x02g\0\0\0\x01\x02m\0\0";
    assert_eq!(header::probe_request(request, false), Probe::Certain);
    for (place, byte) in
        [(3, 0x17), (3, 0x19), (5, 0x0b), (5, 99), (7, 9), (8, 0x80), (14, 1), (18, 0x7f)]
    {
        let mut wrong = request.to_vec();
        wrong[place] = byte;
        assert_ne!(header::probe_request(&wrong, true), Probe::Certain, "{byte} at {place}");
    }
    // ZooKeeper's getData and its answer, a PostgreSQL startup message, zeros.
    for other in [
        &b"\0\0\0\x0f\0\0\0\x05\0\0\0\x04\0\0\0\x02/a\0"[..],
        b"\0\0\0\x18\0\x03\0\0user\0alice\0db\0x\0\0\0",
        &[0; 64],
    ] {
        assert_eq!(header::probe_request(other, true), Probe::No, "{other:?}");
    }
}
