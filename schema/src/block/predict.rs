//! Predictions of a column's integers from rows above and from other columns.
//!
//! The writer picks; the reader only follows. Which columns go together is known here by name,
//! and only as a hint: a wrong one costs bytes, never correctness.

use std::collections::HashMap;

use super::BlockError;
use crate::ColumnDef;
use crate::wire::bytes::{Reader, Writer};

/// A row without an earlier row of the same key.
const NO_ROW: u32 = u32::MAX;

/// How a value is predicted; see `ints.rs` for the meaning. Operands are column numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Prediction {
    Offset(u64),
    Delta,
    Keyed(u16),
    Minus(u16),
    Difference(u16, u16, i64),
    SecondsOf(u16),
}

impl Prediction {
    pub fn put(&self, out: &mut Writer) {
        let (op, operands): (u8, &[u64]) = match *self {
            Self::Offset(base) => (0, &[base]),
            Self::Delta => (1, &[]),
            Self::Keyed(id) => (2, &[id.into()]),
            Self::Minus(id) => (3, &[id.into()]),
            Self::Difference(a, b, factor) => (4, &[a.into(), b.into(), zigzag(factor as u64)]),
            Self::SecondsOf(id) => (5, &[id.into()]),
        };
        out.u8(op);
        operands.iter().for_each(|operand| out.uint(*operand));
    }

    pub fn take(op: u8, reader: &mut Reader) -> Result<Self, BlockError> {
        Ok(match op {
            0 => Self::Offset(reader.uint("ints.base")?),
            1 => Self::Delta,
            2 => Self::Keyed(reader.fit("ints.key")?),
            3 => Self::Minus(reader.fit("ints.column")?),
            4 => {
                let (a, b) = (reader.fit("ints.a")?, reader.fit("ints.b")?);
                Self::Difference(a, b, unzigzag(reader.uint("ints.factor")?) as i64)
            }
            5 => Self::SecondsOf(reader.fit("ints.column")?),
            _ => return Err(BlockError::Column { id: 0, what: "unknown operation" }),
        })
    }

    /// The predicted value of `row`; `values` holds the rows above. `bases` has been prepared.
    #[inline]
    pub fn predict(&self, values: &[u64], bases: &Bases, row: usize) -> u64 {
        let above = |row: usize| if row == 0 { 0 } else { values[row - 1] };
        match *self {
            Self::Offset(base) => base,
            Self::Delta => above(row),
            Self::Keyed(_) => match bases.previous[row] {
                NO_ROW => above(row),
                previous => values[previous as usize],
            },
            Self::Minus(id) => bases.at(id, row),
            Self::Difference(a, b, factor) => {
                let off = bases.at(b, row).wrapping_mul(factor as u64);
                bases.at(a, row).wrapping_sub(off)
            }
            Self::SecondsOf(id) => (bases.at(id, row) as i64 / 1_000_000) as u64,
        }
    }
}

/// Columns that predictions refer to, as 64-bit integers.
#[derive(Default)]
pub(super) struct Bases {
    columns: Vec<(u16, Vec<u64>)>,
    key: Option<u16>,
    previous: Vec<u32>,
}

impl Bases {
    /// Makes a column available.
    pub fn add(&mut self, id: u16, values: Vec<u64>) {
        self.columns.push((id, values));
    }

    /// Whether everything that the prediction needs for `rows` rows is there.
    pub fn prepare(&mut self, prediction: &Prediction, rows: usize) -> bool {
        let has = |id: u16| self.find(id).is_some_and(|values| values.len() == rows);
        match *prediction {
            Prediction::Offset(_) | Prediction::Delta => true,
            Prediction::Minus(id) | Prediction::SecondsOf(id) => has(id),
            Prediction::Difference(a, b, _) => has(a) && has(b),
            Prediction::Keyed(id) => {
                if !has(id) {
                    return false;
                }
                if self.key != Some(id) {
                    self.previous = previous_rows(self.find(id).unwrap_or(&[]));
                    self.key = Some(id);
                }
                true
            }
        }
    }

    pub fn find(&self, id: u16) -> Option<&[u64]> {
        self.columns.iter().find(|(known, _)| *known == id).map(|(_, values)| values.as_slice())
    }

    #[inline]
    fn at(&self, id: u16, row: usize) -> u64 {
        self.find(id).and_then(|values| values.get(row)).copied().unwrap_or(0)
    }
}

/// For each row the last row above with the same key.
fn previous_rows(keys: &[u64]) -> Vec<u32> {
    let mut last: HashMap<u64, u32> = HashMap::new();
    let row_of = |(row, key): (usize, &u64)| last.insert(*key, row as u32).unwrap_or(NO_ROW);
    keys.iter().enumerate().map(row_of).collect()
}

/// Columns that others are predicted from; they are written first, in this order.
const BASES: [&str; 18] = [
    "flow_id",
    "start_time",
    "end_time",
    "packet_tx",
    "packet_rx",
    "byte_tx",
    "byte_rx",
    "l3_byte_tx",
    "l3_byte_rx",
    "l7_request",
    "l7_response",
    "rtt_client",
    "rtt_server",
    "art_count",
    "art_max",
    "art_sum",
    "srt_max",
    "captured_response_byte",
];

/// Column → what it is close to.
const NEAR: [(&str, &str); 17] = [
    ("end_time", "start_time"),
    ("packet_rx", "packet_tx"),
    ("total_packet_tx", "packet_tx"),
    ("total_packet_rx", "packet_rx"),
    ("total_byte_tx", "byte_tx"),
    ("total_byte_rx", "byte_rx"),
    ("response_length", "captured_response_byte"),
    ("l7_response", "l7_request"),
    ("art_count", "l7_response"),
    ("rrt_count", "l7_response"),
    ("srt_count", "l7_response"),
    ("rrt_max", "art_max"),
    ("rrt_sum", "art_sum"),
    ("art_sum", "art_max"),
    ("srt_sum", "srt_max"),
    ("response", "request"),
    ("rrt_count", "response"),
];

/// Column → first − factor × second: bytes of headers are about so many a packet.
const DIFFERENCES: [(&str, &str, &str, i64); 9] = [
    ("response_duration", "end_time", "start_time", 1),
    ("duration", "end_time", "start_time", 1),
    ("rtt", "rtt_client", "rtt_server", -1),
    ("l3_byte_tx", "byte_tx", "packet_tx", 34),
    ("l3_byte_rx", "byte_rx", "packet_rx", 34),
    ("l4_byte_tx", "l3_byte_tx", "packet_tx", 32),
    ("l4_byte_rx", "l3_byte_rx", "packet_rx", 32),
    ("l4_byte_tx", "l3_byte_tx", "packet_tx", 8),
    ("l4_byte_rx", "l3_byte_rx", "packet_rx", 8),
];

/// Whether other columns may be predicted from the column of this name.
pub(super) fn is_base(name: &str) -> bool {
    BASES.contains(&name) || NEAR.iter().any(|(_, near)| *near == name)
}

/// In which order columns are written, so that what predicts stands before what is predicted.
pub(super) fn write_order(defs: &[ColumnDef]) -> Vec<usize> {
    let rank = |index: &usize| {
        let name = defs[*index].name;
        (BASES.iter().position(|base| *base == name).unwrap_or(BASES.len()), *index)
    };
    let mut order: Vec<usize> = (0..defs.len()).collect();
    order.sort_by_key(rank);
    order
}

/// Predictions worth trying for a column.
pub(super) fn candidates(defs: &[ColumnDef], def: &ColumnDef) -> Vec<Prediction> {
    let id_of = |name: &str| defs.iter().find(|other| other.name == name).map(|other| other.id);
    let mut found = Vec::new();
    if let Some(key) = id_of("flow_id").filter(|key| *key != def.id) {
        found.push(Prediction::Keyed(key));
    }
    for (name, near) in NEAR {
        if name == def.name {
            found.extend(id_of(near).map(Prediction::Minus));
        }
    }
    for (name, first, second, factor) in DIFFERENCES {
        if name == def.name
            && let (Some(first), Some(second)) = (id_of(first), id_of(second))
        {
            found.push(Prediction::Difference(first, second, factor));
        }
    }
    if def.name == "time" {
        found.extend(id_of("end_time").map(Prediction::SecondsOf));
    }
    found
}

/// Small numbers of either sign as small unsigned numbers.
pub(super) fn zigzag(value: u64) -> u64 {
    (value << 1) ^ ((value as i64 >> 63) as u64)
}

/// The inverse of `zigzag`.
pub(super) fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}
