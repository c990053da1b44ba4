//! Heads, probes and chunk sizes.

use super::*;
use crate::http1::exchange::path_of;

#[test]
fn where_a_head_ends() {
    assert_eq!(head::end(b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody"), Some(24));
    assert_eq!(head::end(b"GET / HTTP/1.1\nA: b\n\nbody"), Some(21));
    assert_eq!(head::end(b"GET / HTTP/1.1\r\nA: b\r\n"), None);
    assert_eq!(head::end(b""), None);
}

#[test]
fn first_lines() {
    let start = |direction, text: &'static str| {
        head::parse(direction, text.as_bytes(), true).map(|head| match head.start {
            StartLine::Request { method, target, version } => format!(
                "{} {} {version}",
                String::from_utf8_lossy(method),
                String::from_utf8_lossy(target)
            ),
            StartLine::Response { code, reason, version } => {
                format!("{code} {} {version}", String::from_utf8_lossy(reason))
            }
        })
    };
    let client = |text| start(Direction::ClientToServer, text);
    let server = |text| start(Direction::ServerToClient, text);
    assert_eq!(client("GET /a b HTTP/1.0\r\n\r\n").as_deref(), Some("GET /a b 1.0"));
    assert_eq!(client("M-SEARCH * HTTP/1.1\r\n\r\n").as_deref(), Some("M-SEARCH * 1.1"));
    assert_eq!(client("GET / HTTP/2.0\r\n\r\n"), None);
    assert_eq!(client("G@T / HTTP/1.1\r\n\r\n"), None);
    assert_eq!(server("HTTP/1.1 404 Not Found\r\n\r\n").as_deref(), Some("404 Not Found 1.1"));
    assert_eq!(server("HTTP/1.1 200\r\n\r\n").as_deref(), Some("200  1.1"));
    assert_eq!(server("HTTP/1.1 20x OK\r\n\r\n"), None);
    assert_eq!(server("HTTP/1.1 099 OK\r\n\r\n"), None);
}

#[test]
fn paths_of_targets() {
    assert_eq!(path_of(b"/a?b=http://c/d"), b"/a?b=http://c/d");
    assert_eq!(path_of(b"https://h:1/p/q"), b"/p/q");
    assert_eq!(path_of(b"http://h"), b"/");
    assert_eq!(path_of(b"h:443"), b"h:443");
}
