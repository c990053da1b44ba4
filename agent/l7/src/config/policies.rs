//! Fields that are taken out of messages (`tag_extraction.custom_field_policies`).
//!
//! Key names of DeepFlow's configuration stand beside the fields; the defaults are those.

use std::ops::RangeInclusive;

use schema::L7Protocol;

/// What is taken out of the messages of a protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldPolicy {
    /// `protocol_name`: HTTP or HTTP2, which is gRPC's too.
    pub protocol: L7Protocol,
    /// `filters.port_list`: ports of the server.
    pub ports: Vec<RangeInclusive<u16>>,
    /// `filters.feature_string`: stands in target, header or body; empty = any message.
    pub feature: String,
    /// `fields`.
    pub fields: Vec<FieldRule>,
}

/// One field, where it stands and what becomes of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldRule {
    /// `field_match_keyword`: its name, in JSON perhaps with what stands around it.
    pub keyword: String,
    /// `field_match_ignore_case`. Names of header fields never have a case.
    pub ignore_case: bool,
    /// `subfield_match_keyword`: of its value only a part is wanted.
    pub subfield: Option<Subfield>,
    /// `field_type`.
    pub place: FieldPlace,
    /// `traffic_direction`: looked for in requests.
    pub in_requests: bool,
    /// `traffic_direction`: looked for in responses.
    pub in_responses: bool,
    /// `check_value_charset`: other values are none.
    pub charset: Option<Charset>,
    /// `attribute_name`; empty = none.
    pub attribute: String,
    /// `metric_name`; empty = none.
    pub metric: String,
    /// `rewrite_native_tag`.
    pub column: Option<NativeTag>,
    /// `rewrite_response_status.success_values`: any other value is a server error.
    pub success_values: Option<Vec<String>>,
}

impl FieldRule {
    /// Whether a name is that of the field.
    pub(crate) fn names(&self, name: &[u8]) -> bool {
        match self.ignore_case {
            true => name.eq_ignore_ascii_case(self.keyword.as_bytes()),
            false => name == self.keyword.as_bytes(),
        }
    }
}

/// Where a field stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldPlace {
    /// `http_url_field`: a parameter at the end of the target.
    Url,
    /// `header_field`.
    #[default]
    Header,
    /// `payload_json_value`.
    Json,
    /// `payload_xml_value`.
    Xml,
}

/// A part of a value that is a list of pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Subfield {
    /// `subfield_match_keyword`: name of the pair.
    pub keyword: String,
    /// `separator_between_subfield_kv_pair`; empty = the value is one pair.
    pub pair_separator: String,
    /// `separator_between_subfield_key_and_value`; empty = the value follows the name.
    pub value_separator: String,
}

/// What a value may be made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Charset {
    /// `value_primary_charset` has `digits`.
    pub digits: bool,
    /// `value_primary_charset` has `alphabets`.
    pub alphabets: bool,
    /// `value_primary_charset` has `chinese`.
    pub chinese: bool,
    /// `value_special_charset`.
    pub special: String,
}

impl Charset {
    /// Whether a value is made of nothing else.
    pub(crate) fn allows(&self, value: &str) -> bool {
        value.chars().all(|char| {
            self.digits && char.is_ascii_digit()
                || self.alphabets && char.is_ascii_alphabetic()
                // CJK Unified Ideographs, their first extension and compatibility forms.
                || self.chinese
                    && matches!(char, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{f900}'..='\u{faff}')
                || self.special.contains(char)
        })
    }
}

/// A column that a value can fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NativeTag {
    Version,
    RequestType,
    RequestDomain,
    RequestResource,
    RequestId,
    Endpoint,
    ResponseCode,
    ResponseException,
    ResponseResult,
    TraceId,
    SpanId,
    XRequestId,
    HttpProxyClient,
}

impl NativeTag {
    /// All of them, by the names that the configuration has.
    pub const NAMES: [(&str, Self); 13] = [
        ("version", Self::Version),
        ("request_type", Self::RequestType),
        ("request_domain", Self::RequestDomain),
        ("request_resource", Self::RequestResource),
        ("request_id", Self::RequestId),
        ("endpoint", Self::Endpoint),
        ("response_code", Self::ResponseCode),
        ("response_exception", Self::ResponseException),
        ("response_result", Self::ResponseResult),
        ("trace_id", Self::TraceId),
        ("span_id", Self::SpanId),
        ("x_request_id", Self::XRequestId),
        ("http_proxy_client", Self::HttpProxyClient),
    ];
}
