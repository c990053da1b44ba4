//! From rows to columns: the traits that generated tables implement.

use std::sync::{Mutex, PoisonError};

use crate::Text;
use crate::column::{Column, ColumnDef, Origin};
use crate::generated::tables::Table;

/// A generated row struct (`schema::l7_flow_log::Row` …): the columns that the agent fills.
pub trait Row: Sized {
    /// Every column of the table, in the store's order, whoever fills it.
    const COLUMNS: &'static [ColumnDef];

    /// Appends `rows` to the agent's columns.
    fn append(rows: &[Self], columns: &mut Appender<'_>);

    /// The agent's columns of `rows`, in the order of `COLUMNS` filtered by `Origin::Agent`.
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = empty_columns::<Self>();
        Self::append(rows, &mut Appender(columns.iter_mut()));
        columns
    }
}

/// A batch: the agent's columns of some rows of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Which table (and precision) the rows belong to.
    pub table: Table,
    /// Number of rows; the length of each column.
    pub rows: usize,
    /// The agent's columns, in the order of `table.columns()` filtered by `Origin::Agent`.
    pub columns: Vec<Column>,
}

impl Batch {
    /// Makes a batch of `rows`, which must be of `table`'s row type.
    pub fn new<R: Row>(table: Table, rows: &[R]) -> Self {
        Self::of_columns::<R>(table, rows.len(), R::columns(rows))
    }

    /// Ends with the batch, and keeps the memory of its columns for one that is to come of its table:
    /// an allocator that gives half a megabyte back to the kernel and gets it again twenty times a second
    /// costs as much as filling it.
    pub fn recycle(self) {
        let Self { table, mut columns, .. } = self;
        columns.iter_mut().for_each(Column::clear);
        let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() >= SPARES_MAX {
            spares.remove(0);
        }
        spares.push((table, columns));
    }

    fn of_columns<R: Row>(table: Table, rows: usize, columns: Vec<Column>) -> Self {
        let ids = |columns: &'static [ColumnDef]| columns.iter().map(|column| column.id);
        debug_assert!(ids(table.columns()).eq(ids(R::COLUMNS)), "row type of another table");
        Self { table, rows, columns }
    }
}

/// Empty columns of batches that were recycled. They differ from new ones in their memory alone.
static SPARES: Mutex<Vec<(Table, Vec<Column>)>> = Mutex::new(Vec::new());

/// One for each thread that makes batches, and one on its way; a full one of request logs has 1.6 MB.
const SPARES_MAX: usize = 3;

/// Empty columns of `table`, whose row type this must be.
fn fresh_columns<R: Row>(table: Table) -> Vec<Column> {
    let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
    let place = spares.iter().rposition(|(of, _)| *of == table);
    place.map_or_else(empty_columns::<R>, |place| spares.remove(place).1)
}

/// Rows that become columns a few at a time, while they are in the cache: a column's values lie a
/// kilobyte apart in rows, and there are sixty columns.
#[derive(Debug)]
pub struct Rows<R> {
    table: Table,
    near: Vec<R>,
    /// None before the first rows have come.
    columns: Vec<Column>,
    /// Rows in `columns`.
    rows: usize,
}

/// Rows that the first level of a processor's cache holds.
const NEAR_ROWS: usize = 32;

impl<R: Row> Rows<R> {
    /// None of `table`, whose row type this must be.
    pub fn new(table: Table) -> Self {
        Self { table, near: Vec::new(), columns: Vec::new(), rows: 0 }
    }

    /// Takes a row.
    pub fn push(&mut self, row: R) {
        self.near.push(row);
        if self.near.len() >= NEAR_ROWS {
            self.settle();
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows + self.near.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All rows as a batch; none are left. `None` without rows.
    pub fn take(&mut self) -> Option<Batch> {
        self.settle();
        let rows = std::mem::take(&mut self.rows);
        let columns = std::mem::take(&mut self.columns);
        (rows > 0).then(|| Batch::of_columns::<R>(self.table, rows, columns))
    }

    fn settle(&mut self) {
        if self.near.is_empty() {
            return;
        }
        if self.columns.is_empty() {
            self.columns = fresh_columns::<R>(self.table);
        }
        R::append(&self.near, &mut Appender(self.columns.iter_mut()));
        self.rows += self.near.len();
        self.near.clear();
    }
}

fn empty_columns<R: Row>() -> Vec<Column> {
    let of_agent = R::COLUMNS.iter().filter(|def| def.origin == Origin::Agent);
    of_agent.map(|def| Column::new(def.kind)).collect()
}

/// Columns to be appended to, one after the other: each call appends to the next.
pub struct Appender<'a>(std::slice::IterMut<'a, Column>);

/// Methods that append to columns of numbers, and to those of numbers that may be missing.
macro_rules! numbers {
    ($($name:ident $variant:ident $type:ty;)*) => {
        $(
            #[doc = concat!("Appends values of a column `", stringify!($variant), "`.")]
            pub fn $name(&mut self, values: impl Iterator<Item = $type>) {
                match self.0.next() {
                    Some(Column::$variant(column)) => column.extend(values),
                    other => debug_assert!(false, "{other:?} takes no {}", stringify!($type)),
                }
            }
        )*
    };
}

macro_rules! optional_numbers {
    ($($name:ident $variant:ident $type:ty;)*) => {
        $(
            #[doc = concat!("Appends values of a column `Opt` of `", stringify!($variant), "`.")]
            pub fn $name(&mut self, column: impl Iterator<Item = Option<$type>> + Clone) {
                let Some(Column::Opt { present, values }) = self.0.next() else {
                    return debug_assert!(false, "no column of optional values");
                };
                present.extend(column.clone().map(|value| value.is_some()));
                match &mut **values {
                    Column::$variant(values) => values.extend(column.map(Option::unwrap_or_default)),
                    other => debug_assert!(false, "{other:?} takes no {}", stringify!($type)),
                }
            }
        )*
    };
}

impl Appender<'_> {
    numbers! {
        u8 U8 u8;
        u16 U16 u16;
        u32 U32 u32;
        u64 U64 u64;
        i8 I8 i8;
        i32 I32 i32;
        i64 I64 i64;
        f64 F64 f64;
        ip6 Ip6 [u8; 16];
    }

    optional_numbers! {
        opt_u8 U8 u8;
        opt_u64 U64 u64;
        opt_i32 I32 i32;
        opt_i64 I64 i64;
    }

    /// Appends texts.
    pub fn text<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        match self.0.next() {
            Some(Column::Text(column)) => texts.for_each(|text| column.push(text)),
            other => debug_assert!(false, "{other:?} takes no texts"),
        }
    }

    /// Appends lists of texts.
    pub fn list_text<'a>(&mut self, lists: impl Iterator<Item = &'a [Text]>) {
        let Some(Column::List { ends, values }) = self.0.next() else {
            return debug_assert!(false, "no column of lists");
        };
        let Column::Text(values) = &mut **values else {
            return debug_assert!(false, "no lists of texts");
        };
        for list in lists {
            list.iter().for_each(|text| values.push(text));
            ends.push(values.len() as u32);
        }
    }

    /// Appends lists of numbers.
    pub fn list_f64<'a>(&mut self, lists: impl Iterator<Item = &'a [f64]>) {
        let Some(Column::List { ends, values }) = self.0.next() else {
            return debug_assert!(false, "no column of lists");
        };
        let Column::F64(values) = &mut **values else {
            return debug_assert!(false, "no lists of numbers");
        };
        for list in lists {
            values.extend_from_slice(list);
            ends.push(values.len() as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l7_flow_log;

    #[test]
    fn rows_that_come_one_by_one_make_the_same_batch() {
        let row = |number: usize| l7_flow_log::Row {
            flow_id: number as u64,
            response_code: number.is_multiple_of(3).then_some(number as i32),
            endpoint: format!("/{number}").as_str().into(),
            attribute_names: vec!["a".into(); number % 4],
            attribute_values: vec!["b".into(); number % 4],
            metrics_names: vec!["c".into(); number % 2],
            metrics_values: vec![1.5; number % 2],
            ..l7_flow_log::Row::default()
        };
        let mut rows = Rows::new(Table::L7FlowLog);
        for count in [0, 1, NEAR_ROWS, 3 * NEAR_ROWS + 5] {
            let all: Vec<_> = (0..count).map(row).collect();
            all.iter().cloned().for_each(|row| rows.push(row));
            assert_eq!(rows.len(), count);
            let batch = rows.take();
            assert_eq!(batch.is_some(), count > 0);
            assert!(rows.is_empty());
            if let Some(batch) = batch {
                assert_eq!(batch, Batch::new(Table::L7FlowLog, &all));
                assert!(batch.columns.iter().all(|column| column.len() == count));
                batch.recycle();
            }
        }
    }
}
