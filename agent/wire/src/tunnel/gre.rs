//! GRE and what travels in it: IP, Ethernet (TEB, NVGRE), ERSPAN, MPLS.

use super::{DecapConfig, Found, Inner, TrimKind, TunnelKind};
use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::link::eth_type;

const FLAG_CHECKSUM: u16 = 0x8000;
const FLAG_ROUTING: u16 = 0x4000;
const FLAG_KEY: u16 = 0x2000;
const FLAG_SEQUENCE: u16 = 0x1000;
const VERSION_MASK: u16 = 0x0007;

/// ```text
/// gre := [flags and version: u16 be][type: u16 be][checksum: 4, flag C][key: u32 be, flag K]
///        [sequence: 4, flag S]
/// ```
/// Version 1 (PPTP) and source routing are not tunnels for us.
pub(super) fn open(
    cursor: &mut Cursor<'_>,
    decap: &DecapConfig,
) -> Result<Option<Found>, Malformed> {
    let Some(head) = cursor.peek::<4>() else { return Ok(None) };
    let flags = u16::from_be_bytes([head[0], head[1]]);
    let kind = u16::from_be_bytes([head[2], head[3]]);
    if flags & VERSION_MASK != 0 || flags & FLAG_ROUTING != 0 {
        return Ok(None);
    }
    let (wanted, trim) = match kind {
        eth_type::TEB => (TunnelKind::ErspanOrTeb, Some(TrimKind::Teb)),
        eth_type::ERSPAN | eth_type::ERSPAN_III => {
            (TunnelKind::ErspanOrTeb, Some(TrimKind::Erspan))
        }
        eth_type::IPV4 | eth_type::IPV6 | eth_type::MPLS => (TunnelKind::Gre, None),
        _ => return Ok(None),
    };
    if !decap.wants(wanted, trim) {
        return Ok(None);
    }
    cursor.take::<4>("gre")?;
    if flags & FLAG_CHECKSUM != 0 {
        cursor.take::<4>("gre.checksum")?;
    }
    let mut id = 0;
    if flags & FLAG_KEY != 0 {
        id = u32::from_be_bytes(*cursor.take("gre.key")?);
    }
    if flags & FLAG_SEQUENCE != 0 {
        cursor.take::<4>("gre.sequence")?;
    }
    let inner = match kind {
        eth_type::ERSPAN => {
            // Type I has neither sequence number nor header of its own.
            if flags & FLAG_SEQUENCE != 0 {
                id = open_erspan_ii(cursor)?;
            }
            Inner::Ethernet
        }
        eth_type::ERSPAN_III => {
            id = open_erspan_iii(cursor)?;
            Inner::Ethernet
        }
        eth_type::TEB => Inner::Ethernet,
        network => Inner::Network(network),
    };
    Ok(Some(Found { kind: wanted, id, trim, inner }))
}

/// ```text
/// erspan2 := [version: 4 bit][vlan: 12 bit][class: 3 bit][en: 2 bit][T: 1 bit][session: 10 bit]
///            [0: 12 bit][index: 20 bit]
/// ```
fn open_erspan_ii(cursor: &mut Cursor<'_>) -> Result<u32, Malformed> {
    let head = cursor.take::<8>("erspan2")?;
    Ok(session(head[2], head[3]))
}

/// ```text
/// erspan3 := [as erspan2: u32][timestamp: u32][sgt: u16][..: 15 bit][O: 1 bit]
///            [platform: 8, flag O]
/// ```
fn open_erspan_iii(cursor: &mut Cursor<'_>) -> Result<u32, Malformed> {
    let head = cursor.take::<12>("erspan3")?;
    if head[11] & 1 != 0 {
        cursor.take::<8>("erspan3.platform")?;
    }
    Ok(session(head[2], head[3]))
}

fn session(high: u8, low: u8) -> u32 {
    u32::from(u16::from_be_bytes([high, low]) & 0x03ff)
}
