//! Alerts (RFC 8446 section 6, RFC 5246 section 7.2).

use compact_str::format_compact;
use schema::{ResponseStatus, Text};

const WARNING: u8 = 1;
const CLOSE_NOTIFY: u8 = 0;
const INTERNAL_ERROR: u8 = 80;
const USER_CANCELED: u8 = 90;
const NO_RENEGOTIATION: u8 = 100;

/// An alert that is not encrypted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alert {
    level: u8,
    pub description: u8,
}

impl Alert {
    pub fn read(body: &[u8]) -> Option<Self> {
        match body {
            [level @ 1..=2, description] => Some(Self { level: *level, description: *description }),
            _ => None,
        }
    }

    /// Warnings do not, but for the one that closes.
    pub fn ends_handshake(self) -> bool {
        self.level != WARNING || matches!(self.description, CLOSE_NOTIFY | USER_CANCELED)
    }

    /// Who sends an alert blames the other, unless it is its own trouble.
    pub fn status(self, from_server: bool) -> ResponseStatus {
        let own = matches!(self.description, CLOSE_NOTIFY | INTERNAL_ERROR | USER_CANCELED);
        match from_server == own {
            true => ResponseStatus::ServerError,
            false => ResponseStatus::ClientError,
        }
    }

    pub fn name(self) -> Text {
        match name_of(self.description) {
            Some(name) => Text::const_new(name),
            None => format_compact!("alert {}", self.description),
        }
    }
}

/// Name of a description; `None` for a number that is none.
pub(crate) fn name_of(description: u8) -> Option<&'static str> {
    Some(match description {
        CLOSE_NOTIFY => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        INTERNAL_ERROR => "internal_error",
        86 => "inappropriate_fallback",
        USER_CANCELED => "user_canceled",
        NO_RENEGOTIATION => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => return None,
    })
}
