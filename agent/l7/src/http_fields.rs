//! Header fields that messages of every version of HTTP have.
//!
//! In: names and values, and which of them are wanted. Out: columns and attributes of a record,
//! its trace context. What is particular to a version is not its business. Never: a credential
//! shown, unless the configuration says so.

use schema::{L7Protocol, Text};

use crate::bytes;
use crate::config::Config;
use crate::credentials::{self, Hidden};
use crate::field_policy::Finder;
use crate::grpc::{self, Outcome};
use crate::http_content::Content;
use crate::record::Record;
use crate::session::Response;
use crate::trace::{self, Ranked, TraceContext};

/// Longest host name that is kept. unit byte
const HOST_BYTES: usize = 256;

/// Longest header value that becomes an attribute. unit byte
const ATTRIBUTE_BYTES: usize = 512;

/// Attributes with the header of a request, and of a response, that ended in an error.
const REQUEST_HEADER: Text = Text::const_new("request_header");
const RESPONSE_HEADER: Text = Text::const_new("response_header");

/// Reads the header fields of a request into its record.
#[derive(Debug, Default)]
pub(crate) struct RequestFields {
    context: TraceContext,
    header: HeaderText,
    /// What the body holds.
    pub content: Content,
    /// Looks for fields of the configuration.
    pub finder: Option<Box<Finder>>,
    /// It is a call of Dubbo's Triple, to this version of its service.
    triple: Option<Text>,
}

impl RequestFields {
    /// With what looks for fields of the configuration.
    pub fn new(finder: Option<Box<Finder>>) -> Self {
        Self { finder, ..Self::default() }
    }

    /// Takes one field. `custom`: names of those that become attributes.
    pub fn take(
        &mut self,
        config: &Config,
        custom: &[String],
        record: &mut Record,
        name: &[u8],
        value: &[u8],
    ) {
        self.header.add(config, config.raw.error_request_header, name, value);
        self.content.take(name, value);
        if name.eq_ignore_ascii_case(b"host") {
            if record.request_domain.is_empty() {
                record.request_domain = bytes::text(value, HOST_BYTES);
            }
        } else if name.eq_ignore_ascii_case(b"user-agent") {
            let text = bytes::text(value, ATTRIBUTE_BYTES);
            record.attributes.push((Text::const_new("http_user_agent"), text));
        } else if name.eq_ignore_ascii_case(b"referer") {
            let hidden = Hidden::of(config, record.protocol);
            let text = credentials::target(value, hidden, ATTRIBUTE_BYTES);
            record.attributes.push((Text::const_new("http_referer"), text));
        } else if name.len() > 4 && name[..4].eq_ignore_ascii_case(b"tri-") {
            self.triple_field(name, value);
        } else {
            self.context.header(&config.trace, name, value);
        }
        if !custom.is_empty() {
            record.attributes.extend(custom_field(config, custom, name, value));
        }
        if let Some(finder) = &mut self.finder {
            finder.header(config, name, value);
        }
    }

    /// Takes a field of Dubbo's Triple protocol
    /// (dubbo.apache.org: Triple specification, "Triple Service Definition Mapping").
    fn triple_field(&mut self, name: &[u8], value: &[u8]) {
        let name = name.to_ascii_lowercase();
        match &name[..] {
            b"tri-service-version" => self.triple = Some(bytes::text(value, HOST_BYTES)),
            b"tri-trace-traceid" => {
                let trace = bytes::text(value, HOST_BYTES);
                self.context.native(trace, Text::default(), Text::default());
            }
            b"tri-trace-rpcid" => {
                let span = bytes::text(value, HOST_BYTES);
                self.context.native(Text::default(), span, Text::default());
            }
            b"tri-service-group"
            | b"tri-service-timeout"
            | b"tri-consumer-appname"
            | b"tri-req-id"
            | b"tri-protocol-version"
            | b"tri-unit-info" => {}
            _ => return,
        }
        self.triple.get_or_insert_default();
    }

    /// Writes what was found beside them. The path is in its column.
    pub fn fill(self, config: &Config, record: &mut Record) {
        if let Some(version) = self.triple {
            grpc::as_call(record, L7Protocol::Triple);
            if !version.is_empty() {
                record.version = version;
            }
        } else if self.content.is_grpc() {
            grpc::as_call(record, L7Protocol::Grpc);
        }
        self.context.fill(&config.trace, record);
        if !self.header.text.is_empty() {
            let text = bytes::text(&self.header.text, config.raw.error_request_header);
            record.attributes.push((REQUEST_HEADER, text));
        }
    }
}

/// The request turned out well: what is kept for errors only goes.
pub(crate) fn forget_header(config: &Config, record: &mut Record) {
    if config.raw.error_request_header > 0 {
        record.attributes.retain(|(name, _)| *name != REQUEST_HEADER);
    }
}

/// Reads the header fields of a response.
#[derive(Debug, Default)]
pub(crate) struct ResponseFields {
    x_request_id: Ranked,
    attributes: Vec<(Text, Text)>,
    header: HeaderText,
    /// What the body holds.
    pub content: Content,
    /// Looks for fields of the configuration.
    pub finder: Option<Box<Finder>>,
    /// How a call of gRPC ended.
    pub outcome: Outcome,
}

impl ResponseFields {
    /// With what looks for fields of the configuration.
    pub fn new(finder: Option<Box<Finder>>) -> Self {
        Self { finder, ..Self::default() }
    }

    /// Takes one field. `custom`: names of those that become attributes.
    pub fn take(&mut self, config: &Config, custom: &[String], name: &[u8], value: &[u8]) {
        self.header.add(config, config.raw.error_response_header, name, value);
        self.content.take(name, value);
        self.outcome.take(name, value, config.limits.text_bytes);
        trace::offer_request_id(&mut self.x_request_id, &config.trace, name, value);
        if !custom.is_empty() {
            self.attributes.extend(custom_field(config, custom, name, value));
        }
        if let Some(finder) = &mut self.finder {
            finder.header(config, name, value);
        }
    }

    /// Adds those of the trailers.
    pub fn merge(&mut self, trailers: Self) {
        self.x_request_id = self.x_request_id.take().or(trailers.x_request_id);
        self.attributes.extend(trailers.attributes);
        self.header.text.extend(trailers.header.text);
        self.outcome.merge(trailers.outcome);
    }

    /// Writes what was found into a response.
    pub fn fill(self, config: &Config, is_error: bool, response: &mut Response) {
        if let Some((_, id)) = self.x_request_id {
            response.x_request_id = id;
        }
        response.attributes.extend(self.attributes);
        if is_error && !self.header.text.is_empty() {
            let text = bytes::text(&self.header.text, config.raw.error_response_header);
            response.attributes.push((RESPONSE_HEADER, text));
        }
    }
}

/// A field that the configuration names, under the name that it has there.
fn custom_field(
    config: &Config,
    custom: &[String],
    name: &[u8],
    value: &[u8],
) -> Option<(Text, Text)> {
    let known = custom.iter().find(|known| name.eq_ignore_ascii_case(known.as_bytes()))?;
    Some((Text::from(known.as_str()), shown(config, name, value)))
}

fn shown(config: &Config, name: &[u8], value: &[u8]) -> Text {
    match config.redact_credentials && credentials::is_secret_name(name) {
        true => Text::const_new("?"),
        false => bytes::text(value, ATTRIBUTE_BYTES),
    }
}

/// A header as text, one field a line.
#[derive(Debug, Default)]
struct HeaderText {
    text: Vec<u8>,
}

impl HeaderText {
    fn add(&mut self, config: &Config, limit: usize, name: &[u8], value: &[u8]) {
        if self.text.len() >= limit {
            return;
        }
        for part in [name, b": ", shown(config, name, value).as_bytes(), b"\n"] {
            self.text.extend_from_slice(part);
        }
    }
}
