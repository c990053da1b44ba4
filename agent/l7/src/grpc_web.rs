//! gRPC-Web (grpc.io: PROTOCOL-WEB.md): the trailers of a call stand in the body, as its last
//! message.
//!
//! ```text
//! body    := *message trailers          (text: each flushed part of it in base64, padded)
//! message := flags: u8  length: u32 be  bytes: length
//! ```
//! In: the bytes of a body, in any pieces. Out: how the call ended. Never: a message held.

use crate::bytes;
use crate::grpc::Outcome;

/// Follows the messages of a body.
#[derive(Debug, Default)]
pub(crate) struct GrpcWeb {
    /// Body in base64: bits that do not fill an octet yet, and how many.
    text: Option<(u32, u32)>,
    /// Header of the current message, as far as it came.
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    /// Bytes of the current message that are to come.
    left: u32,
    trailers: Vec<u8>,
    /// What follows is not known to be the start of a message.
    is_lost: bool,
}

const HEADER_BYTES: usize = 5;

/// Flags: the message holds trailers; it is compressed.
const TRAILERS: u8 = 0x80;
const COMPRESSED: u8 = 0x01;

/// Longest trailers that are kept. unit byte
const TRAILERS_BYTES: usize = 4096;

impl GrpcWeb {
    /// At the start of a body, which may be in base64.
    pub fn new(is_text: bool) -> Self {
        Self { text: is_text.then_some((0, 0)), ..Self::default() }
    }

    /// Whether nothing more can be found.
    pub fn is_done(&self) -> bool {
        self.is_lost
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        let Some((mut bits, mut count)) = self.text else { return self.messages(bytes) };
        let mut octets = [0; 192];
        for chunk in bytes.chunks(octets.len()) {
            let mut length = 0;
            for byte in chunk {
                match bytes::base64_digit(*byte) {
                    Some(sextet) => {
                        bits = bits << 6 | u32::from(sextet);
                        count += 6;
                        if count >= 8 {
                            count -= 8;
                            octets[length] = (bits >> count) as u8;
                            length += 1;
                        }
                    }
                    // The padding of a part: the next one starts anew.
                    None => count = 0,
                }
            }
            self.messages(&octets[..length]);
        }
        self.text = Some((bits, count));
    }

    /// Bytes were never seen.
    pub fn lost(&mut self) {
        self.is_lost = true;
    }

    /// How the call ended, as far as its trailers were seen.
    pub fn outcome(&self, limit: usize) -> Outcome {
        let mut outcome = Outcome::default();
        for line in self.trailers.split(|byte| *byte == b'\n') {
            if let Some(colon) = bytes::find(line, b':') {
                outcome.take(&line[..colon], line[colon + 1..].trim_ascii(), limit);
            }
        }
        outcome
    }

    fn messages(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_lost {
            if self.header_bytes < HEADER_BYTES {
                let taken = bytes.len().min(HEADER_BYTES - self.header_bytes);
                self.header[self.header_bytes..][..taken].copy_from_slice(&bytes[..taken]);
                self.header_bytes += taken;
                bytes = &bytes[taken..];
                if self.header_bytes < HEADER_BYTES {
                    return;
                }
                let [flags, a, b, c, d] = self.header;
                self.left = u32::from_be_bytes([a, b, c, d]);
                self.is_lost = flags & !(TRAILERS | COMPRESSED) != 0;
            }
            let (message, rest) = bytes.split_at(bytes.len().min(self.left as usize));
            if self.header[0] == TRAILERS {
                let room = TRAILERS_BYTES.saturating_sub(self.trailers.len());
                self.trailers.extend_from_slice(&message[..message.len().min(room)]);
            }
            self.left -= message.len() as u32;
            bytes = rest;
            if self.left == 0 {
                self.header_bytes = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(flags: u8, bytes: &[u8]) -> Vec<u8> {
        [&[flags], &(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
    }

    fn body() -> Vec<u8> {
        let trailers = b"grpc-status:5\r\ngrpc-message: not%20here\r\n";
        [message(0, b"one"), message(0, &[b'x'; 300]), message(TRAILERS, trailers)].concat()
    }

    fn check(reader: &GrpcWeb) {
        let outcome = reader.outcome(99);
        assert_eq!((outcome.status, &*outcome.message), (Some(5), "not here"));
    }

    #[test]
    fn trailers_are_found_however_the_body_is_cut() {
        for size in 1..20 {
            let mut reader = GrpcWeb::new(false);
            body().chunks(size).for_each(|chunk| reader.take(chunk));
            check(&reader);
        }
    }

    #[test]
    fn parts_in_base64_are_padded_each() {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let encode = |part: &[u8]| {
            let triple = |octets: &[u8]| {
                let number = octets.iter().enumerate().fold(0u32, |number, (place, octet)| {
                    number | u32::from(*octet) << (16 - 8 * place)
                });
                let digit = |place: usize| match place <= octets.len() {
                    true => DIGITS[(number >> (18 - 6 * place)) as usize & 63],
                    false => b'=',
                };
                [digit(0), digit(1), digit(2), digit(3)]
            };
            part.chunks(3).flat_map(triple).collect::<Vec<u8>>()
        };
        let encoded: Vec<u8> = body().chunks(31).flat_map(encode).collect();
        for size in [1, 3, 4, 7, 1000] {
            let mut reader = GrpcWeb::new(true);
            encoded.chunks(size).for_each(|chunk| reader.take(chunk));
            check(&reader);
        }
    }

    #[test]
    fn what_is_no_message_ends_it() {
        let mut reader = GrpcWeb::new(false);
        reader.take(b"<html><body>502</body></html>");
        assert!(reader.is_done());
        assert_eq!(reader.outcome(99).status, None);
        let mut reader = GrpcWeb::new(false);
        reader.take(&message(TRAILERS, &[b'a'; 10_000]));
        assert!(reader.trailers.len() <= TRAILERS_BYTES);
    }
}
