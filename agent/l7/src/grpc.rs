//! What gRPC adds to HTTP: content types, status codes, messages
//! (grpc.io: PROTOCOL-HTTP2.md, statuscodes.md).
//!
//! In: header fields of a call. Out: whose error a status is, names, plain texts. Never: state.

use schema::{ResponseStatus, Text};

use crate::bytes;

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

/// Whether a `content-type` is that of gRPC itself: `application/grpc`, with or without a
/// format (`+proto`) or parameters; not `application/grpc-web`.
pub(crate) fn is_content_type(value: &[u8]) -> bool {
    match value.strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';' | b' ')),
        None => false,
    }
}

/// The service of a path `/package.Service/Method`.
pub(crate) fn service(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
    (!service.is_empty() && !method.is_empty()).then_some(service)
}

/// Whose error a status is.
pub(crate) fn status(code: i32) -> ResponseStatus {
    match code {
        0 => ResponseStatus::Ok,
        1 | 3 | 5 | 6 | 7 | 9 | 11 | 16 => ResponseStatus::ClientError,
        _ => ResponseStatus::ServerError,
    }
}

/// The name of a status.
pub(crate) fn status_name(code: i32) -> &'static str {
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

/// A `grpc-message`, with its percent-encoding taken off.
pub(crate) fn message(value: &[u8], limit: usize) -> Text {
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
    fn content_types() {
        for grpc in ["application/grpc", "application/grpc+proto", "application/grpc;v=1"] {
            assert!(is_content_type(grpc.as_bytes()), "{grpc}");
        }
        for other in ["application/grpc-web", "application/grpc-web-text+proto", "text/plain", ""] {
            assert!(!is_content_type(other.as_bytes()), "{other}");
        }
    }

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
