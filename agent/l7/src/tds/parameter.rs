//! Calls of procedures (RPCRequest, [MS-TDS] 2.2.6.6) and their parameters.
//!
//! In: what stands after the headers of such a message, perhaps cut off. Out: the procedure, and
//! the statement or handle that those of the server itself are given.

use crate::bytes::Reader;
use crate::tds::token::value_bytes;
use crate::tds::types::{self, Form, Found};
use crate::tds::utf16::short_name;

/// Procedures that have a number instead of a name.
const PROCEDURES: [&str; 15] = [
    "sp_cursor",
    "sp_cursoropen",
    "sp_cursorprepare",
    "sp_cursorexecute",
    "sp_cursorprepexec",
    "sp_cursorunprepare",
    "sp_cursorfetch",
    "sp_cursoroption",
    "sp_cursorclose",
    "sp_executesql",
    "sp_prepare",
    "sp_execute",
    "sp_prepexec",
    "sp_prepexecrpc",
    "sp_unprepare",
];

/// Who is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Procedure<'a> {
    /// One of the server's own.
    Known(&'static str),
    /// Its name in UTF-16.
    Named(&'a [u8]),
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub procedure: Procedure<'a>,
    /// The statement among the parameters, in UTF-16.
    pub statement: Option<Vec<u8>>,
    /// The handle of a statement among them.
    pub handle: Option<i32>,
}

/// A call's procedure and what of its parameters is shown.
pub(crate) fn call<'a>(reader: &mut Reader<'a>, limit: usize) -> Option<Call<'a>> {
    let procedure = procedure(reader)?;
    let mut call = Call { procedure, statement: None, handle: None };
    let Procedure::Known(name) = procedure else { return Some(call) };
    let statement = match name {
        "sp_executesql" => 0,
        "sp_cursoropen" => 1,
        "sp_prepare" | "sp_prepexec" | "sp_cursorprepare" => 2,
        "sp_cursorprepexec" => 3,
        "sp_execute" | "sp_unprepare" | "sp_cursorexecute" | "sp_cursorunprepare" => {
            call.handle = handle(reader);
            return Some(call);
        }
        _ => return Some(call),
    };
    for _ in 0..statement {
        let Some(()) = pass(reader) else { return Some(call) };
    }
    call.statement = text(reader, limit);
    Some(call)
}

fn procedure<'a>(reader: &mut Reader<'a>) -> Option<Procedure<'a>> {
    let length = reader.u16_le()?;
    let procedure = match length {
        0xffff => {
            let number = usize::from(reader.u16_le()?);
            Procedure::Known(number.checked_sub(1).and_then(|place| PROCEDURES.get(place))?)
        }
        length => {
            let name = reader.take(2 * usize::from(length))?;
            let is_same = |known: &&&str| {
                let units = known.bytes().flat_map(|byte| [byte, 0]);
                known.len() * 2 == name.len() && units.eq(name.iter().map(u8::to_ascii_lowercase))
            };
            match PROCEDURES.iter().find(is_same) {
                Some(known) => Procedure::Known(known),
                None => Procedure::Named(name),
            }
        }
    };
    let _options = reader.u16_le();
    Some(procedure)
}

/// Name, status and type of the next parameter: its type's number and how long its value is.
fn head(reader: &mut Reader<'_>) -> Option<(u8, Form)> {
    short_name(reader)?;
    let _status = reader.u8()?;
    match types::read(reader) {
        Found::Type(info) => Some((info.number, info.form)),
        _ => None,
    }
}

/// Passes over a parameter.
fn pass(reader: &mut Reader<'_>) -> Option<()> {
    let (_, form) = head(reader)?;
    let (length, in_chunks) = value_bytes(form, reader)?;
    reader.take(usize::try_from(length).ok()?)?;
    if in_chunks {
        while let length @ 1.. = reader.u32_le()? {
            reader.take(length as usize)?;
        }
    }
    Some(())
}

/// The next parameter as a text, as much of it as there is.
fn text(reader: &mut Reader<'_>, limit: usize) -> Option<Vec<u8>> {
    let (number, form) = head(reader)?;
    if !matches!(number, 0xe7 | 0xef | 0x63) {
        return None;
    }
    // As a parameter an ntext has no pointer.
    if form == Form::Pointer {
        let length = reader.u32_le()?;
        return Some(reader.take_up_to((length as usize).min(2 * limit)).to_vec());
    }
    let (length, in_chunks) = value_bytes(form, reader)?;
    let length = usize::try_from(length).ok()?;
    let mut text = reader.take_up_to(length.min(2 * limit)).to_vec();
    while in_chunks && text.len() < 2 * limit {
        match reader.u32_le() {
            None | Some(0) => break,
            Some(length) => text.extend_from_slice(reader.take_up_to(length as usize)),
        }
    }
    Some(text)
}

/// The next parameter as a whole number.
fn handle(reader: &mut Reader<'_>) -> Option<i32> {
    let (number, form) = head(reader)?;
    match (number, form) {
        (types::INT_N, Form::Byte) => {
            reader.u8().filter(|length| *length == 4)?;
            reader.u32_le().map(|handle| handle as i32)
        }
        (types::INT4, _) => reader.u32_le().map(|handle| handle as i32),
        _ => None,
    }
}
