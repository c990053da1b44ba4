//! Why a frame could not be read: `Copy`, without allocation, naming the field.

use thiserror::Error;

/// A frame that yields no packet.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// The captured bytes end inside this field.
    #[error("{0}: the frame ends inside it")]
    Truncated(&'static str),
    /// A field's value contradicts its protocol.
    #[error("{0}: impossible value")]
    Invalid(&'static str),
    /// Well-formed, but of a protocol that flows are not made of (ARP, STP, LLDP ...); the value is
    /// that of the field.
    #[error("{0}: protocol {1:#06x} carries no flows")]
    Unsupported(&'static str, u16),
}

impl Malformed {
    /// Whether the frame is sound and merely of no interest; counted apart from damage.
    pub fn is_unsupported(self) -> bool {
        matches!(self, Self::Unsupported(..))
    }
}
