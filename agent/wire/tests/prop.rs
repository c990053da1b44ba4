//! Properties: nothing panics, truncation is an error or a shorter payload, never another packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use wire::build::{self, Tcp};
use wire::{DecapConfig, LinkType, TcpFlags, eth_type, parse};

fn frames() -> Vec<Vec<u8>> {
    let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let tcp = Tcp {
        src_port: 40000,
        dst_port: 80,
        seq: 1,
        ack: 2,
        flags: TcpFlags::ACK,
        window: 1,
        options: vec![2, 4, 5, 180, 3, 3, 7],
    };
    let inner = build::ethernet(eth_type::IPV4, &build::ipv4(a, b, 6, &tcp.with(b"payload")));
    let udp = |port, payload: &[u8]| {
        build::ethernet(eth_type::IPV4, &build::ipv4(a, b, 17, &build::udp(9, port, payload)))
    };
    let gre = |head: &[u8]| {
        let payload = [head, &inner].concat();
        build::ethernet(eth_type::IPV4, &build::ipv4(a, b, 47, &payload))
    };
    let six = Ipv6Addr::LOCALHOST;
    let hop = [[17, 0, 1, 4, 0, 0, 0, 0].as_slice(), &build::udp(1, 2, b"six")].concat();
    vec![
        inner.clone(),
        build::ethernet(eth_type::VLAN, &build::vlan(5, eth_type::IPV4, &inner[14..])),
        build::ip_frame(IpAddr::V6(six), IpAddr::V6(six), 0, &hop),
        udp(4789, &build::vxlan(7, &inner)),
        udp(
            4790,
            &[[0x0c, 0, 0, 4, 0, 0, 1, 0, 0x0f, 0xc2, 1, 3, 0, 0, 9, 1].as_slice(), &inner]
                .concat(),
        ),
        udp(6081, &[[0, 0, 0x65, 0x58, 0, 0, 7, 0].as_slice(), &inner].concat()),
        gre(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 7]),
        gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 7, 0, 0, 0, 0]),
        build::ethernet(eth_type::MPLS, &[[0, 0, 0x11, 64].as_slice(), &inner[14..]].concat()),
    ]
}

#[test]
fn truncation_at_each_byte_is_an_error_or_a_shorter_payload() {
    for frame in frames() {
        let wire_len = frame.len() as u32;
        let whole = parse(LinkType::Ethernet, &frame, wire_len, &DecapConfig::all())
            .expect("a sound packet");
        assert!(!whole.payload.is_empty());
        let mut shorter = 0;
        for cut in 0..frame.len() {
            let Ok(packet) =
                parse(LinkType::Ethernet, &frame[..cut], wire_len, &DecapConfig::all())
            else {
                continue;
            };
            if packet.tunnel_tier < whole.tunnel_tier {
                // A tunnel header that was cut off cannot be told from another payload.
                continue;
            }
            assert!(whole.payload.starts_with(packet.payload));
            assert_eq!(packet.payload_bytes, whole.payload_bytes);
            assert_eq!((packet.ip, packet.ports()), (whole.ip, whole.ports()));
            shorter += 1;
        }
        assert!(shorter >= whole.payload.len(), "cutting only the payload keeps the packet");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..256)) {
        wire::fuzz(&data);
    }

    #[test]
    fn damaged_packets_never_panic(
        which in 0usize..9,
        choice in any::<u8>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut data = vec![choice & 0xf0];
        data.extend_from_slice(&frames()[which]);
        for (at, value) in damage {
            let at = at.index(data.len() - 1) + 1;
            data[at] = value;
        }
        wire::fuzz(&data);
        data.truncate(cut.index(data.len()));
        wire::fuzz(&data);
    }
}
