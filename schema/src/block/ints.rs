//! Integers of a column: predicted, and what the prediction missed as byte planes.
//!
//! ```text
//! ints       := [op: u8][operands][width: u8][planes: rows × width]
//! op 0 offset      [base: uint]            value = base + residue
//! op 1 delta                               value = value above + zigzag
//! op 2 keyed       [column: uint]          value = last value of the same key + zigzag
//! op 3 minus       [column: uint]          value = that column + zigzag
//! op 4 difference  [a: uint][b: uint][f: zigzag]   value = a − f × b + zigzag
//! op 5 seconds     [column: uint]          value = that column ÷ 1 000 000 + zigzag
//! op 6 dictionary  [entries: uint][entry: uint]…   value = entries[residue]
//! ```
//! Plane p holds byte p of each residue: a plane of little information costs zstd next to
//! nothing. All arithmetic wraps at 64 bits, so that every sequence of values round-trips.

use std::ops::Range;
use std::sync::LazyLock;

use hashbrown::HashMap;

use super::BlockError;
use super::predict::{Bases, Prediction};
use crate::wire::bytes::{Reader, Writer};

/// Residues looked at to choose among predictions.
const SAMPLE_ROWS: usize = 1024;
/// Entries of a dictionary of integers.
const DICTIONARY_ENTRIES_MAX: usize = 4096;
const OP_DICTIONARY: u8 = 6;

/// What encoding needs, kept from column to column and from block to block: some hundred kilobytes, which
/// allocators get from the kernel and give back each time.
#[derive(Default)]
pub(super) struct Work {
    pub bases: Bases,
    missed: Vec<u64>,
    dictionary: Dictionary,
}

/// Appends the values with the cheapest of `offset`, `delta`, a dictionary and `candidates`.
pub(super) fn encode(values: &[u64], candidates: &[Prediction], work: &mut Work, out: &mut Writer) {
    let Work { bases, missed, dictionary } = work;
    let first = values.first().copied().unwrap_or(0);
    // Most columns of most batches: nothing is missed, and there are no planes.
    if values.iter().all(|value| *value == first) {
        Prediction::Offset(first).put(out);
        return out.u8(0);
    }
    let base = values.iter().map(|v| *v as i64).min().unwrap_or(0) as u64;
    let offset = Prediction::Offset(base);
    let start = values.len().saturating_sub(SAMPLE_ROWS) / 2;
    let sample = start..(start + SAMPLE_ROWS).min(values.len());
    let mut best = (f32::MAX, offset);
    for candidate in [offset, Prediction::Delta].iter().chain(candidates) {
        if !bases.prepare(candidate, values.len()) {
            continue;
        }
        missed.clear();
        candidate.miss(values, bases, sample.clone(), missed);
        let bits = information_bits(missed);
        if bits < best.0 {
            best = (bits, *candidate);
        }
    }
    if dictionary.fill(values, &sample) {
        let Dictionary { entries, indices, .. } = dictionary;
        let entry_bits: usize =
            entries.iter().map(|entry| 72 - entry.leading_zeros() as usize).sum();
        let index_bits = information_bits(&indices[sample.clone()]);
        // The entries are spread over all rows, the sample is not.
        let share = sample.len() as f32 / values.len() as f32;
        if index_bits + entry_bits as f32 * share < best.0 {
            out.u8(OP_DICTIONARY);
            out.uint(entries.len() as u64);
            entries.iter().for_each(|entry| out.uint(*entry));
            return put_planes(indices, out);
        }
    }
    best.1.put(out);
    missed.clear();
    best.1.miss(values, bases, 0..values.len(), missed);
    put_planes(missed, out);
}

/// Reads `rows` values; `budget` has been charged for them.
pub(super) fn decode(
    reader: &mut Reader,
    rows: usize,
    bases: &mut Bases,
) -> Result<Vec<u64>, BlockError> {
    let op = reader.u8("ints.op")?;
    if op == OP_DICTIONARY {
        return decode_dictionary(reader, rows);
    }
    let prediction = Prediction::take(op, reader)?;
    if !bases.prepare(&prediction, rows) {
        return Err(WRONG_REFERENCE);
    }
    let mut values = take_planes(reader, rows)?;
    prediction.restore(&mut values, bases);
    Ok(values)
}

/// An error whose column the caller fills in.
pub(super) const WRONG_REFERENCE: BlockError =
    BlockError::Column { id: 0, what: "refers to a column that is not there" };

/// Entries in order of first appearance, and each row's index.
#[derive(Default)]
struct Dictionary {
    entries: Vec<u64>,
    indices: Vec<u64>,
    seen: HashMap<u64, u64>,
}

impl Dictionary {
    /// That of `values`; `false` when there are too many entries.
    fn fill(&mut self, values: &[u64], sample: &Range<usize>) -> bool {
        self.index(&values[sample.clone()], sample.len() / 2)
            && self.index(values, DICTIONARY_ENTRIES_MAX.min(values.len() / 4))
    }

    fn index(&mut self, values: &[u64], entries_max: usize) -> bool {
        let Self { entries, indices, seen } = self;
        entries.clear();
        indices.clear();
        seen.clear();
        for value in values {
            let next = entries.len() as u64;
            let index = *seen.entry(*value).or_insert(next);
            if index == next {
                if entries.len() >= entries_max {
                    return false;
                }
                entries.push(*value);
            }
            indices.push(index);
        }
        true
    }
}

fn decode_dictionary(reader: &mut Reader, rows: usize) -> Result<Vec<u64>, BlockError> {
    let count = reader.uint("ints.entries")?;
    if count > DICTIONARY_ENTRIES_MAX as u64 {
        return Err(BlockError::Column { id: 0, what: "dictionary too large" });
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(reader.uint("ints.entry")?);
    }
    let mut values = take_planes(reader, rows)?;
    for value in &mut values {
        let entry = usize::try_from(*value).ok().and_then(|index| entries.get(index));
        *value = *entry.ok_or(BlockError::Column { id: 0, what: "index outside dictionary" })?;
    }
    Ok(values)
}

fn put_planes(residues: &[u64], out: &mut Writer) {
    let all = residues.iter().fold(0, |all, residue| all | residue);
    let width = (64 - all.leading_zeros()).div_ceil(8) as usize;
    out.u8(width as u8);
    for plane in 0..width {
        out.0.extend(residues.iter().map(|residue| (residue >> (8 * plane)) as u8));
    }
}

fn take_planes(reader: &mut Reader, rows: usize) -> Result<Vec<u64>, BlockError> {
    let width = usize::from(reader.u8("ints.width")?);
    if width > 8 {
        return Err(BlockError::Column { id: 0, what: "integers wider than 8 bytes" });
    }
    let planes = reader.take(rows * width, "ints.planes")?;
    let mut residues = vec![0u64; rows];
    if rows > 0 {
        for (plane, bytes) in planes.chunks_exact(rows).enumerate() {
            for (residue, byte) in residues.iter_mut().zip(bytes) {
                *residue |= u64::from(*byte) << (8 * plane);
            }
        }
    }
    Ok(residues)
}

/// What an order-0 entropy coder would need for the residues' byte planes: for each byte value that
/// comes `n` times of `total`, `n * log2(total / n)`.
fn information_bits(residues: &[u64]) -> f32 {
    static SHARES: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let share = |n: usize| if n == 0 { 0.0 } else { n as f32 * (n as f32).log2() };
        (0..=SAMPLE_ROWS).map(share).collect()
    });
    let shares = &SHARES[..];
    let share = |count: usize| shares.get(count).copied().unwrap_or(0.0);
    let all = residues.iter().fold(0, |all, residue| all | residue);
    let width = (64 - all.leading_zeros()).div_ceil(8);
    let mut bits = 0.0;
    for plane in 0..width {
        let mut counts = [0u16; 256];
        for residue in residues {
            counts[(residue >> (8 * plane)) as usize & 0xff] += 1;
        }
        bits += share(residues.len());
        bits -= counts.iter().map(|count| share(usize::from(*count))).sum::<f32>();
    }
    bits
}
