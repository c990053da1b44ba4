//! Captures of one connection on every link layer and in every tunnel, written as pcap and pcapng.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use wire::build;
use wire::eth_type;

use crate::connection::{Sent, packets};

const OUTER: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 9, 1), Ipv4Addr::new(192, 168, 9, 2)];
const START_S: u32 = 1_700_000_000;
/// The client's first sequence number; the server's is 5000 higher, and wraps around in the response.
const SEQS: [u32; 2] = [70_000, u32::MAX - 6_000];

/// Puts headers before an IP packet; the flag says whether the client sent it.
type Wrap = fn(&[u8], bool) -> Vec<u8>;

/// Name, link type, headers.
const WRAPS: [(&str, u32, Wrap); 21] = [
    ("ethernet", 1, ethernet),
    ("vlan", 1, |ip, _| build::ethernet(eth_type::VLAN, &build::vlan(7, kind(ip), ip))),
    ("qinq", 1, |ip, _| {
        let inner = build::vlan(7, kind(ip), ip);
        build::ethernet(eth_type::QINQ, &build::vlan(100, eth_type::VLAN, &inner))
    }),
    ("pppoe", 1, |ip, _| {
        let ppp: u16 = if ip[0] >> 4 == 4 { 0x21 } else { 0x57 };
        let head = [&[0x11, 0, 0, 7][..], &(ip.len() as u16 + 2).to_be_bytes(), &ppp.to_be_bytes()];
        build::ethernet(eth_type::PPPOE_SESSION, &[&head.concat(), ip].concat())
    }),
    ("raw", 101, |ip, _| ip.to_vec()),
    ("sll", 113, |ip, _| {
        [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &kind(ip).to_be_bytes()[..], ip].concat()
    }),
    ("sll2", 276, |ip, _| {
        let rest = [0, 0, 0, 0, 0, 5, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        [&kind(ip).to_be_bytes()[..], &rest, ip].concat()
    }),
    ("null", 0, |ip, _| {
        [if ip[0] >> 4 == 4 { &[2, 0, 0, 0] } else { &[30, 0, 0, 0][..] }, ip].concat()
    }),
    ("vxlan", 1, |ip, by_client| outer(17, &vxlan(42, &ethernet(ip, by_client)), by_client)),
    ("vxlan-in-vxlan", 1, |ip, by_client| {
        let inner = outer(17, &vxlan(42, &ethernet(ip, by_client)), by_client);
        outer(17, &vxlan(43, &inner), by_client)
    }),
    ("nsh", 1, |ip, by_client| {
        let head = [&[0x0c, 0, 0, 4, 0, 0, 42, 0, 0x0f, 0xc6, 1, 3, 0, 0, 9, 255][..], &[0; 16]];
        let nsh = [&head.concat()[..], &ethernet(ip, by_client)].concat();
        outer(17, &build::udp(50_000, 4790, &nsh), by_client)
    }),
    ("geneve", 1, |ip, by_client| {
        let head = [2, 0, 0x65, 0x58, 0, 1, 2, 0, 1, 2, 3, 1, 9, 9, 9, 9];
        let geneve = [&head[..], &ethernet(ip, by_client)].concat();
        outer(17, &build::udp(50_000, 6081, &geneve), by_client)
    }),
    ("ipip", 1, |ip, by_client| outer(if ip[0] >> 4 == 4 { 4 } else { 41 }, ip, by_client)),
    ("ip6tnl", 1, |ip, by_client| {
        let ends = [1, 2].map(|host| Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, host));
        let (src, dst) = if by_client { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
        let next = if ip[0] >> 4 == 4 { 4 } else { 41 };
        build::ethernet(eth_type::IPV6, &build::ipv6(src, dst, next, ip))
    }),
    ("gre", 1, |ip, by_client| gre(0, kind(ip), &[], ip, by_client)),
    ("gre-key", 1, |ip, by_client| {
        gre(0xb000, kind(ip), &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1], ip, by_client)
    }),
    ("nvgre", 1, |ip, by_client| {
        gre(0x2000, 0x6558, &[0, 0, 42, 0], &ethernet(ip, by_client), by_client)
    }),
    ("erspan1", 1, |ip, by_client| gre(0, 0x88be, &[], &ethernet(ip, by_client), by_client)),
    ("erspan2", 1, |ip, by_client| {
        let head = [0, 0, 0, 1, 0x10, 7, 0, 0x64, 0, 0, 0, 3];
        gre(0x1000, 0x88be, &head, &ethernet(ip, by_client), by_client)
    }),
    ("erspan3", 1, |ip, by_client| {
        let head = [0, 0, 0, 1, 0x20, 7, 0, 0x65, 0, 0, 0, 0, 0, 0, 0, 0];
        gre(0x1000, 0x22eb, &head, &ethernet(ip, by_client), by_client)
    }),
    ("mpls", 1, |ip, _| {
        build::ethernet(eth_type::MPLS, &[&[0, 0x10, 0, 64, 0, 0x20, 1, 64], ip].concat())
    }),
];

fn kind(ip: &[u8]) -> u16 {
    if ip[0] >> 4 == 4 { eth_type::IPV4 } else { eth_type::IPV6 }
}

fn ethernet(ip: &[u8], by_client: bool) -> Vec<u8> {
    let mut frame = build::ethernet(kind(ip), ip);
    if !by_client {
        let (dst, rest) = frame.split_at_mut(6);
        dst.swap_with_slice(&mut rest[..6]);
    }
    frame
}

fn outer(protocol: u8, payload: &[u8], by_client: bool) -> Vec<u8> {
    let (src, dst) = if by_client { (OUTER[0], OUTER[1]) } else { (OUTER[1], OUTER[0]) };
    ethernet(&build::ipv4(src, dst, protocol, payload), by_client)
}

fn vxlan(vni: u32, frame: &[u8]) -> Vec<u8> {
    build::udp(50_000, 4789, &build::vxlan(vni, frame))
}

fn gre(flags: u16, kind: u16, rest: &[u8], payload: &[u8], by_client: bool) -> Vec<u8> {
    let head = [&flags.to_be_bytes()[..], &kind.to_be_bytes(), rest, payload].concat();
    outer(47, &head, by_client)
}

/// Writes every capture into the folder.
pub fn write_all(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut keep = |name: &str, bytes: Vec<u8>| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a capture is written");
        paths.push(path);
    };
    for (at, (name, link, wrap)) in WRAPS.iter().enumerate() {
        let sent = packets(at % 2 == 1, SEQS[0]);
        keep(&format!("{name}.pcap"), pcap(*link, &sent, *wrap));
    }
    keep("wrap-around.pcap", pcap(1, &packets(false, SEQS[1]), ethernet));
    keep("fragments.pcap", pcap(1, &fragments(), ethernet));
    keep("two-interfaces.pcapng", pcapng(&packets(false, SEQS[0])));
    paths
}

/// A datagram in three fragments, the last of which comes first after the ports are known.
fn fragments() -> Vec<Sent> {
    let datagram = build::udp(5000, 6000, &[9; 1_000]);
    let parts = [(0, 0..400, 0x2000), (400, 400..800, 0x2000), (800, 800..1_008, 0)];
    let part = |at_us, (offset, range, more): (u16, std::ops::Range<usize>, u16)| {
        let place = (offset / 8) | more;
        let ip = build::ipv4_fragment(OUTER[0], OUTER[1], 17, place, &datagram[range]);
        Sent { at_us, by_client: true, ip }
    };
    let [first, second, third] = parts;
    vec![part(0, first), part(10, third), part(20, second)]
}

fn pcap(link: u32, sent: &[Sent], wrap: Wrap) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, link] {
        out.extend_from_slice(&u32::to_le_bytes(word));
    }
    for packet in sent {
        let frame = wrap(&packet.ip, packet.by_client);
        let (second, micros) = (packet.at_us / 1_000_000, packet.at_us % 1_000_000);
        let words =
            [START_S + second as u32, micros as u32, frame.len() as u32, frame.len() as u32];
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out.extend_from_slice(&frame);
    }
    out
}

/// Each packet captured on two interfaces, on the second one 50 µs later.
fn pcapng(sent: &[Sent]) -> Vec<u8> {
    let mut out = Vec::new();
    let section = [0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX];
    block(&mut out, 0x0a0d_0d0a, &section.map(u32::to_le_bytes).concat());
    for _ in 0..2 {
        block(&mut out, 1, &[1_u32, 262_144].map(u32::to_le_bytes).concat());
    }
    for packet in sent {
        let frame = ethernet(&packet.ip, packet.by_client);
        for interface in 0..2_u32 {
            let at_us = u64::from(START_S) * 1_000_000 + packet.at_us + u64::from(interface) * 50;
            let len = frame.len() as u32;
            let head = [interface, (at_us >> 32) as u32, at_us as u32, len, len];
            let mut body = head.map(u32::to_le_bytes).concat();
            body.extend_from_slice(&frame);
            block(&mut out, 6, &body);
        }
    }
    out
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let body_len = body.len().next_multiple_of(4);
    let length = (body_len as u32 + 12).to_le_bytes();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&length);
    out.extend_from_slice(body);
    out.resize(out.len() + body_len - body.len(), 0);
    out.extend_from_slice(&length);
}
