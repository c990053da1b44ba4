//! From rows to columns: the traits that generated tables implement.

use crate::Text;
use crate::column::{Column, ColumnDef, TextColumn};
use crate::generated::tables::Table;

/// A generated row struct (`schema::l7_flow_log::Row` …): the columns that the agent fills.
pub trait Row: Sized {
    /// Every column of the table, in the store's order, whoever fills it.
    const COLUMNS: &'static [ColumnDef];

    /// The agent's columns of `rows`, in the order of `COLUMNS` filtered by `Origin::Agent`.
    fn columns(rows: &[Self]) -> Vec<Column>;
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
        let ids = |columns: &'static [ColumnDef]| columns.iter().map(|column| column.id);
        debug_assert!(ids(table.columns()).eq(ids(R::COLUMNS)), "row type of another table");
        Self { table, rows: rows.len(), columns: R::columns(rows) }
    }
}

/// A column of texts.
pub(crate) fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Column {
    let mut column = TextColumn::default();
    texts.for_each(|text| column.push(text));
    Column::Text(column)
}

/// A column of lists of texts.
pub(crate) fn text_lists<'a>(lists: impl Iterator<Item = &'a [Text]>) -> Column {
    let mut values = TextColumn::default();
    let mut ends = Vec::new();
    for list in lists {
        list.iter().for_each(|text| values.push(text));
        ends.push(values.len() as u32);
    }
    Column::List { ends, values: Box::new(Column::Text(values)) }
}

/// A column of lists of numbers.
pub(crate) fn number_lists<'a>(lists: impl Iterator<Item = &'a [f64]>) -> Column {
    let mut values = Vec::new();
    let mut ends = Vec::new();
    for list in lists {
        values.extend_from_slice(list);
        ends.push(values.len() as u32);
    }
    Column::List { ends, values: Box::new(Column::F64(values)) }
}
