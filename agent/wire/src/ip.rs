//! IPv4 with options, IPv6 with extension headers, authentication headers in both; fragments are
//! described, not joined.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::link::eth_type;

/// IP protocol numbers that are told apart.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub const IPIP: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Generic routing encapsulation.
    pub const GRE: u8 = 47;
    /// Authentication header.
    pub const AH: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows in an IPv6 packet.
    pub const NO_NEXT_HEADER: u8 = 59;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// IPv6 mobility header.
    pub const MOBILITY: u8 = 135;
    /// Host identity protocol.
    pub const HIP: u8 = 139;
    /// Shim6.
    pub const SHIM6: u8 = 140;
}

/// Extension headers read before a packet is called damaged; real ones have at most four.
const MAX_EXTENSION_HEADERS: usize = 8;

/// Place of a fragment in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification, equal in all fragments of a datagram (16 bits in IPv4).
    pub id: u32,
    /// Offset of this fragment's data in the datagram. unit byte
    pub offset_bytes: u32,
    /// Whether more fragments follow.
    pub more: bool,
}

/// What the IP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// IPv4 identification; of IPv6 that of the fragment header, else 0.
    pub id: u32,
    /// Protocol of the payload, after extension headers.
    pub protocol: u8,
    /// Set when the packet is a fragment.
    pub fragment: Option<Fragment>,
    /// IP payload by the header's lengths: after options (IPv4) or the fixed header (IPv6).
    /// unit byte
    pub payload_bytes: u32,
}

impl Ip {
    /// 4 or 6.
    pub fn version(&self) -> u8 {
        if self.src.is_ipv4() { 4 } else { 6 }
    }

    /// Whether this is a fragment other than the first, so that no transport header is in it.
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset_bytes > 0)
    }
}

/// Reads the IP header of this EtherType; the cursor is then at the transport header and bounded
/// to the IP payload.
pub(crate) fn read(cursor: &mut Cursor<'_>, kind: u16) -> Result<Ip, Malformed> {
    match kind {
        eth_type::IPV4 => read_v4(cursor),
        eth_type::IPV6 => read_v6(cursor),
        other => Err(Malformed::Unsupported("ethernet.type", other)),
    }
}

fn read_v4(cursor: &mut Cursor<'_>) -> Result<Ip, Malformed> {
    let wire_len = cursor.wire_left();
    let head = cursor.take::<20>("ipv4")?;
    if head[0] >> 4 != 4 {
        return Err(Malformed::Invalid("ipv4.version"));
    }
    let header_len = u32::from(head[0] & 0x0f) * 4;
    if header_len < 20 {
        return Err(Malformed::Invalid("ipv4.header_length"));
    }
    // A length of 0 comes from segmentation offload: the packet is as long as the frame.
    let total_len = match u16::from_be_bytes([head[2], head[3]]) {
        0 => wire_len,
        total => u32::from(total),
    };
    if total_len < header_len {
        return Err(Malformed::Invalid("ipv4.total_length"));
    }
    cursor.take_slice(header_len as usize - 20, "ipv4.options")?;
    let payload_bytes = total_len - header_len;
    cursor.bound(payload_bytes);
    let id = u32::from(u16::from_be_bytes([head[4], head[5]]));
    let place = u16::from_be_bytes([head[6], head[7]]);
    let (offset, more) = (place & 0x1fff, place & 0x2000 != 0);
    let fragment =
        (offset != 0 || more).then_some(Fragment { id, offset_bytes: u32::from(offset) * 8, more });
    let mut ip = Ip {
        src: IpAddr::V4(Ipv4Addr::new(head[12], head[13], head[14], head[15])),
        dst: IpAddr::V4(Ipv4Addr::new(head[16], head[17], head[18], head[19])),
        ttl: head[8],
        id,
        protocol: head[9],
        fragment,
        payload_bytes,
    };
    // An authentication header hides nothing; in tunnel mode the packet in it is one more tier.
    if ip.protocol == protocol::AH && !ip.is_later_fragment() {
        read_extension(cursor, &mut ip)?;
    }
    Ok(ip)
}

fn read_v6(cursor: &mut Cursor<'_>) -> Result<Ip, Malformed> {
    let head = cursor.take::<40>("ipv6")?;
    if head[0] >> 4 != 6 {
        return Err(Malformed::Invalid("ipv6.version"));
    }
    // A length of 0 is a jumbogram or comes from segmentation offload: as long as the frame.
    let payload_bytes = match u16::from_be_bytes([head[4], head[5]]) {
        0 => cursor.wire_left(),
        length => u32::from(length),
    };
    cursor.bound(payload_bytes);
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&head[at..at + 16]);
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let mut ip = Ip {
        src: address(8),
        dst: address(24),
        ttl: head[7],
        id: 0,
        protocol: head[6],
        fragment: None,
        payload_bytes,
    };
    for _ in 0..MAX_EXTENSION_HEADERS {
        if !read_extension(cursor, &mut ip)? {
            return Ok(ip);
        }
    }
    Err(Malformed::Invalid("ipv6.extension_headers"))
}

/// Steps over one extension header; false when the transport header is next. Mobility, HIP and
/// Shim6 headers that nothing follows are what the packet is about.
fn read_extension(cursor: &mut Cursor<'_>, ip: &mut Ip) -> Result<bool, Malformed> {
    let length = match ip.protocol {
        protocol::HOP_BY_HOP
        | protocol::ROUTING
        | protocol::DESTINATION_OPTIONS
        | protocol::MOBILITY
        | protocol::HIP
        | protocol::SHIM6 => {
            let [next, units] = cursor.peek::<2>().ok_or(Malformed::Truncated("ipv6.extension"))?;
            let carries =
                matches!(ip.protocol, protocol::MOBILITY | protocol::HIP | protocol::SHIM6);
            if carries && *next == protocol::NO_NEXT_HEADER {
                return Ok(false);
            }
            (usize::from(*units) + 1) * 8
        }
        protocol::AH => {
            let [_, units] = cursor.peek::<2>().ok_or(Malformed::Truncated("ah"))?;
            (usize::from(*units) + 2) * 4
        }
        protocol::FRAGMENT => {
            // fragment := [next: u8][0: u8][offset: 13 bit][0: 2 bit][more: 1 bit][id: u32 be]
            let head = cursor.take::<8>("ipv6.fragment")?;
            let place = u16::from_be_bytes([head[2], head[3]]);
            let id = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
            let (offset_bytes, more) = (u32::from(place & 0xfff8), place & 1 != 0);
            ip.id = id;
            ip.protocol = head[0];
            // Offset 0 without more is an "atomic" fragment: whole (RFC 6946).
            if offset_bytes != 0 || more {
                ip.fragment = Some(Fragment { id, offset_bytes, more });
            }
            return Ok(offset_bytes == 0);
        }
        _ => return Ok(false),
    };
    ip.protocol = cursor.take_slice(length, "ipv6.extension")?[0];
    Ok(true)
}
