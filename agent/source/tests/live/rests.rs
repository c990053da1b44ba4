//! Rests: what is not watched is counted, and what comes after is told as if nothing had been before.

use std::io::{Read, Write};

use source::bpf::{Direction, SocketChange};

use super::capture::Capture;
use super::tcp_pair;

/// Sends and receives at rest.
const UNWATCHED: u64 = 100;

/// Moves a text from one to the other.
fn pass(from: &mut impl Write, to: &mut impl Read, text: &[u8]) {
    from.write_all(text).expect("sent");
    let mut received = vec![0; text.len()];
    to.read_exact(&mut received).expect("received");
    assert_eq!(received, text);
}

fn rest(capture: &mut Capture) {
    capture.source().rest().expect("rests");
}

fn resume(capture: &mut Capture) {
    capture.source().resume().expect("goes on");
}

#[test]
fn nothing_is_told_at_rest_but_counted() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (mut client, mut server, client_port, server_port) = tcp_pair("127.0.0.1");
    pass(&mut client, &mut server, b"before");
    assert_eq!(capture.counters().unwatched, 0);
    rest(&mut capture);
    capture.source().count_at_rest();
    for _ in 0..UNWATCHED {
        pass(&mut client, &mut server, b"at rest");
    }
    resume(&mut capture);
    let unwatched = capture.counters().unwatched;
    // Others of this host are counted, too. Before 6.3 raw tracepoints leave nobody who counts.
    let can_count = capture.is_oldest_tier()
        || std::fs::read_to_string("/proc/kallsyms")
            .is_ok_and(|text| text.contains("__traceiter_sock_send_length"));
    assert!(!can_count || unwatched >= 2 * UNWATCHED, "{unwatched}");
    pass(&mut client, &mut server, b"after");
    capture.until("what came after", |capture| {
        capture
            .of(server_port, Direction::Ingress)
            .last()
            .is_some_and(|one| one.payload == b"after")
    });
    for (port, direction) in [(client_port, Direction::Egress), (server_port, Direction::Ingress)] {
        let told = capture.of(port, direction);
        let payloads: Vec<&[u8]> = told.iter().map(|one| one.payload.as_slice()).collect();
        assert_eq!(payloads, [&b"before"[..], b"after"], "{direction:?}");
        assert_eq!(told[0].socket_id, told[1].socket_id);
        let moved = told[1].tcp_seq.zip(told[0].tcp_seq).map(|(now, then)| now.wrapping_sub(then));
        assert_eq!(moved, Some(6 + 7 * UNWATCHED as u32));
        assert!(!told[1].seq_unsure);
    }
}

#[test]
fn what_was_received_before_a_rest_causes_nothing_after_it() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (mut asking, mut asked, ..) = tcp_pair("127.0.0.1");
    let (mut client, mut server, client_port, _) = tcp_pair("127.0.0.1");
    pass(&mut asking, &mut asked, b"a request");
    rest(&mut capture);
    resume(&mut capture);
    pass(&mut client, &mut server, b"of its own");
    // And what is received after it does again.
    pass(&mut asking, &mut asked, b"another one");
    pass(&mut client, &mut server, b"caused");
    capture.until("both", |capture| capture.of(client_port, Direction::Egress).len() == 2);
    let told = capture.of(client_port, Direction::Egress);
    // Between them this thread has received `of its own`, too: the last receive is of `another one`.
    assert_eq!(told[0].trace_id, 0);
    assert_ne!(told[1].trace_id, 0);
}

#[test]
fn a_call_that_ends_after_a_rest_is_not_taken_for_another() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (mut client, mut server, _, server_port) = tcp_pair("127.0.0.1");
    let (mut other, mut end, _, end_port) = tcp_pair("127.0.0.1");
    let (ready, is_ready) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        ready.send(()).expect("heard");
        let mut text = [0; 16];
        let first = server.read(&mut text).expect("received");
        // At the other socket, whose own call is the one that is told.
        let second = end.read(&mut text).expect("received");
        (first, second, server, end)
    });
    is_ready.recv().expect("started");
    std::thread::sleep(std::time::Duration::from_millis(50));
    rest(&mut capture);
    client.write_all(b"first").expect("sent");
    std::thread::sleep(std::time::Duration::from_millis(50));
    // The reader waits in the second call by now, which began at rest.
    resume(&mut capture);
    other.write_all(b"the second").expect("sent");
    let (first, second, mut server, mut end) = reader.join().expect("received");
    assert_eq!((first, second), (5, 10));
    pass(&mut client, &mut server, b"third");
    pass(&mut other, &mut end, b"fourth");
    capture.until("the fourth", |capture| {
        capture.of(end_port, Direction::Ingress).last().is_some_and(|one| one.payload == b"fourth")
    });
    let told = |port| -> Vec<Vec<u8>> {
        capture.of(port, Direction::Ingress).into_iter().map(|one| one.payload).collect()
    };
    // Hooks that stay in place at rest tell the end of what they saw begin.
    let of_server = told(server_port);
    assert_eq!(of_server.last().map(Vec::as_slice), Some(&b"third"[..]));
    assert!(of_server.iter().all(|text| text == b"third" || text == b"first"), "{of_server:?}");
    assert_eq!(told(end_port), [b"fourth".to_vec()]);
}

#[test]
fn many_rests_leave_nothing_behind() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (mut client, mut server, client_port, server_port) = tcp_pair("127.0.0.1");
    let before = std::fs::read_dir("/proc/self/fd").expect("own").count();
    for _ in 0..50 {
        rest(&mut capture);
        capture.source().count_at_rest();
        pass(&mut client, &mut server, b"at rest");
        resume(&mut capture);
        pass(&mut client, &mut server, b"watched");
    }
    assert_eq!(std::fs::read_dir("/proc/self/fd").expect("own").count(), before);
    drop(client);
    drop(server);
    capture.until("the ends", |capture| {
        [client_port, server_port]
            .iter()
            .all(|port| capture.changes(*port).contains(&SocketChange::Close))
    });
    let told = capture.of(server_port, Direction::Ingress);
    assert_eq!(told.len(), 50);
    assert!(told.iter().all(|one| one.payload == b"watched"));
}
