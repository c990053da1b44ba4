//! A stream of frames that the frames of another stream carry in pieces: packets of MySQL in
//! compressed packets, envelopes of Cassandra in segments.
//!
//! In: pieces in their order, already unpacked. Out: what of them can be read at once. Never: more
//! held than the frame at the front needs.

use crate::protocol::Step;

/// One direction of an inner stream.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    /// A frame of which more is needed.
    bytes: Vec<u8>,
    /// Bytes of the frame before that are passed over.
    skip: u64,
    /// Bytes of it were not seen: the next piece does not go on where the last one ended.
    pub is_lost: bool,
}

impl Inner {
    /// One of which bytes were not seen.
    pub fn lost() -> Self {
        Self { is_lost: true, ..Self::default() }
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Reads a piece with `step`, which reads a frame from the front of what it is given. `false`:
    /// from some byte on it made no sense, and was let go.
    pub fn read(&mut self, piece: &[u8], mut step: impl FnMut(&[u8]) -> Step<()>) -> bool {
        let passed = self.skip.min(piece.len() as u64);
        self.skip -= passed;
        let fresh = &piece[passed as usize..];
        let is_joined = !self.bytes.is_empty();
        if is_joined {
            self.bytes.extend_from_slice(fresh);
        }
        let bytes = if is_joined { &self.bytes } else { fresh };
        let (mut at, mut makes_sense) = (0, true);
        while at < bytes.len() {
            match step(&bytes[at..]) {
                Step::Frame { used, .. } | Step::Skip(used) => {
                    let end = (at as u64).saturating_add(used.max(1));
                    at = end.min(bytes.len() as u64) as usize;
                    self.skip = end - at as u64;
                }
                Step::Need(_) => break,
                Step::Lost => {
                    at = bytes.len();
                    makes_sense = false;
                }
            }
        }
        if is_joined {
            self.bytes.drain(..at);
        } else {
            self.bytes.extend_from_slice(&fresh[at..]);
        }
        makes_sense
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of a length and so many bytes; 0 makes no sense, a length from 100 on is not read.
    fn read(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool, usize) {
        let (mut inner, mut frames, mut makes_sense) = (Inner::default(), Vec::new(), true);
        for piece in pieces {
            makes_sense &= inner.read(piece, |bytes| {
                let length = usize::from(bytes[0]);
                match bytes.get(1..=length) {
                    _ if length == 0 => Step::Lost,
                    _ if length >= 100 => Step::Skip(length as u64 + 1),
                    None => Step::Need(length + 1),
                    Some(frame) => {
                        frames.push(frame.to_vec());
                        Step::Frame { frame: (), used: length as u64 + 1 }
                    }
                }
            });
        }
        (frames, makes_sense, inner.bytes.len())
    }

    #[test]
    fn frames_over_pieces() {
        let stream = [&b"\x02ab\x01c\x78"[..], &[7; 120], b"\x03def\x05gh"].concat();
        let expected = vec![b"ab".to_vec(), b"c".to_vec(), b"def".to_vec()];
        assert_eq!(read(&[&stream]), (expected.clone(), true, 3));
        for size in 1..stream.len() {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(read(&pieces), (expected.clone(), true, 3), "{size}");
        }
        assert_eq!(
            read(&[b"\x01a\0\x01b", b"\x01c"]),
            (vec![b"a".to_vec(), b"c".to_vec()], false, 0)
        );
    }
}
