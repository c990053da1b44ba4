//! Headers of SOME/IP messages, and what tells them from other bytes.

use crate::bytes::Reader;
use crate::protocol::Probe;
use crate::segment::Direction;

/// A message, as far as it is read.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub header: Header,
    /// First bytes of what follows the header.
    pub payload: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub service: u16,
    pub method: u16,
    length: u32,
    pub client: u16,
    pub session: u16,
    pub protocol: u8,
    pub interface: u8,
    pub kind: Kind,
    is_segment: bool,
    pub code: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    RequestNoReturn,
    Notification,
    Response,
    Error,
    /// Of the transport; no longer used.
    Acknowledgement,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte & !SEGMENT {
            0x00 => Self::Request,
            0x01 => Self::RequestNoReturn,
            0x02 => Self::Notification,
            0x80 => Self::Response,
            0x81 => Self::Error,
            0x40..=0x42 | 0xc0..=0xc1 if byte & SEGMENT == 0 => Self::Acknowledgement,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "Request",
            Self::RequestNoReturn => "RequestNoReturn",
            Self::Notification => "Notification",
            Self::Response => "Response",
            Self::Error => "Error",
            Self::Acknowledgement => "Acknowledgement",
        }
    }

    fn is_of(self, direction: Direction) -> bool {
        match self {
            Self::Request | Self::RequestNoReturn => direction == Direction::ClientToServer,
            Self::Notification | Self::Response | Self::Error => {
                direction == Direction::ServerToClient
            }
            Self::Acknowledgement => true,
        }
    }
}

pub(crate) const HEADER_BYTES: usize = 16;

/// So much of a service discovery message is read. unit byte
pub(crate) const HEAD_BYTES: usize = 4096;

/// Bytes of a message that its length does not count.
const UNCOUNTED_BYTES: u64 = 8;

/// Longest message that is believed over TCP. unit byte
const MESSAGE_BYTES: u32 = 16 << 20;

/// Kind bit of segments.
const SEGMENT: u8 = 0x20;

/// Service and method of service discovery.
const DISCOVERY: (u16, u16) = (0xffff, 0x8100);

/// Client and session of a magic cookie.
const COOKIE: (u16, u16) = (0xdead, 0xbeef);

/// Length of a message so long that fewer bytes than all of it are enough. unit byte
const LONG_BYTES: usize = 1024;

impl Header {
    /// Of the whole message.
    pub fn bytes(&self) -> u64 {
        UNCOUNTED_BYTES + u64::from(self.length)
    }

    /// Service, method, client and session in one.
    pub fn key(&self) -> u64 {
        let upper = u64::from(self.service) << 48 | u64::from(self.method) << 32;
        upper | u64::from(self.client) << 16 | u64::from(self.session)
    }

    pub fn is_discovery(&self) -> bool {
        (self.service, self.method) == DISCOVERY
    }

    /// A mark in a byte stream, by which its reader finds the start of a message.
    pub fn is_cookie(&self) -> bool {
        self.service == 0xffff && (self.client, self.session) == COOKIE
    }
}

impl Message<'_> {
    /// Whether it is a segment but not the first of its message.
    pub fn is_continuation(&self) -> bool {
        let offset = Reader::new(self.payload).u32_be().map(|word| word >> 4);
        self.header.is_segment && offset != Some(0)
    }

    /// Length of the message; of a segmented one it is not known.
    pub fn whole_bytes(&self) -> Option<i64> {
        (!self.header.is_segment).then_some(self.header.bytes() as i64)
    }
}

/// The header that stands here.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let mut reader = Reader::new(bytes);
    let (service, method, length) = (reader.u16_be()?, reader.u16_be()?, reader.u32_be()?);
    let (client, session) = (reader.u16_be()?, reader.u16_be()?);
    let (protocol, interface) = (reader.u8()?, reader.u8()?);
    let (kind_byte, code) = (reader.u8()?, reader.u8()?);
    let kind = Kind::of(kind_byte)?;
    let answers = matches!(kind, Kind::Response | Kind::Error);
    let is_segment = kind_byte & SEGMENT != 0;
    let is_sound = protocol == 1
        && service != 0
        && (if is_segment { 12 } else { 8 }..=MESSAGE_BYTES).contains(&length)
        && if answers { code <= 0x5e } else { code == 0 };
    let header = Header {
        service,
        method,
        length,
        client,
        session,
        protocol,
        interface,
        kind,
        is_segment,
        code,
    };
    is_sound.then_some(header)
}

/// Whether fewer bytes than a header may be the start of one.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    let byte = |at: usize, right: fn(u8) -> bool| bytes.get(at).is_none_or(|&byte| right(byte));
    bytes.get(..2) != Some(&[0, 0])
        && byte(4, |upper| upper <= 1)
        && byte(12, |protocol| protocol == 1)
        && byte(14, |kind| Kind::of(kind).is_some())
}

/// What a datagram is: messages that fill it exactly.
pub(crate) fn probe_datagram(bytes: &[u8], direction: Direction, cut: bool) -> Probe {
    let mut rest = bytes;
    let mut direction_fits = None;
    while !rest.is_empty() {
        if cut && rest.len() < HEADER_BYTES && direction_fits.is_some() {
            break;
        }
        let Some(header) = header(rest) else { return Probe::No };
        if direction_fits.is_none() {
            direction_fits = Some(header.is_discovery() || header.kind.is_of(direction));
        }
        match usize::try_from(header.bytes()).ok().and_then(|bytes| rest.get(bytes..)) {
            Some(after) => rest = after,
            // A datagram is no longer than 64 KiB.
            None if cut && header.length <= 0xffff => break,
            None => return Probe::No,
        }
    }
    if direction_fits == Some(true) { Probe::Certain } else { Probe::No }
}

/// What the first bytes of a stream are: messages that end with them, or two that follow each
/// other.
pub(crate) fn probe_stream(first: &[u8], direction: Direction, cut: bool) -> Probe {
    let mut rest = first;
    let mut messages = 0;
    loop {
        if rest.len() < HEADER_BYTES {
            return match (messages, may_start(rest)) {
                (1.., _) if rest.is_empty() => Probe::Certain,
                (1.., true) => Probe::Possible,
                (0, true) if !cut => Probe::Short,
                _ => Probe::No,
            };
        }
        let Some(header) = header(rest) else { return Probe::No };
        let fits = header.is_cookie() || header.kind.is_of(direction);
        if messages == 0 && !fits {
            return Probe::No;
        }
        messages += 1;
        if messages >= 2 {
            return Probe::Certain;
        }
        match usize::try_from(header.bytes()).ok().and_then(|bytes| rest.get(bytes..)) {
            Some(after) => rest = after,
            None if cut || rest.len() >= LONG_BYTES => return Probe::Possible,
            None => return Probe::Short,
        }
    }
}

/// What a return code means (PRS_SOMEIP_00191).
pub(crate) fn code_name(code: u8) -> &'static str {
    match code {
        0x00 => "E_OK",
        0x01 => "E_NOT_OK",
        0x02 => "E_UNKNOWN_SERVICE",
        0x03 => "E_UNKNOWN_METHOD",
        0x04 => "E_NOT_READY",
        0x05 => "E_NOT_REACHABLE",
        0x06 => "E_TIMEOUT",
        0x07 => "E_WRONG_PROTOCOL_VERSION",
        0x08 => "E_WRONG_INTERFACE_VERSION",
        0x09 => "E_MALFORMED_MESSAGE",
        0x0a => "E_WRONG_MESSAGE_TYPE",
        0x0b => "E_E2E_REPEATED",
        0x0c => "E_E2E_WRONG_SEQUENCE",
        0x0d => "E_E2E",
        0x0e => "E_E2E_NOT_AVAILABLE",
        0x0f => "E_E2E_NO_NEW_DATA",
        _ => "",
    }
}
