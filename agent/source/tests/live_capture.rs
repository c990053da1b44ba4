//! Real sockets on loopback, captured by the real programs in the real kernel.
//!
//! In: root and a kernel that can do it; else each test prints SKIPPED with the reason and ends.
//! Out: proof that what is reported is exactly what was sent and received.
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]

#[path = "live/bounds.rs"]
mod bounds;
#[path = "live/calls.rs"]
mod calls;
#[path = "live/capture.rs"]
mod capture;
#[path = "live/files.rs"]
mod files;
#[path = "live/go.rs"]
mod go;
#[path = "live/go_parents.rs"]
mod go_parents;
#[path = "live/many.rs"]
mod many;
#[path = "live/processes.rs"]
mod processes;
#[path = "live/rests.rs"]
mod rests;
#[path = "live/tls.rs"]
mod tls;
#[path = "live/unseen.rs"]
mod unseen;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use source::bpf::{Direction, Hook, SocketChange, SocketRole, Transport};

use calls::{Call, receive, receive_many, send, send_many};
use capture::{Capture, Lived, Moved};

const PAIRS: [(Call, Hook, Hook); 5] = [
    (Call::Plain, Hook::Write, Hook::Read),
    (Call::Flags, Hook::Sendto, Hook::Recvfrom),
    (Call::Vector, Hook::Writev, Hook::Readv),
    (Call::Message, Hook::Sendmsg, Hook::Recvmsg),
    (Call::Messages, Hook::Sendmmsg, Hook::Recvmmsg),
];

/// A connected pair: client, server, and their ports.
fn tcp_pair(ip: &str) -> (TcpStream, TcpStream, u16, u16) {
    let ip: IpAddr = ip.parse().expect("an address");
    let listener = TcpListener::bind((ip, 0)).expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (server, _) = listener.accept().expect("accepted");
    let ports =
        (client.local_addr().expect("bound").port(), server.local_addr().expect("bound").port());
    (client, server, ports.0, ports.1)
}

/// `count` bytes in which no two places look alike.
fn pattern(count: usize, seed: u32) -> Vec<u8> {
    (0..u32::try_from(count).expect("small"))
        .map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8)
        .collect()
}

fn joined(parts: &[Moved]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.payload.clone()).collect()
}

/// Each event goes on where the one before it ended.
fn assert_contiguous(events: &[Moved]) {
    for pair in events.windows(2) {
        let end = pair[0].tcp_seq.expect("TCP").wrapping_add(pair[0].wire_bytes);
        assert_eq!(Some(end), pair[1].tcp_seq, "{pair:#?}");
        assert!(!pair[1].seq_unsure);
    }
}

#[test]
fn every_call_on_tcp_is_told_exactly() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    for ip in ["127.0.0.1", "::1"] {
        let (client, server, client_port, server_port) = tcp_pair(ip);
        let mut sent = Vec::new();
        for (round, (call, ..)) in PAIRS.into_iter().enumerate() {
            let text = format!("message {round} over {ip}, in pieces or whole");
            let bytes = isize::try_from(text.len()).expect("short");
            assert_eq!(send(call, client.as_raw_fd(), text.as_bytes(), None, 7), bytes);
            let got = receive(call, server.as_raw_fd(), 100, 0, 9).expect("it is there");
            assert_eq!(got, text.as_bytes());
            sent.push(text);
        }
        let (client_fd, server_fd) = (client.as_raw_fd(), server.as_raw_fd());
        drop((client, server));
        capture.until("close of both", |c| {
            c.changes(client_port).contains(&SocketChange::Close)
                && c.changes(server_port).contains(&SocketChange::Close)
        });

        let out = capture.of(client_port, Direction::Egress);
        let into = capture.of(server_port, Direction::Ingress);
        assert_eq!((out.len(), into.len()), (5, 5), "{out:#?} {into:#?}");
        for (index, (_, send_hook, receive_hook)) in PAIRS.into_iter().enumerate() {
            let (o, i) = (&out[index], &into[index]);
            assert_eq!((o.hook, i.hook), (send_hook, receive_hook));
            assert_eq!(o.payload, sent[index].as_bytes());
            assert_eq!(i.payload, sent[index].as_bytes());
            assert_eq!(o.tcp_seq, i.tcp_seq, "both ends number the stream alike");
            assert!(o.last && i.last && !o.seq_unsure && !i.seq_unsure);
            assert_eq!(o.message_bytes as usize, sent[index].len());
            assert_eq!((o.cap_seq as usize, i.cap_seq as usize), (index + 1, index + 1));
            assert_eq!((o.fd, i.fd), (client_fd, server_fd));
            assert_eq!((o.socket_id, i.socket_id), (out[0].socket_id, into[0].socket_id));
            assert_eq!((o.tuple.role, i.tuple.role), (SocketRole::Connect, SocketRole::Accept));
            assert_eq!(o.tuple.remote_port, server_port);
            assert_eq!(i.tuple.remote_port, client_port);
            assert_eq!(o.tuple.transport, Transport::Tcp);
            let address: IpAddr = ip.parse().expect("an address");
            assert_eq!((o.tuple.local_ip, o.tuple.remote_ip), (address, address));
            // SAFETY: takes nothing, gives a number.
            let tid = unsafe { libc::gettid() }.cast_unsigned();
            assert_eq!((o.tgid, o.tid), (std::process::id(), tid));
            assert!(o.mono_ns < i.mono_ns, "sends are stamped at entry, receives at exit");
            assert_eq!(o.comm, main_thread_name(), "not the name of the test's own thread");
        }
        assert_contiguous(&out);
        assert_contiguous(&into);
        assert_ne!(out[0].socket_id, into[0].socket_id);
        assert_eq!(
            capture.changes(client_port),
            [SocketChange::Connect(0), SocketChange::Close],
            "the client's life"
        );
        assert_eq!(capture.changes(server_port), [SocketChange::Accept, SocketChange::Close]);
    }
    assert_eq!(capture.counters().ring_full, 0);
    assert_eq!(capture.counters().malformed, 0);
}

#[test]
fn time_is_that_of_the_wall_clock() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (mut client, _server, port, _) = tcp_pair("127.0.0.1");
    let now = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::try_from(now.expect("after 1970").as_nanos()).expect("before 2554")
    };
    let before = now();
    client.write_all(b"now").expect("sent");
    let after = now();
    capture.until("the send", |c| c.of(port, Direction::Egress).len() == 1);
    let at = capture.of(port, Direction::Egress)[0].time_ns;
    assert!((before - 100_000..=after + 100_000).contains(&at), "{before} {at} {after}");
}

#[test]
fn datagrams_carry_the_peer_of_each() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    for ip in ["127.0.0.1", "::1"] {
        let near = UdpSocket::bind((ip, 0)).expect("a port");
        let far = UdpSocket::bind((ip, 0)).expect("a port");
        let (near_at, far_at) =
            (near.local_addr().expect("bound"), far.local_addr().expect("bound"));
        for (round, (call, ..)) in PAIRS.into_iter().enumerate() {
            if call == Call::Plain || call == Call::Vector {
                continue;
            }
            let text = format!("datagram {round} over {ip}");
            assert!(send(call, near.as_raw_fd(), text.as_bytes(), Some(far_at), 5) > 0);
            assert_eq!(receive(call, far.as_raw_fd(), 64, 0, 6), Some(text.into_bytes()));
        }
        capture.until("three receives", |c| c.of(far_at.port(), Direction::Ingress).len() == 3);
        let out = capture.of(near_at.port(), Direction::Egress);
        let into = capture.of(far_at.port(), Direction::Ingress);
        assert_eq!(out.len(), 3);
        for (o, i) in out.iter().zip(&into) {
            assert_eq!(o.payload, i.payload);
            assert_eq!((o.tuple.transport, o.tcp_seq), (Transport::Udp, None));
            assert_eq!((o.tuple.remote_ip, o.tuple.remote_port), (far_at.ip(), far_at.port()));
            assert_eq!((i.tuple.remote_ip, i.tuple.remote_port), (near_at.ip(), near_at.port()));
            assert_eq!(i.tuple.local_ip, far_at.ip());
            assert_eq!(o.tuple.role, SocketRole::Unknown);
        }
        assert_eq!(into.iter().map(|i| i.cap_seq).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

#[test]
fn each_message_of_sendmmsg_and_recvmmsg_is_one() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let near = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let far = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let other = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = far.local_addr().expect("bound");
    let aside = other.local_addr().expect("bound");
    let port = near.local_addr().expect("bound").port();
    let messages: [(&[u8], SocketAddr); 4] =
        [(b"first", to), (b"second one", aside), (b"third", to), (b"4", to)];
    assert_eq!(send_many(near.as_raw_fd(), &messages), 4);
    assert_eq!(receive_many(far.as_raw_fd(), 3), 3);
    capture.until("three", |c| c.of(to.port(), Direction::Ingress).len() == 3);
    let out = capture.of(port, Direction::Egress);
    let told: Vec<(&[u8], u16)> =
        out.iter().map(|o| (&o.payload[..], o.tuple.remote_port)).collect();
    assert_eq!(told, messages.map(|(data, to)| (data, to.port())));
    assert_eq!(out.iter().map(|o| o.cap_seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let into = capture.of(to.port(), Direction::Ingress);
    let got: Vec<&[u8]> = into.iter().map(|i| &i.payload[..]).collect();
    assert_eq!(got, [&b"first"[..], b"third", b"4"]);
    assert!(into.iter().all(|i| i.tuple.remote_port == port && i.hook == Hook::Recvmmsg));
}

#[test]
fn connected_datagrams_and_mapped_addresses() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let server = UdpSocket::bind("[::]:0").expect("a dual-stack port");
    let port = server.local_addr().expect("bound").port();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.connect(("127.0.0.1", port)).expect("connected");
    let client_port = client.local_addr().expect("bound").port();
    assert_eq!(send(Call::Plain, client.as_raw_fd(), b"plain write", None, 99), 11);
    assert!(receive(Call::Message, server.as_raw_fd(), 64, 0, 64).is_some());
    let back: SocketAddr = format!("[::ffff:127.0.0.1]:{client_port}").parse().expect("mapped");
    assert_eq!(send(Call::Flags, server.as_raw_fd(), b"back", Some(back), 99), 4);
    assert_eq!(receive(Call::Vector, client.as_raw_fd(), 64, 0, 2), Some(b"back".to_vec()));
    capture.until("the answer", |c| c.of(client_port, Direction::Ingress).len() == 1);
    let local = IpAddr::from([127, 0, 0, 1]);
    let out = &capture.of(client_port, Direction::Egress)[0];
    assert_eq!((out.tuple.remote_ip, out.tuple.remote_port), (local, port));
    assert_eq!(out.tuple.role, SocketRole::Connect);
    let into = &capture.of(port, Direction::Ingress)[0];
    assert_eq!((into.tuple.remote_ip, into.tuple.remote_port), (local, client_port));
    assert!(into.tuple.local_ip.is_unspecified(), "bound to all addresses");
    let back = &capture.of(port, Direction::Egress)[0];
    assert_eq!((back.tuple.remote_ip, back.tuple.remote_port), (local, client_port));
}

#[test]
fn large_messages_come_whole_up_to_the_limit() {
    let Some(mut capture) = Capture::start(|config| {
        config.payload_bytes_max = 128 << 10;
        config.ring_bytes = 16 << 20;
    }) else {
        return;
    };
    for (call, piece, total) in [
        (Call::Plain, 1, 100_000),
        (Call::Vector, 517, 100_000),
        // Without loops a message in more than 384 pieces is not copied whole.
        (Call::Vector, if capture.is_oldest_tier() { 300 } else { 100 }, 100_000),
        (Call::Message, 40_000, 131_072),
        (Call::Flags, 1, 16_384),
        (Call::Flags, 1, 16_385),
        (Call::Plain, 1, 200_000),
    ] {
        let (client, mut server, port, server_port) = tcp_pair("127.0.0.1");
        let data = pattern(total, 7);
        let reader = thread::spawn(move || {
            let mut got = vec![0u8; total];
            server.read_exact(&mut got).expect("all of it");
            got
        });
        let sent = send(call, client.as_raw_fd(), &data, None, piece);
        assert_eq!(usize::try_from(sent).expect("sent"), total);
        assert_eq!(reader.join().expect("ended"), data);
        let told = |c: &Capture, port, direction| -> usize {
            c.of(port, direction).iter().map(|one| one.wire_bytes as usize).sum()
        };
        capture.until("all bytes", |c| {
            told(c, port, Direction::Egress) == total
                && told(c, server_port, Direction::Ingress) == total
        });
        let out = capture.of(port, Direction::Egress);
        let copied = total.min(128 << 10);
        assert_eq!(joined(&out).len(), copied, "{call:?} {piece} {total}");
        assert!(joined(&out) == data[..copied], "{call:?} {piece} {total}");
        assert_contiguous(&out);
        assert!(out.iter().all(|one| one.cap_seq == 1 && one.message_bytes as usize == total));
        assert_eq!(out.iter().filter(|one| one.last).count(), 1);
        let into = capture.of(server_port, Direction::Ingress);
        assert_contiguous(&into);
        assert_eq!(out[0].tcp_seq, into[0].tcp_seq);
    }
    assert_eq!(capture.counters().ring_full, 0);
    assert_eq!(capture.counters().payload_unreadable, 0);
}

#[test]
fn the_limit_cuts_and_says_how_much() {
    let Some(mut capture) = Capture::start(|config| config.payload_bytes_max = 100) else { return };
    let (mut client, mut server, port, server_port) = tcp_pair("127.0.0.1");
    client.write_all(&pattern(5000, 1)).expect("sent");
    client.write_all(b"next").expect("sent");
    server.read_exact(&mut [0; 5004]).expect("all of it");
    capture.until("both", |c| c.of(port, Direction::Egress).len() == 2);
    let out = capture.of(port, Direction::Egress);
    assert_eq!((out[0].payload.len(), out[0].wire_bytes), (100, 5000));
    assert_eq!(out[1].payload, b"next");
    assert_contiguous(&out);
    capture.all();
    assert!(capture.of(server_port, Direction::Ingress).iter().all(|i| i.payload.len() <= 100));
}

#[test]
fn partial_writes_and_failures() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (client, server, port, server_port) = tcp_pair("127.0.0.1");
    client.set_nonblocking(true).expect("nonblocking");
    server.set_nonblocking(true).expect("nonblocking");
    assert_eq!(receive(Call::Flags, server.as_raw_fd(), 10, 0, 10), None, "nothing there");
    let data = pattern(16 << 20, 3);
    let first = send(Call::Plain, client.as_raw_fd(), &data, None, 1);
    let first = usize::try_from(first).expect("a part went");
    assert!(first < data.len(), "the test wants a partial write");
    // Large ones: the rest of the buffers takes too many small ones for a ring that nobody reads.
    while send(Call::Plain, client.as_raw_fd(), &data[..65_536], None, 1) > 0 {}
    capture.until("the write", |c| !c.of(port, Direction::Egress).is_empty());
    capture.all();
    let out = capture.of(port, Direction::Egress);
    assert_eq!(out[0].message_bytes as usize, first, "what the call returned");
    assert!(joined(&out)[..65_536] == data[..65_536]);
    assert_contiguous(&out);
    assert!(capture.of(server_port, Direction::Ingress).is_empty(), "EAGAIN is no event");
}

#[test]
fn peeking_is_not_receiving() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (mut client, server, _, port) = tcp_pair("127.0.0.1");
    client.write_all(b"look twice").expect("sent");
    for call in [Call::Flags, Call::Message, Call::Messages] {
        let peeked = receive(call, server.as_raw_fd(), 64, libc::MSG_PEEK, 64);
        assert_eq!(peeked.as_deref(), Some(&b"look twice"[..]));
    }
    assert_eq!(receive(Call::Flags, server.as_raw_fd(), 4, 0, 64).as_deref(), Some(&b"look"[..]));
    assert_eq!(
        receive(Call::Plain, server.as_raw_fd(), 64, 0, 64).as_deref(),
        Some(&b" twice"[..])
    );
    capture.until("two", |c| c.of(port, Direction::Ingress).len() >= 2);
    capture.all();
    let into = capture.of(port, Direction::Ingress);
    assert_eq!(into.len(), 2);
    assert_eq!(joined(&into), b"look twice");
    assert_eq!(into[0].cap_seq, 1);
    assert_contiguous(&into);
}

#[test]
fn a_fin_read_with_the_data_does_not_shift_the_sequence() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (mut client, mut server, port, server_port) = tcp_pair("127.0.0.1");
    client.write_all(b"last words").expect("sent");
    client.shutdown(std::net::Shutdown::Write).expect("shut down");
    let mut got = Vec::new();
    server.read_to_end(&mut got).expect("all of it");
    capture.until("the read", |c| c.of(server_port, Direction::Ingress).len() == 1);
    let out = &capture.of(port, Direction::Egress)[0];
    let into = &capture.of(server_port, Direction::Ingress)[0];
    assert_eq!(into.payload, b"last words");
    assert_eq!(out.tcp_seq, into.tcp_seq);
    assert!(!into.seq_unsure);
}

/// Inode number of our network namespace.
fn own_netns() -> u32 {
    let link = std::fs::read_link("/proc/self/ns/net").expect("procfs");
    let text = link.to_str().expect("text").trim_start_matches("net:[").trim_end_matches(']');
    text.parse().expect("a number")
}

#[test]
fn a_refused_connection_is_told_with_its_result() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let port =
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens");
    let own = std::process::id();
    capture.until("the result", |c| {
        c.sockets.iter().any(|one| {
            one.change == SocketChange::Connect(-libc::ECONNREFUSED)
                && one.tuple.remote_port == port
                && one.caller.tgid == own
        })
    });
}

#[test]
fn sockets_are_told_apart_when_ports_and_memory_are_reused() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let mut ids = Vec::new();
    for _ in 0..50 {
        let (mut client, mut server, port, server_port) = tcp_pair("127.0.0.1");
        client.write_all(b"x").expect("sent");
        server.read_exact(&mut [0; 1]).expect("there");
        drop((client, server));
        capture.until("both", |c| {
            !c.of(port, Direction::Egress).is_empty()
                && !c.of(server_port, Direction::Ingress).is_empty()
        });
        ids.push(capture.of(port, Direction::Egress).last().expect("one").socket_id);
        ids.push(capture.of(server_port, Direction::Ingress).last().expect("one").socket_id);
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

/// Name of this process's main thread; tests run in threads with names of their own.
fn main_thread_name() -> String {
    let comm = std::fs::read_to_string("/proc/self/comm").expect("own name");
    comm.trim_end().to_owned()
}
