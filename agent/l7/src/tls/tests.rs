//! What is taken for TLS, and what alerts mean.

use schema::ResponseStatus;

use crate::protocol::Probe;
use crate::segment::Direction;
use crate::tls::alert::Alert;
use crate::tls::probe;

fn hello(kind: u8) -> Vec<u8> {
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let message = [&[kind, 0, 0, body.len() as u8][..], &body].concat();
    [&[22, 3, 1, 0, message.len() as u8][..], &message].concat()
}

fn client(bytes: &[u8]) -> Probe {
    probe::first_bytes(Direction::ClientToServer, bytes, false)
}

#[test]
fn hellos_are_certain() {
    assert_eq!(client(&hello(1)), Probe::Certain);
    assert_eq!(probe::first_bytes(Direction::ServerToClient, &hello(2), false), Probe::Certain);
    assert_eq!(client(&hello(2)), Probe::No);
    for end in 1..44 {
        assert_eq!(client(&hello(1)[..end]), Probe::Short, "{end}");
    }
    // A message in two records, the first of three bytes.
    let whole = hello(1);
    let split = [&[22, 3, 1, 0, 3][..], &whole[5..8], &[22, 3, 1, 0, 0x26], &whole[8..]].concat();
    assert_eq!(client(&split), Probe::Certain);
}

#[test]
fn others_are_not() {
    for bytes in [
        &b"\x16\x04\x01\x00\x30"[..],
        b"\x16\x03\x01\xff\xff",
        b"\x17\x03\x03\x00\x30abc",
        b"\x16\x03\x01\x00\x30\x01\x00\x00\x01\x03\x03",
        b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x02\x03",
        b"GET / HTTP/1.1\r\n",
    ] {
        assert_eq!(client(bytes), Probe::No, "{bytes:x?}");
    }
}

#[test]
fn who_alerts_blames_the_other() {
    let status = |description, from_server| {
        Alert::read(&[2, description]).map(|alert| alert.status(from_server))
    };
    assert_eq!(status(40, true), Some(ResponseStatus::ClientError));
    assert_eq!(status(48, false), Some(ResponseStatus::ServerError));
    assert_eq!(status(80, true), Some(ResponseStatus::ServerError));
    assert_eq!(status(90, false), Some(ResponseStatus::ClientError));
    assert!(Alert::read(&[3, 40]).is_none());
}
