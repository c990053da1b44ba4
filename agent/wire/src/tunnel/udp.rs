//! Tunnels over UDP: VXLAN, VXLAN-GPE with NSH, Geneve.

use super::{DecapConfig, Found, Inner, TrimKind, TunnelKind};
use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::link::eth_type;

/// IANA port of VXLAN, and the one Linux used before (still flannel's default).
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
const VXLAN_GPE_PORT: u16 = 4790;
const GENEVE_PORT: u16 = 6081;

/// Kind, id and content of the tunnel at the cursor, which is at the UDP header.
pub(super) fn open(
    cursor: &mut Cursor<'_>,
    decap: &DecapConfig,
) -> Result<Option<Found>, Malformed> {
    let Some(ports) = cursor.peek::<4>() else { return Ok(None) };
    let dst_port = u16::from_be_bytes([ports[2], ports[3]]);
    if VXLAN_PORTS.contains(&dst_port) || dst_port == VXLAN_GPE_PORT {
        crate::udp::read(cursor)?;
        open_vxlan(cursor, decap)
    } else if dst_port == GENEVE_PORT && decap.contains(TunnelKind::Geneve) {
        crate::udp::read(cursor)?;
        open_geneve(cursor)
    } else {
        Ok(None)
    }
}

/// ```text
/// vxlan := [flags: u8][0: 2][next protocol: u8, only with flag P][vni: u24 be][0: u8]
/// ```
/// Something else on the port is no tunnel: the flag I must be set.
fn open_vxlan(cursor: &mut Cursor<'_>, decap: &DecapConfig) -> Result<Option<Found>, Malformed> {
    let Ok(head) = cursor.take::<8>("vxlan") else { return Ok(None) };
    let (flags, vni) = (head[0], u32::from_be_bytes([0, head[4], head[5], head[6]]));
    if flags & 0x08 == 0 {
        return Ok(None);
    }
    let next = if flags & 0x04 != 0 { head[3] } else { NEXT_ETHERNET };
    if next == NEXT_NSH {
        return if decap.contains(TunnelKind::VxlanNsh) { open_nsh(cursor) } else { Ok(None) };
    }
    let trim = Some(TrimKind::Vxlan);
    if !decap.wants(TunnelKind::Vxlan, trim) {
        return Ok(None);
    }
    Ok(next_inner(next).map(|inner| Found { kind: TunnelKind::Vxlan, id: vni, trim, inner }))
}

/// ```text
/// nsh := [version: 2 bit][O: 1 bit][0: 1 bit][ttl: 6 bit][length in words: 6 bit][0: 4 bit]
///        [metadata type: 4 bit][next protocol: u8][service path: u24 be][service index: u8]
///        [metadata: length * 4 - 8]
/// ```
fn open_nsh(cursor: &mut Cursor<'_>) -> Result<Option<Found>, Malformed> {
    let head = cursor.take::<8>("nsh")?;
    let length = usize::from(head[1] & 0x3f) * 4;
    if length < 8 {
        return Err(Malformed::Invalid("nsh.length"));
    }
    cursor.take_slice(length - 8, "nsh.metadata")?;
    let path = u32::from_be_bytes([0, head[4], head[5], head[6]]);
    let kind = TunnelKind::VxlanNsh;
    Ok(next_inner(head[3]).map(|inner| Found { kind, id: path, trim: None, inner }))
}

/// ```text
/// geneve := [version: 2 bit][options in words: 6 bit][flags: u8][type: u16 be][vni: u24 be]
///           [0: u8][options]
/// ```
fn open_geneve(cursor: &mut Cursor<'_>) -> Result<Option<Found>, Malformed> {
    let Ok(head) = cursor.take::<8>("geneve") else { return Ok(None) };
    if head[0] >> 6 != 0 {
        return Ok(None);
    }
    let inner = match u16::from_be_bytes([head[2], head[3]]) {
        eth_type::TEB => Inner::Ethernet,
        network @ (eth_type::IPV4 | eth_type::IPV6 | eth_type::MPLS) => Inner::Network(network),
        _ => return Ok(None),
    };
    cursor.take_slice(usize::from(head[0] & 0x3f) * 4, "geneve.options")?;
    let vni = u32::from_be_bytes([0, head[4], head[5], head[6]]);
    Ok(Some(Found { kind: TunnelKind::Geneve, id: vni, trim: None, inner }))
}

/// Next-protocol numbers of VXLAN-GPE and NSH; both agree on those used here.
const NEXT_IPV4: u8 = 1;
const NEXT_IPV6: u8 = 2;
const NEXT_ETHERNET: u8 = 3;
const NEXT_NSH: u8 = 4;
const NEXT_MPLS: u8 = 5;

fn next_inner(next: u8) -> Option<Inner> {
    match next {
        NEXT_IPV4 => Some(Inner::Network(eth_type::IPV4)),
        NEXT_IPV6 => Some(Inner::Network(eth_type::IPV6)),
        NEXT_ETHERNET => Some(Inner::Ethernet),
        NEXT_MPLS => Some(Inner::Network(eth_type::MPLS)),
        _ => None,
    }
}
