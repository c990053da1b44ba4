//! Header fields that requests of every version of HTTP have.
//!
//! In: names and values. Out: columns and attributes of the request's record, and its trace
//! context. What is particular to a version is not its business.

use crate::bytes;
use crate::config::Config;
use crate::record::Record;
use crate::trace::TraceContext;

/// Longest host name that is kept. unit byte
const HOST_BYTES: usize = 256;

/// Longest header value that becomes an attribute. unit byte
const ATTRIBUTE_BYTES: usize = 512;

/// Reads the header fields of a request into its record.
#[derive(Debug, Default)]
pub(crate) struct RequestFields {
    context: TraceContext,
}

impl RequestFields {
    /// Takes one field.
    pub fn take(&mut self, config: &Config, record: &mut Record, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"host") {
            record.request_domain = bytes::text(value, HOST_BYTES);
        } else if name.eq_ignore_ascii_case(b"user-agent") {
            let text = bytes::text(value, ATTRIBUTE_BYTES);
            record.attributes.push(("http_user_agent".into(), text));
        } else if name.eq_ignore_ascii_case(b"referer") {
            record.attributes.push(("http_referer".into(), bytes::text(value, ATTRIBUTE_BYTES)));
        } else {
            self.context.header(&config.trace, name, value);
        }
    }

    /// Writes what was found beside them.
    pub fn fill(self, config: &Config, record: &mut Record) {
        self.context.fill(&config.trace, record);
    }
}
