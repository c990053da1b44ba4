//! Texts of a column: end to end, or a dictionary of the distinct ones.
//!
//! ```text
//! texts := [0][lengths: ints][bytes]                                      rows texts
//!        | [1][entries: uint][lengths: ints][bytes][indices: ints]        distinct texts
//! ```

use hashbrown::HashMap;

use super::ints::Work;
use super::predict::{Bases, Prediction};
use super::{BlockError, ints};
use crate::TextColumn;
use crate::wire::bytes::{Reader, Writer};

const PLAIN: u8 = 0;
const DICTIONARY: u8 = 1;

/// Appends the texts. `candidates` predict the indices of a dictionary.
pub(super) fn encode(
    texts: &TextColumn,
    candidates: &[Prediction],
    work: &mut Work,
    out: &mut Writer,
) {
    match dictionary(texts) {
        Some((entries, indices)) => {
            out.u8(DICTIONARY);
            out.uint(entries.len() as u64);
            put_plain(&entries, work, out);
            ints::encode(&indices, candidates, work, out);
        }
        None => {
            out.u8(PLAIN);
            put_plain(texts, work, out);
        }
    }
}

/// Reads `rows` texts of together at most `budget_bytes` bytes, and takes them off the budget.
pub(super) fn decode(
    reader: &mut Reader,
    rows: usize,
    bases: &mut Bases,
    budget_bytes: &mut usize,
) -> Result<TextColumn, BlockError> {
    match reader.u8("texts.kind")? {
        PLAIN => take_plain(reader, rows, budget_bytes),
        DICTIONARY => {
            let count = reader.uint("texts.entries")?;
            if count > rows as u64 {
                return Err(BlockError::Column { id: 0, what: "dictionary too large" });
            }
            let entries = take_plain(reader, count as usize, budget_bytes)?;
            let indices = ints::decode(reader, rows, bases)?;
            spread(&entries, &indices, budget_bytes)
        }
        _ => Err(BlockError::Column { id: 0, what: "unknown kind of texts" }),
    }
}

/// Distinct texts in order of first appearance, and each row's index; `None` when most differ.
fn dictionary(texts: &TextColumn) -> Option<(TextColumn, Vec<u64>)> {
    let entries_max = (texts.len() / 2).max(1);
    let mut entries = TextColumn::default();
    let mut seen: HashMap<&[u8], u64> = HashMap::new();
    let mut indices = Vec::with_capacity(texts.len());
    let mut last: (&[u8], u64) = (&[], u64::MAX);
    for row in 0..texts.len() {
        let text = texts.bytes_of(row);
        if last.1 != u64::MAX && is_same(last.0, text) {
            indices.push(last.1);
            continue;
        }
        let next = entries.len() as u64;
        let index = *seen.entry(text).or_insert(next);
        if index == next {
            if entries.len() >= entries_max {
                return None;
            }
            entries.bytes.extend_from_slice(text);
            entries.ends.push(entries.bytes.len() as u32);
        }
        indices.push(index);
        last = (text, index);
    }
    Some((entries, indices))
}

/// Empty ones are not compared: where a column has no bytes they lie at an address that is none, and a
/// masked load of nothing from there takes `memcmp` ten times as long as a comparison.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}

fn put_plain(texts: &TextColumn, work: &mut Work, out: &mut Writer) {
    let starts = std::iter::once(0).chain(texts.ends.iter().copied());
    let lengths: Vec<u64> =
        texts.ends.iter().zip(starts).map(|(end, start)| u64::from(end - start)).collect();
    ints::encode(&lengths, &[], work, out);
    let end = texts.ends.last().map_or(0, |end| *end as usize);
    out.raw(&texts.bytes[..end]);
}

fn take_plain(
    reader: &mut Reader,
    count: usize,
    budget_bytes: &mut usize,
) -> Result<TextColumn, BlockError> {
    let lengths = ints::decode(reader, count, &mut Bases::default())?;
    let mut ends = Vec::with_capacity(count);
    let mut end = 0u32;
    for length in lengths {
        let next = u32::try_from(length).ok().and_then(|length| end.checked_add(length));
        end = next.ok_or(BlockError::TooManyBytes)?;
        ends.push(end);
    }
    *budget_bytes = budget_bytes.checked_sub(end as usize).ok_or(BlockError::TooManyBytes)?;
    let bytes = reader.take(end as usize, "texts.bytes")?;
    // Each text must be UTF-8 by itself: all of it, with no border inside a character.
    let text = std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?;
    if !ends.iter().all(|end| text.is_char_boundary(*end as usize)) {
        return Err(NOT_UTF8);
    }
    Ok(TextColumn { ends, bytes: bytes.to_vec() })
}

const NOT_UTF8: BlockError = BlockError::Column { id: 0, what: "text is not UTF-8" };

fn spread(
    entries: &TextColumn,
    indices: &[u64],
    budget_bytes: &mut usize,
) -> Result<TextColumn, BlockError> {
    let mut total = 0usize;
    for index in indices {
        if *index >= entries.len() as u64 {
            return Err(BlockError::Column { id: 0, what: "index outside dictionary" });
        }
        total += entries.bytes_of(*index as usize).len();
        if total > *budget_bytes || total > u32::MAX as usize {
            return Err(BlockError::TooManyBytes);
        }
    }
    *budget_bytes -= total;
    let mut texts =
        TextColumn { ends: Vec::with_capacity(indices.len()), bytes: Vec::with_capacity(total) };
    for index in indices {
        texts.bytes.extend_from_slice(entries.bytes_of(*index as usize));
        texts.ends.push(texts.bytes.len() as u32);
    }
    Ok(texts)
}
