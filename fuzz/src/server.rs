//! What a server reads from an agent, and an agent from a server.
//!
//! In: `[kind: u8][body]`. Kinds up to 9 are messages; above, the body is that of a block of
//! columns, which is compressed here so that mutations reach the columns. Properties: bounded
//! memory, and what was read once can be written and read again.

use schema::block::{self, Encoder, Limits};
use schema::wire::{FRAME_HEADER_BYTES, Message};

/// Kinds below are messages.
const BLOCKS_FROM: u8 = 16;

const LIMITS: Limits =
    Limits { rows_max: 4096, body_bytes_max: 1 << 16, decoded_bytes_max: 1 << 20 };

/// One message or block.
pub(crate) fn run(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else { return };
    if kind < BLOCKS_FROM { message(kind, body) } else { columns(body) }
}

fn message(kind: u8, body: &[u8]) {
    let Ok(message) = Message::decode(kind, body) else { return };
    let frame = message.encode();
    let again = Message::decode(kind, &frame[FRAME_HEADER_BYTES..]).expect("our own frame");
    // By text: a number that is not one is not equal to itself.
    assert_eq!(format!("{message:?}"), format!("{again:?}"));
}

/// `body := [table: u8][rows: u8][columns]`
fn columns(body: &[u8]) {
    let [table, rows, columns @ ..] = body else { return };
    let mut bytes = b"DFB\x01\x01".to_vec();
    bytes.extend([table % 0x80, rows % 0x80]);
    let mut length = columns.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(zstd::bulk::compress(columns, 1).expect("memory"));
    let header = block::peek(&bytes, &LIMITS);
    let Ok(batch) = block::decode(&bytes, &LIMITS) else { return };
    let header = header.expect("a header that was read before the body");
    assert_eq!(batch.rows, header.rows);
    assert!(batch.columns.iter().all(|column| column.len() == batch.rows));
    let again = Encoder::new().and_then(|mut encoder| encoder.encode(&batch)).expect("memory");
    let again = block::decode(&again, &Limits::default()).expect("our own block");
    assert_eq!(format!("{batch:?}"), format!("{again:?}"));
}
