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

use std::collections::HashMap;

use super::BlockError;
use super::predict::{Bases, Prediction, unzigzag, zigzag};
use crate::wire::bytes::{Reader, Writer};

/// Residues looked at to choose among predictions.
const SAMPLE_ROWS: usize = 1024;
/// Entries of a dictionary of integers.
const DICTIONARY_ENTRIES_MAX: usize = 4096;
const OP_DICTIONARY: u8 = 6;

/// Appends the values with the cheapest of `offset`, `delta`, a dictionary and `candidates`.
pub(super) fn encode(
    values: &[u64],
    candidates: &[Prediction],
    bases: &mut Bases,
    out: &mut Writer,
) {
    let base = values.iter().map(|v| *v as i64).min().unwrap_or(0) as u64;
    let offset = Prediction::Offset(base);
    if values.iter().all(|v| *v == base) {
        return put(&offset, values, bases, out);
    }
    let start = values.len().saturating_sub(SAMPLE_ROWS) / 2;
    let sample = start..(start + SAMPLE_ROWS).min(values.len());
    let mut best = (f32::MAX, offset);
    for candidate in [offset, Prediction::Delta].iter().chain(candidates) {
        if !bases.prepare(candidate, values.len()) {
            continue;
        }
        let residues: Vec<u64> =
            sample.clone().map(|row| residue(candidate, values, bases, row)).collect();
        let bits = information_bits(&residues);
        if bits < best.0 {
            best = (bits, *candidate);
        }
    }
    if let Some((entries, indices)) = dictionary(values, &sample) {
        let entry_bits: usize =
            entries.iter().map(|entry| 72 - entry.leading_zeros() as usize).sum();
        let index_bits = information_bits(&indices[sample.clone()]);
        // The entries are spread over all rows, the sample is not.
        let share = sample.len() as f32 / values.len() as f32;
        if index_bits + entry_bits as f32 * share < best.0 {
            out.u8(OP_DICTIONARY);
            out.uint(entries.len() as u64);
            entries.iter().for_each(|entry| out.uint(*entry));
            return put_planes(&indices, out);
        }
    }
    put(&best.1, values, bases, out);
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
    let residues = take_planes(reader, rows)?;
    let mut values = residues;
    for row in 0..rows {
        let step = match prediction {
            Prediction::Offset(_) => values[row],
            _ => unzigzag(values[row]),
        };
        values[row] = prediction.predict(&values, bases, row).wrapping_add(step);
    }
    Ok(values)
}

/// An error whose column the caller fills in.
pub(super) const WRONG_REFERENCE: BlockError =
    BlockError::Column { id: 0, what: "refers to a column that is not there" };

fn put(prediction: &Prediction, values: &[u64], bases: &Bases, out: &mut Writer) {
    prediction.put(out);
    let residues: Vec<u64> =
        (0..values.len()).map(|row| residue(prediction, values, bases, row)).collect();
    put_planes(&residues, out);
}

fn residue(prediction: &Prediction, values: &[u64], bases: &Bases, row: usize) -> u64 {
    let missed = values[row].wrapping_sub(prediction.predict(values, bases, row));
    match prediction {
        Prediction::Offset(_) => missed,
        _ => zigzag(missed),
    }
}

/// Entries in order of first appearance, and each row's index; `None` when there are too many.
fn dictionary(values: &[u64], sample: &std::ops::Range<usize>) -> Option<(Vec<u64>, Vec<u64>)> {
    index(&values[sample.clone()], sample.len() / 2)?;
    index(values, DICTIONARY_ENTRIES_MAX.min(values.len() / 4))
}

fn index(values: &[u64], entries_max: usize) -> Option<(Vec<u64>, Vec<u64>)> {
    let mut entries = Vec::new();
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let mut indices = Vec::with_capacity(values.len());
    for value in values {
        let next = entries.len() as u64;
        let index = *seen.entry(*value).or_insert(next);
        if index == next {
            if entries.len() >= entries_max {
                return None;
            }
            entries.push(*value);
        }
        indices.push(index);
    }
    Some((entries, indices))
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

/// What an order-0 entropy coder would need for the residues' byte planes.
fn information_bits(residues: &[u64]) -> f32 {
    let all = residues.iter().fold(0, |all, residue| all | residue);
    let width = (64 - all.leading_zeros()).div_ceil(8);
    let total = residues.len() as f32;
    let mut bits = 0.0;
    for plane in 0..width {
        let mut counts = [0u32; 256];
        for residue in residues {
            counts[(residue >> (8 * plane)) as usize & 0xff] += 1;
        }
        for count in counts.into_iter().filter(|count| *count > 0) {
            bits += count as f32 * (total / count as f32).log2();
        }
    }
    bits
}
