//! Live capture on this machine: each packet of known traffic is seen once, whole, with its
//! interface and VLAN tag; our own ports are not seen. Skipped without CAP_NET_RAW.

#![expect(unsafe_code, reason = "a network namespace and raw frames for the veth test")]

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use source::packet::{
    AfPacket, Frame, LINKTYPE_ETHERNET, OwnPort, PacketConfig, PacketError, interfaces,
};

/// A capture of the named interfaces, or `None` with a message where that is not allowed.
fn open(names: &'static [&'static str], own_ports: Vec<OwnPort>) -> Option<AfPacket> {
    let config = PacketConfig {
        interfaces: Arc::new(|name| names.contains(&name)),
        own_ports,
        ..PacketConfig::default()
    };
    match AfPacket::open(config) {
        Ok(capture) => Some(capture),
        Err(error @ PacketError::Permission) => {
            println!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

/// Collects frames until `is_done`, at most for five seconds, and then for 200 ms more.
fn collect(
    capture: &mut AfPacket,
    mut on_frame: impl FnMut(Frame<'_>),
    is_done: impl Fn() -> bool,
) {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end && !is_done() {
        capture.poll(Duration::from_millis(50), &mut on_frame).expect("poll");
    }
    let end = Instant::now() + Duration::from_millis(200);
    while Instant::now() < end {
        capture.poll(Duration::from_millis(20), &mut on_frame).expect("poll");
    }
}

/// Ports and payload of an IPv4 packet of this protocol in an Ethernet frame.
fn ipv4<'a>(frame: &Frame<'a>, protocol: u8) -> Option<(u16, u16, &'a [u8])> {
    let ip = frame.bytes.get(14..).filter(|_| frame.bytes[12..14] == [8, 0])?;
    if ip[9] != protocol {
        return None;
    }
    let transport = &ip[usize::from(ip[0] & 15) * 4..];
    let port = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
    let header = if protocol == 6 { usize::from(transport[12] >> 4) * 4 } else { 8 };
    Some((port(0), port(2), &transport[header..]))
}

#[test]
fn every_datagram_on_loopback_is_seen_once_and_our_own_not_at_all() {
    const COUNT: usize = 2000;
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let own = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let (port, own_port) = (port_of(&receiver), port_of(&own));
    let Some(mut capture) = open(&["lo"], vec![OwnPort::Udp(own_port)]) else { return };
    let sender = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let started_ns = now_ns();
    for n in 0..COUNT as u32 {
        sender.send_to(&n.to_be_bytes(), ("127.0.0.1", port)).expect("send");
        sender.send_to(b"own", ("127.0.0.1", own_port)).expect("send");
    }
    own.send_to(b"own", sender.local_addr().expect("address")).expect("send");
    let mut seen: HashMap<u32, usize> = HashMap::new();
    let mut owned = 0;
    let total = std::cell::Cell::new(0);
    collect(
        &mut capture,
        |frame| {
            let Some((src, dst, payload)) = ipv4(&frame, 17) else { return };
            assert_eq!(frame.link_type, LINKTYPE_ETHERNET);
            if dst == port {
                let n = u32::from_be_bytes(payload.try_into().expect("four bytes"));
                *seen.entry(n).or_default() += 1;
                total.set(total.get() + 1);
                assert!(frame.time_ns >= started_ns && frame.time_ns <= now_ns());
                assert_eq!(frame.wire_bytes as usize, frame.bytes.len());
            }
            owned += usize::from(dst == own_port || src == own_port);
        },
        || total.get() >= COUNT,
    );
    assert_eq!((seen.len(), total.get()), (COUNT, COUNT));
    assert_eq!(owned, 0, "our own port");
    let stats = capture.stats().expect("statistics");
    assert_eq!(stats.kernel_drops, 0);
    assert!(stats.frames >= COUNT as u64 && stats.kernel_packets >= stats.frames);
}

/// Which of many flows, by their ports, a capture of this portion sees.
fn flows_of(capture: &mut AfPacket, portion: u32, receiver: &UdpSocket) -> HashSet<[u8; 4]> {
    capture.capture_portion(portion).expect("filter");
    // What came before it.
    collect(capture, |_| {}, || true);
    let to = receiver.local_addr().expect("bound");
    for n in 0..200u8 {
        // Datagrams go by their addresses.
        let sender = UdpSocket::bind(format!("127.0.1.{n}:0")).expect("bind");
        sender.send_to(b"of a flow", to).expect("send");
    }
    let mut seen = HashSet::new();
    collect(
        capture,
        |frame| {
            if ipv4(&frame, 17).is_some_and(|(_, dst, _)| dst == to.port()) {
                seen.insert(frame.bytes[26..30].try_into().expect("an address"));
            }
        },
        || true,
    );
    seen
}

#[test]
fn a_portion_of_flows_is_captured_and_all_again_after_it() {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let Some(mut capture) = open(&["lo"], Vec::new()) else { return };
    let quarter = flows_of(&mut capture, AfPacket::PARTS / 4, &receiver);
    assert!((20..90).contains(&quarter.len()), "{}", quarter.len());
    let passed = capture.passed().expect("counts");
    assert_eq!(flows_of(&mut capture, 0, &receiver).len(), 0);
    assert!(capture.passed().expect("counts") - passed >= 200, "counted all the same");
    let half = flows_of(&mut capture, AfPacket::PARTS / 2, &receiver);
    assert!(half.len() > quarter.len() && half.is_superset(&quarter));
    assert_eq!(flows_of(&mut capture, AfPacket::PARTS, &receiver).len(), 200);
}

#[test]
fn large_segments_on_loopback_are_captured_whole() {
    const BYTES: usize = 4 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    let Some(mut capture) = open(&["lo"], vec![OwnPort::Tcp(1), OwnPort::Udp(1)]) else { return };
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        let mut buffer = vec![0; 1 << 20];
        while stream.read(&mut buffer).expect("read") > 0 {}
    });
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.write_all(&vec![7; BYTES]).expect("write");
    });
    let (mut largest, mut fins, mut first) = (0, 0, None);
    let mut seen = HashSet::new();
    let total = std::cell::Cell::new(0);
    collect(
        &mut capture,
        |frame| {
            let Some((src, dst, payload)) = ipv4(&frame, 6) else { return };
            if dst != port && src != port {
                return;
            }
            assert_eq!(frame.wire_bytes as usize, frame.bytes.len(), "captured whole");
            // TCP may send data again on a busy machine, but then with another identification.
            let (id, seq) = (be_u32(&frame.bytes[16..20]), be_u32(&frame.bytes[38..42]));
            assert!(seen.insert((dst, id, seq, frame.bytes.len())), "a segment seen twice");
            if dst == port {
                assert!(payload.iter().all(|byte| *byte == 7));
                let start = *first.get_or_insert(seq.wrapping_add(1));
                let end = (seq.wrapping_sub(start) as usize).wrapping_add(payload.len());
                if !payload.is_empty() {
                    total.set(total.get().max(end));
                }
                largest = largest.max(frame.bytes.len());
            }
            fins += usize::from(frame.bytes[14 + 20 + 13] & 1);
        },
        || total.get() >= BYTES,
    );
    client.join().expect("client");
    server.join().expect("server");
    assert_eq!(total.get(), BYTES);
    assert!(largest > 30_000, "segments of offloading: {largest}");
    assert!(fins >= 2);
    assert_eq!(capture.stats().expect("statistics").kernel_drops, 0);
}

#[test]
fn both_ends_of_a_pair_are_seen_with_their_tags() {
    // SAFETY: no pointers; the namespace is this thread's alone, and `ip` inherits it.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        println!("SKIPPED: no network namespace of our own");
        return;
    }
    let Some(mut capture) = open(&["va", "vb"], vec![OwnPort::Udp(9)]) else { return };
    let ip = |arguments: &str| {
        let status = Command::new("ip").args(arguments.split(' ')).status();
        status.is_ok_and(|status| status.success())
    };
    // The pair appears after the capture began.
    if !ip("link add va type veth peer name vb") || !ip("link set va up") || !ip("link set vb up") {
        println!("SKIPPED: `ip` cannot make a veth pair");
        return;
    }
    let index: HashMap<String, u32> =
        interfaces().expect("interfaces").into_iter().map(|nic| (nic.name, nic.index)).collect();
    let (va, vb) = (index["va"], index["vb"]);
    send_frames(va, &[udp_frame(None, 53), udp_frame(Some(5), 53), udp_frame(None, 9)]);
    send_frames(va, &[udp_frame(Some(5), 9)]);
    let mut seen = Vec::new();
    let count = std::cell::Cell::new(0);
    collect(
        &mut capture,
        |frame| {
            let tagged = frame.bytes[12..14] == [0x81, 0];
            let udp = &frame.bytes[if tagged { 18 } else { 14 }..];
            if udp.len() >= 28 && udp[0] == 0x45 && udp[9] == 17 && udp[12] == 192 {
                let in_frame = tagged.then(|| u16::from(frame.bytes[15]));
                let port = u16::from_be_bytes([udp[22], udp[23]]);
                seen.push((frame.nic, frame.is_outgoing, frame.vlan.or(in_frame), port));
                count.set(count.get() + 1);
            }
        },
        || count.get() >= 4,
    );
    seen.sort_unstable();
    let expected = [
        (va, true, None, 53),
        (va, true, Some(5), 53),
        (vb, false, None, 53),
        (vb, false, Some(5), 53),
    ];
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!(capture.captured(), [va.min(vb), va.max(vb)]);
}

#[test]
fn what_the_ring_cannot_hold_is_counted_exactly() {
    const COUNT: u64 = 20_000;
    // SAFETY: no pointers; the namespace is this thread's alone, and `ip` inherits it.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        println!("SKIPPED: no network namespace of our own");
        return;
    }
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    if !up.is_ok_and(|status| status.success()) {
        println!("SKIPPED: `ip` cannot set the loopback up");
        return;
    }
    let config = PacketConfig { ring_mib: 2, ..PacketConfig::default() };
    let mut capture = AfPacket::open(config).expect("a namespace of our own allows capture");
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("bind");
    for _ in 0..COUNT {
        sender.send_to(&[1; 1000], ("127.0.0.1", port_of(&receiver))).expect("send");
    }
    let seen = std::cell::Cell::new(0);
    collect(&mut capture, |_| seen.set(seen.get() + 1), || true);
    let stats = capture.stats().expect("statistics");
    assert!(stats.kernel_drops > 0 && stats.kernel_freezes > 0, "{stats:?}");
    assert_eq!(stats.frames, seen.get());
    assert_eq!(stats.frames + stats.kernel_drops, COUNT, "{stats:?}");
    assert_eq!(stats.kernel_packets, COUNT);
}

#[test]
fn shards_share_flows_and_lose_none() {
    const CONNECTIONS: usize = 200;
    // SAFETY: no pointers; the namespace is this thread's alone, and `ip` inherits it.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        println!("SKIPPED: no network namespace of our own");
        return;
    }
    let up = Command::new("ip").args(["link", "set", "lo", "mtu", "1500", "up"]).status();
    if !up.is_ok_and(|status| status.success()) {
        println!("SKIPPED: `ip` cannot set the loopback up");
        return;
    }
    let config = PacketConfig::default();
    let mut shards = AfPacket::open_shards(&config, 3).expect("three rings");
    let mut whole = AfPacket::open(config).expect("one ring");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("bind");
    // Larger than the interface lets through in one piece.
    receiver.send_to(&vec![1; 20_000], receiver.local_addr().expect("address")).expect("send");
    let lo = interfaces().expect("interfaces")[0].index;
    send_frames(lo, &[udp_frame(Some(5), 53), udp_frame(None, 53)]);
    for _ in 0..CONNECTIONS {
        let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (mut server, _) = listener.accept().expect("accept");
        server.write_all(b"hello").expect("write");
        drop(client);
    }
    // A frame by its bytes: identification and sequence make every one another.
    let mut seen: HashMap<Vec<u8>, i64> = HashMap::new();
    std::thread::sleep(Duration::from_millis(300));
    whole.drain(|frame| *seen.entry(frame.bytes.to_vec()).or_default() += 1).expect("drain");
    let total: i64 = seen.values().sum();
    let mut homes: HashMap<(u16, u16), HashSet<usize>> = HashMap::new();
    let mut datagram = HashSet::new();
    for (number, shard) in shards.iter_mut().enumerate() {
        let mut frames = 0_i64;
        let take = |frame: Frame<'_>| {
            *seen.entry(frame.bytes.to_vec()).or_default() -= 1;
            frames += 1;
            if let Some((src, dst, _)) = ipv4(&frame, 6) {
                homes.entry((src.min(dst), src.max(dst))).or_default().insert(number);
            } else if frame.bytes.len() > 1000 {
                datagram.insert(number);
            }
        };
        shard.drain(take).expect("drain");
        let stats = shard.stats().expect("statistics");
        assert_eq!((stats.frames as i64, stats.kernel_drops), (frames, 0));
        assert!(frames > total / 10, "shard {number} has {frames} of {total}");
    }
    let others: Vec<_> = seen.iter().filter(|(_, count)| **count != 0).collect();
    assert!(others.is_empty(), "the same frames as without shards, but {others:?}");
    assert!(total > CONNECTIONS as i64 * 6, "{total}");
    assert!(homes.len() >= CONNECTIONS, "{} connections", homes.len());
    assert!(homes.values().all(|shards| shards.len() == 1), "both ways in one shard: {homes:?}");
    assert_eq!(datagram.len(), 1, "fragments stay together");
}

fn udp_frame(vlan: Option<u8>, port: u16) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    if let Some(id) = vlan {
        frame.extend([0x81, 0, 0, id]);
    }
    frame.extend([8, 0, 0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend([0x9c, 0x40]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    frame.resize(60, 0);
    frame
}

fn send_frames(nic: u32, frames: &[Vec<u8>]) {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    assert!(fd >= 0);
    // SAFETY: the type consists of numbers, for which zeros are valid.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_ifindex = nic as i32;
    let length = size_of::<libc::sockaddr_ll>() as u32;
    for frame in frames {
        let (data, to) = (frame.as_ptr().cast(), (&raw const to).cast());
        // SAFETY: pointers and lengths describe `frame` and `to`, which outlive the call.
        let sent = unsafe { libc::sendto(fd, data, frame.len(), 0, to, length) };
        assert_eq!(sent, frame.len() as isize);
    }
    // SAFETY: the descriptor is ours.
    unsafe { libc::close(fd) };
}

fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

fn port_of(socket: &UdpSocket) -> u16 {
    socket.local_addr().expect("address").port()
}

fn now_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("a clock after 1970").as_nanos() as u64
}
