//! Recognises HTTP/2 by its first bytes: the client's preface, or frames of a connection that was
//! joined in its middle.
//!
//! In: first bytes of a direction. Out: how likely. Never: a single short frame as proof, unless
//! it is a header block that starts as requests or responses do.

use crate::http2::frame::{self, Header, PREFACE, flag, kind};
use crate::http2::hpack::Decoder;
use crate::protocol::Probe;
use crate::segment::Direction;

/// What the first bytes of a direction are. `cut`: more will not come.
pub(crate) fn first_bytes(direction: Direction, first: &[u8], cut: bool) -> Probe {
    if direction == Direction::ClientToServer {
        let start = first.len().min(PREFACE.len());
        if first[..start] == PREFACE[..start] {
            // `PRI * HTTP/2.0` is nothing else.
            let is_enough = start >= PREFACE.len() || cut && start >= 16;
            return if is_enough { Probe::Certain } else { Probe::Short };
        }
    }
    frames(direction, first, cut)
}

/// Whether a frame plausibly starts here, after bytes were lost.
pub(crate) fn may_start(direction: Direction, bytes: &[u8]) -> bool {
    let Some(header) = Header::read(bytes).filter(|header| header.may_be_first(direction)) else {
        return direction == Direction::ClientToServer && bytes.starts_with(PREFACE);
    };
    match bytes.get(header.frame_bytes()..).and_then(Header::read) {
        Some(next) => next.is_sound(direction),
        None => true,
    }
}

/// Frames that are complete, up to the first one that is not.
fn frames(direction: Direction, first: &[u8], cut: bool) -> Probe {
    let mut rest = first;
    let mut whole = 0;
    while !rest.is_empty() {
        let Some(header) = Header::read(rest) else {
            return match (whole, cut) {
                // What a header may start with: a length that is not huge, a kind that exists.
                (0, false) if rest[0] <= 1 && rest.get(3).is_none_or(|kind| *kind <= 8) => {
                    Probe::Short
                }
                (0, _) => Probe::No,
                _ => verdict(whole),
            };
        };
        if !header.may_be_first(direction) {
            return Probe::No;
        }
        let payload = &rest[frame::HEADER_BYTES..header.frame_bytes().min(rest.len())];
        let is_whole = payload.len() == header.length as usize;
        let after = rest.get(header.frame_bytes()..).unwrap_or(&[]);
        if !goes_on(direction, &header, after) {
            return Probe::No;
        }
        match payload_looks(direction, &header, payload, is_whole || cut) {
            Looks::Proof => return Probe::Certain,
            Looks::Wrong => return Probe::No,
            Looks::Right => {}
        }
        if !is_whole {
            return match whole {
                0 if cut || header.kind == kind::DATA => Probe::No,
                0 => Probe::Short,
                whole => verdict(whole),
            };
        }
        whole += 1;
        rest = &rest[header.frame_bytes()..];
    }
    verdict(whole)
}

/// Whether the bytes behind a frame are the start of another. A header block that has no end goes on
/// with the next frame (§6.10).
fn goes_on(direction: Direction, header: &Header, after: &[u8]) -> bool {
    let is_open = header.kind == kind::HEADERS && !header.has(flag::END_HEADERS);
    match Header::read(after) {
        Some(next) if is_open => next.kind == kind::CONTINUATION && next.stream == header.stream,
        Some(next) => next.is_sound(direction),
        None => !is_open || after.get(3).is_none_or(|kind| *kind == kind::CONTINUATION),
    }
}

fn verdict(whole: usize) -> Probe {
    if whole >= 2 { Probe::Certain } else { Probe::Possible }
}

/// How a payload looks.
enum Looks {
    /// Only HTTP/2 has it.
    Proof,
    /// It may be.
    Right,
    /// It cannot be.
    Wrong,
}

/// Settings that are registered with IANA (RFC 9113, 8441, 9218 and others), and GREASE.
fn is_setting(id: u16) -> bool {
    matches!(id, 1..=6 | 8 | 9 | 0x10 | 0x4d44) || id & 0x0f0f == 0x0a0a
}

fn payload_looks(direction: Direction, header: &Header, payload: &[u8], is_all: bool) -> Looks {
    match header.kind {
        kind::HEADERS if is_all => block_looks(direction, header, payload),
        kind::SETTINGS if !payload.is_empty() && is_all => {
            let known = |entry: &[u8]| is_setting(u16::from_be_bytes([entry[0], entry[1]]));
            match payload.chunks_exact(6).all(known) {
                true => Looks::Proof,
                false => Looks::Wrong,
            }
        }
        kind::WINDOW_UPDATE if is_all => match payload {
            [0, 0, 0, 0] | [0x80..=0xff, ..] => Looks::Wrong,
            _ => Looks::Right,
        },
        kind::RST_STREAM | kind::GOAWAY if is_all => {
            let code = payload.get(payload.len().min(8).wrapping_sub(4)..);
            match code {
                Some([0, 0, 0, 0..=0x0d, ..]) => Looks::Right,
                _ => Looks::Wrong,
            }
        }
        _ => Looks::Right,
    }
}

/// A header block is proof when it can be read and a request names a method, a response a code.
fn block_looks(direction: Direction, header: &Header, payload: &[u8]) -> Looks {
    let Some(mut block) = frame::unpadded(header, payload) else { return Looks::Wrong };
    if header.has(flag::PRIORITY) {
        block = block.get(5..).unwrap_or(&[]);
    }
    let is_whole = header.has(flag::END_HEADERS) && payload.len() == header.length as usize;
    let (mut is_named, mut is_sound, mut fields) = (false, true, 0);
    let outcome = Decoder::default().decode(block, |field| {
        fields += 1;
        let value = field.value.unwrap_or_default();
        match (direction, field.name) {
            (Direction::ClientToServer, b":method") => {
                is_named |= !value.is_empty() && value.iter().all(u8::is_ascii_alphabetic);
            }
            (Direction::ServerToClient, b":status") => {
                is_named |= value.len() == 3 && value.iter().all(u8::is_ascii_digit);
            }
            (Direction::ClientToServer, b":status") => is_sound = false,
            (Direction::ServerToClient, b":method" | b":path" | b":scheme" | b":authority") => {
                is_sound = false;
            }
            (_, name) => {
                is_sound &= name.iter().all(|byte| matches!(byte, b'!'..=b'@' | b'^'..=b'~'));
            }
        }
    });
    match () {
        () if !is_sound || is_whole && outcome.is_err() || fields == 0 => Looks::Wrong,
        // A single field of many that are still to come proves nothing.
        () if is_named && (is_whole || outcome.is_ok() || fields > 2) => Looks::Proof,
        () => Looks::Right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Direction = Direction::ClientToServer;
    const SERVER: Direction = Direction::ServerToClient;

    #[test]
    fn the_preface() {
        assert_eq!(first_bytes(CLIENT, PREFACE, false), Probe::Certain);
        for end in 1..PREFACE.len() {
            assert_eq!(first_bytes(CLIENT, &PREFACE[..end], false), Probe::Short);
        }
        assert_eq!(first_bytes(CLIENT, b"PRI * HTTP/1.1\r\n\r\n", false), Probe::No);
        assert_eq!(first_bytes(SERVER, PREFACE, false), Probe::No);
    }

    #[test]
    fn frames_of_a_connection_under_way() {
        let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0";
        assert_eq!(first_bytes(SERVER, settings, false), Probe::Certain);
        let unknown = b"\0\0\x06\x04\0\0\0\0\0\x77\x05\0\0\x40\0";
        assert_eq!(first_bytes(SERVER, unknown, false), Probe::No);
        let ping = b"\0\0\x08\x06\0\0\0\0\0\x02\x04\x10\x10\x09\x0e\x07\x07";
        assert_eq!(first_bytes(SERVER, ping, false), Probe::Possible);
        assert_eq!(first_bytes(CLIENT, &ping[..9], false), Probe::Short);
        let two = [&b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x1e"[..], ping].concat();
        assert_eq!(first_bytes(SERVER, &two, false), Probe::Certain);
        let request = b"\0\0\x04\x01\x05\0\0\0\x03\x83\x86\xc2\xc1";
        assert_eq!(first_bytes(CLIENT, request, false), Probe::Certain);
        assert_eq!(first_bytes(SERVER, request, false), Probe::No);
        for end in 1..request.len() {
            assert_eq!(first_bytes(CLIENT, &request[..end], false), Probe::Short, "{end}");
        }
        let trailers = b"\0\0\x02\x01\x05\0\0\0\x03\xbf\xbe";
        assert_eq!(first_bytes(SERVER, trailers, false), Probe::Possible);
    }

    #[test]
    fn what_others_send() {
        let kafka = b"\0\0\0\x23\0\x03\0\x09\0\0\0\x07\0\x04test";
        let mysql = b"\x21\0\0\0\x03select @@version_comment limit 1";
        let zeros = [0; 64];
        for other in [&kafka[..], mysql, &zeros, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"] {
            assert_eq!(first_bytes(CLIENT, other, false), Probe::No);
            assert_eq!(first_bytes(SERVER, other, false), Probe::No);
        }
    }
}
