//! Walks through a struct to find where it ends, however its bytes come.
//!
//! In: bytes from where the last step ended. Out: how many of them, or beyond them, belong to the
//! struct. Never: recursion; values inside of each other are kept on a stack of bounded depth.

use crate::bytes::Reader;
use crate::thrift::value::{Encoding, Kind, Trouble};

/// Where a walk stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    encoding: Option<Encoding>,
    stack: Vec<Level>,
}

#[derive(Clone, Copy, Debug)]
enum Level {
    /// Fields up to the end of a struct.
    Struct,
    /// Values of two kinds in turn (both the same in a list).
    Values { next: Kind, other: Kind, left: u64 },
}

/// No piece that must be whole is longer. unit byte
pub(crate) const LOOK_BYTES: usize = 24;

/// Values inside of each other that are followed.
const DEPTH: usize = 64;

impl Walk {
    /// Through a struct that starts here.
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding: Some(encoding), stack: vec![Level::Struct] }
    }

    pub fn is_over(&self) -> bool {
        self.stack.is_empty()
    }

    pub fn held_bytes(&self) -> usize {
        self.stack.capacity() * size_of::<Level>()
    }

    /// Goes on through `bytes`; 0: over, or more bytes are needed.
    pub fn step(&mut self, bytes: &[u8]) -> Result<u64, Trouble> {
        let Some(encoding) = self.encoding else { return Ok(0) };
        let mut used = 0u64;
        while let Some(rest) = bytes.get(used as usize..) {
            let Some(level) = self.stack.last_mut() else { break };
            let mut reader = Reader::new(rest);
            let before = *level;
            let pushed = match level {
                Level::Struct => match encoding.field(&mut reader, &mut 0) {
                    Ok(Some(field)) => pass(encoding, &mut reader, field.kind),
                    Ok(None) => {
                        self.stack.pop();
                        used += 1;
                        continue;
                    }
                    Err(trouble) => Err(trouble),
                },
                Level::Values { left: 0, .. } => {
                    self.stack.pop();
                    continue;
                }
                Level::Values { next: Kind::Fixed(bytes), other, left }
                    if *other == Kind::Fixed(*bytes) =>
                {
                    used = used.saturating_add(u64::from(*bytes) * *left);
                    *left = 0;
                    continue;
                }
                Level::Values { next, other, left } => {
                    let kind = *next;
                    *left -= 1;
                    std::mem::swap(next, other);
                    pass(encoding, &mut reader, kind)
                }
            };
            match pushed {
                Ok((inner, beyond)) => {
                    used += (rest.len() - reader.rest().len()) as u64 + beyond;
                    if let Some(inner) = inner {
                        if self.stack.len() >= DEPTH {
                            return Err(Trouble::Bad);
                        }
                        self.stack.push(inner);
                    }
                }
                Err(Trouble::Short) => {
                    if let Some(level) = self.stack.last_mut() {
                        *level = before;
                    }
                    break;
                }
                Err(Trouble::Bad) => return Err(Trouble::Bad),
            }
        }
        Ok(used)
    }
}

/// Passes over a value, or over what stands before the values in it. Gives what is inside, and
/// how many more bytes belong to it.
fn pass(
    encoding: Encoding,
    reader: &mut Reader<'_>,
    kind: Kind,
) -> Result<(Option<Level>, u64), Trouble> {
    Ok(match kind {
        Kind::Fixed(bytes) => (None, bytes.into()),
        Kind::Varint => {
            super::value::varint(reader)?;
            (None, 0)
        }
        Kind::Text => (None, encoding.text_bytes(reader)?),
        Kind::Struct => (Some(Level::Struct), 0),
        Kind::List => {
            let (kind, left) = encoding.list(reader)?;
            (Some(Level::Values { next: kind, other: kind, left }), 0)
        }
        Kind::Map => {
            let (key, value, pairs) = encoding.map(reader)?;
            (Some(Level::Values { next: key, other: value, left: 2 * pairs }), 0)
        }
    })
}
