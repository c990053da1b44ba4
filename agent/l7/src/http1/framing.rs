//! Where the body of an HTTP/1 message lies and where it ends (RFC 9112 §6, §7).
//!
//! In: what the head says, then bytes. Out: bytes of the body if they are wanted, otherwise how
//! many to pass over; its end. Never: bytes held.

use crate::bytes;
use crate::protocol::Step;

/// Where a direction stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Before a start line.
    #[default]
    Head,
    /// Before so many bytes of a body.
    Length(u64),
    /// In a body that ends with the connection.
    ToClose,
    /// Before the size of a chunk.
    ChunkSize,
    /// Before so many bytes of a chunk.
    Chunk(u64),
    /// Before the end of line after a chunk's bytes.
    ChunkEnd,
    /// Among the trailers.
    Trailers,
    /// After a head whose end was not seen.
    Unknown,
}

/// A piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Body(&'a [u8]),
    /// Nothing of it follows.
    End,
}

/// Longest line of a chunked body. unit byte
const LINE_BYTES: usize = 8192;

impl Framing {
    /// Cuts the next part of a body. `is_wanted`: its bytes are to be looked at.
    pub fn cut<'a>(&mut self, bytes: &'a [u8], is_wanted: bool) -> Step<Part<'a>> {
        match *self {
            Self::Length(left) | Self::Chunk(left) if left > 0 => {
                if !is_wanted {
                    *self = self.after(left);
                    return Step::Skip(left);
                }
                let taken = left.min(bytes.len() as u64);
                *self = self.after(taken);
                Step::Frame { frame: Part::Body(&bytes[..taken as usize]), used: taken }
            }
            Self::Length(_) | Self::Chunk(_) => Step::Lost,
            Self::ToClose if is_wanted => {
                Step::Frame { frame: Part::Body(bytes), used: bytes.len() as u64 }
            }
            Self::ToClose => Step::Skip(u64::MAX),
            Self::ChunkSize => self.chunk_size(bytes),
            Self::ChunkEnd => match line(bytes) {
                Some((b"", used)) => {
                    *self = Self::ChunkSize;
                    Step::Skip(used)
                }
                Some(_) => Step::Lost,
                None => need_line(bytes),
            },
            Self::Trailers => match line(bytes) {
                Some((b"", used)) => {
                    *self = Self::Head;
                    Step::Frame { frame: Part::End, used }
                }
                Some((_, used)) => Step::Skip(used),
                None => need_line(bytes),
            },
            Self::Head | Self::Unknown => Step::Lost,
        }
    }

    /// Passes over bytes that were never seen. `false`: they do not lie within one piece.
    pub fn pass(&mut self, bytes: u64) -> bool {
        match self {
            Self::Length(left) | Self::Chunk(left) if bytes <= *left => {
                *self = self.after(bytes);
                true
            }
            Self::ToClose => true,
            _ => false,
        }
    }

    /// Where it stands after so many bytes of the piece at the front.
    fn after(self, bytes: u64) -> Self {
        match self {
            Self::Length(left) if left == bytes => Self::Head,
            Self::Length(left) => Self::Length(left - bytes),
            Self::Chunk(left) if left == bytes => Self::ChunkEnd,
            Self::Chunk(left) => Self::Chunk(left - bytes),
            other => other,
        }
    }

    fn chunk_size<'a>(&mut self, bytes: &'a [u8]) -> Step<Part<'a>> {
        let Some((text, used)) = line(bytes) else { return need_line(bytes) };
        let Some(size) = hexadecimal(text) else { return Step::Lost };
        *self = if size == 0 { Self::Trailers } else { Self::Chunk(size) };
        Step::Skip(used)
    }
}

/// The first line without its end, and its length with it.
fn line(bytes: &[u8]) -> Option<(&[u8], u64)> {
    let end = bytes::find(bytes, b'\n')?;
    let text = &bytes[..end];
    Some((text.strip_suffix(b"\r").unwrap_or(text), end as u64 + 1))
}

fn need_line<F>(bytes: &[u8]) -> Step<F> {
    match bytes.len() < LINE_BYTES {
        true => Step::Need(bytes.len() + 1),
        false => Step::Lost,
    }
}

/// `1a2b [;extension]`.
fn hexadecimal(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, digit| {
        Some(number << 4 | u64::from((*digit as char).to_digit(16)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_chunks() {
        assert_eq!(hexadecimal(b"1aF"), Some(0x1af));
        assert_eq!(hexadecimal(b"0;a=b"), Some(0));
        assert_eq!(hexadecimal(b" 5 "), Some(5));
        assert_eq!(hexadecimal(b""), None);
        assert_eq!(hexadecimal(b"xyz"), None);
        assert_eq!(hexadecimal(b"ffffffffffffffff"), None);
    }

    /// Reads a chunked body in pieces; the bytes of it, and whether its end was seen.
    fn read(body: &[u8], size: usize, is_wanted: bool) -> (Vec<u8>, bool) {
        let (mut framing, mut found, mut pending) = (Framing::ChunkSize, Vec::new(), Vec::new());
        let mut skip = 0;
        for piece in body.chunks(size) {
            pending.extend_from_slice(piece);
            while !pending.is_empty() {
                let passed = skip.min(pending.len() as u64);
                skip -= passed;
                pending.drain(..passed as usize);
                if pending.is_empty() {
                    break;
                }
                let used = match framing.cut(&pending, is_wanted) {
                    Step::Frame { frame: Part::Body(bytes), used } => {
                        found.extend_from_slice(bytes);
                        used
                    }
                    Step::Frame { frame: Part::End, .. } => return (found, true),
                    Step::Skip(used) => used,
                    Step::Need(_) => break,
                    Step::Lost => panic!("lost at {pending:?}"),
                };
                let inside = used.min(pending.len() as u64);
                skip = used - inside;
                pending.drain(..inside as usize);
            }
        }
        (found, false)
    }

    #[test]
    fn chunks_with_extensions_and_trailers() {
        let body = b"4;a=\"b\"\r\nwiki\r\n5\r\npedia\r\n0\r\nA: b\r\n\r\n";
        for size in 1..body.len() {
            assert_eq!(read(body, size, true), (b"wikipedia".to_vec(), true), "{size}");
            assert_eq!(read(body, size, false), (Vec::new(), true), "{size}");
        }
    }

    #[test]
    fn gaps_within_a_piece() {
        let mut framing = Framing::Length(10);
        assert!(framing.pass(4) && framing == Framing::Length(6));
        assert!(!framing.pass(7));
        assert!(framing.pass(6) && framing == Framing::Head);
        assert!(Framing::ToClose.pass(1 << 40));
        assert!(!Framing::Head.pass(1));
    }
}
