//! The Huffman code of HPACK (RFC 7541 §5.2, Appendix B).
//!
//! In: encoded octets. Out: the text. The code is canonical (codes of one length ascend with
//! their symbols), so that the lengths say all. Short codes are looked up, long ones counted
//! out. Never: a table made at run time.

/// Bits of each symbol's code; the last is EOS, which never stands in a text.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const LONGEST_BITS: usize = 30;

/// Codes up to this length are looked up. unit bit
const SHORT_BITS: u32 = 9;

/// By the next bits: the symbol and, above it, the bits of its code; 0: the code is longer.
const SHORT: [u16; 1 << SHORT_BITS] = short_codes();

/// Symbols by the length of their codes, then by number.
const SYMBOLS: [u16; 257] = symbols();

/// By length: the first code, how many there are, and where their symbols start.
const FIRST: [(u32, u16, u16); LONGEST_BITS + 1] = first_codes();

const fn symbols() -> [u16; 257] {
    let mut sorted = [0; 257];
    let (mut place, mut bits) = (0, 1);
    while bits <= LONGEST_BITS {
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == bits {
                sorted[place] = symbol as u16;
                place += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    sorted
}

const fn first_codes() -> [(u32, u16, u16); LONGEST_BITS + 1] {
    let mut first = [(0, 0, 0); LONGEST_BITS + 1];
    let (mut code, mut place, mut bits) = (0u32, 0u16, 1);
    while bits <= LONGEST_BITS {
        let (mut count, mut symbol) = (0u16, 0);
        while symbol < 257 {
            count += (LENGTHS[symbol] as usize == bits) as u16;
            symbol += 1;
        }
        first[bits] = (code, count, place);
        code = (code + count as u32) << 1;
        place += count;
        bits += 1;
    }
    first
}

const fn short_codes() -> [u16; 1 << SHORT_BITS] {
    let mut short = [0; 1 << SHORT_BITS];
    let (first, symbols) = (first_codes(), symbols());
    let mut bits = 1;
    while bits <= SHORT_BITS {
        let (code, count, place) = first[bits as usize];
        let mut nth = 0;
        while nth < count {
            let entry = symbols[(place + nth) as usize] | (bits as u16) << 8;
            let free = SHORT_BITS - bits;
            let start = ((code + nth as u32) << free) as usize;
            let mut fill = 0;
            while fill < 1 << free {
                short[start + fill] = entry;
                fill += 1;
            }
            nth += 1;
        }
        bits += 1;
    }
    short
}

/// Appends the text of `encoded` to `text`. `false`: what follows the text there is no code, or
/// more padding than there may be; the text up to there was appended.
pub(crate) fn decode(encoded: &[u8], text: &mut Vec<u8>) -> bool {
    text.reserve(encoded.len() * 8 / 5 + 1);
    // The next bits stand at the top; below the `count` known ones are zeros.
    let (mut bits, mut count) = (0u64, 0u32);
    let mut rest = encoded;
    loop {
        while count <= 56
            && let Some((byte, after)) = rest.split_first()
        {
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
            rest = after;
        }
        // Enough for any code, or all there is.
        let enough = if rest.is_empty() { 1 } else { LONGEST_BITS as u32 };
        while count >= enough {
            let entry = SHORT[(bits >> (64 - SHORT_BITS)) as usize];
            let (symbol, length) = match entry {
                0 => match long_code(bits) {
                    Some((symbol, length)) => (symbol, length),
                    None => return is_padding(bits, count),
                },
                entry => (entry as u8, u32::from(entry >> 8)),
            };
            if length > count {
                return is_padding(bits, count);
            }
            text.push(symbol);
            bits <<= length;
            count -= length;
        }
        if rest.is_empty() {
            return true;
        }
    }
}

/// A code longer than the short ones; `None`: EOS.
fn long_code(bits: u64) -> Option<(u8, u32)> {
    for length in SHORT_BITS + 1..=LONGEST_BITS as u32 {
        let (first, count, place) = FIRST[length as usize];
        let code = (bits >> (64 - length)) as u32;
        if code.wrapping_sub(first) < u32::from(count) {
            let symbol = SYMBOLS[usize::from(place) + (code - first) as usize];
            return u8::try_from(symbol).ok().map(|symbol| (symbol, length));
        }
    }
    None
}

/// Fewer than eight bits, all of them 1 (§5.2).
fn is_padding(bits: u64, count: u32) -> bool {
    count < 8 && bits == !(u64::MAX >> count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoded: &[u8]) -> (Vec<u8>, bool) {
        let mut text = Vec::new();
        let whole = decode(encoded, &mut text);
        (text, whole)
    }

    /// Encodes by the same lengths: each symbol, then padding.
    fn encoded(text: &[u8]) -> Vec<u8> {
        let code_of = |symbol: u8| {
            let length = LENGTHS[usize::from(symbol)];
            let (first, _, place) = FIRST[usize::from(length)];
            let nth = SYMBOLS[usize::from(place)..]
                .iter()
                .position(|one| *one == u16::from(symbol))
                .expect("every symbol has a code");
            (first + nth as u32, u32::from(length))
        };
        let (mut out, mut bits, mut count) = (Vec::new(), 0u64, 0);
        for (code, length) in text.iter().map(|symbol| code_of(*symbol)) {
            bits = bits << length | u64::from(code);
            count += length;
            while count >= 8 {
                count -= 8;
                out.push((bits >> count) as u8);
            }
        }
        if count > 0 {
            out.push((bits << (8 - count)) as u8 | 0xff >> count);
        }
        out
    }

    #[test]
    fn examples_of_the_rfc() {
        // RFC 7541, Appendix C.4 and C.6.
        let hex = b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        assert_eq!(decoded(hex), (b"www.example.com".to_vec(), true));
        assert_eq!(decoded(b"\xa8\xeb\x10\x64\x9c\xbf"), (b"no-cache".to_vec(), true));
        assert_eq!(decoded(b"\x64\x02"), (b"302".to_vec(), true));
        let date = b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\
            \x2d\x1b\xff";
        assert_eq!(decoded(date), (b"Mon, 21 Oct 2013 20:13:21 GMT".to_vec(), true));
    }

    #[test]
    fn the_code_is_complete() {
        let sum: u64 = LENGTHS.iter().map(|length| 1u64 << (LONGEST_BITS - *length as usize)).sum();
        assert_eq!(sum, 1 << LONGEST_BITS);
    }

    #[test]
    fn every_symbol_comes_back() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(decoded(&encoded(&all)), (all.clone(), true));
        for symbol in 0..=255 {
            assert_eq!(decoded(&encoded(&[symbol; 3])), (vec![symbol; 3], true));
        }
        assert_eq!(decoded(b""), (Vec::new(), true));
    }

    #[test]
    fn bad_ends_are_told() {
        // A whole octet of padding, padding with a zero, EOS.
        assert!(!decoded(b"\x64\x02\xff").1);
        assert!(!decoded(b"\x1e").1);
        assert!(!decoded(b"\xff\xff\xff\xff").1);
    }
}
