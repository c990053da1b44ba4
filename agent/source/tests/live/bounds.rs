//! What is left out: ports, processes, and what a full ring has no room for.

use super::*;

#[test]
fn what_is_left_out_is_left_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let denied = listener.local_addr().expect("bound").port();
    let Some(mut capture) = Capture::start(|config| config.ports_denied = vec![denied..=denied])
    else {
        return;
    };
    let mut client = TcpStream::connect(("127.0.0.1", denied)).expect("connected");
    let (mut server, _) = listener.accept().expect("accepted");
    client.write_all(b"unseen").expect("sent");
    server.read_exact(&mut [0; 6]).expect("there");

    let own = std::process::id();
    capture.source().exclude(own).expect("room");
    let (mut hidden, _peer, hidden_port, _) = tcp_pair("127.0.0.1");
    hidden.write_all(b"unseen").expect("sent");
    capture.source().include(own).expect("known");
    hidden.write_all(b"seen").expect("sent");
    capture.until("the seen one", |c| !c.of(hidden_port, Direction::Egress).is_empty());
    capture.all();
    assert_eq!(joined(&capture.of(hidden_port, Direction::Egress)), b"seen");
    let at_denied =
        |one: &&Moved| one.tuple.local_port == denied || one.tuple.remote_port == denied;
    assert_eq!(capture.moved.iter().filter(at_denied).count(), 0);
    assert!(capture.changes(denied).is_empty());
}

#[test]
fn allowed_ports_hold_for_each_datagram() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let other = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let allowed = server.local_addr().expect("bound");
    let Some(mut capture) =
        Capture::start(|config| config.ports_allowed = vec![allowed.port()..=allowed.port()])
    else {
        return;
    };
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = client.local_addr().expect("bound").port();
    client.send_to(b"aside", other.local_addr().expect("bound")).expect("sent");
    client.send_to(b"asked", allowed).expect("sent");
    assert!(other.recv_from(&mut [0; 9]).is_ok() && server.recv_from(&mut [0; 9]).is_ok());
    capture.until("the receive", |c| !c.of(allowed.port(), Direction::Ingress).is_empty());
    assert_eq!(joined(&capture.of(port, Direction::Egress)), b"asked");
    let own = |one: &&Moved| one.tgid == std::process::id();
    assert_eq!(capture.moved.iter().filter(own).count(), 2, "the send and the receive");
}

#[test]
fn a_full_ring_is_counted() {
    let Some(mut capture) = Capture::start(|config| config.ring_bytes = 64 << 10) else { return };
    let (mut client, mut server, port, _) = tcp_pair("127.0.0.1");
    for _ in 0..100 {
        client.write_all(&[b'x'; 1000]).expect("sent");
        server.read_exact(&mut [0; 1000]).expect("there");
    }
    capture.all();
    let lost = capture.counters().ring_full;
    let told = capture.of(port, Direction::Egress).len();
    assert!(lost > 0 && told < 100, "lost {lost}, told {told}");
    client.write_all(b"room again").expect("sent");
    capture.until("the next", |c| {
        c.of(port, Direction::Egress).last().is_some_and(|one| one.payload == b"room again")
    });
    let next = capture.of(port, Direction::Egress).pop().expect("one");
    assert_eq!(next.cap_seq, 101, "what was lost is counted on the socket too");
}
