//! What is taken for SMTP, and where a mail ends.

use crate::protocol::{Input, Probe, Step};
use crate::segment::Direction;
use crate::smtp::content::Content;
use crate::smtp::{Frame, probe};

#[test]
fn first_lines() {
    let check = |direction, line: &str, expected| {
        assert_eq!(probe::first_bytes(direction, line.as_bytes(), false), expected, "{line}");
    };
    let client = |line, expected| check(Direction::ClientToServer, line, expected);
    let server = |line, expected| check(Direction::ServerToClient, line, expected);
    client("EHLO a.example\r\n", Probe::Certain);
    client("helo a\r\n", Probe::Certain);
    client("EHL", Probe::Short);
    client("EHLO a.exa", Probe::Short);
    client("MAIL FROM:<a@b", Probe::Certain);
    client("RSET\r\nMAIL FROM:<>\r\n", Probe::Certain);
    client("DATA\r\nFrom: x\r\n", Probe::Possible);
    client("NOOP\r\n", Probe::Short);
    client("QUIT\r\n", Probe::Short);
    client("USER anonymous\r\n", Probe::No);
    client("MAIL\r\n", Probe::No);
    client("EHLO a b\r\n", Probe::No);
    client("GET / HTTP/1.1\r\n", Probe::No);
    client("From: x\r\n", Probe::No);
    server("220 mx.example ESMTP ready\r\n", Probe::Certain);
    server("220-mx.example ESMTP ready\r\n", Probe::Certain);
    server("220 ftp.example FTP server\r\n", Probe::Possible);
    server("250 2.1.0 Ok\r\n", Probe::Possible);
    server("220", Probe::Short);
    server("220 mx", Probe::Short);
    server("331 Password?\r\n", Probe::No);
    server("2200 mx\r\n", Probe::No);
    server("200 news ready\r\n", Probe::No);
    server("+OK POP3\r\n", Probe::No);
}

#[test]
fn where_a_mail_ends() {
    let end = |bytes: &[u8]| {
        let input = Input { bytes, cut: false, datagram: false, text_bytes: 100 };
        match Content::default().cut(input) {
            Step::Frame { frame: Frame::Content { ends, .. }, used } => (ends, used),
            step => panic!("{step:?}"),
        }
    };
    assert_eq!(end(b".\r\nQUIT\r\n"), (true, 3));
    assert_eq!(end(b"a\r\n.\r\nQUIT\r\n"), (true, 6));
    assert_eq!(end(b"\r\n.\r\n"), (true, 5));
    assert_eq!(end(b"..\r\na\r\n..\r\n"), (false, 11));
    assert_eq!(end(b"a\n.\nb"), (false, 5));
}
