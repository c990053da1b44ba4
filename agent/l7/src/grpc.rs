//! What gRPC adds to HTTP: status codes, messages, trailers
//! (grpc.io: PROTOCOL-HTTP2.md, statuscodes.md).
//!
//! In: header fields of a call. Out: whose error a status is, names, plain texts. Never: state.

use compact_str::format_compact;
use schema::{L7Protocol, ResponseStatus, Text};

use crate::bytes;
use crate::record::Record;
use crate::session::Response;

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Greatest status.
pub(crate) const LAST_STATUS: i32 = NAMES.len() as i32 - 1;

/// The service of a path `/package.Service/Method`.
fn service(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
    (!service.is_empty() && !method.is_empty()).then_some(service)
}

/// Whose error a status is.
fn status(code: i32) -> ResponseStatus {
    match code {
        0 => ResponseStatus::Ok,
        1 | 3 | 5 | 6 | 7 | 9 | 11 | 16 => ResponseStatus::ClientError,
        _ => ResponseStatus::ServerError,
    }
}

/// The name of a status.
fn status_name(code: i32) -> &'static str {
    usize::try_from(code).ok().and_then(|code| NAMES.get(code)).copied().unwrap_or("UNKNOWN")
}

/// The status that a client reports for a stream that was reset (PROTOCOL-HTTP2.md, Errors).
pub(crate) fn status_of_reset(http2_error: u32) -> i32 {
    match http2_error {
        7 => 14,
        8 => 1,
        11 => 8,
        12 => 7,
        _ => 13,
    }
}

/// How a call ended: what its trailers say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// `grpc-status`.
    pub status: Option<i32>,
    /// `grpc-message`.
    pub message: Text,
}

impl Outcome {
    /// Takes a header field, or one of the trailers. `limit`: longest message that is kept.
    pub fn take(&mut self, name: &[u8], value: &[u8], limit: usize) {
        if name.eq_ignore_ascii_case(b"grpc-status") {
            let code = bytes::decimal(value).and_then(|code| i32::try_from(code).ok());
            self.status = code.or(self.status);
        } else if name.eq_ignore_ascii_case(b"grpc-message") {
            self.message = message(value, limit);
        }
    }

    /// Adds what is known beside it.
    pub fn merge(&mut self, other: Self) {
        self.status = self.status.or(other.status);
        if self.message.is_empty() {
            self.message = other.message;
        }
    }

    /// Makes an answer of HTTP one of gRPC: its status becomes the code, that of HTTP an
    /// attribute. Where it is not known, HTTP's says how the call ended.
    pub fn conclude(self, response: &mut Response) {
        if let Some(code) = response.code {
            let digits = format_compact!("{code}");
            response.attributes.push((Text::const_new("http_status_code"), digits));
        }
        if !self.message.is_empty() {
            response.exception = self.message;
        }
        match self.status {
            Some(code) => {
                response.code = Some(code);
                response.status = status(code);
                if code != 0 && response.exception.is_empty() {
                    response.exception = Text::const_new(status_name(code));
                }
            }
            None if response.code.is_some_and(|code| code >= 400) => {}
            None => {
                response.code = None;
                // A message is that of an error.
                if !response.exception.is_empty() {
                    response.status = ResponseStatus::Unknown;
                }
            }
        }
    }
}

/// Turns a request of HTTP into a call of gRPC, or of what goes by its rules: the path is the
/// endpoint, the service the resource.
pub(crate) fn as_call(record: &mut Record, protocol: L7Protocol) {
    record.protocol = protocol;
    if let Some(service) = service(&record.request_resource).map(Text::from) {
        record.attributes.push((Text::const_new("rpc_service"), service.clone()));
        record.endpoint = std::mem::replace(&mut record.request_resource, service);
    }
}

/// A `grpc-message`, with its percent-encoding taken off.
fn message(value: &[u8], limit: usize) -> Text {
    if memchr::memchr(b'%', value).is_none() {
        return bytes::text(value, limit);
    }
    let mut plain = Vec::with_capacity(value.len().min(limit));
    let mut rest = value;
    while let Some((byte, after)) = rest.split_first() {
        let encoded = after.get(..2).and_then(|digits| hexadecimal(digits[0], digits[1]));
        match encoded.filter(|_| *byte == b'%') {
            Some(byte) => {
                plain.push(byte);
                rest = &after[2..];
            }
            None => {
                plain.push(*byte);
                rest = after;
            }
        }
        if plain.len() > limit {
            break;
        }
    }
    bytes::text(&plain, limit)
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_paths() {
        assert_eq!(service("/shop.Cart/Get"), Some("shop.Cart"));
        assert_eq!(service("/prefix/shop.Cart/Get"), Some("prefix/shop.Cart"));
        for path in ["", "/", "/Get", "shop.Cart/Get", "//Get", "/shop.Cart/"] {
            assert_eq!(service(path), None, "{path}");
        }
    }

    #[test]
    fn messages() {
        assert_eq!(message(b"not found", 99), "not found");
        assert_eq!(message(b"50%25 of caf%C3%A9 %zz%4", 99), "50% of caf\u{e9} %zz%4");
        assert_eq!(message(b"abc%20def", 4), "abc ");
    }

    #[test]
    fn classes_of_statuses() {
        let client: Vec<i32> =
            (0..20).filter(|code| status(*code) == ResponseStatus::ClientError).collect();
        assert_eq!(client, [1, 3, 5, 6, 7, 9, 11, 16]);
        assert_eq!(status(0), ResponseStatus::Ok);
        assert_eq!(status(14), ResponseStatus::ServerError);
        assert_eq!((status_name(4), status_name(99)), ("DEADLINE_EXCEEDED", "UNKNOWN"));
    }
}
