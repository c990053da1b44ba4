//! Predictions of a column's integers from rows above and from other columns.
//!
//! The writer picks; the reader only follows. Which columns go together is known here by name,
//! and only as a hint: a wrong one costs bytes, never correctness.

use std::ops::Range;

use hashbrown::HashMap;

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

    /// Appends what it misses of `values` in `rows`. `bases` has been prepared.
    pub fn miss(&self, values: &[u64], bases: &Bases, rows: Range<usize>, out: &mut Vec<u64>) {
        let near = |row: usize, predicted: u64| zigzag(values[row].wrapping_sub(predicted));
        let above = |row: usize| if row == 0 { 0 } else { values[row - 1] };
        match *self {
            Self::Offset(base) => {
                out.extend(values[rows].iter().map(|value| value.wrapping_sub(base)));
            }
            Self::Delta => out.extend(rows.map(|row| near(row, above(row)))),
            Self::Keyed(_) => out.extend(rows.map(|row| match bases.previous[row] {
                NO_ROW => near(row, above(row)),
                previous => near(row, values[previous as usize]),
            })),
            Self::Minus(_) | Self::Difference(..) | Self::SecondsOf(_) => {
                bases.each(self, rows, |row, predicted| out.push(near(row, predicted)));
            }
        }
    }

    /// Puts values in the place of what it missed of them. `bases` has been prepared.
    pub fn restore(&self, values: &mut [u64], bases: &Bases) {
        match *self {
            Self::Offset(base) => {
                values.iter_mut().for_each(|value| *value = value.wrapping_add(base))
            }
            Self::Delta => {
                let mut above = 0u64;
                for value in values {
                    above = above.wrapping_add(unzigzag(*value));
                    *value = above;
                }
            }
            Self::Keyed(_) => {
                for row in 0..values.len() {
                    let predicted = match bases.previous[row] {
                        NO_ROW if row == 0 => 0,
                        NO_ROW => values[row - 1],
                        previous => values[previous as usize],
                    };
                    values[row] = predicted.wrapping_add(unzigzag(values[row]));
                }
            }
            Self::Minus(_) | Self::Difference(..) | Self::SecondsOf(_) => {
                bases.each(self, 0..values.len(), |row, predicted| {
                    values[row] = predicted.wrapping_add(unzigzag(values[row]));
                });
            }
        }
    }
}

/// Columns that predictions refer to, as 64-bit integers.
#[derive(Default)]
pub(super) struct Bases {
    columns: Vec<(u16, Vec<u64>)>,
    key: Option<u16>,
    previous: Vec<u32>,
    last: HashMap<u64, u32>,
    /// Memory of columns that were forgotten.
    spare: Vec<Vec<u64>>,
}

impl Bases {
    /// Makes a column available, which `fill` writes into an empty vector.
    pub fn add(&mut self, id: u16, fill: impl FnOnce(&mut Vec<u64>)) {
        let mut values = self.spare.pop().unwrap_or_default();
        values.clear();
        fill(&mut values);
        self.columns.push((id, values));
    }

    /// Forgets all columns.
    pub fn clear(&mut self) {
        self.spare.extend(self.columns.drain(..).map(|(_, values)| values));
        self.key = None;
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
                    self.follow(id);
                }
                true
            }
        }
    }

    /// Finds for each row the last row above with the same key.
    fn follow(&mut self, key: u16) {
        let Self { columns, previous, last, .. } = self;
        let keys = columns.iter().find(|(known, _)| *known == key).map(|(_, keys)| &keys[..]);
        last.clear();
        previous.clear();
        previous.extend(keys.unwrap_or(&[]).iter().enumerate().map(|(row, key)| {
            let row = u32::try_from(row).unwrap_or(NO_ROW);
            last.insert(*key, row).unwrap_or(NO_ROW)
        }));
        self.key = Some(key);
    }

    /// Tells each row what a prediction from other columns says of it.
    fn each(&self, prediction: &Prediction, rows: Range<usize>, mut tell: impl FnMut(usize, u64)) {
        let column = |id: u16| self.find(id).unwrap_or(&[]);
        let at = |values: &[u64], row: usize| values.get(row).copied().unwrap_or(0);
        match *prediction {
            Prediction::Offset(_) | Prediction::Delta | Prediction::Keyed(_) => {}
            Prediction::Minus(id) => {
                let values = column(id);
                rows.for_each(|row| tell(row, at(values, row)));
            }
            Prediction::Difference(a, b, factor) => {
                let (a, b) = (column(a), column(b));
                rows.for_each(|row| {
                    let off = at(b, row).wrapping_mul(factor as u64);
                    tell(row, at(a, row).wrapping_sub(off));
                });
            }
            Prediction::SecondsOf(id) => {
                let values = column(id);
                rows.for_each(|row| tell(row, (at(values, row) as i64 / 1_000_000) as u64));
            }
        }
    }

    fn find(&self, id: u16) -> Option<&[u64]> {
        self.columns.iter().find(|(known, _)| *known == id).map(|(_, values)| values.as_slice())
    }
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
