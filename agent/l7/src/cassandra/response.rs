//! Responses of servers, and events that they push.

use compact_str::format_compact;
use schema::{ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::cassandra::Cassandra;
use crate::cassandra::body::{pass_type, string, value};
use crate::cassandra::envelope::{self, Envelope};
use crate::session::{Key, Pairing, Response};

const RESULT_VOID: u32 = 1;
const RESULT_ROWS: u32 = 2;
const RESULT_SET_KEYSPACE: u32 = 3;
const RESULT_PREPARED: u32 = 4;
const RESULT_SCHEMA_CHANGE: u32 = 5;

/// Flags of the metadata of rows.
const GLOBAL_TABLE: u32 = 1;
const MORE_PAGES: u32 = 2;
const NO_METADATA: u32 = 4;
const METADATA_CHANGED: u32 = 8;

impl Cassandra {
    /// An envelope of the server.
    pub(crate) fn response(&mut self, envelope: &Envelope<'_>, out: &mut Pairing<'_>) {
        let mut reader = Reader::new(envelope.body);
        let is_readable = pass_prefix(envelope, &mut reader).is_some();
        if envelope.opcode == envelope::EVENT {
            return event(envelope, reader, out);
        }
        let stream = u64::from(envelope.stream as u16);
        let mut response = out.answer(ResponseStatus::Ok);
        response.bytes = Some(envelope.bytes() as i64);
        response.version = format_compact!("{}", envelope.version);
        response.echo = out.echo_of_id(stream, stream);
        if is_readable {
            // Of a body that was cut off less is known.
            let _read = match envelope.opcode {
                envelope::ERROR => error(&mut reader, &mut response, out),
                envelope::RESULT => self.result(envelope, &mut reader, &mut response, out),
                _ => None,
            };
        }
        out.response(Key::Id(stream), response);
    }

    /// `kind: u32`, then what that kind has.
    fn result(
        &mut self,
        envelope: &Envelope<'_>,
        reader: &mut Reader<'_>,
        response: &mut Response,
        out: &mut Pairing<'_>,
    ) -> Option<()> {
        match reader.u32_be()? {
            RESULT_VOID => response.result = Text::const_new("Void"),
            RESULT_ROWS => {
                response.result = Text::const_new("Rows");
                response.affected_rows = rows(reader).map(u64::from);
            }
            RESULT_SET_KEYSPACE => {
                response.result = Text::const_new("SetKeyspace ");
                response.result.push_str(&bytes::text(string(reader)?, 256));
            }
            RESULT_PREPARED => {
                response.result = Text::const_new("Prepared");
                let id = string(reader)?;
                let request = out.waiting(u64::from(envelope.stream as u16));
                if let Some(statement) = request.map(|record| record.request_resource.clone()) {
                    self.remember(id, statement, out);
                }
            }
            RESULT_SCHEMA_CHANGE => {
                response.result = Text::const_new("SchemaChange ");
                words(reader, &mut response.result);
            }
            _ => {}
        }
        Some(())
    }
}

/// What flags put before a body: an id of tracing, warnings, what the application adds.
fn pass_prefix(envelope: &Envelope<'_>, reader: &mut Reader<'_>) -> Option<()> {
    if envelope.has_tracing_id() {
        reader.take(16)?;
    }
    if envelope.has_warnings() {
        for _ in 0..reader.u16_be()? {
            string(reader)?;
        }
    }
    if envelope.has_custom_payload() {
        for _ in 0..reader.u16_be()? {
            string(reader)?;
            value(reader)?;
        }
    }
    Some(())
}

/// Number of rows, which stands after the metadata.
fn rows(reader: &mut Reader<'_>) -> Option<u32> {
    let flags = reader.u32_be()?;
    let columns = reader.u32_be()?;
    if flags & MORE_PAGES != 0 {
        value(reader)?;
    }
    if flags & METADATA_CHANGED != 0 {
        string(reader)?;
    }
    if flags & NO_METADATA == 0 {
        let is_global = flags & GLOBAL_TABLE != 0;
        if is_global {
            string(reader)?;
            string(reader)?;
        }
        for _ in 0..columns {
            if !is_global {
                string(reader)?;
                string(reader)?;
            }
            string(reader)?;
            pass_type(reader)?;
        }
    }
    reader.u32_be()
}

/// `code: u32  message: [string]`.
fn error(reader: &mut Reader<'_>, response: &mut Response, out: &Pairing<'_>) -> Option<()> {
    response.status = ResponseStatus::ServerError;
    let code = reader.u32_be()?;
    response.code = i32::try_from(code).ok();
    if is_clients(code) {
        response.status = ResponseStatus::ClientError;
    }
    let length = usize::from(reader.u16_be()?);
    let message = reader.take_up_to(length);
    response.exception = bytes::text(message, out.config.limits.text_bytes.min(1024));
    if response.exception.is_empty() {
        response.exception = Text::const_new(error_name(code));
    }
    Some(())
}

/// Errors that blame who asked: how, with which rights, for what.
fn is_clients(code: u32) -> bool {
    matches!(code, 0x000a | 0x0100 | 0x1400 | 0x2000..=0x2500)
}

/// Name of an error's code.
fn error_name(code: u32) -> &'static str {
    match code {
        0x0000 => "Server error",
        0x000a => "Protocol error",
        0x0100 => "Authentication error",
        0x1000 => "Unavailable",
        0x1001 => "Overloaded",
        0x1002 => "Is bootstrapping",
        0x1003 => "Truncate error",
        0x1100 => "Write timeout",
        0x1200 => "Read timeout",
        0x1300 => "Read failure",
        0x1400 => "Function failure",
        0x1500 => "Write failure",
        0x1600 => "CDC write failure",
        0x1700 => "CAS write unknown",
        0x2000 => "Syntax error",
        0x2100 => "Unauthorized",
        0x2200 => "Invalid",
        0x2300 => "Config error",
        0x2400 => "Already exists",
        0x2500 => "Unprepared",
        _ => "",
    }
}

/// Whether an error's code is one.
pub(crate) fn is_error_code(code: u32) -> bool {
    !error_name(code).is_empty()
}

/// A message that answers nothing: `kind: [string]`, then what changed.
fn event(envelope: &Envelope<'_>, mut reader: Reader<'_>, out: &mut Pairing<'_>) {
    let mut record = out.record();
    record.request_type = Text::const_new("EVENT");
    record.version = format_compact!("{}", envelope.version);
    record.request_bytes = Some(envelope.bytes() as i64);
    record.is_reversed = true;
    words(&mut reader, &mut record.request_resource);
    out.one_way(record);
}

/// Strings up to what is none: kind and change of an event, change and target of a schema.
fn words(reader: &mut Reader<'_>, text: &mut Text) {
    for _ in 0..5 {
        let mut ahead = *reader;
        let Some(word) = string(&mut ahead).filter(|word| is_word(word)) else { return };
        *reader = ahead;
        if !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
        text.push_str(&bytes::text(word, 128));
    }
}

fn is_word(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic())
}
