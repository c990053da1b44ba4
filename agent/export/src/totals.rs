//! The identity: observed = acknowledged + waiting + Σ dropped{reason}, per table.

use std::collections::BTreeMap;

use schema::{Drop, Table};

/// What is counted: a table, or process events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Rows of a table.
    Table(Table),
    /// Process events.
    Processes,
}

impl Subject {
    /// Name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table(table) => table.name(),
            Self::Processes => "processes",
        }
    }

    /// Number on the wire and in files; 0 for process events.
    pub fn id(self) -> u16 {
        match self {
            Self::Table(table) => table.id(),
            Self::Processes => 0,
        }
    }

    /// The subject of a number.
    pub fn from_id(id: u16) -> Option<Self> {
        match id {
            0 => Some(Self::Processes),
            id => Table::from_id(id).map(Self::Table),
        }
    }
}

/// Rows of one subject since the agent was installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Handed to the exporter.
    pub observed: u64,
    /// Made durable by the server.
    pub acknowledged: u64,
    /// In memory or spool, not yet acknowledged.
    pub waiting: u64,
    /// Lost, per reason.
    pub dropped: BTreeMap<Drop, u64>,
}

impl Totals {
    /// Whether every row is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.observed == self.acknowledged + self.waiting + self.dropped.values().sum::<u64>()
    }

    pub(crate) fn drop_rows(&mut self, reason: Drop, rows: u64) {
        *self.dropped.entry(reason).or_default() += rows;
    }
}
