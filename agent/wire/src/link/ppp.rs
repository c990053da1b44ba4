//! PPP on serial lines and over Ethernet, and Cisco's HDLC.

use super::eth_type;
use crate::cursor::Cursor;
use crate::error::Malformed;

/// Address and control of PPP in HDLC-like framing (RFC 1662).
const HDLC: [u8; 2] = [0xff, 0x03];
/// Addresses of Cisco HDLC: unicast and broadcast, each followed by a control of 0.
const CISCO: [[u8; 2]; 2] = [[0x0f, 0], [0x8f, 0]];

/// PPP protocol numbers that lead on (RFC 1332, RFC 5072, RFC 3032).
const IPV4: u16 = 0x0021;
const IPV6: u16 = 0x0057;
const MPLS: u16 = 0x0281;
const MPLS_MULTICAST: u16 = 0x0283;

/// Reads the framing, when there is any, and the protocol; gives the EtherType of what follows.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<u16, Malformed> {
    match cursor.peek::<2>() {
        Some(head) if CISCO.contains(head) => {
            // cisco := [address: u8][control: u8][EtherType: u16 be]
            cursor.take::<2>("cisco_hdlc")?;
            cursor.u16("cisco_hdlc.type")
        }
        Some(&HDLC) => {
            cursor.take::<2>("ppp.framing")?;
            read_protocol(cursor)
        }
        _ => read_protocol(cursor),
    }
}

/// ```text
/// pppoe := [version and type: u8][code: u8][session: u16 be][length: u16 be][ppp]
/// ```
/// A session's frames have code 0 (RFC 2516 §6). The length ends the frame: what follows is padding.
pub(super) fn read_pppoe(cursor: &mut Cursor<'_>) -> Result<u16, Malformed> {
    let head = cursor.take::<6>("pppoe")?;
    if head[..2] != [0x11, 0] {
        return Err(Malformed::Unsupported("pppoe.code", u16::from_be_bytes([head[0], head[1]])));
    }
    let length = u32::from(u16::from_be_bytes([head[4], head[5]]));
    cursor.bound(length.min(cursor.wire_left()));
    read_protocol(cursor)
}

/// A protocol number may be compressed to its second byte, which is odd (RFC 1661 §6.5).
fn read_protocol(cursor: &mut Cursor<'_>) -> Result<u16, Malformed> {
    let is_short = cursor.peek::<1>().is_some_and(|[first]| first & 1 != 0);
    let protocol = if is_short {
        u16::from(cursor.take::<1>("ppp.protocol")?[0])
    } else {
        cursor.u16("ppp.protocol")?
    };
    match protocol {
        IPV4 => Ok(eth_type::IPV4),
        IPV6 => Ok(eth_type::IPV6),
        MPLS => Ok(eth_type::MPLS),
        MPLS_MULTICAST => Ok(eth_type::MPLS_MULTICAST),
        other => Err(Malformed::Unsupported("ppp.protocol", other)),
    }
}
