//! Changes of data that generated tables cannot express: one step a schema version from 2 on.
//!
//! They run once, in order, on data of an older version, before tables and columns are added. Data
//! of a fresh folder need none of them.

/// A change of the data's shape.
pub struct Step {
    /// Schema version that the data have afterwards.
    pub version: u32,
    /// What it does.
    pub name: &'static str,
    /// Statements; each may run again after a crash.
    pub statements: &'static [&'static str],
}

/// Every step. None yet: version 1 is the first.
pub const STEPS: &[Step] = &[];
