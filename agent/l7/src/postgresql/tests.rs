//! Errors, tags and probes.

use super::*;
use schema::ResponseStatus;

#[test]
fn classes_of_errors() {
    let status = |code: &str| {
        let body = format!("SERROR\0C{code}\0Mtext\0\0");
        error::ServerError::read(body.as_bytes()).status()
    };
    assert_eq!(status("42601"), ResponseStatus::ClientError);
    assert_eq!(status("23505"), ResponseStatus::ClientError);
    assert_eq!(status("40001"), ResponseStatus::ServerError);
    assert_eq!(status("57014"), ResponseStatus::ServerError);
    assert_eq!(status(""), ResponseStatus::ServerError);
}

#[test]
fn probes_of_both_sides() {
    assert_eq!(probe::frontend(b"Q\0\0\0\x0dSELECT 1\0", false), Probe::Certain);
    assert_eq!(probe::frontend(b"Q\0\0\0\x0dSEL", false), Probe::Short);
    assert_eq!(probe::frontend(b"Q\0\0\0\x0d\x01\x02\x03\x04\x05\x06\x07\x08\0", false), Probe::No);
    assert_eq!(probe::frontend(b"\0\0\0\x08\x04\xd2\x16\x2f", false), Probe::Certain);
    assert_eq!(probe::frontend(b"S\0\0\0\x04", false), Probe::Possible);
    assert_eq!(probe::frontend(b"SSH-2.0", false), Probe::No);
    assert_eq!(probe::backend(b"Z\0\0\0\x05I"), Probe::Certain);
    assert_eq!(probe::backend(b"Z\0\0\0\x05X"), Probe::No);
    assert_eq!(probe::backend(b"R\0\0\0\x08\0\0\0\x0a"), Probe::Certain);
    assert_eq!(probe::backend(b"HTTP/1.1 200"), Probe::No);
    assert_eq!(probe::backend(b"\x16\x03\x01"), Probe::No);
}

#[test]
fn data_is_passed_over_to_the_last_whole_header() {
    let bytes = b"d\0\0\0\x06abD\0\0\0\x05xC\0\0\0\x04";
    assert_eq!(pass_data(bytes, false), 13);
    assert_eq!(pass_data(bytes, true), 7);
    assert_eq!(pass_data(b"d\0\0\x10\0a", true), 0x1001);
    assert_eq!(pass_data(b"d\0\0\0\x01", true), 0);
}
