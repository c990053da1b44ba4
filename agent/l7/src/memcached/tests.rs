//! What is taken for memcached and what is not.

use crate::memcached::probe;
use crate::protocol::Probe;
use crate::segment::Direction;

fn client(bytes: &[u8]) -> Probe {
    probe::first_bytes(Direction::ClientToServer, bytes, false)
}

fn server(bytes: &[u8]) -> Probe {
    probe::first_bytes(Direction::ServerToClient, bytes, false)
}

#[test]
fn lines_of_clients() {
    for line in ["set k 0 0 3\r\n", "cas k 0 -1 3 77 noreply\r\n", "get k\r\nset k 1 2 3\r\n"] {
        assert_eq!(client(line.as_bytes()), Probe::Certain, "{line}");
    }
    for line in ["get a b\r\n", "mg k v q\r\n", "stats items\r\n", "mn\r\n", "delete k 0\r\n"] {
        assert_eq!(client(line.as_bytes()), Probe::Possible, "{line}");
    }
    for line in ["se", "set k 0 0", "get", "delete 17\r\n", "delete 17\r\nge"] {
        assert_eq!(client(line.as_bytes()), Probe::Short, "{line}");
    }
    for line in [
        "GET / HTTP/1.1\r\n",
        "set k\r\n",
        "set k a b c\r\n",
        "get\r\n",
        "put 0 0 60 3\r\n",
        "use tube\r\n",
        "get k\r\nreserve\r\n",
        "touch 17\r\n",
    ] {
        assert_eq!(client(line.as_bytes()), Probe::No, "{line}");
    }
}

#[test]
fn lines_of_servers() {
    assert_eq!(server(b"VALUE k 0 3\r\nabc\r\nEND\r\n"), Probe::Certain);
    for line in ["STORED\r\n", "END\r\n", "17\r\n", "VA 3 f0\r\n", "HD\r\n", "STAT pid 1\r\n"] {
        assert_eq!(server(line.as_bytes()), Probe::Possible, "{line}");
    }
    for line in ["+OK\r\n", "OK 123\r\n", "INSERTED 5\r\n", "HTTP/1.1 200 OK\r\n", "250 ok\r\n"] {
        assert_eq!(server(line.as_bytes()), Probe::No, "{line}");
    }
}

#[test]
fn binary_messages() {
    let get = b"\x80\0\0\x03\0\0\0\0\0\0\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0key";
    assert_eq!(client(get), Probe::Certain);
    assert_eq!(client(&get[..20]), Probe::Short);
    assert_eq!(server(get), Probe::No);
    // Keys and extras that are more than the body.
    assert_eq!(client(b"\x80\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\0ke"), Probe::No);
}
