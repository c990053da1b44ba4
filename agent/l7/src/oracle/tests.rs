//! What is taken for TNS, where statements and the ends of responses are found.

use schema::ResponseStatus;

use crate::oracle::{call, fault, probe, statement, status};
use crate::protocol::Probe;
use crate::segment::Direction;

#[test]
fn first_packets() {
    let server = |bytes: &[u8]| probe::first_bytes(Direction::ServerToClient, bytes, false);
    let client = |bytes: &[u8]| probe::first_bytes(Direction::ClientToServer, bytes, false);
    let accept =
        b"\0\x20\0\0\x02\0\0\0\x01\x39\0\0\x08\0\x7f\xff\x01\0\0\0\0\x20\x41\x41\0\0\0\0\0\0\0\0";
    assert_eq!(server(accept), Probe::Certain);
    assert_eq!(client(accept), Probe::No);
    for end in 1..18 {
        assert_eq!(server(&accept[..end]), Probe::Short, "{end}");
    }
    assert_eq!(server(b"\0\x20\0\0\x02\0\0\0\x02\x39\0\0\x08\0\x7f\xff\x01\0"), Probe::No);
    let commit = b"\0\0\0\x0d\x06\0\0\0\0\0\x03\x0e\x07";
    assert_eq!(client(commit), Probe::Possible);
    assert_eq!(client(b"\0\0\0\x0d\x06\0\0\0\0\0\x03\xff\x07"), Probe::No);
    assert_eq!(server(b"\0\0\0\x0f\x06\0\0\0\0\0\x09\x01\x01\x01\x07"), Probe::Possible);
    assert_eq!(client(b"GET / HTTP/1.1\r\n"), Probe::No);
    // Kafka, ZooKeeper, a framed Thrift call.
    assert_eq!(client(b"\0\0\0\x20\0\x06\0\0\0\0\0\x05\0\x03abc"), Probe::No);
    assert_eq!(client(b"\0\0\0\x1c\0\0\0\x06\0\0\0\x04\0\0\0\x08"), Probe::No);
    assert_eq!(client(b"\0\0\0\x11\x80\x01\0\x01\0\0\0\x04ping"), Probe::No);
}

#[test]
fn statements() {
    let find =
        |bytes: &[u8]| statement::find(bytes, 100).map(|text| text.escape_ascii().to_string());
    assert_eq!(find(b"\x01\x02\0\x08SELECT 1\x01\x01").as_deref(), Some("SELECT 1"));
    // A length that is a blank or a parenthesis.
    assert_eq!(
        find(b"\0\x28select 1234567890 from dual where rownum=1\0").as_deref(),
        Some("select 1234567890 from dual where rownum")
    );
    assert_eq!(find(b"\0\xfe\x04SELE\x05CT 12\0\x01"), None);
    assert_eq!(find(b"\0\xfe\x07SELECT \x022+\x011\0").as_deref(), Some("SELECT 2+1"));
    assert_eq!(
        find(b"\0\xfe\x01\x07SELECT \x02\0\x022+\x01\x011\0").as_deref(),
        Some("SELECT 2+1")
    );
    assert_eq!(find(b"\0\xfe\x02\x01\x2cselect * from t").as_deref(), Some("select * from t"));
    assert_eq!(find(b"\0\x10/* x */ select 1").as_deref(), Some("/* x */ select 1"));
    assert_eq!(find(b"\0\x08SELECTED"), None);
    assert_eq!(find(b"no statement at all"), None);
}

#[test]
fn names_are_sorted() {
    for (function, shown) in
        [(2, "OPEN"), (94, "EXECUTE"), (118, "AUTH_START"), (163, "SESSION_RELEASE")]
    {
        assert_eq!(call::name(function), Some(shown));
    }
    let known: Vec<u8> = (0..=255).filter(|function| call::name(*function).is_some()).collect();
    assert_eq!(known.len(), call::FUNCTIONS);
}

#[test]
fn ends_of_responses() {
    let mut summary = b"\x04\x01\x01\x01\x05\x01\x02\0\0\0\x01\x07\0".to_vec();
    summary.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    let found = status::find(&summary, true).expect("an end");
    assert_eq!((found.code, found.rows, found.cursor), (0, Some(2), Some(7)));
    // After rows, and before the mark of an end; with what is new since Oracle 20.
    let after = [b"\x06\x01\x04\x07", &summary[..], b"\x01\x03\x04\x01\x02\x03\x04\x1d"].concat();
    assert_eq!(status::find(&after, true).and_then(|found| found.rows), Some(2));
    assert_eq!(status::find(b"\x09\x01\x01\x02\x01\x02", true), Some(status::Status::default()));
    assert_eq!(
        status::find(b"\x08\x01\x01\x05hello\0\x09\x01\x09\x01\x05", true),
        Some(status::Status::default())
    );
    assert_eq!(status::find(b"\x07\x05hello\x02\xc1\x02", true), None);
    let error = b"\x04\0\0\0\0\x13ORA-00942: no table";
    assert_eq!(status::find(error, true).map(|found| found.code), Some(942));
    // What a row says of an error is none.
    assert_eq!(status::find(b"\x07\x13ORA-00942: no table\x01a", true), None);
}

#[test]
fn whom_errors_blame() {
    let check = |code, status| assert_eq!(fault::status(code), status, "{code}");
    check(1403, ResponseStatus::Ok);
    for code in [1, 942, 1017, 1013, 1722, 2291, 12_514, 20_001, 28_000] {
        check(code, ResponseStatus::ClientError);
    }
    for code in [60, 600, 1033, 1555, 3113, 4031, 12_516, 7445, 30_036] {
        check(code, ResponseStatus::ServerError);
    }
}
