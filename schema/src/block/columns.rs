//! The body of a block: all columns, each with its number, type and length.

use super::predict::{Bases, Prediction, candidates, is_base, write_order};
use super::{BlockError, COLUMNS_MAX, Limits, ints, texts, type_id, type_of_id};
use crate::wire::bytes::{Reader, Writer};
use crate::{Column, ColumnDef, ColumnType};

const INTEGERS: u8 = 0;
const FLOATS: u8 = 1;

/// The body. `columns` go with `defs`; each holds `rows` rows.
pub(super) fn encode(defs: &[ColumnDef], columns: &[Column], rows: usize) -> Vec<u8> {
    debug_assert!(columns.iter().all(|column| column.len() == rows), "columns of unequal length");
    let mut bases = Bases::default();
    let mut out = Writer::default();
    out.uint(defs.len().min(columns.len()) as u64);
    for index in write_order(&defs[..defs.len().min(columns.len())]) {
        let def = &defs[index];
        let mut values = Writer::default();
        encode_column(&columns[index], &candidates(defs, def), &mut bases, &mut values);
        if is_base(def.name)
            && let Some(integers) = row_integers(&columns[index])
        {
            bases.add(def.id, integers);
        }
        out.uint(def.id.into());
        out.u8(type_id(def.kind));
        out.uint(values.0.len() as u64);
        out.raw(&values.0);
    }
    out.0
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
        if let Some(integers) = row_integers(&column) {
            charge(&mut budget_bytes, integers.len(), 8)?;
            bases.add(id, integers);
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

/// The integers of a column that others may be predicted from.
fn row_integers(column: &Column) -> Option<Vec<u64>> {
    match column {
        Column::Opt { values, .. } => integers(values),
        _ => integers(column),
    }
}

fn integers(column: &Column) -> Option<Vec<u64>> {
    Some(match column {
        Column::U8(values) => values.iter().map(|v| u64::from(*v)).collect(),
        Column::U16(values) => values.iter().map(|v| u64::from(*v)).collect(),
        Column::U32(values) => values.iter().map(|v| u64::from(*v)).collect(),
        Column::U64(values) => values.clone(),
        Column::I8(values) => values.iter().map(|v| i64::from(*v) as u64).collect(),
        Column::I32(values) => values.iter().map(|v| i64::from(*v) as u64).collect(),
        Column::I64(values) => values.iter().map(|v| *v as u64).collect(),
        _ => return None,
    })
}

fn encode_column(column: &Column, candidates: &[Prediction], bases: &mut Bases, out: &mut Writer) {
    match column {
        Column::F64(values) => encode_floats(values, out),
        Column::Text(values) => texts::encode(values, candidates, bases, out),
        Column::Ip6(values) => {
            // Two columns of integers: the upper half (network) and the lower (host).
            for half in [0, 8] {
                let halves: Vec<u64> = values.iter().map(|ip| half_of(ip, half)).collect();
                ints::encode(&halves, candidates, bases, out);
            }
        }
        Column::Opt { present, values } => {
            let flags: Vec<u64> = present.iter().map(|flag| u64::from(*flag)).collect();
            ints::encode(&flags, &[], bases, out);
            encode_column(values, candidates, bases, out);
        }
        Column::List { ends, values } => {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let lengths: Vec<u64> =
                ends.iter().zip(starts).map(|(end, start)| u64::from(end - start)).collect();
            ints::encode(&lengths, &[], bases, out);
            encode_column(values, &[], &mut Bases::default(), out);
        }
        integral => {
            let values = integers(integral).unwrap_or_default();
            ints::encode(&values, candidates, bases, out);
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
fn encode_floats(values: &[f64], out: &mut Writer) {
    let whole = |value: &f64| (*value as i64 as f64).to_bits() == value.to_bits();
    let mut bases = Bases::default();
    if values.iter().all(whole) {
        out.u8(INTEGERS);
        let integers: Vec<u64> = values.iter().map(|value| *value as i64 as u64).collect();
        ints::encode(&integers, &[], &mut bases, out);
    } else {
        out.u8(FLOATS);
        let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
        ints::encode(&bits, &[], &mut bases, out);
    }
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
