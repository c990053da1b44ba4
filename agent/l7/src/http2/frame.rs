//! Frames of HTTP/2 (RFC 9113 §4, §6): headers, kinds, and what a sender may put in them.
//!
//! ```text
//! frame := length: u24 be  kind: u8  flags: u8  stream: u32 be  payload: length
//! ```

use crate::bytes::Reader;
use crate::segment::Direction;

/// Length of a frame's header. unit byte
pub(crate) const HEADER_BYTES: usize = 9;

/// What a client sends first (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames: RFC 9113 §6, RFC 7838, RFC 8336, RFC 9218.
pub(crate) mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    pub const ALTSVC: u8 = 10;
    pub const ORIGIN: u8 = 12;
    pub const PRIORITY_UPDATE: u8 = 16;
}

/// Flags of frames.
pub(crate) mod flag {
    pub const ACK: u8 = 0x01;
    pub const END_STREAM: u8 = 0x01;
    pub const END_HEADERS: u8 = 0x04;
    pub const PADDED: u8 = 0x08;
    pub const PRIORITY: u8 = 0x20;
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Length of the payload. unit byte
    pub length: u32,
    pub kind: u8,
    pub flags: u8,
    /// Stream; 0: the connection.
    pub stream: u32,
}

/// Longest payload of a frame that a sender was not allowed more for. unit byte
const FIRST_FRAME_BYTES: u32 = 16_384;

impl Header {
    /// Reads one; `None`: too short.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let [a, b, c] = reader.array()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind: reader.u8()?,
            flags: reader.u8()?,
            stream: reader.u32_be()?,
        })
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Header and payload. unit byte
    pub fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.length as usize
    }

    /// Whether a sender that obeys the RFC sends such a header. Flags without a meaning and the
    /// reserved bit are to be left unset (§4.1).
    pub fn is_sound(&self, direction: Direction) -> bool {
        let on_stream = self.stream != 0 && self.stream >> 31 == 0;
        let on_connection = self.stream == 0;
        let flags_in = |known: u8| self.flags & !known == 0;
        let from_server = direction == Direction::ServerToClient;
        let is_asked = self.stream & 1 == 1;
        match self.kind {
            kind::DATA => on_stream && flags_in(flag::END_STREAM | flag::PADDED),
            kind::HEADERS => {
                let known = flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY;
                on_stream && flags_in(known) && self.length > 0 && (from_server || is_asked)
            }
            kind::PRIORITY => on_stream && flags_in(0) && self.length == 5,
            kind::RST_STREAM => on_stream && flags_in(0) && self.length == 4,
            kind::SETTINGS => {
                let is_ack = self.has(flag::ACK);
                let entries = self.length / 6;
                on_connection
                    && flags_in(flag::ACK)
                    && self.length.is_multiple_of(6)
                    && entries <= if is_ack { 0 } else { 64 }
            }
            kind::PUSH_PROMISE => {
                let known = flag::END_HEADERS | flag::PADDED;
                from_server && on_stream && is_asked && flags_in(known) && self.length > 4
            }
            kind::PING => on_connection && flags_in(flag::ACK) && self.length == 8,
            kind::GOAWAY => {
                on_connection && flags_in(0) && (8..=FIRST_FRAME_BYTES).contains(&self.length)
            }
            kind::WINDOW_UPDATE => self.stream >> 31 == 0 && flags_in(0) && self.length == 4,
            kind::CONTINUATION => on_stream && flags_in(flag::END_HEADERS),
            kind::ALTSVC => from_server && self.stream >> 31 == 0 && flags_in(0) && self.length > 2,
            kind::ORIGIN => from_server && on_connection && flags_in(0),
            kind::PRIORITY_UPDATE => !from_server && on_connection && self.length > 4,
            // Extensions, to be passed over (§5.5).
            _ => self.stream >> 31 == 0 && self.length <= FIRST_FRAME_BYTES,
        }
    }

    /// Whether a frame of one of the RFC's kinds plausibly starts like this, on a connection of
    /// which nothing else is known.
    pub fn may_be_first(&self, direction: Direction) -> bool {
        let longest = match self.kind {
            kind::HEADERS => 64 << 10,
            _ => FIRST_FRAME_BYTES,
        };
        self.kind <= kind::WINDOW_UPDATE && self.length <= longest && self.is_sound(direction)
    }
}

/// A payload without its padding (§6.1). `None`: the padding is longer than the payload.
pub(crate) fn unpadded<'a>(header: &Header, payload: &'a [u8]) -> Option<&'a [u8]> {
    if !header.has(flag::PADDED) {
        return Some(payload);
    }
    let (padding, rest) = payload.split_first()?;
    // Of a payload that was cut off the padding is missing, or some of it.
    let missing = (header.length as usize).saturating_sub(payload.len());
    let padding = usize::from(*padding);
    (padding < header.length as usize)
        .then(|| &rest[..rest.len() - padding.saturating_sub(missing).min(rest.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_frames() {
        let sound = |bytes: &[u8], direction| {
            Header::read(bytes).is_some_and(|header| header.is_sound(direction))
        };
        let (client, server) = (Direction::ClientToServer, Direction::ServerToClient);
        assert!(sound(b"\0\0\x12\x04\0\0\0\0\0", client), "settings");
        assert!(!sound(b"\0\0\x13\x04\0\0\0\0\0", client), "settings of odd length");
        assert!(!sound(b"\0\0\x06\x04\x01\0\0\0\0", client), "an acknowledgement with content");
        assert!(sound(b"\0\0\x05\x01\x25\0\0\0\x03", client), "headers");
        assert!(!sound(b"\0\0\x05\x01\x25\0\0\0\x04", client), "a stream of the server's");
        assert!(sound(b"\0\0\x05\x01\x25\0\0\0\x04", server), "its answer");
        assert!(!sound(b"\0\0\x05\x01\x65\0\0\0\x03", client), "a flag that does not exist");
        assert!(!sound(b"\0\0\x05\0\0\0\0\0\0", client), "data of the connection");
        assert!(sound(b"\0\0\x05\x2a\0\0\0\0\0", client), "an extension");
        assert!(!sound(b"\0\0\x05", client), "too short");
    }

    #[test]
    fn padding() {
        let header = |length| Header { length, kind: kind::DATA, flags: flag::PADDED, stream: 1 };
        assert_eq!(unpadded(&header(6), b"\x02abcXX"), Some(&b"abc"[..]));
        assert_eq!(unpadded(&header(6), b"\x02abcX"), Some(&b"abc"[..]), "cut off");
        assert_eq!(unpadded(&header(6), b"\x02ab"), Some(&b"ab"[..]), "cut off");
        assert_eq!(unpadded(&header(3), b"\x03XX"), None);
        assert_eq!(unpadded(&header(0), b""), None);
    }
}
