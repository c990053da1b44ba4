//! Every name, number, unit and table that crosses a boundary, defined once.
//!
//! The facts are in `schema/*.toml` and `schema/tables/*.toml`; `cargo xtask generate` writes
//! `src/generated/`, `bpf/abi/`, the store's migrations, the documentation and the UI's labels
//! from them. This crate adds the code that works on any table: columns, the block codec and the
//! messages between agent and server. It holds no logic of either.

mod generated;

pub mod block;
pub mod column;
pub mod json;
pub mod row;
pub mod wire;

pub use column::{Column, ColumnDef, ColumnType, Json, Origin, TextColumn};
pub use generated::config_keys;
pub use generated::drops::Drop;
pub use generated::enums::*;
pub use generated::metrics;
pub use generated::protocols::L7Protocol;
pub use generated::tables::*;
pub use row::{Batch, Row, Rows};

/// Short text of a record: up to 24 bytes are kept without an allocation.
pub type Text = compact_str::CompactString;
