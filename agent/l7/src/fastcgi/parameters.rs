//! Parameters of a FastCGI request: variables of CGI (RFC 3875 §4.1), and those that web servers
//! add.

use crate::bytes::{self, Reader};
use crate::config::Config;
use crate::record::Record;
use crate::trace::TraceContext;

/// Names and values; those that are cut off are left out.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<'a> {
    reader: Reader<'a>,
}

impl<'a> Parameters<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes) }
    }

    fn length(&mut self) -> Option<usize> {
        let first = self.reader.u8()?;
        if first < 0x80 {
            return Some(first.into());
        }
        let [second, third, fourth] = self.reader.array()?;
        Some(u32::from_be_bytes([first & 0x7f, second, third, fourth]) as usize)
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name_bytes, value_bytes) = (self.length()?, self.length()?);
        Some((self.reader.take(name_bytes)?, self.reader.take(value_bytes)?))
    }
}

/// Writes what the parameters say into a request.
pub(crate) fn fill(parameters: &[u8], record: &mut Record, config: &Config) {
    let limit = config.limits.text_bytes;
    let mut context = TraceContext::default();
    let mut script = &b""[..];
    let mut user_agent = None;
    let mut referer = None;
    for (name, value) in Parameters::of(parameters) {
        match name {
            b"REQUEST_METHOD" => record.request_type = bytes::text(value, 32),
            b"HTTP_HOST" => record.request_domain = bytes::text(value, 256),
            b"REQUEST_URI" => record.request_resource = bytes::text(value, limit),
            b"DOCUMENT_URI" => record.endpoint = bytes::text(value, limit.min(256)),
            b"SCRIPT_NAME" => script = value,
            b"CONTENT_LENGTH" => {
                record.request_bytes =
                    bytes::decimal(value).and_then(|bytes| bytes.try_into().ok());
            }
            b"HTTP_USER_AGENT" => user_agent = Some(bytes::text(value, 512)),
            b"HTTP_REFERER" => referer = Some(bytes::text(value, 512)),
            _ => {
                if let Some(header) = name.strip_prefix(b"HTTP_") {
                    context.header(&config.trace, header, value);
                }
            }
        }
    }
    // nginx names the document; others the script only.
    if record.endpoint.is_empty() {
        record.endpoint = bytes::text(script, limit.min(256));
    }
    if record.request_resource.is_empty() {
        record.request_resource = bytes::text(script, limit);
    }
    record.attributes.extend(user_agent.map(|text| ("http_user_agent".into(), text)));
    record.attributes.extend(referer.map(|text| ("http_referer".into(), text)));
    context.fill(&config.trace, record);
}
