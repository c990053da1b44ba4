//! Requests of clients, and the records they make.

use compact_str::format_compact;
use schema::Text;

use crate::bytes::{self, Reader};
use crate::cassandra::Cassandra;
use crate::cassandra::body::{Compression, consistency, long_string, string, value};
use crate::cassandra::envelope::{self, Envelope};
use crate::record::Record;
use crate::session::{Key, Pairing};
use crate::sql;
use crate::trace::TraceContext;

/// Most statements of a batch that are shown.
const BATCH_STATEMENTS: u16 = 256;

/// Name of a request's opcode.
fn name_of(opcode: u8) -> &'static str {
    match opcode {
        envelope::STARTUP => "STARTUP",
        envelope::OPTIONS => "OPTIONS",
        envelope::QUERY => "QUERY",
        envelope::PREPARE => "PREPARE",
        envelope::EXECUTE => "EXECUTE",
        envelope::REGISTER => "REGISTER",
        envelope::BATCH => "BATCH",
        _ => "AUTH_RESPONSE",
    }
}

impl Cassandra {
    /// An envelope of the client.
    pub(crate) fn request(&mut self, envelope: &Envelope<'_>, out: &mut Pairing<'_>) {
        let limit = out.config.limits.text_bytes;
        let mut record = out.record();
        record.request_type = Text::const_new(name_of(envelope.opcode));
        record.version = format_compact!("{}", envelope.version);
        record.request_id = Some(u64::from(envelope.stream as u16));
        record.request_bytes = Some(envelope.bytes() as i64);
        let mut context = TraceContext::default();
        let mut reader = Reader::new(envelope.body);
        if envelope.has_custom_payload() {
            // A payload that was cut off leaves nothing to read.
            let _read = custom_payload(&mut reader, &mut context, out);
        }
        // What is there of a body that was cut off is shown.
        let _read = match envelope.opcode {
            envelope::STARTUP => self.startup(&mut reader, &mut record, limit),
            envelope::QUERY => query(&mut reader, &mut record, limit),
            envelope::PREPARE => long_string(&mut reader).map(|statement| {
                statement_of(statement, &mut record, limit);
            }),
            envelope::EXECUTE => self.execute(envelope, &mut reader, &mut record),
            envelope::BATCH => self.batch(&mut reader, &mut record, limit),
            envelope::REGISTER => register(&mut reader, &mut record),
            _ => Some(()),
        };
        let text = record.request_resource.as_bytes();
        sql::trace(&out.config.trace, &text[..text.len().min(limit)], &mut context);
        context.fill(&out.config.trace, &mut record);
        let key = Key::Id(u64::from(envelope.stream as u16));
        out.request(key, record, u64::from(envelope.opcode));
    }

    /// `[string map]`: how the client wants to speak.
    fn startup(
        &mut self,
        reader: &mut Reader<'_>,
        record: &mut Record,
        limit: usize,
    ) -> Option<()> {
        let count = reader.u16_be()?;
        for _ in 0..count {
            let (name, option) = (string(reader)?, string(reader)?);
            if name == b"COMPRESSION" {
                self.compression = Compression::named(option);
            }
            if record.request_resource.len() > limit {
                continue;
            }
            if !record.request_resource.is_empty() {
                record.request_resource.push_str(", ");
            }
            record.request_resource.push_str(&bytes::text(name, 64));
            record.request_resource.push('=');
            record.request_resource.push_str(&bytes::text(option, 128));
        }
        Some(())
    }

    /// `id: [short bytes]`, then what stands after a query's text.
    fn execute(
        &mut self,
        envelope: &Envelope<'_>,
        reader: &mut Reader<'_>,
        record: &mut Record,
    ) -> Option<()> {
        let id = string(reader)?;
        if let Some(statement) = self.statements.get(id) {
            record.endpoint = sql::endpoint(statement.as_bytes());
            record.request_resource = statement.clone();
        }
        if envelope.has_wide_flags() {
            // Of the result's metadata.
            string(reader)?;
        }
        note_consistency(reader, record)
    }

    /// `kind: u8  count: u16  *(kind: u8  text or id  values)  consistency`.
    fn batch(&mut self, reader: &mut Reader<'_>, record: &mut Record, limit: usize) -> Option<()> {
        let _kind = reader.u8()?;
        let count = reader.u16_be()?;
        for place in 0..count {
            let known;
            let statement = match reader.u8()? {
                0 => long_string(reader)?,
                _ => {
                    let id = string(reader)?;
                    known = self.statements.get(id).map(|text| text.as_bytes());
                    known.unwrap_or_default()
                }
            };
            if place == 0 {
                record.endpoint = sql::endpoint(statement);
            }
            let room = limit.saturating_sub(record.request_resource.len());
            if place < BATCH_STATEMENTS && room > 0 && !statement.is_empty() {
                if !record.request_resource.is_empty() {
                    record.request_resource.push_str("; ");
                }
                record.request_resource.push_str(&bytes::text(statement, room));
            }
            let values = reader.u16_be()?;
            for _ in 0..values {
                value(reader)?;
            }
        }
        note_consistency(reader, record)
    }
}

/// `text: [long string]  consistency`.
fn query(reader: &mut Reader<'_>, record: &mut Record, limit: usize) -> Option<()> {
    let statement = long_string(reader)?;
    statement_of(statement, record, limit);
    note_consistency(reader, record)
}

fn statement_of(statement: &[u8], record: &mut Record, limit: usize) {
    record.request_resource = bytes::text(statement, limit);
    record.endpoint = sql::endpoint(statement);
}

fn note_consistency(reader: &mut Reader<'_>, record: &mut Record) -> Option<()> {
    let name = consistency(reader.u16_be()?)?;
    record.attributes.push((Text::const_new("consistency"), name));
    Some(())
}

/// `[string list]`: the kinds of events that are wanted.
fn register(reader: &mut Reader<'_>, record: &mut Record) -> Option<()> {
    let count = reader.u16_be()?;
    for _ in 0..count.min(16) {
        let kind = string(reader)?;
        if !record.request_resource.is_empty() {
            record.request_resource.push_str(", ");
        }
        record.request_resource.push_str(&bytes::text(kind, 64));
    }
    Some(())
}

/// `[bytes map]`: what the application adds, trace context perhaps.
fn custom_payload(
    reader: &mut Reader<'_>,
    context: &mut TraceContext,
    out: &Pairing<'_>,
) -> Option<()> {
    let count = reader.u16_be()?;
    for _ in 0..count {
        let (name, content) = (string(reader)?, value(reader)?);
        context.header(&out.config.trace, name, content);
    }
    Some(())
}
