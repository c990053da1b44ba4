//! Settings of the request log: which protocols, how long, how much, what is kept of it.
//!
//! Key names of DeepFlow's configuration stand beside the fields; the defaults are those.

mod policies;

use schema::L7Protocol;

pub use policies::{Charset, FieldPlace, FieldPolicy, FieldRule, NativeTag, Subfield};

use crate::protocol::PARSED_PROTOCOLS;

const SECOND_NS: u64 = 1_000_000_000;

/// Everything that can be set. Two equal configurations behave the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `application_protocol_inference.enabled_protocols`: what is tried.
    pub protocols: ProtocolSet,
    /// How long a request waits.
    pub windows: WindowConfig,
    /// Memory bounds.
    pub limits: LimitConfig,
    /// Protocol inference.
    pub inference: InferenceConfig,
    /// `tag_extraction.tracing_tag`.
    pub trace: TraceConfig,
    /// `tag_extraction.http_endpoint`.
    pub http_endpoint: HttpEndpointConfig,
    /// `tag_extraction.obfuscate_protocols`: values in their requests are shown as `?`.
    pub redacted: ProtocolSet,
    /// `filters.unconcerned_dns_nxdomain_response_suffixes`: names of which nobody minds that
    /// they do not exist; the status is then ok.
    pub unconcerned_nxdomain_suffixes: Vec<String>,
    /// `protocol_special_config.mysql.decompress_payload`.
    pub mysql_decompress: bool,
    /// `tag_extraction.raw`.
    pub raw: RawConfig,
    /// `tag_extraction.custom_fields`.
    pub custom_fields: CustomFieldConfig,
    /// `tag_extraction.custom_field_policies`: of several rules for one place the first counts.
    pub field_policies: Vec<FieldPolicy>,
    /// `agent.redact_credentials`: passwords, tokens, cookies and the like in targets and header
    /// fields are shown as `?`.
    pub redact_credentials: bool,
}

impl Config {
    /// For an agent on a live host: values of Redis commands are redacted.
    pub fn live() -> Self {
        Self {
            protocols: ProtocolSet::all(),
            windows: WindowConfig::default(),
            limits: LimitConfig::default(),
            inference: InferenceConfig::default(),
            trace: TraceConfig::default(),
            http_endpoint: HttpEndpointConfig::default(),
            redacted: ProtocolSet::of(&[L7Protocol::Redis]),
            unconcerned_nxdomain_suffixes: Vec::new(),
            mysql_decompress: true,
            raw: RawConfig::default(),
            custom_fields: CustomFieldConfig::default(),
            field_policies: Vec::new(),
            redact_credentials: true,
        }
    }

    /// For replays of captures: every protocol, nothing redacted, long texts.
    pub fn replay() -> Self {
        let limits = LimitConfig { text_bytes: 64 << 10, ..LimitConfig::default() };
        let redacted = ProtocolSet::none();
        Self { redacted, redact_credentials: false, limits, ..Self::live() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::live()
    }
}

/// How long a request waits for its response (`timeouts.session_aggregate_window_duration`).
#[derive(Clone, Debug, PartialEq)]
pub struct WindowConfig {
    /// Any protocol but DNS and TLS. unit ns
    pub session_ns: u64,
    /// DNS. unit ns
    pub dns_ns: u64,
    /// TLS handshakes. unit ns
    pub tls_ns: u64,
    /// How long missing bytes of a TCP stream are waited for once later ones came. unit ns
    pub gap_ns: u64,
}

impl Default for WindowConfig {
    fn default() -> Self {
        Self {
            session_ns: 120 * SECOND_NS,
            dns_ns: 15 * SECOND_NS,
            tls_ns: 15 * SECOND_NS,
            gap_ns: SECOND_NS,
        }
    }
}

/// Bounds of memory. At a bound the oldest goes first and is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitConfig {
    /// `tunning.session_aggregate_max_entries`: sessions that wait, all conversations together.
    pub sessions: usize,
    /// Sessions that wait in one conversation.
    pub conversation_sessions: usize,
    /// Bytes held for one direction of a conversation.
    pub stream_bytes: usize,
    /// Bytes held for all conversations together.
    pub buffered_bytes: usize,
    /// Longest text of a record; the rest is cut off.
    pub text_bytes: usize,
    /// Prepared statements remembered for one conversation.
    pub statements: usize,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            sessions: 65_536,
            conversation_sessions: 32_768,
            stream_bytes: 256 << 10,
            buffered_bytes: 64 << 20,
            text_bytes: 4096,
            statements: 1024,
        }
    }
}

/// Protocol inference (`application_protocol_inference`).
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceConfig {
    /// Segments of a conversation that may fail before it is given up.
    pub segments: u32,
    /// `inference_max_retries`: conversations with one server that may fail before that server
    /// is left alone for `ttl_ns`.
    pub failures: u32,
    /// `inference_result_ttl`. unit ns
    pub ttl_ns: u64,
    /// Servers remembered.
    pub servers: usize,
}

impl Default for InferenceConfig {
    fn default() -> Self {
        Self { segments: 5, failures: 128, ttl_ns: 60 * SECOND_NS, servers: 4096 }
    }
}

/// Headers that carry trace context, by name; case and `-`/`_` make no difference.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceConfig {
    /// `http_real_client`: who the client of a proxy is.
    pub http_real_client: Vec<String>,
    /// `x_request_id`.
    pub x_request_id: Vec<String>,
    /// `apm_trace_id`: the first one found is the trace id, another value the second.
    pub apm_trace_id: Vec<String>,
    /// `apm_span_id`.
    pub apm_span_id: Vec<String>,
    /// `copy_apm_trace_id`: a trace id is also shown as attribute `apm_trace_id`.
    pub copy_apm_trace_id: bool,
}

impl Default for TraceConfig {
    fn default() -> Self {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Self {
            http_real_client: names(&["X_Forwarded_For"]),
            x_request_id: names(&["X_Request_ID"]),
            apm_trace_id: names(&["traceparent", "sw8"]),
            apm_span_id: names(&["traceparent", "sw8"]),
            copy_apm_trace_id: false,
        }
    }
}

/// How a path becomes an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpEndpointConfig {
    /// `extraction_disabled`: endpoints stay empty.
    pub extraction_disabled: bool,
    /// `match_rules`: of the rules whose prefix the path has, the longest counts.
    pub match_rules: Vec<EndpointRule>,
}

impl Default for HttpEndpointConfig {
    fn default() -> Self {
        let rule = EndpointRule { url_prefix: String::new(), keep_segments: 2 };
        Self { extraction_disabled: false, match_rules: vec![rule] }
    }
}

/// Keep so many segments of paths with this prefix.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRule {
    /// The path starts with it; empty = any path.
    pub url_prefix: String,
    /// Segments that are kept.
    pub keep_segments: usize,
}

/// What is kept of HTTP messages whose response is an error. 0 = nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct RawConfig {
    /// `error_request_header`, as attribute `request_header`. unit byte
    pub error_request_header: usize,
    /// `error_response_header`, as attribute `response_header`. unit byte
    pub error_response_header: usize,
    /// `error_request_payload`, as attribute `request_payload`. unit byte
    pub error_request_payload: usize,
    /// `error_response_payload`, as `response_result`. unit byte
    pub error_response_payload: usize,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            error_request_header: 0,
            error_response_header: 0,
            error_request_payload: 0,
            error_response_payload: 256,
        }
    }
}

/// Names of header fields that become attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomFieldConfig {
    /// Of HTTP/1.
    pub http: Vec<String>,
    /// Of HTTP/2 and gRPC.
    pub http2: Vec<String>,
}

/// A set of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolSet(u128);

impl ProtocolSet {
    /// Every protocol that this crate reads.
    pub fn all() -> Self {
        Self::of(PARSED_PROTOCOLS)
    }

    /// The empty set.
    pub fn none() -> Self {
        Self(0)
    }

    /// These protocols.
    pub fn of(protocols: &[L7Protocol]) -> Self {
        Self(protocols.iter().fold(0, |set, protocol| set | bit(*protocol)))
    }

    /// Adds one.
    pub fn insert(&mut self, protocol: L7Protocol) {
        self.0 |= bit(protocol);
    }

    /// Whether it is in the set.
    pub fn contains(self, protocol: L7Protocol) -> bool {
        self.0 & bit(protocol) != 0
    }
}

fn bit(protocol: L7Protocol) -> u128 {
    1 << (protocol.id() & 127)
}
