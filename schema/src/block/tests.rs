//! Blocks round-trip for every column type, evolve, stay small, and survive any bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::traffic::{l4_rows, l7_rows};
use super::*;
use crate::wire::bytes::Reader;
use crate::{Batch, Json, TextColumn};

fn def(id: u16, name: &'static str, kind: ColumnType) -> ColumnDef {
    ColumnDef { id, name, kind, origin: Origin::Agent, json: Json::Plain }
}

fn encode_with(defs: &[ColumnDef], columns: &[Column], rows: usize) -> Vec<u8> {
    Encoder::new().unwrap().encode_columns(1, defs, columns, rows).unwrap()
}

fn body_of(defs: &[ColumnDef], columns: &[Column], rows: usize) -> Vec<u8> {
    columns::encode(defs, columns, rows, &mut columns::Work::default()).to_vec()
}

#[test]
fn an_encoder_that_is_used_again_makes_the_same_bytes() {
    let batches = [
        Batch::new(Table::L7FlowLog, &l7_rows(3000, 40, 3)),
        Batch::new(Table::L4FlowLog, &l4_rows(500, 3)),
        Batch::new(Table::L7FlowLog, &l7_rows(7, 2, 5)),
    ];
    let mut kept = Encoder::new().unwrap();
    for batch in batches.iter().chain(batches.iter().rev()) {
        let fresh = Encoder::new().unwrap().encode(batch).unwrap();
        assert_eq!(kept.encode(batch).unwrap(), fresh);
        assert_eq!(decode(&fresh, &Limits::default()).unwrap(), *batch);
    }
}

fn decode_with(bytes: &[u8], defs: &[ColumnDef]) -> Result<Vec<Column>, BlockError> {
    let limits = Limits::default();
    let mut reader = Reader(bytes);
    let header = take_header(&mut reader, &limits)?;
    super::decode_columns(&mut reader, &header, defs, &limits)
}

/// A column of `rows` values drawn from `numbers`, which may hold few or many distinct ones.
fn column(kind: ColumnType, rows: usize, numbers: &[u64]) -> Column {
    let at = |row: usize| numbers[row % numbers.len()];
    let text = |row: usize| match at(row) % 5 {
        0 => String::new(),
        1 => "ü¢€𝄞".to_owned(),
        _ => format!("text {}", at(row)),
    };
    let texts = |count: usize| {
        let mut texts = TextColumn::default();
        (0..count).for_each(|row| texts.push(&text(row)));
        Column::Text(texts)
    };
    let fill = |empty: Column, count: usize| match empty {
        Column::U8(_) => Column::U8((0..count).map(|row| at(row) as u8).collect()),
        Column::U16(_) => Column::U16((0..count).map(|row| at(row) as u16).collect()),
        Column::U32(_) => Column::U32((0..count).map(|row| at(row) as u32).collect()),
        Column::U64(_) => Column::U64((0..count).map(at).collect()),
        Column::I8(_) => Column::I8((0..count).map(|row| at(row) as i8).collect()),
        Column::I32(_) => Column::I32((0..count).map(|row| at(row) as i32).collect()),
        Column::I64(_) => Column::I64((0..count).map(|row| at(row) as i64).collect()),
        Column::F64(_) => {
            let whole = numbers.len().is_multiple_of(2);
            let value = |v: u64| if whole { (v >> 20) as f64 } else { v as f64 / 7.0 - 1e9 };
            Column::F64((0..count).map(|row| value(at(row))).collect())
        }
        Column::Text(_) => texts(count),
        Column::Ip6(_) => {
            let ip = |v: u64| (u128::from(v) << 40 | 7).to_be_bytes();
            Column::Ip6((0..count).map(|row| ip(at(row))).collect())
        }
        nested => nested,
    };
    match Column::new(kind) {
        Column::Opt { values, .. } => Column::Opt {
            present: (0..rows).map(|row| at(row) % 3 != 0).collect(),
            values: Box::new(fill(*values, rows)),
        },
        Column::List { values, .. } => {
            let mut end = 0;
            let mut next = |row: usize| {
                end += at(row) as u32 % 4;
                end
            };
            let ends: Vec<u32> = (0..rows).map(&mut next).collect();
            let total = ends.last().map_or(0, |end| *end as usize);
            Column::List { ends, values: Box::new(fill(*values, total)) }
        }
        plain => fill(plain, rows),
    }
}

fn numbers() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        vec(any::<u64>(), 1..80),
        vec(0u64..4, 1..80),
        vec(prop_oneof![Just(0), Just(u64::MAX), Just(1 << 63)], 1..5),
        (any::<u64>(), any::<u32>(), 1u64..80).prop_map(|(from, step, count)| (0..count)
            .map(|i| from.wrapping_add(i * u64::from(step)))
            .collect()),
    ]
}

/// Names that the predictions know, so that every operation is used.
fn named_columns(
    names: &[&'static str],
    rows: usize,
    numbers: &[Vec<u64>],
) -> (Vec<ColumnDef>, Vec<Column>) {
    let kinds = TYPES.iter().cycle();
    names
        .iter()
        .zip(kinds)
        .enumerate()
        .map(|(i, (name, kind))| {
            let kind = if name.starts_with("col") { *kind } else { ColumnType::I64 };
            (def(i as u16 * 37, name, kind), column(kind, rows, &numbers[i % numbers.len()]))
        })
        .unzip()
}

const NAMES: [&str; 27] = [
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "col",
    "time",
    "flow_id",
    "end_time",
    "start_time",
    "response_duration",
    "duration",
];

proptest! {
    #[test]
    fn every_type_round_trips(
        rows in 0usize..200,
        numbers in vec(numbers(), 1..6),
    ) {
        let (defs, columns) = named_columns(&NAMES, rows, &numbers);
        let bytes = encode_with(&defs, &columns, rows);
        prop_assert_eq!(decode_with(&bytes, &defs), Ok(columns));
    }

    #[test]
    fn damaged_bodies_never_panic(
        numbers in vec(numbers(), 1..4),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (defs, columns) = named_columns(&NAMES, 40, &numbers);
        let mut body = body_of(&defs, &columns, 40);
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Ok(read) = columns::decode(&body, 40, &defs, &Limits::default()) {
            prop_assert!(read.iter().all(|column| column.len() == 40));
        }
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..400), rows in 0usize..100) {
        let limits = Limits::default();
        prop_assert!(decode(&bytes, &limits).is_err());
        let defs: Vec<ColumnDef> = agent_columns(Table::L7FlowLog).collect();
        let _ = columns::decode(&bytes, rows, &defs, &limits);
    }
}

#[test]
fn unknown_columns_are_skipped_and_missing_ones_get_defaults() {
    let old = [def(1, "a", ColumnType::U32), def(2, "b", ColumnType::Text)];
    let new = [def(3, "c", ColumnType::OptU64), def(1, "a", ColumnType::U32)];
    let rows = 3;
    let texts = column(ColumnType::Text, rows, &[7, 8, 9]);
    let bytes = encode_with(&old, &[Column::U32(vec![5, 6, 7]), texts], rows);
    let read = decode_with(&bytes, &new).unwrap();
    assert_eq!(read, [Column::defaults(ColumnType::OptU64, rows), Column::U32(vec![5, 6, 7])]);
}

#[test]
fn a_column_that_others_are_predicted_from_may_be_unknown_to_the_reader() {
    let defs = [def(1, "flow_id", ColumnType::U64), def(2, "req_tcp_seq", ColumnType::U32)];
    let flows: Vec<u64> = (0..600).map(|row| row * 7919 % 13).collect();
    let sequences: Vec<u32> = (0..600).map(|row| (row * 7919 % 13) * 300_000_007 + row).collect();
    let columns = [Column::U64(flows), Column::U32(sequences.clone())];
    let bytes = encode_with(&defs, &columns, 600);
    assert_eq!(decode_with(&bytes, &defs[1..]).unwrap(), [Column::U32(sequences)]);
}

#[test]
fn a_type_of_a_later_version_is_skipped_and_a_changed_type_is_refused() {
    let mut body = body_of(&[def(9, "z", ColumnType::U8)], &[Column::U8(vec![1, 2])], 2);
    let wants = [def(9, "z", ColumnType::U8)];
    body[2] = 250;
    let read = columns::decode(&body, 2, &wants, &Limits::default());
    assert_eq!(read.unwrap(), [Column::U8(vec![0, 0])]);
    let changed = [def(9, "z", ColumnType::U16)];
    body[2] = type_id(ColumnType::U8);
    let error = columns::decode(&body, 2, &changed, &Limits::default());
    assert!(matches!(error, Err(BlockError::Column { id: 9, .. })));
}

#[test]
fn bombs_are_refused_before_they_are_allocated() {
    let limits = Limits { rows_max: 1000, body_bytes_max: 1 << 20, decoded_bytes_max: 1 << 20 };
    let rows = 1000;
    let long = column(ColumnType::Text, 1, &[2]);
    let Column::Text(mut one) = long else { panic!("text") };
    one.bytes = vec![b'x'; 50_000];
    one.ends = vec![50_000];
    let mut many = TextColumn::default();
    (0..rows).for_each(|_| many.push(one.text_of(0)));
    let defs = [def(1, "a", ColumnType::Text)];
    let bytes = encode_with(&defs, &[Column::Text(many)], rows);
    assert!(bytes.len() < 1000);
    let mut reader = Reader(&bytes);
    let header = take_header(&mut reader, &limits).unwrap();
    let error = super::decode_columns(&mut reader, &header, &defs, &limits);
    assert_eq!(error, Err(BlockError::TooManyBytes));
    let header = encode_with(&defs, &[Column::defaults(ColumnType::Text, 1001)], 1001);
    assert_eq!(peek(&header, &limits), Err(BlockError::TooManyRows(1001)));
    let zeros = zstd::bulk::compress(&vec![0; 2 << 20], 3).unwrap();
    let bomb = [b"DFB\x01\x01\x01\x01\x80\x80\x40".as_slice(), &zeros].concat();
    let error = decode(&bomb, &limits).unwrap_err();
    assert_eq!(error, BlockError::UnknownTable(1));
    let header = BlockHeader { schema_version: 1, table_id: 1, rows: 1, body_bytes: 1 << 20 };
    let error = super::decode_columns(&mut Reader(&zeros), &header, &defs, &limits);
    assert_eq!(error, Err(BlockError::Compression));
}

#[test]
fn damage_is_named() {
    let batch = Batch::new(Table::L7FlowLog, &l7_rows(50, 4, 1));
    let bytes = Encoder::new().unwrap().encode(&batch).unwrap();
    let limits = Limits::default();
    assert_eq!(decode(&bytes, &limits).as_ref(), Ok(&batch));
    assert_eq!(decode(b"GET / HTTP/1.1", &limits), Err(BlockError::Magic));
    let mut other = bytes.clone();
    other[3] = 9;
    assert_eq!(decode(&other, &limits), Err(BlockError::Format(9)));
    for at in 14..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        // One bit of zstd's frame header is unused: there the batch must be whole.
        let read = decode(&damaged, &limits);
        assert!(read.is_err() || read.as_ref() == Ok(&batch), "bit flipped in byte {at}");
    }
}

/// The design's numbers: ≤ 25 bytes a request log, ≤ 35 a flow log.
#[test]
fn realistic_traffic_meets_the_design_sizes() {
    let mut encoder = Encoder::new().unwrap();
    let mut bytes_per_row = |batch: &Batch| {
        let bytes = encoder.encode(batch).unwrap();
        assert_eq!(decode(&bytes, &Limits::default()).as_ref(), Ok(batch));
        let size = bytes.len() as f64 / batch.rows as f64;
        println!("{} × {}: {size:.1} bytes a row", batch.table.name(), batch.rows);
        size
    };
    let l7 = Batch::new(Table::L7FlowLog, &l7_rows(10_000, 60, 7));
    assert!(bytes_per_row(&l7) <= 25.0);
    let l4 = Batch::new(Table::L4FlowLog, &l4_rows(2000, 7));
    assert!(bytes_per_row(&l4) <= 35.0);
}
