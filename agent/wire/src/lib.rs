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
use crate::tunnel::Inner;

/// Reads one frame of `link` type. `wire_len` is its length before it was cut by the capture's
/// snap length; a smaller value than `frame.len()` is raised to it.
pub fn parse<'a>(
    link: LinkType,
    frame: &'a [u8],
    wire_len: u32,
    decap: &DecapConfig,
) -> Result<Packet<'a>, Malformed> {
    let mut frame_bytes = wire_len.max(frame.len() as u32);
    let mut cursor = Cursor::new(frame, frame_bytes);
    let mut link = link::read(&mut cursor, link)?;
    let (mut tunnel, mut tunnel_tier, mut network_id) = (None, 0, 0);
    let mut decap = *decap;
    loop {
        let may_open = tunnel_tier < MAX_TUNNEL_TIERS && !decap.is_empty();
        let opened = if link.eth_type == eth_type::MPLS || link.eth_type == eth_type::MPLS_MULTICAST
        {
            if !may_open || !decap.contains(TunnelKind::Mpls) {
                return Err(Malformed::Unsupported("ethernet.type", link.eth_type));
            }
            tunnel::open_mpls(&mut cursor)?
        } else {
            let ip = ip::read(&mut cursor, link.eth_type)?;
            let opened = if may_open { tunnel::open(&mut cursor, &ip, &decap)? } else { None };
            let Some(opened) = opened else {
                let (transport, payload, payload_bytes) = packet::read_transport(&mut cursor, &ip)?;
                return Ok(Packet {
                    link,
                    tunnel,
                    tunnel_tier,
                    network_id,
                    ip,
                    transport,
                    payload,
                    payload_bytes,
                    frame_bytes,
                });
            };
            opened
        };
        if let Some(left) = opened.trimmed(&decap) {
            frame_bytes = cursor.wire_left();
            decap = left;
        } else {
            tunnel.get_or_insert_with(|| opened.describe(&link));
            tunnel_tier += 1;
            if let Some(id) = opened.network_id() {
                network_id = network_id << 32 | u64::from(id);
            }
            decap = decap.inside();
        }
        match opened.inner() {
            Inner::Ethernet => link = link::read(&mut cursor, LinkType::Ethernet)?,
            Inner::Network(eth_type) => link.eth_type = eth_type,
        }
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
