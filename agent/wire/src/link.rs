//! Link layers: Ethernet with VLAN tags, Linux cooked captures, raw IP, BSD loopback, PPP.

mod ppp;

use crate::cursor::Cursor;
use crate::error::Malformed;

/// EtherTypes that are told apart.
pub mod eth_type {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// IEEE 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad service tag.
    pub const QINQ: u16 = 0x88a8;
    /// Service tag before 802.1ad.
    pub const QINQ_OLD: u16 = 0x9100;
    /// MPLS unicast (RFC 3032).
    pub const MPLS: u16 = 0x8847;
    /// MPLS multicast (RFC 5332).
    pub const MPLS_MULTICAST: u16 = 0x8848;
    /// PPPoE session (RFC 2516).
    pub const PPPOE_SESSION: u16 = 0x8864;
    /// Transparent Ethernet bridging: an Ethernet frame follows.
    pub const TEB: u16 = 0x6558;
    /// ERSPAN types I and II.
    pub const ERSPAN: u16 = 0x88be;
    /// ERSPAN type III.
    pub const ERSPAN_III: u16 = 0x22eb;
}

/// What a captured frame starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// IEEE 802.3 (LINKTYPE 1).
    Ethernet,
    /// Linux cooked capture v1 (LINKTYPE 113).
    LinuxSll,
    /// Linux cooked capture v2 (LINKTYPE 276).
    LinuxSll2,
    /// An IP packet at once (LINKTYPE 101, 228, 229; 12 and 14 in files of some systems).
    RawIp,
    /// BSD loopback: address family in the byte order of the capturing host (LINKTYPE 0).
    Null,
    /// OpenBSD loopback: address family in network byte order (LINKTYPE 108).
    Loop,
    /// PPP, with or without HDLC framing, or Cisco HDLC (LINKTYPE 9, 50, 104).
    Ppp,
}

impl LinkType {
    /// Every link type that can be read.
    pub const ALL: [Self; 7] = [
        Self::Ethernet,
        Self::LinuxSll,
        Self::LinuxSll2,
        Self::RawIp,
        Self::Null,
        Self::Loop,
        Self::Ppp,
    ];

    /// Numbers in capture files (LINKTYPE_ values) with the names shown to users.
    pub const PCAP: &'static [(u32, &'static str)] = &[
        (0, "BSD loopback"),
        (1, "Ethernet"),
        (9, "PPP"),
        (12, "raw IP"),
        (14, "raw IP"),
        (50, "PPP in HDLC"),
        (101, "raw IP"),
        (104, "Cisco HDLC"),
        (108, "OpenBSD loopback"),
        (113, "Linux cooked v1"),
        (228, "raw IPv4"),
        (229, "raw IPv6"),
        (276, "Linux cooked v2"),
    ];

    /// From the number in a capture file; `Some` exactly for those in [`LinkType::PCAP`].
    pub fn from_pcap(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 | 50 | 104 => Self::Ppp,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            _ => return None,
        })
    }
}

/// What the link layer says. Zero addresses where the link type has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Source MAC address.
    pub src_mac: [u8; 6],
    /// Destination MAC address.
    pub dst_mac: [u8; 6],
    /// EtherType of what follows the last tag.
    pub eth_type: u16,
    /// Innermost VLAN id (12 bits).
    pub vlan: Option<u16>,
    /// Outermost VLAN id where there are two tags or more.
    pub outer_vlan: Option<u16>,
    /// Interface index, where the frame itself says it (Linux cooked v2).
    pub interface: Option<u32>,
}

/// Reads the link header; the cursor is then at the network layer.
pub(crate) fn read(cursor: &mut Cursor<'_>, link: LinkType) -> Result<Link, Malformed> {
    let mut out = Link::default();
    match link {
        LinkType::Ethernet => {
            // ethernet := [dst: 6][src: 6][type: u16 be]
            let head = cursor.take::<14>("ethernet")?;
            out.dst_mac.copy_from_slice(&head[..6]);
            out.src_mac.copy_from_slice(&head[6..12]);
            out.eth_type = u16::from_be_bytes([head[12], head[13]]);
        }
        LinkType::LinuxSll => {
            // sll := [packet type: u16][ARPHRD: u16][address length: u16][address: 8][type: u16 be]
            let head = cursor.take::<16>("linux_sll")?;
            if head[4..6] == [0, 6] {
                out.src_mac.copy_from_slice(&head[6..12]);
            }
            out.eth_type = u16::from_be_bytes([head[14], head[15]]);
        }
        LinkType::LinuxSll2 => {
            // sll2 := [type: u16 be][0: u16][ifindex: u32][ARPHRD: u16][packet type: u8]
            //         [address length: u8][address: 8]
            let head = cursor.take::<20>("linux_sll2")?;
            if head[11] == 6 {
                out.src_mac.copy_from_slice(&head[12..18]);
            }
            out.interface = Some(u32::from_be_bytes([head[4], head[5], head[6], head[7]]));
            out.eth_type = u16::from_be_bytes([head[0], head[1]]);
        }
        LinkType::RawIp => {
            out.eth_type = by_ip_version(cursor)?;
            return Ok(out);
        }
        LinkType::Null | LinkType::Loop => {
            out.eth_type = read_family(cursor)?;
            return Ok(out);
        }
        LinkType::Ppp => {
            out.eth_type = ppp::read(cursor)?;
            return Ok(out);
        }
    }
    read_tags(cursor, &mut out)?;
    read_llc(cursor, &mut out)?;
    if out.eth_type == eth_type::PPPOE_SESSION {
        out.eth_type = ppp::read_pppoe(cursor)?;
    }
    Ok(out)
}

/// EtherType by the version nibble of the IP header that is next.
pub(crate) fn by_ip_version(cursor: &Cursor<'_>) -> Result<u16, Malformed> {
    let first = cursor.peek::<1>().ok_or(Malformed::Truncated("ip.version"))?[0];
    match first >> 4 {
        4 => Ok(eth_type::IPV4),
        6 => Ok(eth_type::IPV6),
        _ => Err(Malformed::Invalid("ip.version")),
    }
}

/// Address families of BSD loopback headers: 2 is IPv4 everywhere, IPv6 differs by system. The
/// byte order is that of the capturing host, so both are tried. Some systems write an EtherType into
/// the second half instead.
fn read_family(cursor: &mut Cursor<'_>) -> Result<u16, Malformed> {
    let head = *cursor.take::<4>("loopback.family")?;
    for family in [u32::from_le_bytes(head), u32::from_be_bytes(head)] {
        match family {
            2 => return Ok(eth_type::IPV4),
            10 | 24 | 28 | 30 => return Ok(eth_type::IPV6),
            _ => {}
        }
    }
    if let kind @ (eth_type::IPV4 | eth_type::IPV6) = u16::from_be_bytes([head[2], head[3]]) {
        return Ok(kind);
    }
    Err(Malformed::Unsupported("loopback.family", u16::from_le_bytes([head[0], head[1]])))
}

fn read_tags(cursor: &mut Cursor<'_>, link: &mut Link) -> Result<(), Malformed> {
    while matches!(link.eth_type, eth_type::VLAN | eth_type::QINQ | eth_type::QINQ_OLD) {
        // tag := [priority: 3 bit][drop eligible: 1 bit][id: 12 bit][type: u16 be]
        let tag = cursor.take::<4>("vlan")?;
        let id = u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff;
        if link.outer_vlan.is_none() {
            link.outer_vlan = link.vlan;
        }
        link.vlan = Some(id);
        link.eth_type = u16::from_be_bytes([tag[2], tag[3]]);
    }
    Ok(())
}

/// IEEE 802.3 frames carry a length where Ethernet II has a type; only SNAP with a zero
/// organisation code leads on to an EtherType (RFC 1042).
fn read_llc(cursor: &mut Cursor<'_>, link: &mut Link) -> Result<(), Malformed> {
    if link.eth_type >= 0x0600 {
        return Ok(());
    }
    let length = link.eth_type;
    match cursor.peek::<6>() {
        Some([0xaa, 0xaa, 0x03, 0, 0, 0]) => {
            cursor.take::<6>("llc")?;
            link.eth_type = cursor.u16("snap.type")?;
            Ok(())
        }
        _ => Err(Malformed::Unsupported("ethernet.length", length)),
    }
}
