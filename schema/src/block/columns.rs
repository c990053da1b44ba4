//! The body of a block: all columns, each with its number, type and length.

use super::predict::{Bases, Prediction, candidates, is_base, write_order};
use super::{BlockError, COLUMNS_MAX, Limits, ints, texts, type_id, type_of_id};
use crate::wire::bytes::{Reader, Writer};
use crate::{Column, ColumnDef, ColumnType};

const INTEGERS: u8 = 0;
const FLOATS: u8 = 1;

/// What encoding needs, kept from block to block.
#[derive(Default)]
pub(super) struct Work {
    ints: ints::Work,
    body: Writer,
    /// Values of one column.
    values: Writer,
    /// Integers of one column.
    wide: Vec<u64>,
}

/// The body. `columns` go with `defs`; each holds `rows` rows.
pub(super) fn encode<'a>(
    defs: &[ColumnDef],
    columns: &[Column],
    rows: usize,
    work: &'a mut Work,
) -> &'a [u8] {
    debug_assert!(columns.iter().all(|column| column.len() == rows), "columns of unequal length");
    work.ints.bases.clear();
    work.body.0.clear();
    work.body.uint(defs.len().min(columns.len()) as u64);
    for index in write_order(&defs[..defs.len().min(columns.len())]) {
        let (def, column) = (&defs[index], &columns[index]);
        work.values.0.clear();
        encode_column(column, &candidates(defs, def), work);
        if is_base(def.name)
            && let Some(integers) = integers_of(column)
        {
            work.ints.bases.add(def.id, |values| widen(integers, values));
        }
        work.body.uint(def.id.into());
        work.body.u8(type_id(def.kind));
        work.body.uint(work.values.0.len() as u64);
        work.body.raw(&work.values.0);
    }
    &work.body.0
}

/// The columns of `defs`, in their order; those that the body lacks hold defaults.
pub(super) fn decode(
    body: &[u8],
    rows: usize,
    defs: &[ColumnDef],
    limits: &Limits,
) -> Result<Vec<Column>, BlockError> {
    let mut reader = Reader(body);
    let count = reader.uint("block.columns")?;
    if count > COLUMNS_MAX {
        return Err(BlockError::TooManyBytes);
    }
    let mut found: Vec<Option<Column>> = vec![None; defs.len()];
    let mut bases = Bases::default();
    let mut budget_bytes = limits.decoded_bytes_max;
    for _ in 0..count {
        let id: u16 = reader.fit("column.id")?;
        let kind = reader.u8("column.type")?;
        let length: usize = reader.fit("column.bytes")?;
        let values = Reader(reader.take(length, "column.values")?);
        // A type of a later version: such a column cannot be one of ours.
        let Some(kind) = type_of_id(kind) else { continue };
        let place = defs.iter().position(|def| def.id == id);
        if place.is_some_and(|place| defs[place].kind != kind || found[place].is_some()) {
            return Err(BlockError::Column { id, what: "of another type, or twice" });
        }
        let column = decode_column(values, kind, rows, &mut bases, &mut budget_bytes)
            .map_err(|error| name_column(error, id))?;
        if let Some(integers) = integers_of(&column) {
            charge(&mut budget_bytes, rows, 8)?;
            bases.add(id, |values| widen(integers, values));
        }
        if let Some(place) = place {
            found[place] = Some(column);
        }
    }
    let complete = |(def, column): (&ColumnDef, Option<Column>)| {
        if column.is_none() {
            charge(&mut budget_bytes, rows, 24)?;
        }
        Ok(column.unwrap_or_else(|| Column::defaults(def.kind, rows)))
    };
    defs.iter().zip(found).map(complete).collect()
}

fn name_column(error: BlockError, id: u16) -> BlockError {
    match error {
        BlockError::Column { what, .. } => BlockError::Column { id, what },
        other => other,
    }
}

fn charge(budget_bytes: &mut usize, entries: usize, entry_bytes: usize) -> Result<(), BlockError> {
    let bytes = entries.saturating_mul(entry_bytes);
    *budget_bytes = budget_bytes.checked_sub(bytes).ok_or(BlockError::TooManyBytes)?;
    Ok(())
}

/// The column whose integers others may be predicted from.
fn integers_of(column: &Column) -> Option<&Column> {
    match column {
        Column::Opt { values, .. } => integers_of(values),
        Column::F64(_) | Column::Text(_) | Column::Ip6(_) | Column::List { .. } => None,
        integral => Some(integral),
    }
}

/// Puts the integers of a column in the place of what `out` holds.
fn widen(column: &Column, out: &mut Vec<u64>) {
    out.clear();
    match column {
        Column::U8(values) => out.extend(values.iter().map(|v| u64::from(*v))),
        Column::U16(values) => out.extend(values.iter().map(|v| u64::from(*v))),
        Column::U32(values) => out.extend(values.iter().map(|v| u64::from(*v))),
        Column::U64(values) => out.extend_from_slice(values),
        Column::I8(values) => out.extend(values.iter().map(|v| i64::from(*v) as u64)),
        Column::I32(values) => out.extend(values.iter().map(|v| i64::from(*v) as u64)),
        Column::I64(values) => out.extend(values.iter().map(|v| *v as u64)),
        Column::F64(_)
        | Column::Text(_)
        | Column::Ip6(_)
        | Column::Opt { .. }
        | Column::List { .. } => {}
    }
}

/// Appends a column to `work.values`.
fn encode_column(column: &Column, candidates: &[Prediction], work: &mut Work) {
    let Work { ints, values: out, wide, .. } = work;
    match column {
        Column::F64(values) => encode_floats(values, work),
        Column::Text(values) => texts::encode(values, candidates, ints, out),
        Column::Ip6(values) => {
            // Two columns of integers: the upper half (network) and the lower (host).
            for half in [0, 8] {
                wide.clear();
                wide.extend(values.iter().map(|ip| half_of(ip, half)));
                ints::encode(wide, candidates, ints, out);
            }
        }
        Column::Opt { present, values } => {
            wide.clear();
            wide.extend(present.iter().map(|flag| u64::from(*flag)));
            ints::encode(wide, &[], ints, out);
            encode_column(values, candidates, work);
        }
        Column::List { ends, values } => {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            wide.clear();
            wide.extend(ends.iter().zip(starts).map(|(end, start)| u64::from(end - start)));
            ints::encode(wide, &[], ints, out);
            encode_column(values, &[], work);
        }
        Column::U64(values) => ints::encode(values, candidates, ints, out),
        integral => {
            widen(integral, wide);
            ints::encode(wide, candidates, ints, out);
        }
    }
}

fn decode_column(
    mut reader: Reader,
    kind: ColumnType,
    rows: usize,
    bases: &mut Bases,
    budget_bytes: &mut usize,
) -> Result<Column, BlockError> {
    take_column(&mut reader, Column::new(kind), rows, bases, budget_bytes)
}

/// Reads `rows` values into `empty`, whose shape says what to read.
fn take_column(
    reader: &mut Reader,
    empty: Column,
    rows: usize,
    bases: &mut Bases,
    budget_bytes: &mut usize,
) -> Result<Column, BlockError> {
    charge(budget_bytes, rows, 16)?;
    let mut ints = |reader: &mut Reader| ints::decode(reader, rows, bases);
    Ok(match empty {
        Column::U8(_) => Column::U8(ints(reader)?.into_iter().map(|v| v as u8).collect()),
        Column::U16(_) => Column::U16(ints(reader)?.into_iter().map(|v| v as u16).collect()),
        Column::U32(_) => Column::U32(ints(reader)?.into_iter().map(|v| v as u32).collect()),
        Column::U64(_) => Column::U64(ints(reader)?),
        Column::I8(_) => Column::I8(ints(reader)?.into_iter().map(|v| v as i8).collect()),
        Column::I32(_) => Column::I32(ints(reader)?.into_iter().map(|v| v as i32).collect()),
        Column::I64(_) => Column::I64(ints(reader)?.into_iter().map(|v| v as i64).collect()),
        Column::F64(_) => Column::F64(take_floats(reader, rows)?),
        Column::Text(_) => Column::Text(texts::decode(reader, rows, bases, budget_bytes)?),
        Column::Ip6(_) => {
            charge(budget_bytes, rows, 16)?;
            let (high, low) = (ints(reader)?, ints(reader)?);
            let join =
                |(high, low): (u64, u64)| (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
            Column::Ip6(high.into_iter().zip(low).map(join).collect())
        }
        Column::Opt { values, .. } => {
            let present = ints(reader)?.into_iter().map(|flag| flag != 0).collect();
            let values = take_column(reader, *values, rows, bases, budget_bytes)?;
            Column::Opt { present, values: Box::new(values) }
        }
        Column::List { values, .. } => {
            let lengths = ints(reader)?;
            take_list(reader, *values, &lengths, budget_bytes)?
        }
    })
}

fn take_list(
    reader: &mut Reader,
    empty: Column,
    lengths: &[u64],
    budget_bytes: &mut usize,
) -> Result<Column, BlockError> {
    let mut ends = Vec::with_capacity(lengths.len());
    let mut end = 0u32;
    for length in lengths {
        let next = u32::try_from(*length).ok().and_then(|length| end.checked_add(length));
        end = next.ok_or(BlockError::TooManyBytes)?;
        ends.push(end);
    }
    let values = take_column(reader, empty, end as usize, &mut Bases::default(), budget_bytes)?;
    Ok(Column::List { ends, values: Box::new(values) })
}

/// Doubles that are whole numbers (sums of microseconds) travel as integers.
fn encode_floats(values: &[f64], work: &mut Work) {
    let Work { ints, values: out, wide, .. } = work;
    let whole = |value: &f64| (*value as i64 as f64).to_bits() == value.to_bits();
    wide.clear();
    if values.iter().all(whole) {
        out.u8(INTEGERS);
        wide.extend(values.iter().map(|value| *value as i64 as u64));
    } else {
        out.u8(FLOATS);
        wide.extend(values.iter().map(|value| value.to_bits()));
    }
    ints::encode(wide, &[], ints, out);
}

fn take_floats(reader: &mut Reader, rows: usize) -> Result<Vec<f64>, BlockError> {
    let kind = reader.u8("floats.kind")?;
    let values = ints::decode(reader, rows, &mut Bases::default())?;
    match kind {
        INTEGERS => Ok(values.into_iter().map(|value| value as i64 as f64).collect()),
        FLOATS => Ok(values.into_iter().map(f64::from_bits).collect()),
        _ => Err(BlockError::Column { id: 0, what: "unknown kind of doubles" }),
    }
}

fn half_of(ip: &[u8; 16], start: usize) -> u64 {
    let shift = 64 - 8 * start as u32;
    (u128::from_be_bytes(*ip) >> shift) as u64
}
