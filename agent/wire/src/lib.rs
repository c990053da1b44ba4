//! Packets from frames: link, network and transport headers, tunnels taken off.
//!
//! In: the captured bytes of one frame, its length on the wire, its link type and which tunnels to
//! open. Out: a [`Packet`] that borrows the frame, or a [`Malformed`] that names the field.
//! Never: allocation, a clock, state between frames, a panic on any input.

#[cfg(feature = "build")]
pub mod build;
mod cursor;
mod error;
mod icmp;
mod ip;
mod link;
mod packet;
mod tcp;
mod tunnel;
mod udp;

pub use error::Malformed;
pub use icmp::IcmpView;
pub use ip::{Fragment, Ip, protocol};
pub use link::{Link, LinkType, eth_type};
pub use packet::{Packet, Transport};
pub use tcp::{TcpFlags, TcpOptions, TcpView};
pub use tunnel::{DecapConfig, MAX_TUNNEL_TIERS, TrimKind, Tunnel, TunnelKind};
pub use udp::UdpView;

use crate::cursor::Cursor;
use crate::tunnel::{Inner, Opened};

/// Reads one frame of `link` type. `wire_len` is its length before it was cut by the capture's
/// snap length; a smaller value than `frame.len()` is raised to it.
pub fn parse<'a>(
    link: LinkType,
    frame: &'a [u8],
    wire_len: u32,
    decap: &DecapConfig,
) -> Result<Packet<'a>, Malformed> {
    let frame_bytes = wire_len.max(frame.len() as u32);
    let mut cursor = Cursor::new(frame, frame_bytes);
    let link = link::read(&mut cursor, link)?;
    let (tunnel, tunnel_tier, network_id) = (None, 0, 0);
    let decap = *decap;
    innermost(Place { cursor, link, tunnel, tunnel_tier, network_id, frame_bytes, decap })
}

/// A network header ahead, and what was passed before it.
#[derive(Clone, Copy)]
struct Place<'a> {
    cursor: Cursor<'a>,
    link: Link,
    tunnel: Option<Tunnel>,
    tunnel_tier: u8,
    network_id: u64,
    frame_bytes: u32,
    decap: DecapConfig,
}

/// The packet at a place, or the one in the tunnel that it carries. As deep as tunnels are opened
/// and headers taken off: each kind of these once.
fn innermost(mut here: Place<'_>) -> Result<Packet<'_>, Malformed> {
    let may_open = here.tunnel_tier < MAX_TUNNEL_TIERS && !here.decap.is_empty();
    if matches!(here.link.eth_type, eth_type::MPLS | eth_type::MPLS_MULTICAST) {
        if !may_open || !here.decap.contains(TunnelKind::Mpls) {
            return Err(Malformed::Unsupported("ethernet.type", here.link.eth_type));
        }
        let opened = tunnel::open_mpls(&mut here.cursor)?;
        return innermost(here.inside(&opened)?);
    }
    let ip = ip::read(&mut here.cursor, here.link.eth_type)?;
    if !may_open {
        return here.packet(&ip);
    }
    let mut ahead = here;
    let Some(opened) = tunnel::open(&mut ahead.cursor, &ip, &here.decap) else {
        return here.packet(&ip);
    };
    match ahead.inside(&opened).and_then(innermost) {
        // What is damaged in a tunnel counts as the tunnel's.
        Err(error) if !error.is_unsupported() => here.packet(&ip),
        found => found,
    }
}

impl<'a> Place<'a> {
    /// The place in a tunnel, with the cursor at what it carries.
    fn inside(mut self, opened: &Opened) -> Result<Self, Malformed> {
        if let Some(left) = opened.trimmed(&self.decap) {
            self.frame_bytes = self.cursor.wire_left();
            self.decap = left;
        } else {
            self.tunnel.get_or_insert_with(|| opened.describe(&self.link));
            self.tunnel_tier += 1;
            if let Some(id) = opened.network_id() {
                self.network_id = self.network_id << 32 | u64::from(id);
            }
            self.decap = self.decap.inside();
        }
        match opened.inner() {
            Inner::Ethernet => self.link = link::read(&mut self.cursor, LinkType::Ethernet)?,
            Inner::Network(eth_type) => self.link.eth_type = eth_type,
        }
        Ok(self)
    }

    /// The packet of this IP header, which was read.
    fn packet(mut self, ip: &Ip) -> Result<Packet<'a>, Malformed> {
        let (transport, payload, payload_bytes) = packet::read_transport(&mut self.cursor, ip)?;
        Ok(Packet {
            link: self.link,
            tunnel: self.tunnel,
            tunnel_tier: self.tunnel_tier,
            network_id: self.network_id,
            ip: *ip,
            transport,
            payload,
            payload_bytes,
            frame_bytes: self.frame_bytes,
        })
    }
}

/// Entry for fuzzing: the first byte chooses link type and tunnels, the rest is the frame. Touches
/// every accessor of what comes out.
pub fn fuzz(data: &[u8]) {
    let Some((&choice, frame)) = data.split_first() else { return };
    let link = LinkType::ALL[usize::from(choice & 0x0f) % LinkType::ALL.len()];
    let decap = if choice & 0x10 == 0 { DecapConfig::all() } else { DecapConfig::default() };
    let trims = TrimKind::ALL.iter().filter(|_| choice & 0x40 != 0);
    let decap = trims.fold(decap, |decap, kind| decap.trimming(*kind));
    let wire_len = if choice & 0x20 == 0 { frame.len() as u32 } else { u32::from(choice) << 8 };
    if let Ok(packet) = parse(link, frame, wire_len, &decap) {
        assert!(packet.payload.len() as u64 <= u64::from(packet.payload_bytes));
        assert!(packet.tunnel_tier <= MAX_TUNNEL_TIERS);
        if let Transport::Tcp(tcp) = packet.transport {
            let _ = tcp.options();
        }
    }
}
