//! Control packets of MQTT: their headers and what of their bodies a record shows.
//!
//! ```text
//! packet     := kind: u4  flags: u4  len: varint (at most 4 bytes)  body: len
//! text       := len: u16 be  bytes
//! properties := len: varint  (id: u8  value: by id)*                              (MQTT 5 only)
//! ```
//! OASIS MQTT 3.1.1 §2, MQTT 5.0 §2.

use crate::bytes::Reader;
use crate::segment::Direction;

/// Kinds of control packets.
pub(crate) mod kind {
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const UNSUBACK: u8 = 11;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
    pub const AUTH: u8 = 15;
}

/// Names of the kinds, by number.
const NAMES: [&str; 16] = [
    "RESERVED",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

/// The name of a kind.
pub(crate) fn name_of(kind: u8) -> &'static str {
    NAMES[usize::from(kind & 15)]
}

/// The fixed header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub kind: u8,
    pub flags: u8,
    /// Bytes of the header itself.
    pub header_bytes: usize,
    /// Bytes of the packet behind it.
    pub body_bytes: usize,
}

impl Header {
    /// Quality of service of a PUBLISH.
    pub fn qos(&self) -> u8 {
        self.flags >> 1 & 3
    }

    pub fn bytes(&self) -> usize {
        self.header_bytes + self.body_bytes
    }
}

/// What stands at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Packet(Header),
    /// Right so far, but too short to tell.
    Short,
    /// No packet that this side sends.
    Wrong,
}

/// Reads a fixed header.
pub(crate) fn header(direction: Direction, bytes: &[u8]) -> Front {
    let Some(first) = bytes.first() else { return Front::Short };
    let (kind, flags) = (first >> 4, first & 15);
    if !is_sent_by(direction, kind) || !are_flags_of(kind, flags) {
        return Front::Wrong;
    }
    let mut body_bytes = 0;
    for place in 0..4 {
        let Some(byte) = bytes.get(1 + place) else { return Front::Short };
        body_bytes |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            // A length has as few bytes as it needs.
            let is_wrong = place > 0 && *byte == 0 || !is_length_of(kind, body_bytes);
            let header = Header { kind, flags, header_bytes: 2 + place, body_bytes };
            return if is_wrong { Front::Wrong } else { Front::Packet(header) };
        }
    }
    Front::Wrong
}

fn is_sent_by(direction: Direction, kind: u8) -> bool {
    use kind::*;
    match kind {
        CONNECT | SUBSCRIBE | UNSUBSCRIBE | PINGREQ => direction == Direction::ClientToServer,
        CONNACK | SUBACK | UNSUBACK | PINGRESP => direction == Direction::ServerToClient,
        PUBLISH | PUBACK | PUBREC | PUBREL | PUBCOMP | DISCONNECT | AUTH => true,
        _ => false,
    }
}

/// MQTT 3.1 also repeats what is to be acknowledged, with the flag of a repetition.
fn are_flags_of(kind: u8, flags: u8) -> bool {
    match kind {
        kind::PUBLISH => flags & 6 != 6,
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => matches!(flags, 2 | 10),
        _ => flags == 0,
    }
}

fn is_length_of(kind: u8, body_bytes: usize) -> bool {
    use kind::*;
    match kind {
        PINGREQ | PINGRESP => body_bytes == 0,
        DISCONNECT | AUTH => true,
        CONNECT => body_bytes >= 12,
        PUBLISH | SUBACK => body_bytes >= 3,
        SUBSCRIBE => body_bytes >= 6,
        UNSUBSCRIBE => body_bytes >= 5,
        _ => body_bytes >= 2,
    }
}

/// A text with its length; of one that was cut short, what there is.
pub(crate) fn text<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u16_be()?;
    Some(reader.take_up_to(usize::from(length)))
}

/// A number of seven bits a byte, the lowest first.
pub(crate) fn varint(reader: &mut Reader<'_>) -> Option<usize> {
    let mut value = 0;
    for place in 0..4 {
        let byte = reader.u8()?;
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The start of a CONNECT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect<'a> {
    /// 3: 3.1; 4: 3.1.1; 5.
    pub level: u8,
    pub client_id: &'a [u8],
}

/// Reads a CONNECT up to the client's id.
pub(crate) fn connect(body: &[u8]) -> Option<Connect<'_>> {
    let mut reader = Reader::new(body);
    let name = text(&mut reader)?;
    // A bridge marks itself in the highest bit of the level.
    let level = reader.u8()? & 0x7f;
    match (name, level) {
        (b"MQIsdp", 3) | (b"MQTT", 4 | 5) => {}
        _ => return None,
    }
    reader.take(3)?;
    if level == 5 {
        let length = varint(&mut reader)?;
        reader.take(length)?;
    }
    let client_id = text(&mut reader)?;
    Some(Connect { level, client_id })
}
