//! Columns as a block of ClickHouse's Native format.
//!
//! ```text
//! block  := columns: varint, rows: varint, column*
//! column := name: text, type: text, values            text := length: varint, bytes
//! values := fixed-width little-endian numbers | text* (length: varint, bytes)
//!         | nulls: u8*, values (Nullable)             1 = null
//!         | ends: u64*, values (Array)                ends are counts of elements so far
//! ```
//! In: definitions and columns of equal length. Out: the bytes of one block. Never: LowCardinality,
//! which the store makes itself of plain texts.

use schema::{Column, ColumnDef, ColumnType, TextColumn};

/// Whether a column holds defaults only (0, empty, absent), which the store fills in by itself when
/// the column is left out: on real rows that is two columns of three.
pub fn is_default(column: &Column) -> bool {
    match column {
        Column::U8(v) => v.iter().all(|v| *v == 0),
        Column::U16(v) => v.iter().all(|v| *v == 0),
        Column::U32(v) => v.iter().all(|v| *v == 0),
        Column::U64(v) => v.iter().all(|v| *v == 0),
        Column::I8(v) => v.iter().all(|v| *v == 0),
        Column::I32(v) => v.iter().all(|v| *v == 0),
        Column::I64(v) => v.iter().all(|v| *v == 0),
        Column::F64(v) => v.iter().all(|v| v.to_bits() == 0),
        Column::Ip6(v) => v.iter().all(|v| *v == [0; 16]),
        Column::Text(v) => v.bytes.is_empty(),
        Column::Opt { present, .. } => !present.contains(&true),
        Column::List { values, .. } => values.is_empty(),
    }
}

/// Encodes `rows` rows. Panics when a column has another length, or another shape than its type.
pub fn encode(defs: &[ColumnDef], columns: &[&Column], rows: usize) -> Vec<u8> {
    assert_eq!(defs.len(), columns.len(), "one column a definition");
    let mut out =
        Vec::with_capacity(64 + columns.iter().map(|column| size_hint(column)).sum::<usize>());
    put_varint(&mut out, columns.len() as u64);
    put_varint(&mut out, rows as u64);
    for (def, column) in defs.iter().zip(columns) {
        assert_eq!(column.len(), rows, "length of column {}", def.name);
        put_text(&mut out, def.name.as_bytes());
        put_text(&mut out, type_name(def.kind).as_bytes());
        put_values(&mut out, column);
    }
    out
}

/// The type under which a column is sent. The store turns it into the table's where they differ.
pub fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::U8 => "UInt8",
        ColumnType::U16 => "UInt16",
        ColumnType::U32 => "UInt32",
        ColumnType::U64 => "UInt64",
        ColumnType::I8 => "Int8",
        ColumnType::I32 => "Int32",
        ColumnType::I64 => "Int64",
        ColumnType::F64 => "Float64",
        ColumnType::Text | ColumnType::LowCard => "String",
        ColumnType::Ip4 => "IPv4",
        ColumnType::Ip6 => "IPv6",
        ColumnType::Seconds => "DateTime",
        ColumnType::Micros => "DateTime64(6)",
        ColumnType::OptU8 => "Nullable(UInt8)",
        ColumnType::OptU64 => "Nullable(UInt64)",
        ColumnType::OptI32 => "Nullable(Int32)",
        ColumnType::OptI64 => "Nullable(Int64)",
        ColumnType::ListLowCard | ColumnType::ListText => "Array(String)",
        ColumnType::ListF64 => "Array(Float64)",
    }
}

fn put_values(out: &mut Vec<u8>, column: &Column) {
    match column {
        Column::U8(values) => out.extend_from_slice(values),
        Column::U16(values) => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
        Column::U32(values) => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
        Column::U64(values) => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
        Column::I8(values) => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
        Column::I32(values) => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
        Column::I64(values) => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
        Column::F64(values) => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
        Column::Ip6(values) => values.iter().for_each(|v| out.extend_from_slice(v)),
        Column::Text(texts) => put_texts(out, texts),
        Column::Opt { present, values } => {
            assert_eq!(values.len(), present.len(), "one value a row");
            out.extend(present.iter().map(|present| u8::from(!present)));
            put_values(out, values);
        }
        Column::List { ends, values } => {
            let elements = ends.last().map_or(0, |end| *end as usize);
            assert_eq!(values.len(), elements, "elements of lists");
            ends.iter().for_each(|end| out.extend_from_slice(&u64::from(*end).to_le_bytes()));
            put_values(out, values);
        }
    }
}

fn put_texts(out: &mut Vec<u8>, texts: &TextColumn) {
    let mut start = 0;
    for end in &texts.ends {
        let end = *end as usize;
        put_text(out, &texts.bytes[start..end]);
        start = end;
    }
}

fn put_text(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// LEB128.
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn size_hint(column: &Column) -> usize {
    match column {
        Column::U8(v) => v.len(),
        Column::U16(v) => 2 * v.len(),
        Column::I8(v) => v.len(),
        Column::U32(v) => 4 * v.len(),
        Column::I32(v) => 4 * v.len(),
        Column::U64(v) => 8 * v.len(),
        Column::I64(v) => 8 * v.len(),
        Column::F64(v) => 8 * v.len(),
        Column::Ip6(v) => 16 * v.len(),
        Column::Text(v) => v.bytes.len() + 2 * v.len(),
        Column::Opt { present, values } => present.len() + size_hint(values),
        Column::List { ends, values } => 8 * ends.len() + size_hint(values),
    }
}

#[cfg(test)]
mod tests {
    use schema::{Json, Origin};

    use super::*;

    fn def(name: &'static str, kind: ColumnType) -> ColumnDef {
        ColumnDef { id: 1, name, kind, origin: Origin::Agent, json: Json::Plain }
    }

    #[test]
    fn bytes_of_a_block() {
        let mut texts = TextColumn::default();
        texts.push("x");
        texts.push("");
        let columns = [
            Column::Text(texts),
            Column::Opt { present: vec![true, false], values: Box::new(Column::U8(vec![7, 0])) },
            Column::List { ends: vec![0, 1], values: Box::new(Column::F64(vec![1.0])) },
        ];
        let defs = [
            def("a", ColumnType::LowCard),
            def("b", ColumnType::OptU8),
            def("c", ColumnType::ListF64),
        ];
        let mut expected = vec![3, 2];
        expected.extend(b"\x01a\x06String\x01x\x00");
        expected.extend(b"\x01b\x0fNullable(UInt8)\x00\x01\x07\x00");
        expected.extend(b"\x01c\x0eArray(Float64)");
        expected.extend([0_u64.to_le_bytes(), 1_u64.to_le_bytes(), 1_f64.to_le_bytes()].concat());
        assert_eq!(encode(&defs, &columns.each_ref(), 2), expected);
    }

    #[test]
    fn defaults_are_told_from_values() {
        assert!(is_default(&Column::defaults(ColumnType::OptI64, 3)));
        assert!(is_default(&Column::defaults(ColumnType::ListText, 3)));
        assert!(is_default(&Column::defaults(ColumnType::LowCard, 3)));
        let zero = Column::Opt { present: vec![true], values: Box::new(Column::U8(vec![0])) };
        assert!(!is_default(&zero), "a zero that is there is a value");
        assert!(!is_default(&Column::F64(vec![-0.0])));
        assert!(!is_default(&Column::I32(vec![0, -1])));
    }

    #[test]
    fn varint_is_leb128() {
        let mut out = Vec::new();
        put_varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }

    #[test]
    #[should_panic(expected = "length of column a")]
    fn unequal_columns_are_refused() {
        encode(&[def("a", ColumnType::U8)], &[&Column::U8(vec![1])], 2);
    }
}
