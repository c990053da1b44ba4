//! `RpcMeta` of baidu_rpc_meta.proto, as far as a record needs it.

use crate::bytes;
use crate::protobuf::{Fields, Value};

/// What stands before data and attachment.
#[derive(Debug, Default)]
pub(crate) struct Meta<'a> {
    /// `request`.
    pub call: Option<Call<'a>>,
    /// `response`.
    pub outcome: Option<Outcome<'a>>,
    pub correlation_id: u64,
    bytes: &'a [u8],
}

/// `RpcRequestMeta`.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    pub service: &'a [u8],
    pub method: &'a [u8],
    pub log_id: u64,
    pub trace_id: u64,
    pub span_id: u64,
    pub parent_span_id: u64,
    pub request_id: &'a [u8],
}

/// `RpcResponseMeta`.
#[derive(Debug, Default)]
pub(crate) struct Outcome<'a> {
    pub code: i32,
    pub text: &'a [u8],
}

impl<'a> Meta<'a> {
    /// Reads a meta, which may be cut off after what is needed of it. `None`: it is none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut meta = Self { bytes, ..Self::default() };
        let mut has_id = false;
        for field in Fields::of(bytes) {
            match field {
                (1, Value::Bytes(call)) => meta.call = Some(Call::read(call)?),
                (2, Value::Bytes(outcome)) => meta.outcome = Some(Outcome::read(outcome)),
                (4, Value::Number(id)) => (meta.correlation_id, has_id) = (id, true),
                (3 | 5, Value::Number(_)) | (6..=9, Value::Bytes(_)) => {}
                (1..=9, _) => return None,
                _ => {}
            }
        }
        has_id.then_some(meta)
    }

    /// Names and values that the caller added.
    pub fn user_fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        Fields::of(self.bytes).filter_map(|field| {
            let (9, Value::Bytes(entry)) = field else { return None };
            let (mut name, mut text) = (&b""[..], &b""[..]);
            for field in Fields::of(entry) {
                match field {
                    (1, Value::Bytes(bytes)) => name = bytes,
                    (2, Value::Bytes(bytes)) => text = bytes,
                    _ => {}
                }
            }
            Some((name, text))
        })
    }
}

impl<'a> Call<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut call = Self::default();
        for field in Fields::of(bytes) {
            match field {
                (1, Value::Bytes(name)) => call.service = name,
                (2, Value::Bytes(name)) => call.method = name,
                (3, Value::Number(id)) => call.log_id = id,
                (4, Value::Number(id)) => call.trace_id = id,
                (5, Value::Number(id)) => call.span_id = id,
                (6, Value::Number(id)) => call.parent_span_id = id,
                (7, Value::Bytes(id)) => call.request_id = id,
                _ => {}
            }
        }
        (bytes::is_name(call.service) && bytes::is_name(call.method)).then_some(call)
    }
}

impl<'a> Outcome<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut outcome = Self::default();
        for field in Fields::of(bytes) {
            match field {
                (1, Value::Number(code)) => outcome.code = code as i32,
                (2, Value::Bytes(text)) => outcome.text = text,
                _ => {}
            }
        }
        outcome
    }
}
