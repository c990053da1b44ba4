//! Tunnels: each kind by hand, nesting, configuration; and the peer's captures where present.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::{
    DecapConfig, LinkType, Packet, Transport, TrimKind, TunnelKind, build, eth_type, parse,
};

const OUT_A: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const OUT_B: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);
const IN_A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const IN_B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SIX: Ipv6Addr = Ipv6Addr::LOCALHOST;

fn inner_ip() -> Vec<u8> {
    build::ipv4(IN_A, IN_B, 17, &build::udp(1000, 2000, b"inner"))
}

fn inner_frame() -> Vec<u8> {
    let mut frame = build::ethernet(eth_type::IPV4, &inner_ip());
    frame[..6].fill(0xdd);
    frame
}

fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    build::ethernet(eth_type::IPV4, &build::ipv4(OUT_A, OUT_B, protocol, payload))
}

fn gre(flags: u16, kind: u16, rest: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut head = flags.to_be_bytes().to_vec();
    head.extend_from_slice(&kind.to_be_bytes());
    head.extend_from_slice(rest);
    head.extend_from_slice(payload);
    outer(47, &head)
}

fn read<'a>(frame: &'a [u8], decap: &DecapConfig) -> Packet<'a> {
    parse(LinkType::Ethernet, frame, frame.len() as u32, decap).expect("a sound packet")
}

/// Opens with everything allowed, and with everything but `kind`.
fn check(frame: &[u8], kind: TunnelKind, id: u32) {
    let packet = read(frame, &DecapConfig::all());
    assert_eq!(packet.payload, b"inner", "{kind:?}");
    assert_eq!((packet.ip.src, packet.ip.dst), (IpAddr::V4(IN_A), IpAddr::V4(IN_B)));
    assert_eq!((packet.ports(), packet.tunnel_tier), ((1000, 2000), 1));
    let tunnel = packet.tunnel.expect("a tunnel");
    assert_eq!((tunnel.kind, tunnel.id), (kind, id));
    assert_eq!((tunnel.src_mac, tunnel.dst_mac), (build::SRC_MAC, build::DST_MAC));
    assert_eq!(packet.frame_bytes as usize, frame.len());
    let others = TunnelKind::ALL.into_iter().filter(|other| *other != kind);
    let without = others.fold(DecapConfig::none(), DecapConfig::with);
    match parse(LinkType::Ethernet, frame, frame.len() as u32, &without) {
        Ok(closed) => assert_eq!((closed.tunnel, closed.tunnel_tier), (None, 0), "{kind:?}"),
        Err(refused) => assert!(refused.is_unsupported() && kind == TunnelKind::Mpls),
    }
}

#[test]
fn vxlan_on_both_ports() {
    for port in [4789, 8472] {
        let frame = outer(17, &build::udp(50000, port, &build::vxlan(42, &inner_frame())));
        check(&frame, TunnelKind::Vxlan, 42);
        let packet = read(&frame, &DecapConfig::default());
        assert_eq!(packet.link.dst_mac, [0xdd; 6], "inner addresses");
        let tunnel = packet.tunnel.expect("a tunnel");
        assert_eq!((tunnel.src, tunnel.dst), (IpAddr::V4(OUT_A), IpAddr::V4(OUT_B)));
    }
    let other = outer(17, &build::udp(50000, 4789, b"not a tunnel at all"));
    assert_eq!(read(&other, &DecapConfig::all()).tunnel, None);
}

#[test]
fn vxlan_gpe_with_nsh() {
    let mut nsh = vec![0x0f, 0xc6, 1, 3, 0, 0, 9, 255];
    nsh.extend_from_slice(&[0; 16]);
    nsh.extend_from_slice(&inner_frame());
    let mut gpe = vec![0x0c, 0, 0, 4, 0, 0, 42, 0];
    gpe.extend_from_slice(&nsh);
    check(&outer(17, &build::udp(50000, 4790, &gpe)), TunnelKind::VxlanNsh, 9);
    gpe[9] = 1;
    let refused = outer(17, &build::udp(50000, 4790, &gpe));
    let closed = read(&refused, &DecapConfig::all());
    assert_eq!((closed.tunnel_tier, closed.ports()), (0, (50000, 4790)), "no sound header");
    let mut plain = vec![0x0c, 0, 0, 1, 0, 0, 42, 0];
    plain.extend_from_slice(&inner_ip());
    check(&outer(17, &build::udp(50000, 4790, &plain)), TunnelKind::Vxlan, 42);
}

#[test]
fn geneve_with_options() {
    let mut head = vec![0x02, 0, 0x65, 0x58, 0, 1, 2, 0, 9, 9, 9, 1, 0, 0, 0, 0];
    head.extend_from_slice(&inner_frame());
    check(&outer(17, &build::udp(50000, 6081, &head)), TunnelKind::Geneve, 0x102);
}

#[test]
fn ip_in_ip() {
    check(&outer(4, &inner_ip()), TunnelKind::Ipip, 0);
    let six = build::ipv6(SIX, SIX, 17, &build::udp(1, 2, b"six"));
    let sit = outer(41, &six);
    let packet = read(&sit, &DecapConfig::default());
    assert_eq!((packet.ip.src, packet.payload), (IpAddr::V6(SIX), &b"six"[..]));
    assert_eq!(packet.link.eth_type, eth_type::IPV6);
    let six_in_six = build::ethernet(eth_type::IPV6, &build::ipv6(SIX, SIX, 41, &six));
    let packet = read(&six_in_six, &DecapConfig::default());
    assert_eq!(
        (packet.tunnel.map(|t| t.src), packet.payload),
        (Some(IpAddr::V6(SIX)), &b"six"[..])
    );
}

#[test]
fn gre_and_its_relatives() {
    check(&gre(0, 0x0800, &[], &inner_ip()), TunnelKind::Gre, 0);
    check(
        &gre(0xb000, 0x0800, &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1], &inner_ip()),
        TunnelKind::Gre,
        5,
    );
    check(&gre(0x2000, 0x6558, &[0, 0, 1, 0], &inner_frame()), TunnelKind::ErspanOrTeb, 256);
    check(&gre(0, 0x88be, &[], &inner_frame()), TunnelKind::ErspanOrTeb, 0);
    let erspan2 = [0, 0, 0, 1, 0x10, 0x07, 0x00, 0x64, 0, 0, 0, 3];
    check(&gre(0x1000, 0x88be, &erspan2, &inner_frame()), TunnelKind::ErspanOrTeb, 100);
    let mut erspan3 = vec![0, 0, 0, 1, 0x20, 0x07, 0x00, 0x65, 0, 0, 0, 0, 0, 0, 0, 1];
    erspan3.extend_from_slice(&[0; 8]);
    check(&gre(0x1000, 0x22eb, &erspan3, &inner_frame()), TunnelKind::ErspanOrTeb, 101);
    let pptp = gre(0x3081, 0x880b, &[0; 12], b"ppp");
    let packet = read(&pptp, &DecapConfig::all());
    assert_eq!((packet.transport, packet.tunnel), (Transport::Other, None));
}

#[test]
fn mpls_by_first_nibble() {
    let mut labels = vec![0, 0x10, 0, 64, 0, 0x20, 0x01, 64];
    labels.extend_from_slice(&inner_ip());
    check(&build::ethernet(eth_type::MPLS, &labels), TunnelKind::Mpls, 0x200);
    let mut pseudowire = vec![0, 0x20, 0x01, 64, 0, 0, 0, 0];
    pseudowire.extend_from_slice(&inner_frame());
    check(&build::ethernet(eth_type::MPLS, &pseudowire), TunnelKind::Mpls, 0x200);
}

#[test]
fn two_tiers_are_opened_and_a_third_is_not() {
    let mut frame = inner_frame();
    for (tier, vni) in [(1, 11), (2, 22), (2, 33)] {
        frame = outer(17, &build::udp(50000, 4789, &build::vxlan(vni, &frame)));
        let packet = read(&frame, &DecapConfig::default());
        assert_eq!((packet.tunnel_tier, packet.tunnel.map(|t| t.id)), (tier, Some(vni)));
    }
    let packet = read(&frame, &DecapConfig::default());
    assert_eq!(packet.ports(), (50000, 4789));
}

#[test]
fn what_is_damaged_in_a_tunnel_counts_as_the_tunnels() {
    let frame = outer(17, &build::udp(50000, 4789, &build::vxlan(42, &inner_frame())));
    let whole = frame.len();
    for cut in [whole - 1, whole - 6, whole - 12, whole - 20, whole - 40] {
        let packet = parse(LinkType::Ethernet, &frame[..cut], whole as u32, &DecapConfig::all());
        let packet = packet.expect("a packet of the inner or of the outer flow");
        let is_inner = cut + b"inner".len() >= whole;
        assert_eq!(packet.tunnel_tier, u8::from(is_inner), "{cut} of {whole} bytes");
        assert_eq!(packet.frame_bytes as usize, whole);
    }
    let mut arp = inner_frame();
    arp[12..14].copy_from_slice(&[8, 6]);
    let frame = outer(17, &build::udp(50000, 4789, &build::vxlan(42, &arp)));
    let refused = parse(LinkType::Ethernet, &frame, 0, &DecapConfig::all());
    assert!(refused.is_err_and(|error| error.is_unsupported()), "as ARP outside of a tunnel");
}

#[test]
fn the_networks_around_a_packet_are_told() {
    let vxlan = |vni, frame: &[u8]| outer(17, &build::udp(50000, 4789, &build::vxlan(vni, frame)));
    let network = |frame: &[u8]| read(frame, &DecapConfig::all()).network_id;
    let one = vxlan(11, &inner_frame());
    assert_eq!((network(&inner_frame()), network(&one)), (0, 11));
    assert_eq!(network(&vxlan(22, &one)), 22 << 32 | 11);
    let keyed = gre(0x2000, 0x6558, &[0, 0, 0, 5], &one);
    assert_eq!(network(&keyed), 11, "a key of GRE belongs to one direction");
}

/// Puts a frame into the headers of mirroring.
type Mirror = fn(&[u8]) -> Vec<u8>;

#[test]
fn headers_of_mirroring_are_taken_off_without_a_trace() {
    let erspan = [0, 0, 0, 1, 0x10, 0x07, 0x00, 0x64, 0, 0, 0, 3];
    let mirrored: [(TrimKind, Mirror); 3] = [
        (TrimKind::Vxlan, |frame| outer(17, &build::udp(50000, 4789, &build::vxlan(42, frame)))),
        (TrimKind::Teb, |frame| gre(0x2000, 0x6558, &[0, 0, 1, 0], frame)),
        (TrimKind::Erspan, |frame| {
            gre(0x1000, 0x88be, &[0, 0, 0, 1, 0x10, 7, 0, 1, 0, 0, 0, 3], frame)
        }),
    ];
    for (kind, mirror) in mirrored {
        let own = outer(17, &build::udp(50000, 4789, &build::vxlan(7, &inner_frame())));
        let frame = mirror(&own);
        let trimmed = read(&frame, &DecapConfig::default().trimming(kind));
        assert_eq!(trimmed, read(&own, &DecapConfig::default()), "{kind:?}");
        assert_eq!(TrimKind::from_name(kind.name()), Some(kind));
        // Opened and not taken off: one tier more, and the outer header is told.
        assert_eq!(read(&frame, &DecapConfig::all()).tunnel_tier, 2);
        let plain = mirror(&inner_frame());
        let packet = read(&plain, &DecapConfig::none().trimming(kind));
        assert_eq!((packet.tunnel, packet.payload), (None, &b"inner"[..]));
        assert_eq!(packet.frame_bytes as usize, inner_frame().len());
    }
    let twice = gre(0x1000, 0x88be, &erspan, &gre(0, 0x6558, &[], &inner_frame()));
    let both = DecapConfig::none().trimming(TrimKind::Erspan).trimming(TrimKind::Teb);
    assert_eq!(read(&twice, &both).payload, b"inner");
    assert_eq!(TrimKind::from_name("GRE"), None);
}

#[test]
fn configuration_by_numbers() {
    assert_eq!(DecapConfig::from_ids(&[1, 2]), Ok(DecapConfig::default()));
    assert_eq!(DecapConfig::from_ids(&[1, 2, 3, 4, 5, 6, 7]), Ok(DecapConfig::all()));
    assert_eq!(DecapConfig::from_ids(&[1, 9]), Err(9));
    assert!(DecapConfig::none().is_empty());
}
