//! What the header fields of a message say: of a request into its record, of a response and of
//! trailers for the stream to keep.
//!
//! In: fields, some of them not known (see `hpack`). Out: a record, facts. Never: a guess, but
//! for values whose form and place leave no doubt: a path, a traceparent, a status of gRPC.

use schema::{L7Protocol, Text};

use crate::bytes;
use crate::config::Config;
use crate::credentials::{self, Hidden};
use crate::endpoint;
use crate::field_policy::Finder;
use crate::grpc;
use crate::http_content::Content;
use crate::http_fields::{RequestFields, ResponseFields};
use crate::http2::hpack::Field;
use crate::record::Record;

/// Longest method or authority that is kept. unit byte
const NAME_BYTES: usize = 256;

/// A request, field by field.
pub(crate) struct RequestHead {
    record: Box<Record>,
    fields: RequestFields,
    /// Fields so far.
    count: usize,
    /// A path was seen.
    has_path: bool,
    /// Some fields were not known.
    has_unknown: bool,
}

/// Requests carry at most so many pseudo-header fields that clients send; they come first.
const PSEUDO_FIELDS: usize = 4;

impl RequestHead {
    pub fn new(record: Box<Record>, finder: Option<Box<Finder>>) -> Self {
        Self {
            record,
            fields: RequestFields::new(finder),
            count: 0,
            has_path: false,
            has_unknown: false,
        }
    }

    /// Takes one field.
    pub fn take(&mut self, config: &Config, field: Field<'_>) {
        self.count += 1;
        let Some(value) = field.value else {
            self.has_unknown = true;
            return;
        };
        let record = &mut *self.record;
        match field.name {
            b":method" => record.request_type = bytes::text(value, NAME_BYTES),
            b":authority" => record.request_domain = bytes::text(value, NAME_BYTES),
            b":path" => self.path(config, value),
            b":scheme" | b":protocol" => {}
            b"content-length" => {
                record.request_bytes =
                    bytes::decimal(value).and_then(|length| i64::try_from(length).ok());
                self.field(config, field.name, value);
            }
            b"" if value.starts_with(b"/") && !self.has_path && self.count <= PSEUDO_FIELDS => {
                self.path(config, value);
            }
            b"" if is_traceparent(value) => {
                self.field(config, b"traceparent", value);
            }
            b"" => self.has_unknown = true,
            name => self.field(config, name, value),
        }
    }

    fn field(&mut self, config: &Config, name: &[u8], value: &[u8]) {
        let custom = &config.custom_fields.http2;
        self.fields.take(config, custom, &mut self.record, name, value);
    }

    fn path(&mut self, config: &Config, value: &[u8]) {
        self.has_path = true;
        if let Some(finder) = &mut self.fields.finder {
            finder.target(config, value);
        }
        let hidden = Hidden::of(config, L7Protocol::Http2);
        self.record.request_resource = credentials::target(value, hidden, config.limits.text_bytes);
    }

    /// Whether it is one: trailers have no pseudo-header fields.
    pub fn is_request(&self) -> bool {
        self.has_path || self.has_unknown || !self.record.request_type.is_empty()
    }

    /// Completes the record; what its body holds, and what looks for fields in it.
    pub fn finish(mut self, config: &Config) -> (Box<Record>, Content, Option<Box<Finder>>) {
        let record = &mut *self.record;
        record.version = Text::const_new("2");
        let content = self.fields.content;
        let path = record.request_resource.as_bytes();
        record.endpoint = endpoint::of_path(&config.http_endpoint, path, config.limits.text_bytes);
        let mut finder = self.fields.finder.take();
        self.fields.fill(config, record);
        if let Some(finder) = &mut finder {
            finder.apply_request(config, record);
        }
        (self.record, content, finder)
    }
}

/// `00-` trace id `-` parent id `-` flags (W3C Trace Context §3.2).
fn is_traceparent(value: &[u8]) -> bool {
    let is_hex = |range: std::ops::Range<usize>| {
        value[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    value.len() == 55
        && value.starts_with(b"00-")
        && value[35] == b'-'
        && value[52] == b'-'
        && is_hex(3..35)
        && is_hex(36..52)
        && is_hex(53..55)
}

/// What the head of a response, or trailers, say.
#[derive(Debug, Default)]
pub(crate) struct ResponseHead {
    /// `:status`.
    pub code: Option<u16>,
    /// `content-length`.
    pub content_bytes: Option<u64>,
    pub fields: ResponseFields,
    /// The first field, where only its value is known and that is a status of gRPC.
    pub unnamed_status: Option<i32>,
    /// Fields so far.
    count: usize,
}

impl ResponseHead {
    /// In which fields of the configuration are looked for.
    pub fn new(finder: Option<Box<Finder>>) -> Self {
        let fields = ResponseFields::new(finder);
        Self { fields, ..Self::default() }
    }

    /// Takes one field.
    pub fn take(&mut self, config: &Config, field: Field<'_>) {
        self.count += 1;
        let Some(value) = field.value else { return };
        match field.name {
            b"" if self.count == 1 && value.len() <= 2 => {
                let code = bytes::decimal(value).map(|code| code as i32);
                self.unnamed_status = code.filter(|code| *code <= grpc::LAST_STATUS);
            }
            b"" => {}
            b":status" if value.len() == 3 => {
                self.code = bytes::decimal(value).map(|code| code as u16);
            }
            b"content-length" => {
                self.content_bytes = bytes::decimal(value);
                self.field(config, field.name, value);
            }
            name => self.field(config, name, value),
        }
    }

    fn field(&mut self, config: &Config, name: &[u8], value: &[u8]) {
        self.fields.take(config, &config.custom_fields.http2, name, value);
    }
}
