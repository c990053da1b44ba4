//! The classic format.
//!
//! ```text
//! file   := [magic: u32][major: u16][minor: u16][zone: i32][sigfigs: u32][snaplen: u32]
//!           [link type: u32] record*
//! record := [seconds: u32][fraction: u32][captured: u32][length: u32][frame: captured]
//! ```

use std::io::Read;

use super::reader::{Order, Reader};
use super::{CapturedFrame, LinkTypes, ReplayError, check_link};

/// Bits of the link type field; above them are the length of a frame check sequence and flags.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// What the magic number tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    order: Order,
    /// Unit of the fraction of a second. unit ns
    fraction_ns: u64,
    /// Records have eight bytes more: `[interface: u32][protocol: u16][packet type: u8][0: u8]`,
    /// as an old patch of libpcap on Linux wrote them.
    is_patched: bool,
}

impl Dialect {
    /// By the first four bytes of a file.
    pub(super) fn of(magic: [u8; 4]) -> Option<Self> {
        [(Order::Little, u32::from_le_bytes(magic)), (Order::Big, u32::from_be_bytes(magic))]
            .into_iter()
            .find_map(|(order, magic)| {
                let (fraction_ns, is_patched) = match magic {
                    0xa1b2_c3d4 => (1000, false),
                    0xa1b2_3c4d => (1, false),
                    0xa1b2_cd34 => (1000, true),
                    _ => return None,
                };
                Some(Self { order, fraction_ns, is_patched })
            })
    }
}

/// State between records.
#[derive(Debug)]
pub(super) struct Pcap {
    dialect: Dialect,
    link_type: u32,
}

impl Pcap {
    /// Reads the rest of the file header.
    pub(super) fn open<R: Read>(
        reader: &mut Reader<R>,
        dialect: Dialect,
        links: LinkTypes,
    ) -> Result<Self, ReplayError> {
        let head = reader.need::<20>("the pcap header")?;
        let major = dialect.order.u16(&head, 0);
        if major != 2 {
            let (what, value) = ("the pcap version", major.into());
            return Err(ReplayError::Damaged { offset: 4, what, value });
        }
        let link_type = dialect.order.u32(&head, 16) & LINK_TYPE_MASK;
        check_link(link_type, links)?;
        Ok(Self { dialect, link_type })
    }

    /// Reads the next record.
    pub(super) fn next<'a, R: Read>(
        &mut self,
        reader: &'a mut Reader<R>,
    ) -> Result<Option<CapturedFrame<'a>>, ReplayError> {
        let Dialect { order, fraction_ns, is_patched } = self.dialect;
        let Some(head) = reader.header::<16>("a record header")? else { return Ok(None) };
        let interface =
            if is_patched { order.u32(&reader.need::<8>("a record header")?, 0) } else { 0 };
        let field = |at| order.u32(&head, at);
        let captured = field(8);
        reader.record(captured, "the length of a record")?;
        Ok(Some(CapturedFrame {
            time_ns: u64::from(field(0)) * 1_000_000_000 + u64::from(field(4)) * fraction_ns,
            interface,
            link_type: self.link_type,
            wire_bytes: field(12).max(captured),
            bytes: reader.bytes(),
        }))
    }
}
