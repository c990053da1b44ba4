//! FNV-1a (draft-eastlake-fnv): numbers on the wire that follow from names.
//!
//! In: a name. Out: its hash. Never: anything that depends on this machine.

/// The start and the factor.
pub struct Parameters {
    basis: u64,
    prime: u64,
}

/// With 64 bits.
pub const BITS_64: Parameters =
    Parameters { basis: 0xcbf2_9ce4_8422_2325, prime: 0x0100_0000_01b3 };
/// With 32 bits: the lower half of the hash, whose upper half says nothing.
pub const BITS_32: Parameters = Parameters { basis: 0x811c_9dc5, prime: 0x0100_0193 };

/// The hash of a name.
pub fn hash(name: &str, parameters: &Parameters) -> u64 {
    name.bytes().fold(parameters.basis, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(parameters.prime)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the draft's appendix of test vectors.
    #[test]
    fn the_published_hashes_come_out() {
        assert_eq!(hash("foobar", &BITS_64), 0x8594_4171_f739_67e8);
        assert_eq!(hash("foobar", &BITS_32) as u32, 0xbf9c_f968);
        assert_eq!(hash("", &BITS_32) as u32, 0x811c_9dc5);
    }
}
