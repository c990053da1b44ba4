//! MPLS label stacks.

use super::{Found, Inner, Opened, TunnelKind};
use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::link::by_ip_version;

/// Labels read before a stack is called damaged.
const MAX_LABELS: usize = 8;

/// ```text
/// label := [label: 20 bit][class: 3 bit][bottom: 1 bit][ttl: u8]
/// ```
/// Nothing says what follows the bottom label: the first nibble tells IPv4 and IPv6; a zero one is
/// a pseudowire's control word before an Ethernet frame (RFC 4385).
pub(crate) fn open(cursor: &mut Cursor<'_>) -> Result<Opened, Malformed> {
    for _ in 0..MAX_LABELS {
        let entry = u32::from_be_bytes(*cursor.take("mpls.label")?);
        if entry & 0x100 == 0 {
            continue;
        }
        let inner = match cursor.peek::<1>() {
            Some([first]) if first >> 4 == 0 => {
                cursor.take::<4>("mpls.control_word")?;
                Inner::Ethernet
            }
            _ => Inner::Network(by_ip_version(cursor)?),
        };
        let found = Found { kind: TunnelKind::Mpls, id: entry >> 12, trim: None, inner };
        return Ok(Opened { found, addresses: None });
    }
    Err(Malformed::Invalid("mpls.labels"))
}
