//! What return and reason codes mean. OASIS MQTT 3.1.1 §3.2.2.3, MQTT 5.0 §2.4.

use schema::ResponseStatus;

/// Whose fault a return code of MQTT 3 CONNACK is, and its text.
pub(crate) fn of_connack3(code: u8) -> (ResponseStatus, &'static str) {
    use ResponseStatus::{ClientError, Ok, ServerError};
    match code {
        0 => (Ok, ""),
        1 => (ClientError, "Unacceptable protocol version"),
        2 => (ClientError, "Identifier rejected"),
        3 => (ServerError, "Server unavailable"),
        4 => (ClientError, "Bad user name or password"),
        5 => (ClientError, "Not authorized"),
        _ => (ServerError, "Reserved return code"),
    }
}

/// Whose fault a reason code is, and its text. Below 0x80 it is no error.
pub(crate) fn of(code: u8) -> (ResponseStatus, &'static str) {
    use ResponseStatus::{ClientError, Ok, ServerError};
    match code {
        0..0x80 => (Ok, ""),
        0x80 => (ServerError, "Unspecified error"),
        0x81 => (ClientError, "Malformed Packet"),
        0x82 => (ClientError, "Protocol Error"),
        0x83 => (ServerError, "Implementation specific error"),
        0x84 => (ClientError, "Unsupported Protocol Version"),
        0x85 => (ClientError, "Client Identifier not valid"),
        0x86 => (ClientError, "Bad User Name or Password"),
        0x87 => (ClientError, "Not authorized"),
        0x88 => (ServerError, "Server unavailable"),
        0x89 => (ServerError, "Server busy"),
        0x8a => (ClientError, "Banned"),
        0x8b => (ServerError, "Server shutting down"),
        0x8c => (ClientError, "Bad authentication method"),
        0x8d => (ClientError, "Keep Alive timeout"),
        0x8e => (ClientError, "Session taken over"),
        0x8f => (ClientError, "Topic Filter invalid"),
        0x90 => (ClientError, "Topic Name invalid"),
        0x91 => (ClientError, "Packet Identifier in use"),
        0x92 => (ClientError, "Packet Identifier not found"),
        0x93 => (ClientError, "Receive Maximum exceeded"),
        0x94 => (ClientError, "Topic Alias invalid"),
        0x95 => (ClientError, "Packet too large"),
        0x96 => (ClientError, "Message rate too high"),
        0x97 => (ClientError, "Quota exceeded"),
        0x98 => (ServerError, "Administrative action"),
        0x99 => (ClientError, "Payload format invalid"),
        0x9a => (ClientError, "Retain not supported"),
        0x9b => (ClientError, "QoS not supported"),
        0x9c => (ServerError, "Use another server"),
        0x9d => (ServerError, "Server moved"),
        0x9e => (ClientError, "Shared Subscriptions not supported"),
        0x9f => (ServerError, "Connection rate exceeded"),
        0xa0 => (ServerError, "Maximum connect time"),
        0xa1 => (ClientError, "Subscription Identifiers not supported"),
        0xa2 => (ClientError, "Wildcard Subscriptions not supported"),
        _ => (ServerError, "Reserved reason code"),
    }
}
