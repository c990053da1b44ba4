//! What the struct of a response reports.

use crate::bytes::Reader;
use crate::thrift::head::{Kind, Message};
use crate::thrift::value::Kind as ValueKind;

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<'a> {
    /// With a value, or with nothing.
    Returned,
    /// With an exception that the interface declares: its place, and the first text in it.
    Declared { field: i16, text: &'a [u8] },
    /// The server could not call: `TApplicationException`.
    Failed { code: i32, text: &'a [u8] },
}

/// Fields that are looked at.
const FIELDS: usize = 8;

/// Reads a response, as far as it was captured.
pub(crate) fn read<'a>(message: &'a Message<'_>) -> Outcome<'a> {
    let mut reader = Reader::new(&message.body);
    match message.kind {
        Kind::Exception => failure(message, &mut reader),
        _ => {
            let field = message.encoding.field(&mut reader, &mut 0);
            match field {
                // The value is field 0, exceptions are structs from 1 on.
                Ok(Some(field)) if field.id > 0 && field.kind == ValueKind::Struct => {
                    let text = first_text(message, &mut reader);
                    Outcome::Declared { field: field.id, text }
                }
                _ => Outcome::Returned,
            }
        }
    }
}

/// A text in field 1 and a code in field 2, in any order.
fn failure<'a>(message: &Message<'_>, reader: &mut Reader<'a>) -> Outcome<'a> {
    let (mut code, mut text) = (0, &b""[..]);
    let mut last_id = 0;
    let encoding = message.encoding;
    for _ in 0..FIELDS {
        let Ok(Some(field)) = encoding.field(reader, &mut last_id) else { break };
        if field.kind == ValueKind::Text {
            let Ok(bytes) = encoding.text_bytes(reader) else { break };
            let bytes = reader.take_up_to(bytes as usize);
            text = if field.id == 1 { bytes } else { text };
        } else if field.kind == encoding.int_kind() {
            let Ok(number) = encoding.int(reader) else { break };
            code = if field.id == 2 { number } else { code };
        } else {
            break;
        }
    }
    Outcome::Failed { code, text }
}

/// The first text among the first plain fields of a struct.
fn first_text<'a>(message: &Message<'_>, reader: &mut Reader<'a>) -> &'a [u8] {
    let mut last_id = 0;
    let encoding = message.encoding;
    for _ in 0..FIELDS {
        let Ok(Some(field)) = encoding.field(reader, &mut last_id) else { break };
        match field.kind {
            ValueKind::Text => {
                let Ok(bytes) = encoding.text_bytes(reader) else { break };
                return reader.take_up_to(bytes as usize);
            }
            ValueKind::Fixed(bytes) => {
                reader.take_up_to(bytes.into());
            }
            ValueKind::Varint if encoding.int(reader).is_ok() => {}
            _ => break,
        }
    }
    b""
}

/// What a code of `TApplicationException` means.
pub(crate) fn code_name(code: i32) -> &'static str {
    match code {
        1 => "UNKNOWN_METHOD",
        2 => "INVALID_MESSAGE_TYPE",
        3 => "WRONG_METHOD_NAME",
        4 => "BAD_SEQUENCE_ID",
        5 => "MISSING_RESULT",
        6 => "INTERNAL_ERROR",
        7 => "PROTOCOL_ERROR",
        8 => "INVALID_TRANSFORM",
        9 => "INVALID_PROTOCOL",
        10 => "UNSUPPORTED_CLIENT_TYPE",
        _ => "UNKNOWN",
    }
}
