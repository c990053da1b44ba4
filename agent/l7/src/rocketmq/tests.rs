//! Recognition of commands in either form.

use super::*;

fn command(form: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + header.len() + body.len()) as u32).to_be_bytes().to_vec();
    bytes.extend((u32::from(form) << 24 | header.len() as u32).to_be_bytes());
    bytes.extend(header);
    bytes.extend(body);
    bytes
}

const JSON: &[u8] = br#"{"code":34,"flag":0,"language":"JAVA","opaque":7,"version":399}"#;

#[test]
fn commands_are_recognised() {
    for (form, header) in [
        (0, JSON),
        (0, br#"{"language":"GO","opaque":-1,"code":0,"flag":1,"remark":null}"#),
        (1, b"\0\x22\x09\x01\x8f\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0"),
        (1, b"\0\x0a\0\x01\x8f\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\x0c\0\x05topic\0\0\0\x01t"),
    ] {
        let bytes = command(form, header, b"body");
        assert_eq!(header::probe(&bytes, false), Probe::Certain, "{header:?}");
        let probes = (0..8 + header.len()).map(|end| header::probe(&bytes[..end], false));
        let probes: Vec<_> = probes.collect();
        assert!(!probes.contains(&Probe::No), "{header:?}: {probes:?}");
        assert!(probes[..13].iter().all(|probe| *probe == Probe::Short), "{header:?}");
    }
}

#[test]
fn what_is_no_command_is_not_recognised() {
    let good = command(0, JSON, b"");
    for (place, byte) in [(0, 9), (3, 3), (4, 2), (7, 3), (8, b'['), (9, b'x'), (20, b':')] {
        let mut wrong = good.clone();
        wrong[place] = byte;
        assert_eq!(header::probe(&wrong, true), Probe::No, "{byte} at {place}");
    }
    for (form, header) in [
        (0, &br#"{"code":34,"language":"JAVA","opaque":7,"version":399}"#[..]),
        (0, br#"{"code":34,"flag":9,"opaque":7,"language":"JAVA"}"#),
        (1, b"\0\x22\x59\x01\x8f\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0"),
        (1, b"\0\x22\x09\x01\x8f\0\0\0\x07\0\0\0\x04\0\0\0\0\0\0\0\0"),
        (1, b"\0\x22\x09\x01\x8f\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\0"),
        (2, JSON),
    ] {
        assert_eq!(header::probe(&command(form, header, b""), true), Probe::No, "{header:?}");
    }
}

#[test]
fn properties_end_with_or_without_their_mark() {
    let mut found = Vec::new();
    message::properties(b"KEYS\x01a b\x02WAIT\x01true", &mut |name, value| {
        found.push((name.to_vec(), value.to_vec()));
    });
    let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    assert_eq!(found, [pair("KEYS", "a b"), pair("WAIT", "true")]);
    assert_eq!(message::first_properties(b"short"), None);
}
