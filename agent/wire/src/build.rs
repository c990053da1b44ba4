//! Packets by hand, from the inside out: each function wraps its payload in one header. For tests
//! and benches (feature `build`); lengths are right, checksums are left 0.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::link::eth_type;
use crate::tcp::TcpFlags;

/// MAC address used as source by [`ethernet`].
pub const SRC_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// MAC address used as destination by [`ethernet`].
pub const DST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A TCP segment.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Window, unscaled.
    pub window: u16,
    /// Options; padded to a multiple of four by [`Tcp::with`].
    pub options: Vec<u8>,
}

impl Tcp {
    /// The segment with this payload.
    pub fn with(&self, payload: &[u8]) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let mut out = Vec::with_capacity(20 + options.len() + payload.len());
        out.extend_from_slice(&self.src_port.to_be_bytes());
        out.extend_from_slice(&self.dst_port.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.ack.to_be_bytes());
        out.push((((20 + options.len()) / 4) << 4) as u8);
        out.push(self.flags.0);
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&options);
        out.extend_from_slice(payload);
        out
    }
}

/// A UDP datagram.
pub fn udp(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + payload.len());
    out.extend_from_slice(&src_port.to_be_bytes());
    out.extend_from_slice(&dst_port.to_be_bytes());
    out.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(payload);
    out
}

/// An ICMP echo of this type.
pub fn icmp_echo(kind: u8, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 0];
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// An IPv4 packet, identification 1, time to live 64.
pub fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_fragment(src, dst, protocol, 0, payload)
}

/// An IPv4 packet with this flags-and-offset field.
pub fn ipv4_fragment(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    place: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut out = vec![0x45, 0];
    out.extend_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&place.to_be_bytes());
    out.extend_from_slice(&[64, protocol, 0, 0]);
    out.extend_from_slice(&src.octets());
    out.extend_from_slice(&dst.octets());
    out.extend_from_slice(payload);
    out
}

/// An IPv6 packet, hop limit 64.
pub fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    out.extend_from_slice(&[next, 64]);
    out.extend_from_slice(&src.octets());
    out.extend_from_slice(&dst.octets());
    out.extend_from_slice(payload);
    out
}

/// An IP packet of the addresses' version in an Ethernet frame.
pub fn ip_frame(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            ethernet(eth_type::IPV4, &ipv4(src, dst, protocol, payload))
        }
        (src, dst) => {
            let v6 = |address| match address {
                IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4),
                IpAddr::V6(v6) => v6,
            };
            ethernet(eth_type::IPV6, &ipv6(v6(src), v6(dst), protocol, payload))
        }
    }
}

/// An Ethernet frame from [`SRC_MAC`] to [`DST_MAC`].
pub fn ethernet(eth_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(14 + payload.len());
    out.extend_from_slice(&DST_MAC);
    out.extend_from_slice(&SRC_MAC);
    out.extend_from_slice(&eth_type.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// What follows an EtherType of 802.1Q: tag and payload of `eth_type`.
pub fn vlan(id: u16, eth_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend_from_slice(&eth_type.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A VXLAN header with its payload.
pub fn vxlan(vni: u32, frame: &[u8]) -> Vec<u8> {
    let mut out = vec![0x08, 0, 0, 0];
    out.extend_from_slice(&(vni << 8).to_be_bytes());
    out.extend_from_slice(frame);
    out
}
