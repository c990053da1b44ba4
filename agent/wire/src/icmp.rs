//! ICMP and ICMPv6 headers (RFC 792, RFC 4443).

use crate::cursor::Cursor;

/// What the ICMP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpView {
    /// Whether this is ICMPv6.
    pub v6: bool,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier of an echo; meaningless otherwise.
    pub id: u16,
    /// Sequence number of an echo; meaningless otherwise.
    pub sequence: u16,
}

impl IcmpView {
    /// Whether this is an echo request.
    pub fn is_echo_request(&self) -> bool {
        self.kind == if self.v6 { 128 } else { 8 }
    }

    /// Whether this is an echo reply.
    pub fn is_echo_reply(&self) -> bool {
        self.kind == if self.v6 { 129 } else { 0 }
    }
}

/// Reads an ICMP header; the cursor is then after its first eight bytes. `None`, and the cursor as
/// it was, when they are not all there: addresses and protocol are what a flow of it needs.
pub(crate) fn read(cursor: &mut Cursor<'_>, v6: bool) -> Option<IcmpView> {
    let head = cursor.take::<8>("icmp").ok()?;
    Some(IcmpView {
        v6,
        kind: head[0],
        code: head[1],
        id: u16::from_be_bytes([head[4], head[5]]),
        sequence: u16::from_be_bytes([head[6], head[7]]),
    })
}
