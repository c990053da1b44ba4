//! UDP headers (RFC 768).

use crate::cursor::Cursor;
use crate::error::Malformed;

/// What the UDP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpView {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
}

/// Reads a UDP header; the cursor is then at the payload and bounded to it. A first fragment is
/// shorter than its datagram, so the lesser of both lengths holds; a length of 0 stands for "as
/// long as the IP packet" (RFC 2675).
pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<UdpView, Malformed> {
    let head = cursor.take::<8>("udp")?;
    let payload_bytes = match u16::from_be_bytes([head[4], head[5]]) {
        0 => cursor.wire_left(),
        1..8 => return Err(Malformed::Invalid("udp.length")),
        length => cursor.wire_left().min(u32::from(length) - 8),
    };
    cursor.bound(payload_bytes);
    Ok(UdpView {
        src_port: u16::from_be_bytes([head[0], head[1]]),
        dst_port: u16::from_be_bytes([head[2], head[3]]),
    })
}
