//! From bytes of conversations to records of requests.
//!
//! In: payloads of TCP segments, UDP datagrams or system calls, each with its time and direction.
//! Out: one [`Record`] for each request, response or pair of them, and [`Stat`]s that the meter
//! counts. Never: I/O, a clock (time is an argument), a panic on any input, or memory without a
//! bound; what a bound costs is counted in [`Shared`] under a reason of `schema/drops.toml`.
//!
//! A [`Conversation`] puts each direction in order (`stream`), finds out which protocol is spoken
//! (`infer`), lets that protocol cut frames and read them (`protocol`, one module each), and pairs
//! requests with responses (`session`).

#![forbid(unsafe_code)]

mod ber;
mod bytes;
mod config;
mod conversation;
mod credentials;
mod endpoint;
mod field_policy;
mod genai;
mod grpc;
mod grpc_web;
mod http_body;
mod http_coding;
mod http_content;
mod http_fields;
mod http_status;
mod infer;
mod inflate;
mod inner;
mod lz4;
mod plugin;
mod protobuf;
mod protocol;
mod reading;
mod record;
mod segment;
mod session;
mod shared;
mod snappy;
mod sql;
mod stream;
mod trace;

mod amqp;
mod brpc;
mod cassandra;
mod custom;
mod dns;
mod dubbo;
mod fastcgi;
mod http1;
mod http2;
mod iso8583;
mod kafka;
mod krpc;
mod ldap;
mod memcached;
mod mongodb;
mod mqtt;
mod mysql;
mod nats;
mod openwire;
mod oracle;
mod ping;
mod postgresql;
mod pulsar;
mod redis;
mod rocketmq;
mod smtp;
mod sofarpc;
mod some_ip;
mod tars;
mod tds;
mod thrift;
mod tls;
mod zmtp;

pub use config::{
    Charset, Config, CustomFieldConfig, EndpointRule, FieldPlace, FieldPolicy, FieldRule,
    HttpEndpointConfig, InferenceConfig, LimitConfig, NativeTag, ProtocolSet, RawConfig, Subfield,
    TraceConfig, WindowConfig,
};
pub use conversation::Conversation;
pub use plugin::{
    Plugin, PluginInput, PluginMessage, PluginMessageKind, PluginOrigin, PluginStep, PluginVerdict,
};
pub use protocol::PARSED_PROTOCOLS;
pub use record::{ErrorSide, Output, Record, Stat, StatKind};
pub use segment::{ConversationContext, Direction, Origin, Segment, Transport};
pub use shared::Shared;
