//! A packet as the rest of the agent sees it.

use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::icmp::{self, IcmpView};
use crate::ip::{Ip, protocol};
use crate::link::Link;
use crate::tcp::{self, TcpView};
use crate::tunnel::Tunnel;
use crate::udp::{self, UdpView};

/// The transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// TCP.
    Tcp(TcpView<'a>),
    /// UDP.
    Udp(UdpView),
    /// ICMP or ICMPv6.
    Icmp(IcmpView),
    /// A fragment other than the first: its transport header was in the first.
    Fragment,
    /// Another protocol, or an ICMP header that is not all there; `Packet::ip.protocol` says which.
    Other,
}

/// One packet, innermost headers first where tunnels were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Link layer of the innermost Ethernet frame.
    pub link: Link,
    /// Outermost tunnel that was opened.
    pub tunnel: Option<Tunnel>,
    /// Number of tunnels opened, up to [`crate::MAX_TUNNEL_TIERS`].
    pub tunnel_tier: u8,
    /// Ids of the overlay networks that the packet was in (see [`crate::TunnelKind::id_names_network`]):
    /// the innermost in the lower half, the one around it in the upper; 0 outside of any.
    pub network_id: u64,
    /// Innermost IP header.
    pub ip: Ip,
    /// Transport header.
    pub transport: Transport<'a>,
    /// Transport payload as captured: no padding, cut by the snap length.
    pub payload: &'a [u8],
    /// Transport payload on the wire, by the IP and UDP lengths; at least `payload.len()`.
    /// unit byte
    pub payload_bytes: u32,
    /// The whole frame on the wire, with outer headers of tunnels. unit byte
    pub frame_bytes: u32,
}

impl Packet<'_> {
    /// Source and destination port; 0 where the transport has none.
    pub fn ports(&self) -> (u16, u16) {
        match &self.transport {
            Transport::Tcp(tcp) => (tcp.src_port, tcp.dst_port),
            Transport::Udp(udp) => (udp.src_port, udp.dst_port),
            Transport::Icmp(_) | Transport::Fragment | Transport::Other => (0, 0),
        }
    }
}

/// Reads the transport header that `ip` announces: header, captured payload, payload on the wire.
pub(crate) fn read_transport<'a>(
    cursor: &mut Cursor<'a>,
    ip: &Ip,
) -> Result<(Transport<'a>, &'a [u8], u32), Malformed> {
    let transport = match ip.protocol {
        _ if ip.is_later_fragment() => Transport::Fragment,
        protocol::TCP => Transport::Tcp(tcp::read(cursor)?),
        protocol::UDP => Transport::Udp(udp::read(cursor)?),
        protocol::ICMP => icmp::read(cursor, false).map_or(Transport::Other, Transport::Icmp),
        protocol::ICMPV6 => icmp::read(cursor, true).map_or(Transport::Other, Transport::Icmp),
        _ => Transport::Other,
    };
    let payload = cursor.rest();
    Ok((transport, payload, cursor.wire_left().max(payload.len() as u32)))
}
