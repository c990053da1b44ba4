//! The classic format.
//!
//! ```text
//! file   := [magic: u32][major: u16][minor: u16][zone: i32][sigfigs: u32][snaplen: u32]
//!           [link type: u32] record*
//! record := [seconds: u32][fraction: u32][captured: u32][length: u32][frame: captured]
//! ```

use std::io::Read;

use super::reader::{Order, Reader};
use super::{CapturedFrame, Format, LinkTypes, ReplayError, check_link};

/// Bits of the link type field; above them are the length of a frame check sequence and flags.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// State between records.
#[derive(Debug)]
pub(super) struct Pcap {
    order: Order,
    fraction_ns: u64,
    link_type: u32,
}

impl Pcap {
    /// Reads the rest of the file header. `fraction_ns` is the unit of the fraction.
    pub(super) fn open<R: Read>(
        reader: &mut Reader<R>,
        order: Order,
        fraction_ns: u64,
        links: LinkTypes,
    ) -> Result<Format, ReplayError> {
        let head = reader.need::<20>("the pcap header")?;
        let major = order.u16(&head, 0);
        if major != 2 {
            let (what, value) = ("the pcap version", major.into());
            return Err(ReplayError::Damaged { offset: 4, what, value });
        }
        let link_type = order.u32(&head, 16) & LINK_TYPE_MASK;
        check_link(link_type, links)?;
        Ok(Format::Pcap(Self { order, fraction_ns, link_type }))
    }

    /// Reads the next record.
    pub(super) fn next<'a, R: Read>(
        &mut self,
        reader: &'a mut Reader<R>,
    ) -> Result<Option<CapturedFrame<'a>>, ReplayError> {
        let Some(head) = reader.header::<16>("a record header")? else { return Ok(None) };
        let field = |at| self.order.u32(&head, at);
        let captured = field(8);
        reader.record(captured, "the length of a record")?;
        Ok(Some(CapturedFrame {
            time_ns: u64::from(field(0)) * 1_000_000_000 + u64::from(field(4)) * self.fraction_ns,
            interface: 0,
            link_type: self.link_type,
            wire_bytes: field(12).max(captured),
            bytes: reader.bytes(),
        }))
    }
}
