//! Messages of clients, and the records they make.

use compact_str::format_compact;
use schema::Text;

use crate::bytes::Reader;
use crate::record::Record;
use crate::session::{Key, Pairing};
use crate::sql;
use crate::stream::Mark;
use crate::tds::parameter::{self, Procedure};
use crate::tds::{Tds, login, packet, utf16};
use crate::trace::TraceContext;

/// Header of a message that names the activity it belongs to.
const TRACE_ACTIVITY: u16 = 3;

/// Longest headers that are believed. unit byte
const HEADERS_BYTES_MAX: u32 = 4096;

/// The headers of a message since 7.2: `length: u32  *(length: u32  kind: u16  content)`.
pub(crate) fn headers<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let mut ahead = *reader;
    let total = ahead.u32_le()?;
    let (first, kind) = (ahead.u32_le()?, ahead.u16_le()?);
    let fits = (22..=HEADERS_BYTES_MAX).contains(&total)
        && (18..=total - 4).contains(&first)
        && (1..=TRACE_ACTIVITY).contains(&kind);
    if !fits {
        return None;
    }
    reader.take(total as usize).map(|headers| &headers[4..])
}

impl Tds {
    /// A message of the client. `payload`: as much of it as a record needs.
    pub(crate) fn request(
        &mut self,
        kind: u8,
        payload: &[u8],
        bytes: u64,
        mark: Mark,
        out: &mut Pairing<'_>,
    ) {
        if kind == packet::LOGIN7
            && let Some(version) = login::version(payload)
        {
            self.version = login::version_name(version);
            self.tokens.is_old = matches!(self.version.as_str(), "7.0" | "7.1");
        }
        let limit = out.config.limits.text_bytes;
        let mut record = out.record_at(mark);
        record.request_type = Text::const_new(name_of(kind));
        record.version = self.version.clone();
        record.request_bytes = Some(bytes as i64);
        let mut reader = Reader::new(payload);
        if matches!(kind, packet::SQL_BATCH | packet::RPC | packet::TRANSACTION)
            && let Some(headers) = headers(&mut reader)
        {
            note_activity(headers, &mut record);
        }
        match kind {
            packet::SQL_BATCH => statement(utf16::text(reader.rest(), limit), &mut record, out),
            packet::RPC => self.call(&mut reader, &mut record, out),
            packet::TRANSACTION => record.request_resource = transaction(&mut reader),
            packet::LOGIN7 => login::describe(payload, &mut record),
            packet::PRELOGIN => {
                if let Some(encryption) = login::encryption(payload) {
                    record.attributes.push((Text::const_new("client_encryption"), encryption));
                }
            }
            _ => {}
        }
        match kind {
            packet::ATTENTION => out.one_way(record),
            _ => out.request(Key::Order, record, u64::from(kind)),
        }
    }

    /// A call of a procedure.
    fn call(&mut self, reader: &mut Reader<'_>, record: &mut Record, out: &Pairing<'_>) {
        let limit = out.config.limits.text_bytes;
        self.preparing = None;
        let Some(call) = parameter::call(reader, limit) else { return };
        let name = match call.procedure {
            Procedure::Known(name) => Text::const_new(name),
            Procedure::Named(name) => utf16::text(name, 256),
        };
        let known = call.handle.and_then(|handle| self.statements.get(&handle));
        if let Some(text) = call.statement {
            let text = utf16::text(&text, limit);
            if name.contains("prep") {
                self.preparing = Some(text.clone());
            }
            statement(text, record, out);
        } else if let Some(text) = known {
            statement(text.clone(), record, out);
        } else {
            record.request_resource = name.clone();
            record.endpoint = format_compact!("EXEC {name}");
        }
        if let (Some(handle), "sp_unprepare") = (call.handle, name.as_str()) {
            self.statements.remove(&handle);
        }
        record.attributes.push((Text::const_new("procedure"), name));
    }
}

fn name_of(kind: u8) -> &'static str {
    match kind {
        packet::SQL_BATCH => "SQL_BATCH",
        packet::RPC => "RPC",
        packet::ATTENTION => "ATTENTION",
        packet::BULK_LOAD => "BULK_LOAD",
        packet::FEDERATED_TOKEN => "FEDERATED_TOKEN",
        packet::TRANSACTION => "TRANSACTION",
        packet::LOGIN7 => "LOGIN7",
        packet::SSPI => "SSPI",
        packet::PRELOGIN => "PRELOGIN",
        _ => "LOGIN",
    }
}

/// A statement, its endpoint and the trace context in its comments.
fn statement(text: Text, record: &mut Record, out: &Pairing<'_>) {
    record.endpoint = sql::endpoint(text.as_bytes());
    let mut context = TraceContext::default();
    sql::trace(&out.config.trace, text.as_bytes(), &mut context);
    context.fill(&out.config.trace, record);
    record.request_resource = text;
}

/// `kind: u16 …` of a TransMgrReq.
fn transaction(reader: &mut Reader<'_>) -> Text {
    Text::const_new(match reader.u16_le() {
        Some(0) => "GET_DTC_ADDRESS",
        Some(1) => "PROPAGATE",
        Some(5) => "BEGIN",
        Some(6) => "PROMOTE",
        Some(7) => "COMMIT",
        Some(8) => "ROLLBACK",
        Some(9) => "SAVE",
        _ => "",
    })
}

/// The activity that a header names, as a GUID is written.
fn note_activity(headers: &[u8], record: &mut Record) {
    let mut reader = Reader::new(headers);
    while let Some(length) = reader.u32_le() {
        let Some(kind) = reader.u16_le() else { return };
        let Some(content) = (length as usize).checked_sub(6).and_then(|rest| reader.take(rest))
        else {
            return;
        };
        let mut guid = Reader::new(content);
        if kind != TRACE_ACTIVITY {
            continue;
        }
        let (Some(a), Some(b), Some(c)) = (guid.u32_le(), guid.u16_le(), guid.u16_le()) else {
            return;
        };
        let Some([d, e, rest @ ..]) = guid.array::<8>() else { return };
        let mut text = format_compact!("{a:08x}-{b:04x}-{c:04x}-{d:02x}{e:02x}-");
        for byte in rest {
            text.push_str(&format_compact!("{byte:02x}"));
        }
        record.attributes.push((Text::const_new("activity_id"), text));
        return;
    }
}
