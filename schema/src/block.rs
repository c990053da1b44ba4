//! Batches as bytes: columnar, self-describing, compressed.
//!
//! In: a [`Batch`]. Out: a block, and back. A reader skips columns it does not know and fills
//! columns that are missing with defaults, so that agent and server may be of different versions.
//! Never: a panic or an allocation above [`Limits`], whatever the bytes.
//!
//! ```text
//! block  := "DFB" [format: u8 = 1][schema_version: uint][table_id: uint][rows: uint]
//!           [body_bytes: uint][zstd frame of body, with checksum]
//! body   := [columns: uint] column…
//! column := [id: uint][type: u8][bytes: uint][values: bytes]
//! ```
//! How values are laid out: `block/ints.rs`, `block/texts.rs`. `uint` is LEB128.

mod columns;
mod ints;
mod predict;
mod texts;

use crate::row::Batch;
use crate::wire::bytes::{Reader, Writer};
use crate::wire::{SCHEMA_VERSION, WireError};
use crate::{Column, ColumnDef, ColumnType, Origin, Table};

const MAGIC: &[u8; 3] = b"DFB";
const FORMAT: u8 = 1;
/// zstd level. By measurement (docs/perf.md): levels above cost more time than they save bytes.
const ZSTD_LEVEL: i32 = 3;
/// Columns of a block; more is damage.
const COLUMNS_MAX: u64 = 1024;

/// Bounds of what a decoder takes and allocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows of a block.
    pub rows_max: usize,
    /// Bytes of the body before compression.
    pub body_bytes_max: usize,
    /// Bytes of all columns in memory. The decoder allocates at most
    /// `body_bytes_max + 2 × decoded_bytes_max`.
    pub decoded_bytes_max: usize,
}

impl Default for Limits {
    /// 262 144 rows, 64 MiB, 256 MiB.
    fn default() -> Self {
        Self { rows_max: 262_144, body_bytes_max: 64 << 20, decoded_bytes_max: 256 << 20 }
    }
}

/// What a block says of itself before its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Version of `schema/` of the writer.
    pub schema_version: u16,
    /// Number of the table.
    pub table_id: u16,
    /// Rows.
    pub rows: usize,
    /// Bytes of the body before compression, as claimed.
    pub body_bytes: usize,
}

/// Why bytes are not a block that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Not a block.
    #[error("not a block")]
    Magic,
    /// A block of another format.
    #[error("block format {0}, need {FORMAT}")]
    Format(u8),
    /// A table that this program does not have.
    #[error("unknown table {0}")]
    UnknownTable(u16),
    /// More rows than allowed.
    #[error("{0} rows are too many")]
    TooManyRows(u64),
    /// More bytes than allowed, compressed or in memory.
    #[error("the columns need more bytes than allowed")]
    TooManyBytes,
    /// The body does not decompress to what was claimed.
    #[error("the body is damaged")]
    Compression,
    /// A field ends early or is out of range.
    #[error(transparent)]
    Field(#[from] WireError),
    /// A column's values are not what its header says.
    #[error("column {id}: {what}")]
    Column {
        /// Number of the column.
        id: u16,
        /// What is wrong.
        what: &'static str,
    },
}

/// Encodes blocks; keeps its working memory and zstd's between calls.
pub struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    work: columns::Work,
}

impl Encoder {
    /// An encoder.
    pub fn new() -> std::io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self { compressor, work: columns::Work::default() })
    }

    /// The block of a batch. Fails only when zstd has no memory.
    pub fn encode(&mut self, batch: &Batch) -> std::io::Result<Vec<u8>> {
        let defs: Vec<ColumnDef> = agent_columns(batch.table).collect();
        self.encode_columns(batch.table.id(), &defs, &batch.columns, batch.rows)
    }

    fn encode_columns(
        &mut self,
        table_id: u16,
        defs: &[ColumnDef],
        columns: &[Column],
        rows: usize,
    ) -> std::io::Result<Vec<u8>> {
        let body = columns::encode(defs, columns, rows, &mut self.work);
        let compressed = self.compressor.compress(body)?;
        let mut out = Writer(Vec::with_capacity(compressed.len() + 24));
        out.raw(MAGIC);
        out.u8(FORMAT);
        out.uint(SCHEMA_VERSION.into());
        out.uint(table_id.into());
        out.uint(rows as u64);
        out.uint(body.len() as u64);
        out.raw(&compressed);
        Ok(out.0)
    }
}

/// Reads the header only.
pub fn peek(bytes: &[u8], limits: &Limits) -> Result<BlockHeader, BlockError> {
    take_header(&mut Reader(bytes), limits)
}

/// The batch of a block: the agent's columns of its table, in order, whatever the writer's
/// version had.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Batch, BlockError> {
    let mut reader = Reader(bytes);
    let header = take_header(&mut reader, limits)?;
    let table = Table::from_id(header.table_id).ok_or(BlockError::UnknownTable(header.table_id))?;
    let defs: Vec<ColumnDef> = agent_columns(table).collect();
    let columns = decode_columns(&mut reader, &header, &defs, limits)?;
    Ok(Batch { table, rows: header.rows, columns })
}

fn decode_columns(
    reader: &mut Reader,
    header: &BlockHeader,
    defs: &[ColumnDef],
    limits: &Limits,
) -> Result<Vec<Column>, BlockError> {
    let body =
        zstd::bulk::decompress(reader.0, header.body_bytes).map_err(|_| BlockError::Compression)?;
    if body.len() != header.body_bytes {
        return Err(BlockError::Compression);
    }
    columns::decode(&body, header.rows, defs, limits)
}

fn take_header(reader: &mut Reader, limits: &Limits) -> Result<BlockHeader, BlockError> {
    if reader.take(MAGIC.len(), "block.magic").ok() != Some(MAGIC) {
        return Err(BlockError::Magic);
    }
    let format = reader.u8("block.format")?;
    if format != FORMAT {
        return Err(BlockError::Format(format));
    }
    let schema_version = reader.fit("block.schema_version")?;
    let table_id = reader.fit("block.table_id")?;
    let rows = reader.uint("block.rows")?;
    if rows > limits.rows_max as u64 {
        return Err(BlockError::TooManyRows(rows));
    }
    let body_bytes = reader.uint("block.body_bytes")?;
    if body_bytes > limits.body_bytes_max as u64 {
        return Err(BlockError::TooManyBytes);
    }
    Ok(BlockHeader {
        schema_version,
        table_id,
        rows: rows as usize,
        body_bytes: body_bytes as usize,
    })
}

/// The columns of a table that travel.
pub fn agent_columns(table: Table) -> impl Iterator<Item = ColumnDef> {
    table.columns().iter().filter(|def| def.origin == Origin::Agent).copied()
}

/// Number of a column type on the wire; never reused.
fn type_id(kind: ColumnType) -> u8 {
    match kind {
        ColumnType::U8 => 1,
        ColumnType::U16 => 2,
        ColumnType::U32 => 3,
        ColumnType::U64 => 4,
        ColumnType::I8 => 5,
        ColumnType::I32 => 6,
        ColumnType::I64 => 7,
        ColumnType::F64 => 8,
        ColumnType::Text => 9,
        ColumnType::LowCard => 10,
        ColumnType::Ip4 => 11,
        ColumnType::Ip6 => 12,
        ColumnType::Seconds => 13,
        ColumnType::Micros => 14,
        ColumnType::OptU8 => 15,
        ColumnType::OptU64 => 16,
        ColumnType::OptI32 => 17,
        ColumnType::OptI64 => 18,
        ColumnType::ListLowCard => 19,
        ColumnType::ListText => 20,
        ColumnType::ListF64 => 21,
    }
}

/// Every type, for the inverse of `type_id` and for tests.
const TYPES: [ColumnType; 21] = [
    ColumnType::U8,
    ColumnType::U16,
    ColumnType::U32,
    ColumnType::U64,
    ColumnType::I8,
    ColumnType::I32,
    ColumnType::I64,
    ColumnType::F64,
    ColumnType::Text,
    ColumnType::LowCard,
    ColumnType::Ip4,
    ColumnType::Ip6,
    ColumnType::Seconds,
    ColumnType::Micros,
    ColumnType::OptU8,
    ColumnType::OptU64,
    ColumnType::OptI32,
    ColumnType::OptI64,
    ColumnType::ListLowCard,
    ColumnType::ListText,
    ColumnType::ListF64,
];

fn type_of_id(id: u8) -> Option<ColumnType> {
    TYPES.into_iter().find(|kind| type_id(*kind) == id)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod traffic;
