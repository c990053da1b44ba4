//! Link, network and transport headers: hand-made packets with what must come out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::build::{self, Tcp};
use wire::{DecapConfig, LinkType, Malformed, Packet, TcpFlags, Transport, eth_type, parse};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

fn read(link: LinkType, frame: &[u8]) -> Packet<'_> {
    parse(link, frame, frame.len() as u32, &DecapConfig::all()).expect("a sound packet")
}

fn refuse(frame: &[u8]) -> Malformed {
    parse(LinkType::Ethernet, frame, frame.len() as u32, &DecapConfig::all())
        .expect_err("a damaged packet")
}

fn segment() -> Tcp {
    Tcp {
        src_port: 40000,
        dst_port: 80,
        seq: 7,
        ack: 9,
        flags: TcpFlags::PSH | TcpFlags::ACK,
        window: 512,
        options: Vec::new(),
    }
}

fn tcp_v4() -> Vec<u8> {
    build::ipv4(A, B, 6, &segment().with(b"hello"))
}

#[test]
fn tcp_over_ipv4_in_ethernet() {
    let frame = build::ethernet(eth_type::IPV4, &tcp_v4());
    let packet = read(LinkType::Ethernet, &frame);
    assert_eq!(packet.link.src_mac, build::SRC_MAC);
    assert_eq!(packet.link.dst_mac, build::DST_MAC);
    assert_eq!((packet.link.eth_type, packet.link.vlan), (eth_type::IPV4, None));
    assert_eq!((packet.ip.src, packet.ip.dst), (IpAddr::V4(A), IpAddr::V4(B)));
    assert_eq!((packet.ip.ttl, packet.ip.id, packet.ip.protocol), (64, 1, 6));
    assert_eq!(packet.ports(), (40000, 80));
    assert_eq!((packet.payload, packet.payload_bytes), (&b"hello"[..], 5));
    assert_eq!((packet.frame_bytes, packet.ip.payload_bytes), (59, 25));
    let Transport::Tcp(tcp) = packet.transport else { panic!("not TCP") };
    assert_eq!((tcp.seq, tcp.ack, tcp.window), (7, 9, 512));
    assert_eq!(tcp.flags, TcpFlags::PSH | TcpFlags::ACK);
}

#[test]
fn padding_of_short_frames_is_not_payload() {
    let mut frame = build::ethernet(eth_type::IPV4, &build::ipv4(A, B, 6, &segment().with(b"")));
    frame.resize(60, 0);
    let packet = read(LinkType::Ethernet, &frame);
    assert_eq!((packet.payload.len(), packet.payload_bytes, packet.frame_bytes), (0, 0, 60));
}

#[test]
fn payload_on_the_wire_is_told_by_the_ip_length_when_the_frame_was_cut() {
    let whole = build::ethernet(eth_type::IPV4, &build::ipv4(A, B, 6, &segment().with(&[1; 600])));
    let packet = read(LinkType::Ethernet, &whole[..66]);
    assert_eq!((packet.payload.len(), packet.payload_bytes), (12, 600));
    let packet = parse(LinkType::Ethernet, &whole[..66], 654, &DecapConfig::none());
    assert_eq!(packet.map(|p| (p.payload_bytes, p.frame_bytes)), Ok((600, 654)));
}

#[test]
fn zero_total_length_of_offloaded_segments_means_the_whole_frame() {
    let mut frame =
        build::ethernet(eth_type::IPV4, &build::ipv4(A, B, 6, &segment().with(&[1; 3000])));
    frame[16..18].fill(0);
    assert_eq!(read(LinkType::Ethernet, &frame).payload_bytes, 3000);
}

#[test]
fn tags_keep_the_innermost_and_the_outermost_id() {
    let inner = build::vlan(7, eth_type::IPV4, &tcp_v4());
    let frame = build::ethernet(eth_type::QINQ, &build::vlan(100, eth_type::VLAN, &inner));
    let packet = read(LinkType::Ethernet, &frame);
    assert_eq!((packet.link.vlan, packet.link.outer_vlan), (Some(7), Some(100)));
    let frame = build::ethernet(eth_type::VLAN, &inner);
    let packet = read(LinkType::Ethernet, &frame);
    assert_eq!((packet.link.vlan, packet.link.outer_vlan), (Some(7), None));
    assert_eq!(packet.payload, b"hello");
}

#[test]
fn ppp_on_lines_and_over_ethernet() {
    let framings: [&[u8]; 5] =
        [&[0xff, 3, 0, 0x21], &[0xff, 3, 0x21], &[0, 0x21], &[0x21], &[0x0f, 0, 8, 0]];
    for framing in framings {
        let packet_bytes = [framing, &tcp_v4()].concat();
        let packet = read(LinkType::Ppp, &packet_bytes);
        assert_eq!((packet.payload, packet.link.eth_type), (&b"hello"[..], eth_type::IPV4));
    }
    let ip = tcp_v4();
    let mut session = vec![0x11, 0, 0, 7, 0, ip.len() as u8 + 2, 0, 0x21];
    session.extend_from_slice(&ip);
    session.extend_from_slice(b"padding");
    let frame = build::ethernet(eth_type::PPPOE_SESSION, &session);
    assert_eq!(read(LinkType::Ethernet, &frame).payload, b"hello");
    let tagged = build::vlan(7, eth_type::PPPOE_SESSION, &session);
    let frame = build::ethernet(eth_type::VLAN, &tagged);
    assert_eq!(read(LinkType::Ethernet, &frame).link.vlan, Some(7));
    for (at, value) in [(15, 9), (21, 0xc0)] {
        let mut frame = build::ethernet(eth_type::PPPOE_SESSION, &session);
        frame[at] = value;
        assert!(refuse(&frame).is_unsupported(), "discovery, link control");
    }
}

#[test]
fn headers_that_nothing_follows_are_what_the_packet_is_about() {
    for (kind, kept) in [(135, 135), (139, 139), (140, 140), (60, 59), (0, 59)] {
        let header = [59, 0, 0, 0, 0, 0, 0, 0];
        let frame = build::ethernet(eth_type::IPV6, &build::ipv6(A6, B6, kind, &header));
        let packet = read(LinkType::Ethernet, &frame);
        assert_eq!((packet.ip.protocol, packet.transport), (kept, Transport::Other));
    }
}

#[test]
fn an_icmp_header_that_is_cut_off_is_a_packet_all_the_same() {
    let frame = build::ethernet(eth_type::IPV4, &build::ipv4(A, B, 1, &[8, 0, 0]));
    let packet = read(LinkType::Ethernet, &frame);
    assert_eq!((packet.ip.protocol, packet.transport), (1, Transport::Other));
    assert_eq!((packet.ports(), packet.payload_bytes), ((0, 0), 3));
}

#[test]
fn authentication_headers_are_stepped_over_in_both_versions() {
    let mut auth = vec![6, 4, 0, 0];
    auth.extend_from_slice(&[0; 20]);
    auth.extend_from_slice(&segment().with(b"hello"));
    let frame = build::ethernet(eth_type::IPV4, &build::ipv4(A, B, 51, &auth));
    let packet = read(LinkType::Ethernet, &frame);
    assert_eq!((packet.ip.protocol, packet.payload), (6, &b"hello"[..]));
    let frame = build::ethernet(eth_type::IPV6, &build::ipv6(A6, B6, 51, &auth));
    assert_eq!(read(LinkType::Ethernet, &frame).payload, b"hello");
    auth[0] = 4;
    auth.truncate(24);
    auth.extend_from_slice(&tcp_v4());
    let frame = build::ethernet(eth_type::IPV4, &build::ipv4(B, A, 51, &auth));
    let packet = read(LinkType::Ethernet, &frame);
    assert_eq!((packet.tunnel_tier, packet.ip.src), (1, IpAddr::V4(A)), "tunnel mode");
}

#[test]
fn other_link_types() {
    let ip = tcp_v4();
    let mut sll = vec![0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0];
    sll.extend_from_slice(&ip);
    let packet = read(LinkType::LinuxSll, &sll);
    assert_eq!((packet.link.src_mac, packet.payload), ([1, 2, 3, 4, 5, 6], &b"hello"[..]));
    let mut sll2 = vec![8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0];
    sll2.extend_from_slice(&ip);
    let packet = read(LinkType::LinuxSll2, &sll2);
    assert_eq!((packet.link.src_mac, packet.payload), ([1, 2, 3, 4, 5, 6], &b"hello"[..]));
    assert_eq!(
        (packet.link.interface, read(LinkType::LinuxSll, &sll).link.interface),
        (Some(3), None)
    );
    assert_eq!(read(LinkType::RawIp, &ip).payload, b"hello");
    for (link, family) in [
        (LinkType::Null, [2, 0, 0, 0]),
        (LinkType::Null, [0, 0, 0, 2]),
        (LinkType::Null, [0x0f, 0, 8, 0]),
        (LinkType::Loop, [0, 0, 0, 2]),
    ] {
        let mut frame = family.to_vec();
        frame.extend_from_slice(&ip);
        assert_eq!(read(link, &frame).payload, b"hello");
    }
    let mut frame = vec![30, 0, 0, 0];
    frame.extend_from_slice(&build::ipv6(A6, B6, 17, &build::udp(1, 2, b"x")));
    assert_eq!(read(LinkType::Null, &frame).ip.src, IpAddr::V6(A6));
}

#[test]
fn ipv4_options_and_fragments() {
    let mut with_options = vec![0x46, 0, 0, 0, 0, 5, 0, 0, 64, 17, 0, 0];
    with_options.extend_from_slice(&A.octets());
    with_options.extend_from_slice(&B.octets());
    with_options.extend_from_slice(&[1, 1, 1, 0]);
    with_options.extend_from_slice(&build::udp(5, 53, b"query"));
    let length = with_options.len() as u16;
    with_options[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(read(LinkType::RawIp, &with_options).payload, b"query");

    let datagram = build::udp(5, 53, &[9; 32]);
    let first = build::ipv4_fragment(A, B, 17, 0x2000, &datagram[..24]);
    let packet = read(LinkType::RawIp, &first);
    assert_eq!((packet.ports(), packet.payload_bytes), ((5, 53), 16));
    assert!(packet.ip.fragment.is_some_and(|f| f.more && f.offset_bytes == 0));
    let last = build::ipv4_fragment(A, B, 17, 3, &datagram[24..]);
    let packet = read(LinkType::RawIp, &last);
    assert_eq!((packet.transport, packet.payload_bytes), (Transport::Fragment, 16));
    assert!(packet.ip.fragment.is_some_and(|f| !f.more && f.offset_bytes == 24));
}

#[test]
fn ipv6_extension_headers_and_fragments() {
    let mut payload = vec![60, 0, 1, 4, 0, 0, 0, 0]; // hop-by-hop, then
    payload.extend_from_slice(&[51, 0, 1, 4, 0, 0, 0, 0]); // destination options, then
    payload.extend_from_slice(&[43, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // AH of 12, then
    payload.extend_from_slice(&[44, 0, 0, 0, 0, 0, 0, 0]); // routing, then
    payload.extend_from_slice(&[17, 0, 0, 1, 0, 0, 0, 7]); // fragment 0 of id 7, then
    payload.extend_from_slice(&build::udp(1, 2, b"abc"));
    let packet_bytes = build::ipv6(A6, B6, 0, &payload);
    let packet = read(LinkType::RawIp, &packet_bytes);
    assert_eq!((packet.ports(), packet.payload, packet.ip.protocol), ((1, 2), &b"abc"[..], 17));
    assert_eq!((packet.ip.id, packet.ip.fragment.map(|f| f.more)), (7, Some(true)));

    let later = build::ipv6(A6, B6, 44, &[17, 0, 0x05, 0x00, 0, 0, 0, 7, 1, 2, 3]);
    let packet = read(LinkType::RawIp, &later);
    assert_eq!((packet.transport, packet.payload), (Transport::Fragment, &[1, 2, 3][..]));
    assert_eq!(packet.ip.fragment.map(|f| f.offset_bytes), Some(0x500));

    let atomic = build::ipv6(
        A6,
        B6,
        44,
        &[[58, 0, 0, 0, 0, 0, 0, 7].as_slice(), &build::icmp_echo(128, 3, 4, b"")].concat(),
    );
    let packet = read(LinkType::RawIp, &atomic);
    let Transport::Icmp(icmp) = packet.transport else { panic!("not ICMP") };
    assert!(icmp.is_echo_request() && !icmp.is_echo_reply());
    assert_eq!((icmp.id, icmp.sequence, packet.ip.fragment), (3, 4, None));
}

#[test]
fn tcp_options() {
    let mut tcp = segment();
    tcp.options = vec![2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7];
    let frame = build::ethernet(eth_type::IPV4, &build::ipv4(A, B, 6, &tcp.with(b"")));
    let Transport::Tcp(view) = read(LinkType::Ethernet, &frame).transport else { panic!() };
    let options = view.options();
    assert_eq!((options.mss, options.window_scale), (Some(1460), Some(7)));
    assert_eq!((options.sack_permitted, options.timestamps), (true, Some((1, 2))));
    tcp.options = vec![5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 3, 200];
    let frame = build::ethernet(eth_type::IPV4, &build::ipv4(A, B, 6, &tcp.with(b"")));
    let Transport::Tcp(view) = read(LinkType::Ethernet, &frame).transport else { panic!() };
    let options = view.options();
    assert_eq!((options.sack_blocks, options.sack[0]), (1, (1, 9)));
    assert_eq!(options.window_scale, None, "a damaged option ends the list");
}

#[test]
fn errors_name_the_field() {
    let frame = build::ethernet(eth_type::IPV4, &tcp_v4());
    let damaged = |at: usize, value: u8| {
        let mut frame = frame.clone();
        frame[at] = value;
        refuse(&frame)
    };
    assert_eq!(refuse(&frame[..10]), Malformed::Truncated("ethernet"));
    assert_eq!(refuse(&frame[..30]), Malformed::Truncated("ipv4"));
    assert_eq!(refuse(&frame[..40]), Malformed::Truncated("tcp"));
    assert_eq!(damaged(14, 0x55), Malformed::Invalid("ipv4.version"));
    assert_eq!(damaged(14, 0x44), Malformed::Invalid("ipv4.header_length"));
    assert_eq!(damaged(17, 10), Malformed::Invalid("ipv4.total_length"));
    assert_eq!(damaged(46, 0x40), Malformed::Invalid("tcp.data_offset"));
    assert_eq!(damaged(46, 0xf0), Malformed::Invalid("tcp.data_offset"));
    let arp = refuse(&build::ethernet(0x0806, &[0; 28]));
    assert_eq!(arp, Malformed::Unsupported("ethernet.type", 0x0806));
    assert!(arp.is_unsupported());
    assert_eq!(arp.to_string(), "ethernet.type: protocol 0x0806 carries no flows");
    let stp = refuse(&build::ethernet(38, &[0x42; 38]));
    assert_eq!(stp, Malformed::Unsupported("ethernet.length", 38));
}

#[test]
fn snap_leads_on_to_an_ether_type() {
    let mut llc = vec![0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    llc.extend_from_slice(&tcp_v4());
    let frame = build::ethernet(llc.len() as u16, &llc);
    assert_eq!(read(LinkType::Ethernet, &frame).payload, b"hello");
}

#[test]
fn the_table_of_link_types_is_what_can_be_read() {
    for number in 0..300 {
        let listed = LinkType::PCAP.iter().any(|(pcap, _)| *pcap == number);
        assert_eq!(LinkType::from_pcap(number).is_some(), listed, "{number}");
    }
}
