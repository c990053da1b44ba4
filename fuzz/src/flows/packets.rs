//! Packets of a small world: few hosts and ports, sequence numbers that meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::build::{self, Tcp};
use wire::{LinkType, TcpFlags, eth_type, protocol};

use crate::input::Input;

/// Sequence numbers near which those of a script lie: usual ones, and just before the wrap-around.
const BASES: [u32; 2] = [1000, u32::MAX - 4000];

/// The frame that a step of this kind sends.
pub(super) fn frame(kind: u8, input: &mut Input<'_>) -> (LinkType, Vec<u8>) {
    match kind {
        0..=5 => (LinkType::Ethernet, tcp(input)),
        6 => (LinkType::Ethernet, udp(input)),
        7 => (LinkType::Ethernet, icmp(input)),
        8 => (LinkType::Ethernet, fragment(input)),
        9 => {
            let inner = tcp(input);
            let vni = u32::from(input.u8() & 3);
            let datagram = build::udp(9, 4789, &build::vxlan(vni, &inner));
            let (src, dst) = (Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(1, 1, 1, 2));
            let ip = build::ipv4(src, dst, protocol::UDP, &datagram);
            (LinkType::Ethernet, build::ethernet(eth_type::IPV4, &ip))
        }
        10 => {
            let (src, dst) = ends(input.u8());
            (LinkType::Ethernet, build::ip_frame(src, dst, input.u8(), &[1, 2, 3, 4]))
        }
        _ => {
            let choice = input.u8();
            let link = LinkType::ALL[usize::from(choice & 7) % LinkType::ALL.len()];
            (link, input.take(usize::from(choice >> 3) * 4).to_vec())
        }
    }
}

/// Four hosts of each family; the same one twice is a packet to itself.
fn ends(choice: u8) -> (IpAddr, IpAddr) {
    let host = |number: u8| match choice & 0x40 != 0 {
        false => IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)),
        true => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into())),
    };
    (host(choice & 3), host(choice >> 2 & 3))
}

fn ports(choice: u8) -> (u16, u16) {
    const PORTS: [u16; 4] = [80, 40_000, 40_001, 8080];
    (PORTS[usize::from(choice & 3)], PORTS[usize::from(choice >> 2 & 3)])
}

fn tcp(input: &mut Input<'_>) -> Vec<u8> {
    let (src, dst) = ends(input.u8());
    let choice = input.u8();
    let (src_port, dst_port) = ports(choice);
    let base = BASES[usize::from(choice >> 4 & 1)];
    let flags = TcpFlags(input.u8());
    let tcp = Tcp {
        src_port,
        dst_port,
        seq: base.wrapping_add(u32::from(input.u8()) * 10),
        ack: base.wrapping_add(u32::from(input.u8()) * 10),
        flags,
        window: u16::from(choice >> 7),
        options: Vec::new(),
    };
    let payload_bytes = [0, 1, 10, 100][usize::from(choice >> 5 & 3)];
    build::ip_frame(src, dst, protocol::TCP, &tcp.with(&vec![1; payload_bytes]))
}

fn udp(input: &mut Input<'_>) -> Vec<u8> {
    let (src, dst) = ends(input.u8());
    let choice = input.u8();
    let (src_port, dst_port) = ports(choice);
    let payload = vec![1; usize::from(choice >> 4)];
    build::ip_frame(src, dst, protocol::UDP, &build::udp(src_port, dst_port, &payload))
}

fn icmp(input: &mut Input<'_>) -> Vec<u8> {
    let (src, dst) = ends(input.u8());
    let choice = input.u8();
    let (v4, v6) = if choice & 1 == 0 { (8, 128) } else { (0, 129) };
    let is_v6 = src.is_ipv6();
    let echo = build::icmp_echo(
        if is_v6 { v6 } else { v4 },
        u16::from(choice >> 1 & 1),
        u16::from(choice >> 2 & 15),
        b"ping",
    );
    build::ip_frame(src, dst, if is_v6 { protocol::ICMPV6 } else { protocol::ICMP }, &echo)
}

/// First and later fragments of datagrams that share an identification.
fn fragment(input: &mut Input<'_>) -> Vec<u8> {
    let choice = input.u8();
    let (IpAddr::V4(src), IpAddr::V4(dst)) = ends(choice & 0x3f) else { return Vec::new() };
    let (src_port, dst_port) = ports(input.u8());
    let is_first = choice & 0x80 == 0;
    let body = if is_first { build::udp(src_port, dst_port, &[2; 16]) } else { vec![3; 24] };
    let place = if is_first { 0x2000 } else { 3 };
    build::ethernet(eth_type::IPV4, &build::ipv4_fragment(src, dst, protocol::UDP, place, &body))
}
