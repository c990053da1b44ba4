//! Keeps secrets out of what is recorded: values of parameters and header fields whose names say
//! that they are credentials.
//!
//! In: request targets; names of header fields. Out: targets with such values shown as `?`, or
//! with all values so. Never: a secret told by its look alone.

use schema::{L7Protocol, Text};

use crate::bytes;
use crate::config::Config;

/// What is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    Nothing,
    /// Values of parameters whose names are those of credentials.
    Credentials,
    /// Values of all parameters.
    Values,
}

impl Hidden {
    /// What a configuration hides of a protocol's requests.
    pub fn of(config: &Config, protocol: L7Protocol) -> Self {
        match (config.redacted.contains(protocol), config.redact_credentials) {
            (true, _) => Self::Values,
            (false, true) => Self::Credentials,
            (false, false) => Self::Nothing,
        }
    }
}

/// Names of credentials.
const NAMES: [&str; 15] = [
    "auth",
    "authorization",
    "cookie",
    "jwt",
    "otp",
    "pass",
    "passphrase",
    "proxy-authorization",
    "pwd",
    "sessionid",
    "set-cookie",
    "set-cookie2",
    "sid",
    "sig",
    "sas",
];

/// Names of credentials end like this, where `_` and `-` do not count.
const ENDINGS: [&str; 11] = [
    "token",
    "password",
    "passwd",
    "secret",
    "signature",
    "credential",
    "credentials",
    "apikey",
    "accesskey",
    "privatekey",
    "sessionid",
];

/// Longest name of a parameter or field that is looked at. unit byte
const NAME_BYTES: usize = 64;

/// Whether a parameter or header field of this name holds a secret.
pub(crate) fn is_secret_name(name: &[u8]) -> bool {
    if NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) {
        return true;
    }
    let mut plain = [0; NAME_BYTES];
    let mut length = 0;
    for byte in name.iter().rev().filter(|byte| !matches!(byte, b'_' | b'-' | b'.')) {
        if length == NAME_BYTES {
            break;
        }
        length += 1;
        plain[NAME_BYTES - length] = byte.to_ascii_lowercase();
    }
    let plain = &plain[NAME_BYTES - length..];
    ENDINGS.iter().any(|ending| plain.ends_with(ending.as_bytes()))
}

/// A value of a parameter `key`, which holds a secret where it looks like an API key: many
/// services of Google take theirs so.
fn is_api_key(value: &[u8]) -> bool {
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    value.len() >= 24 && value.iter().all(is_key)
}

/// A request target as text of at most `limit` bytes, without what is hidden.
pub(crate) fn target(target: &[u8], hidden: Hidden, limit: usize) -> Text {
    if hidden == Hidden::Nothing || !has_secrets(target) {
        return bytes::text(target, limit);
    }
    let mut shown = Vec::with_capacity(target.len().min(limit));
    let mut rest = target;
    if let Some(after) = user_information(rest) {
        let scheme = memchr::memmem::find(rest, b"//").map_or(0, |at| at + 2);
        shown.extend_from_slice(&rest[..scheme]);
        shown.extend_from_slice(b"?@");
        rest = after;
    }
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'?' | b'&' | b';' | b'#')) {
        shown.extend_from_slice(&rest[..=at]);
        rest = &rest[at + 1..];
        let end = rest.iter().position(|byte| matches!(byte, b'?' | b'&' | b';' | b'#'));
        let parameter = &rest[..end.unwrap_or(rest.len())];
        rest = &rest[parameter.len()..];
        match bytes::find(parameter, b'=') {
            Some(equals) if is_hidden(&parameter[..equals], &parameter[equals + 1..], hidden) => {
                shown.extend_from_slice(&parameter[..=equals]);
                shown.push(b'?');
            }
            _ => shown.extend_from_slice(parameter),
        }
        if shown.len() > limit {
            break;
        }
    }
    shown.extend_from_slice(rest);
    bytes::text(&shown, limit)
}

fn is_hidden(name: &[u8], value: &[u8], hidden: Hidden) -> bool {
    hidden == Hidden::Values
        || is_secret_name(name)
        || name.eq_ignore_ascii_case(b"key") && is_api_key(value)
}

/// Whether there may be any: a parameter with a value, or a user before the host.
fn has_secrets(target: &[u8]) -> bool {
    bytes::find(target, b'=').is_some()
        || target.first() != Some(&b'/') && bytes::find(target, b'@').is_some()
}

/// What follows `scheme://user:password@`.
fn user_information(target: &[u8]) -> Option<&[u8]> {
    if target.first() == Some(&b'/') {
        return None;
    }
    let start = memchr::memmem::find(target, b"://")? + 3;
    let end = target[start..].iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = &target[start..end.map_or(target.len(), |end| start + end)];
    let at = memchr::memrchr(b'@', authority)?;
    Some(&target[start + at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_credentials() {
        for secret in [
            "access_token",
            "X-Auth-Token",
            "PASSWORD",
            "user.password",
            "client-secret",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "api_key",
            "x-goog-api-key",
            "Authorization",
            "Cookie",
            "jsessionid",
            "sig",
        ] {
            assert!(is_secret_name(secret.as_bytes()), "{secret}");
        }
        for plain in ["max_tokens", "user", "author", "design", "keyword", "", "passenger", "key"] {
            assert!(!is_secret_name(plain.as_bytes()), "{plain}");
        }
    }

    #[test]
    fn targets() {
        let check = |from: &str, to: &str| {
            assert_eq!(target(from.as_bytes(), Hidden::Credentials, 999), to, "{from}");
        };
        check("/a/b", "/a/b");
        check("/a?x=1&access_token=abc&y=2", "/a?x=1&access_token=?&y=2");
        check("/login?user=u&password=a=b", "/login?user=u&password=?");
        check("/a;jsessionid=AB12?x=1", "/a;jsessionid=??x=1");
        check("/a?password=b?c", "/a?password=??c");
        check("/cb#id_token=abc", "/cb#id_token=?");
        check("http://u:p@h/x?y=1", "http://?@h/x?y=1");
        check("http://h/x?mail=a@b", "http://h/x?mail=a@b");
        check("/v1?key=AIzaSyA1234567890abcdefghij", "/v1?key=?");
        check("/v1?key=user:7", "/v1?key=user:7");
        check("/a?token&x", "/a?token&x");
    }

    #[test]
    fn what_is_hidden_depends() {
        let target = |hidden| target(b"/a?x=1&token=2", hidden, 999);
        assert_eq!(target(Hidden::Nothing), "/a?x=1&token=2");
        assert_eq!(target(Hidden::Credentials), "/a?x=1&token=?");
        assert_eq!(target(Hidden::Values), "/a?x=?&token=?");
    }
}
