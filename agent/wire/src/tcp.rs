//! TCP headers and options (RFC 9293, RFC 7323, RFC 2018).

use std::ops::BitOr;

use crate::cursor::Cursor;
use crate::error::Malformed;

/// Flag bits of a TCP header: FIN, SYN, RST, PSH, ACK, URG, ECE, CWR from the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// SYN and ACK.
    pub const SYN_ACK: Self = Self(0x12);

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What the TCP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpView<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number of the first payload byte (of the SYN, where set).
    pub seq: u32,
    /// Next sequence number expected from the other side.
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Window as sent, not scaled.
    pub window: u16,
    /// Options as captured.
    pub option_bytes: &'a [u8],
}

/// Options of a TCP header that are told apart; absent ones are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size. unit byte
    pub mss: Option<u16>,
    /// Window scale as a shift count, not limited to 14.
    pub window_scale: Option<u8>,
    /// Whether selective acknowledgement is permitted.
    pub sack_permitted: bool,
    /// Blocks acknowledged selectively, as left and right edge; `sack_blocks` of them count.
    pub sack: [(u32, u32); 4],
    /// Number of blocks in `sack`.
    pub sack_blocks: u8,
    /// Timestamp value and echo reply.
    pub timestamps: Option<(u32, u32)>,
}

impl TcpView<'_> {
    /// Reads the options, up to the first that is damaged or cut off.
    pub fn options(&self) -> TcpOptions {
        let mut out = TcpOptions::default();
        let mut rest = self.option_bytes;
        loop {
            // option := [0] | [1] | [kind: u8][length: u8][value: length - 2]
            let (kind, value) = match *rest {
                [] | [0, ..] => return out,
                [1, ref tail @ ..] => {
                    rest = tail;
                    continue;
                }
                [kind, length, ref tail @ ..] if length >= 2 => {
                    let Some((value, after)) = tail.split_at_checked(usize::from(length) - 2)
                    else {
                        return out;
                    };
                    rest = after;
                    (kind, value)
                }
                _ => return out,
            };
            out.set(kind, value);
        }
    }
}

impl TcpOptions {
    fn set(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (2, &[high, low]) => self.mss = Some(u16::from_be_bytes([high, low])),
            (3, &[shift]) => self.window_scale = Some(shift),
            (4, []) => self.sack_permitted = true,
            (5, blocks) => {
                for (slot, block) in self.sack.iter_mut().zip(blocks.chunks_exact(8)) {
                    *slot = (be_u32(&block[..4]), be_u32(&block[4..]));
                    self.sack_blocks += 1;
                }
            }
            (8, times) if times.len() == 8 => {
                self.timestamps = Some((be_u32(&times[..4]), be_u32(&times[4..])));
            }
            _ => {}
        }
    }
}

/// Reads a TCP header; the cursor is then at the payload.
pub(crate) fn read<'a>(cursor: &mut Cursor<'a>) -> Result<TcpView<'a>, Malformed> {
    let wire_len = cursor.wire_left();
    let head = cursor.take::<20>("tcp")?;
    let header_len = u32::from(head[12] >> 4) * 4;
    if header_len < 20 || header_len > wire_len {
        return Err(Malformed::Invalid("tcp.data_offset"));
    }
    Ok(TcpView {
        src_port: u16::from_be_bytes([head[0], head[1]]),
        dst_port: u16::from_be_bytes([head[2], head[3]]),
        seq: be_u32(&head[4..8]),
        ack: be_u32(&head[8..12]),
        flags: TcpFlags(head[13]),
        window: u16::from_be_bytes([head[14], head[15]]),
        option_bytes: cursor.take_captured(header_len as usize - 20),
    })
}

/// The first four bytes as a big-endian number; missing ones are 0.
fn be_u32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_be_bytes(*four))
}
