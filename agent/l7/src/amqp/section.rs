//! Sections of a message of AMQP 1.0 (part 3): annotations and properties before its body.
//!
//! In: the payload of a transfer. Out: trace context and names. Never: the body.

use schema::Text;

use crate::amqp::value::{Cursor, Elements, Value};
use crate::bytes;
use crate::config::Config;
use crate::record::Record;
use crate::trace::TraceContext;

const DELIVERY_ANNOTATIONS: u64 = 0x71;
const MESSAGE_ANNOTATIONS: u64 = 0x72;
const PROPERTIES: u64 = 0x73;
const APPLICATION_PROPERTIES: u64 = 0x74;
/// The first of the sections that are a body.
const DATA: u64 = 0x75;

/// Writes what the sections of a message say into its record.
pub(crate) fn note(payload: &[u8], record: &mut Record, config: &Config) {
    let mut context = TraceContext::default();
    let mut cursor = Cursor::new(payload);
    while let Some(Value::Described(code, elements)) = cursor.value() {
        match code {
            DELIVERY_ANNOTATIONS | MESSAGE_ANNOTATIONS | APPLICATION_PROPERTIES => {
                let mut elements = elements;
                while let (Some(name), Some(value)) = (elements.next(), elements.next()) {
                    if let (Some(name), Some(value)) = (name.text(), value.text()) {
                        context.header(&config.trace, name, value);
                    }
                }
            }
            PROPERTIES => note_properties(elements, record, config.limits.text_bytes),
            DATA.. => break,
            _ => {}
        }
    }
    context.fill(&config.trace, record);
}

fn note_properties(mut elements: Elements<'_>, record: &mut Record, limit: usize) {
    let mut next = || elements.next().unwrap_or(Value::Null);
    let (message_id, _user, to) = (next(), next(), next());
    let (subject, reply_to, correlation_id) = (next(), next(), next());
    if record.request_resource.is_empty()
        && let Some(to) = to.text()
    {
        // A link without an address: each message has its own.
        record.request_resource = bytes::text(to, limit);
        record.endpoint = record.request_resource.clone();
    }
    let attributes = [
        ("message_id", message_id),
        ("subject", subject),
        ("reply_to", reply_to),
        ("correlation_id", correlation_id),
    ];
    for (name, value) in attributes {
        let value = match value {
            Value::Text(text) => bytes::text(text, limit),
            Value::Unsigned(number) => number.to_string().into(),
            _ => Text::default(),
        };
        if !value.is_empty() {
            record.attributes.push((name.into(), value));
        }
    }
}
