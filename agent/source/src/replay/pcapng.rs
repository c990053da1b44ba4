//! The block format (draft-ietf-opsawg-pcapng).
//!
//! ```text
//! file    := section+          section := header-block block*
//! block   := [type: u32][length: u32][body: length - 12][length: u32]
//! option  := [code: u16][length: u16][value, padded to four]
//! ```
//! Sections have each their own byte order and interfaces. Blocks of no interest are stepped over.

use std::io::Read;

use super::reader::{Order, Reader};
use super::{CapturedFrame, LinkTypes, MAX_RECORD_BYTES, ReplayError, check_link};

/// Type of a section header block, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2; // obsolete, still written by old tools
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const OPTION_END: u16 = 0;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

/// Interfaces of a section above which a file is called damaged; bounds the table.
const MAX_INTERFACES: usize = 4096;

/// State between blocks.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// Time of the last frame, for simple packets, which have none.
    last_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u32,
    snap_bytes: u32,
    resolution: Resolution,
    offset_s: i64,
}

/// Unit of an interface's timestamps.
#[derive(Clone, Copy, Debug)]
enum Resolution {
    /// 10^-n s.
    Decimal(u8),
    /// 2^-n s.
    Binary(u8),
}

/// A packet block, taken apart: where its frame lies in the record.
struct Place {
    interface: u32,
    timestamp: Option<u64>,
    wire_bytes: u32,
    captured: u32,
    start: usize,
}

impl Pcapng {
    /// Reads the first section header, whose type has been read.
    pub(super) fn open<R: Read>(reader: &mut Reader<R>) -> Result<Self, ReplayError> {
        let mut state = Self { order: Order::Little, interfaces: Vec::new(), last_ns: 0 };
        let length = reader.need::<4>("the section header")?;
        state.read_section(reader, length)?;
        Ok(state)
    }

    /// Reads up to the next packet.
    pub(super) fn next<'a, R: Read>(
        &mut self,
        reader: &'a mut Reader<R>,
        links: LinkTypes,
    ) -> Result<Option<CapturedFrame<'a>>, ReplayError> {
        let place = loop {
            let start = reader.offset();
            let Some(head) = reader.header::<8>("a block header")? else { return Ok(None) };
            let kind = self.order.u32(&head, 0);
            if kind == SECTION_HEADER {
                self.read_section(reader, [head[4], head[5], head[6], head[7]])?;
                continue;
            }
            let length = self.order.u32(&head, 4);
            if length < 12 || !length.is_multiple_of(4) {
                let (what, value) = ("the length of a block", length.into());
                return Err(ReplayError::Damaged { offset: start, what, value });
            }
            let body = length - 12;
            match kind {
                INTERFACE_DESCRIPTION => {
                    self.read_body(reader, body, "an interface description")?;
                    self.add_interface(reader.bytes(), start)?;
                }
                PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    self.read_body(reader, body, "a packet block")?;
                    break self.locate(kind, reader.bytes(), start)?;
                }
                _ => reader.skip(u64::from(body) + 4, "a block")?,
            }
        };
        let interface = self.interfaces[place.interface as usize];
        check_link(interface.link_type, links)?;
        if let Some(timestamp) = place.timestamp {
            self.last_ns = interface.time_ns(timestamp);
        }
        Ok(Some(CapturedFrame {
            time_ns: self.last_ns,
            interface: place.interface,
            link_type: interface.link_type,
            wire_bytes: place.wire_bytes.max(place.captured),
            bytes: &reader.bytes()[place.start..place.start + place.captured as usize],
        }))
    }

    /// `length` is the block's length field, in a byte order that the body tells.
    fn read_section<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        length: [u8; 4],
    ) -> Result<(), ReplayError> {
        let start = reader.offset() - 8;
        let magic = reader.need::<4>("the section header")?;
        self.order = match magic {
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            _ => {
                let (what, value) = ("the byte-order magic", u32::from_be_bytes(magic).into());
                return Err(ReplayError::Damaged { offset: start, what, value });
            }
        };
        let length = self.order.u32(&length, 0);
        if length < 28 || !length.is_multiple_of(4) {
            let (what, value) = ("the length of a section header", length.into());
            return Err(ReplayError::Damaged { offset: start, what, value });
        }
        self.interfaces.clear();
        reader.skip(u64::from(length) - 12, "the section header")
    }

    fn read_body<R: Read>(
        &self,
        reader: &mut Reader<R>,
        body: u32,
        what: &'static str,
    ) -> Result<(), ReplayError> {
        reader.record(body, what)?;
        reader.need::<4>(what).map(drop)
    }

    fn add_interface(&mut self, body: &[u8], start: u64) -> Result<(), ReplayError> {
        if body.len() < 8 {
            let (what, value) = ("the length of an interface description", body.len() as u64);
            return Err(ReplayError::Damaged { offset: start, what, value });
        }
        if self.interfaces.len() == MAX_INTERFACES {
            let (what, value) = ("the number of interfaces", MAX_INTERFACES as u64);
            return Err(ReplayError::Damaged { offset: start, what, value });
        }
        let mut interface = Interface {
            link_type: self.order.u16(body, 0).into(),
            snap_bytes: match self.order.u32(body, 4) {
                0 => MAX_RECORD_BYTES,
                snap => snap,
            },
            resolution: Resolution::Decimal(6),
            offset_s: 0,
        };
        let mut rest = &body[8..];
        while rest.len() >= 4 {
            let (code, length) = (self.order.u16(rest, 0), usize::from(self.order.u16(rest, 2)));
            let Some(value) = rest.get(4..4 + length) else { break };
            match (code, value) {
                (OPTION_END, _) => break,
                (OPTION_TSRESOL, &[unit]) if unit & 0x80 == 0 => {
                    interface.resolution = Resolution::Decimal(unit);
                }
                (OPTION_TSRESOL, &[unit]) => interface.resolution = Resolution::Binary(unit & 0x7f),
                (OPTION_TSOFFSET, value) if value.len() == 8 => {
                    interface.offset_s = self.offset_seconds(value);
                }
                _ => {}
            }
            rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn offset_seconds(&self, value: &[u8]) -> i64 {
        let (first, second) = (self.order.u32(value, 0), self.order.u32(value, 4));
        let (high, low) = match self.order {
            Order::Little => (second, first),
            Order::Big => (first, second),
        };
        (u64::from(high) << 32 | u64::from(low)) as i64
    }

    fn locate(&self, kind: u32, body: &[u8], start: u64) -> Result<Place, ReplayError> {
        let field = |at| self.order.u32(body, at);
        let stamp = || Some(u64::from(field(4)) << 32 | u64::from(field(8)));
        // enhanced := [interface: u32][time high: u32][time low: u32][captured: u32][length: u32]
        // packet   := [interface: u16][drops: u16] and then as enhanced
        // simple   := [length: u32]
        let place = match kind {
            SIMPLE_PACKET => {
                let snap = self.interfaces.first().map_or(0, |interface| interface.snap_bytes);
                let captured = field(0).min(snap).min((body.len() as u32).saturating_sub(4));
                Place { interface: 0, timestamp: None, wire_bytes: field(0), captured, start: 4 }
            }
            _ => Place {
                interface: if kind == PACKET { self.order.u16(body, 0).into() } else { field(0) },
                timestamp: stamp(),
                wire_bytes: field(16),
                captured: field(12),
                start: 20,
            },
        };
        let damaged =
            |what, value: u32| ReplayError::Damaged { offset: start, what, value: value.into() };
        if body.len() < place.start || place.captured as usize > body.len() - place.start {
            return Err(damaged("the captured length of a packet", place.captured));
        }
        if place.interface as usize >= self.interfaces.len() {
            return Err(damaged("the interface of a packet", place.interface));
        }
        Ok(place)
    }
}

impl Interface {
    /// Nanoseconds since the epoch; times before it and after the year 2554 are held at the ends.
    fn time_ns(&self, timestamp: u64) -> u64 {
        let timestamp = u128::from(timestamp);
        let ns = match self.resolution {
            Resolution::Decimal(digits @ 0..=9) => {
                timestamp * u128::from(10u64.pow(9 - u32::from(digits)))
            }
            Resolution::Decimal(digits) => {
                10u128.checked_pow(u32::from(digits) - 9).map_or(0, |unit| timestamp / unit)
            }
            Resolution::Binary(bits) => (timestamp * 1_000_000_000) >> bits,
        };
        let offset = i128::from(self.offset_s) * 1_000_000_000;
        let total = i128::try_from(ns).unwrap_or(i128::MAX).saturating_add(offset);
        u64::try_from(total.max(0)).unwrap_or(u64::MAX)
    }
}
