//! Frames of every kind of link and tunnel, and scripts of the flow target.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::build::{self, Tcp};
use wire::{LinkType, TcpFlags, eth_type, protocol};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// `[link type and tunnels: u8][frame]` for each kind.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let ip = build::ipv4(A, B, protocol::TCP, &segment());
    let mut inputs: Vec<Vec<u8>> =
        ethernet_frames().iter().map(|frame| [&[0], frame.as_slice()].concat()).collect();
    let sll2: &[u8] = &[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    for (link, head) in [
        (LinkType::LinuxSll, [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0].as_slice()),
        (LinkType::LinuxSll2, sll2),
        (LinkType::RawIp, &[]),
        (LinkType::Null, &[2, 0, 0, 0]),
        (LinkType::Loop, &[0, 0, 0, 2]),
    ] {
        let choice = LinkType::ALL.iter().position(|one| *one == link).expect("every link type");
        inputs.push([&[choice as u8], head, &ip].concat());
    }
    inputs
}

fn segment() -> Vec<u8> {
    let options = vec![2, 4, 5, 180, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let (src_port, dst_port, flags) = (40_000, 80, TcpFlags::ACK);
    Tcp { src_port, dst_port, seq: 1, ack: 2, flags, window: 1, options }.with(b"payload")
}

fn ethernet_frames() -> Vec<Vec<u8>> {
    let inner_ip = build::ipv4(A, B, protocol::TCP, &segment());
    let inner = build::ethernet(eth_type::IPV4, &inner_ip);
    let over_ip =
        |kind, payload: &[u8]| build::ethernet(eth_type::IPV4, &build::ipv4(B, A, kind, payload));
    let over_udp = |port, head: &[u8], payload: &[u8]| {
        over_ip(protocol::UDP, &build::udp(9, port, &[head, payload].concat()))
    };
    let gre = |head: &[u8], payload: &[u8]| over_ip(protocol::GRE, &[head, payload].concat());
    let six = Ipv6Addr::LOCALHOST;
    let hop = [[17, 0, 1, 4, 0, 0, 0, 0].as_slice(), &build::udp(1, 2, b"six")].concat();
    let part = [[17, 0, 0, 1, 0, 0, 0, 9].as_slice(), &build::udp(1, 2, b"six")].concat();
    let vxlan = build::vxlan(7, &inner);
    let tagged = build::vlan(5, eth_type::VLAN, &build::vlan(6, eth_type::IPV4, &inner_ip));
    vec![
        inner.clone(),
        build::ethernet(eth_type::QINQ, &tagged),
        build::ip_frame(IpAddr::V6(six), IpAddr::V6(six), protocol::HOP_BY_HOP, &hop),
        build::ip_frame(IpAddr::V6(six), IpAddr::V6(six), protocol::FRAGMENT, &part),
        build::ip_frame(A.into(), B.into(), protocol::ICMP, &build::icmp_echo(8, 1, 2, b"ping")),
        build::ethernet(eth_type::IPV4, &build::ipv4_fragment(A, B, 17, 0x2000, &[7; 24])),
        over_udp(4789, &[], &vxlan),
        over_udp(4789, &[], &build::vxlan(8, &over_udp(8472, &[], &vxlan))),
        over_udp(4790, &[0x0c, 0, 0, 1, 0, 0, 1, 0], &inner_ip),
        over_udp(4790, &[0x0c, 0, 0, 4, 0, 0, 1, 0, 0x0f, 0xc2, 1, 3, 0, 0, 9, 1], &inner),
        over_udp(6081, &[2, 0, 0x65, 0x58, 0, 0, 7, 0, 9, 9, 9, 1, 0, 0, 0, 0], &inner),
        over_ip(protocol::IPIP, &inner_ip),
        over_ip(protocol::IPV6, &build::ipv6(six, six, 17, &build::udp(1, 2, b"six"))),
        gre(&[0, 0, 8, 0], &inner_ip),
        gre(&[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1], &inner_ip),
        gre(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 7], &inner),
        gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 7, 0, 0, 0, 0], &inner),
        gre(&[0, 0, 0x22, 0xeb, 0x20, 7, 0, 0x65, 0, 0, 0, 0, 0, 0, 0, 0], &inner),
        build::ethernet(eth_type::MPLS, &[[0, 0, 0x11, 64].as_slice(), &inner_ip].concat()),
        build::ethernet(eth_type::MPLS, &[[0, 0, 1, 64, 0, 0, 0, 0].as_slice(), &inner].concat()),
    ]
}

/// Whole connections as scripts: opened, used and ended in the usual ways.
pub(crate) fn flows() -> Vec<Vec<u8>> {
    const SYN: u8 = 0x02;
    const SYN_ACK: u8 = 0x12;
    const ACK: u8 = 0x10;
    const DATA: u8 = 0x18;
    const FIN: u8 = 0x11;
    const RST: u8 = 0x04;
    // [time and kind][ends][ports, payload][flags][seq][ack]; 0x40 of payload is ten bytes.
    let client = |flags, payload: u8, seq, ack| [0x20, 0b0100, 0b0001 | payload, flags, seq, ack];
    let server = |flags, payload: u8, seq, ack| [0x20, 0b0001, 0b0100 | payload, flags, seq, ack];
    let handshake = [client(SYN, 0, 0, 0), server(SYN_ACK, 0, 9, 1), client(ACK, 0, 1, 10)];
    let exchange = [client(DATA, 0x40, 1, 10), server(DATA, 0x40, 10, 2), client(ACK, 0, 2, 11)];
    let close = [client(FIN, 0, 2, 11), server(FIN, 0, 11, 3), client(ACK, 0, 3, 12)];
    let reset = [server(RST, 0, 11, 2)];
    let again = [client(DATA, 0x40, 1, 10), client(SYN, 0, 50, 0)];
    let script = |setup: u8, parts: &[&[[u8; 6]]], tail: &[u8]| {
        let steps: Vec<u8> = parts.concat().concat();
        [[setup].as_slice(), &steps, tail].concat()
    };
    let minute_passes = [0xaf, 0x6c, 0xaf];
    vec![
        script(0x03, &[&handshake, &exchange, &close], &[0x8c]),
        script(0x03, &[&handshake, &exchange, &reset], &[0xbc]),
        script(0x03, &[&handshake, &exchange, &again], &minute_passes),
        script(0x23, &[&handshake, &exchange], &minute_passes),
        script(0x47, &[&exchange, &exchange, &close], &[0x0d, 0, 0x0d, 2, 0x0d, 3, 0x0e, 4, 0xfc]),
        script(0x83, &[&handshake, &exchange], &[0xbc, 0xcc]),
        script(0x03, &[&exchange], &[0x26, 1, 0x21, 0x36, 4, 0x24, 0x27, 1, 0, 0x37, 4, 1]),
        script(0x03, &[], &[0x28, 1, 1, 0x28, 0x81, 1, 0x29, 1, 1, 2, 0, 0, 1, 0x2a, 1, 132]),
    ]
}
