//! What first bytes are taken for, and what they are not.

use schema::SignalSource;

use super::*;
use crate::config::Config;
use crate::segment::Transport;
use crate::stream::Mark;

/// The protocol that some pieces of client (`true`) and server lead to; reversed with a `-`.
fn decide(direction_known: bool, pieces: &[(bool, &[u8])]) -> String {
    decide_with(&mut Shared::new(Config::live()), direction_known, pieces)
}

fn decide_with(shared: &mut Shared, direction_known: bool, pieces: &[(bool, &[u8])]) -> String {
    let context = ConversationContext {
        transport: Transport::Tcp,
        client_port: 1,
        server_port: 2,
        server_key: 3,
        signal_source: SignalSource::Packet,
        direction_known,
        is_tls: false,
    };
    let mut undecided = Undecided::default();
    for (from_client, bytes) in pieces {
        let direction =
            if *from_client { Direction::ClientToServer } else { Direction::ServerToClient };
        let piece = Piece { gap_bytes: 0, bytes, cut_bytes: 0, mark: Mark::default() };
        match undecided.consider(shared, &context, direction, &piece) {
            Verdict::Speaks { parser, reversed } => {
                let name = parser.id().name();
                return if reversed { format!("-{name}") } else { name.to_owned() };
            }
            Verdict::Wait => {}
            Verdict::GiveUp | Verdict::LeaveAlone => return "none".into(),
        }
    }
    "open".into()
}

#[test]
fn certain_at_once() {
    assert_eq!(decide(true, &[(true, b"GET / HTTP/1.1\r\n")]), "HTTP");
    assert_eq!(decide(true, &[(true, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]), "HTTP2");
    assert_eq!(decide(true, &[(true, b"*1\r\n$4\r\nPING\r\n")]), "Redis");
    assert_eq!(decide(true, &[(true, b"\x09\0\0\0\x03SELECT 1")]), "MySQL");
    assert_eq!(decide(true, &[(true, b"Q\0\0\0\x0dSELECT 1\0")]), "PostgreSQL");
    assert_eq!(decide(false, &[(true, b"HTTP/1.1 200 OK\r\n")]), "-HTTP");
}

#[test]
fn possible_needs_the_other_side_or_a_known_server() {
    let ping: &[u8] = b"\x01\0\0\0\x0e";
    let ok: &[u8] = b"\x07\0\0\x01\0\0\0\x02\0\0\0";
    assert_eq!(decide(true, &[(true, ping)]), "open");
    assert_eq!(decide(true, &[(true, ping), (false, ok)]), "MySQL");
    assert_eq!(decide(true, &[(true, ping), (false, b"anything else")]), "open");
    let mut shared = Shared::new(Config::live());
    shared.learn(3, L7Protocol::Mysql);
    assert_eq!(decide_with(&mut shared, true, &[(true, ping)]), "MySQL");
    assert_eq!(decide(true, &[(true, b"PING\r\n"), (false, b"+PONG\r\n")]), "Redis");
    // NATS has a PING too.
    assert_eq!(decide(true, &[(false, b"INFO {\"a\":1}\r\n"), (true, b"PING\r\n")]), "NATS");
    assert_eq!(decide(true, &[(true, b"PING\r\n"), (false, b"PONG\r\n")]), "NATS");
}

#[test]
fn pieces_too_short_to_tell() {
    let request = b"GET /a/b HTTP/1.1\r\n\r\n";
    for at in 1..request.len() - 4 {
        let pieces = [(true, &request[..at]), (true, &request[at..])];
        assert_eq!(decide(true, &pieces), "HTTP", "cut at {at}");
    }
}

#[test]
fn others_are_none_of_ours() {
    let none = |bytes: &[u8]| assert_eq!(decide(false, &[(true, bytes); 5]), "none", "{bytes:?}");
    none(b"RFB 003.008\n\x01\x02\x10\0\0\0\0");
    none(b"SSH-2.0-OpenSSH_9.2\r\n");
    none(b"OPTIONS rtsp://a/b RTSP/1.0\r\n\r\n");
}

#[test]
fn random_bytes_are_none_of_ours() {
    // xorshift: the same bytes on every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut taken = Vec::new();
    for _ in 0..200_000 {
        let mut bytes = [0u8; 48];
        for chunk in bytes.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes());
        }
        let answer = decide(false, &[(true, &bytes)]);
        if answer != "open" && answer != "none" {
            taken.push((answer, bytes));
        }
    }
    assert!(taken.is_empty(), "{taken:x?}");
}
