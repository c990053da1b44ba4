//! Operations, and what a record shows of them.
//!
//! In: messages, perhaps cut off. Out: fields of records, result codes. Never: a password, a value
//! of an attribute.

use schema::{L7Protocol, ResponseStatus, Text};

use crate::ber::{self, Element, Elements};
use crate::bytes;
use crate::ldap::{filter, name};
use crate::record::Record;
use crate::session::Pairing;

pub(crate) const UNBIND: u8 = 0x42;
pub(crate) const DELETE: u8 = 0x4a;
pub(crate) const ABANDON: u8 = 0x50;
pub(crate) const BIND: u8 = 0x60;
pub(crate) const BIND_RESPONSE: u8 = 0x61;
pub(crate) const SEARCH: u8 = 0x63;
pub(crate) const ENTRY: u8 = 0x64;
pub(crate) const SEARCH_DONE: u8 = 0x65;
pub(crate) const MODIFY: u8 = 0x66;
pub(crate) const MODIFY_RESPONSE: u8 = 0x67;
pub(crate) const ADD: u8 = 0x68;
pub(crate) const ADD_RESPONSE: u8 = 0x69;
pub(crate) const DELETE_RESPONSE: u8 = 0x6b;
pub(crate) const MODIFY_DN: u8 = 0x6c;
pub(crate) const MODIFY_DN_RESPONSE: u8 = 0x6d;
pub(crate) const COMPARE: u8 = 0x6e;
pub(crate) const COMPARE_RESPONSE: u8 = 0x6f;
pub(crate) const REFERENCE: u8 = 0x73;
pub(crate) const EXTENDED: u8 = 0x77;
pub(crate) const EXTENDED_RESPONSE: u8 = 0x78;
pub(crate) const INTERMEDIATE: u8 = 0x79;

/// How the request for TLS is shown.
pub(crate) const START_TLS: &str = "StartTLS";

/// Tag of credentials of SASL in a bind.
const SASL: u8 = 0xa3;
/// Tag of the name of an extended request.
const NAME: u8 = 0x80;

/// A message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub id: u64,
    /// Tag of its operation.
    pub tag: u8,
    /// As much of it as there is.
    pub content: &'a [u8],
    /// Length of the whole message. unit byte
    pub bytes: usize,
}

impl<'a> Message<'a> {
    /// The message at the front of `bytes`; `None`: it has not the form of one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let outer = Element::read(bytes).filter(|outer| outer.tag == ber::SEQUENCE)?;
        let mut parts = outer.elements();
        let id = parts.next().filter(|id| id.tag == ber::INTEGER)?.integer()?;
        let operation = parts.next()?;
        let id = u64::try_from(id).ok().filter(|id| *id <= i32::MAX as u64)?;
        Some(Self { id, tag: operation.tag, content: operation.content, bytes: outer.bytes() })
    }

    pub fn elements(&self) -> Elements<'a> {
        Elements::new(self.content)
    }
}

/// Name of a request's tag.
pub(crate) fn request_name(tag: u8) -> Option<&'static str> {
    Some(match tag {
        BIND => "BIND",
        UNBIND => "UNBIND",
        SEARCH => "SEARCH",
        MODIFY => "MODIFY",
        ADD => "ADD",
        DELETE => "DELETE",
        MODIFY_DN => "MODIFY_DN",
        COMPARE => "COMPARE",
        ABANDON => "ABANDON",
        EXTENDED => "EXTENDED",
        _ => return None,
    })
}

/// Name of the request that a response of this tag ends.
pub(crate) fn answered_name(tag: u8) -> &'static str {
    let request = match tag {
        SEARCH_DONE => SEARCH,
        DELETE_RESPONSE => DELETE,
        tag => tag.wrapping_sub(1),
    };
    request_name(request).unwrap_or_default()
}

/// Whether a tag is one of a response.
pub(crate) fn is_response(tag: u8) -> bool {
    matches!(
        tag,
        BIND_RESPONSE
            | ENTRY
            | SEARCH_DONE
            | MODIFY_RESPONSE
            | ADD_RESPONSE
            | DELETE_RESPONSE
            | MODIFY_DN_RESPONSE
            | COMPARE_RESPONSE
            | REFERENCE
            | EXTENDED_RESPONSE
            | INTERMEDIATE
    )
}

/// Writes a request into a record. `false`: it is none.
pub(crate) fn describe(message: &Message<'_>, record: &mut Record, out: &Pairing<'_>) -> bool {
    let Some(name) = request_name(message.tag) else { return false };
    record.request_type = Text::const_new(name);
    let limit = out.config.limits.text_bytes;
    let mut parts = message.elements();
    match message.tag {
        BIND => bind(message, record, limit),
        SEARCH => search(message, record, out),
        MODIFY | ADD | MODIFY_DN => entry_name(parts.next(), record, limit),
        COMPARE => {
            entry_name(parts.next(), record, limit);
            if let Some(attribute) = parts.next().and_then(|pair| pair.elements().next()) {
                let attribute = bytes::text(attribute.content, 128);
                record.attributes.push((Text::const_new("compared_attribute"), attribute));
            }
        }
        DELETE => {
            record.request_resource = bytes::text(message.content, limit);
            record.endpoint = name::container(message.content);
        }
        EXTENDED => {
            if let Some(name) = parts.next().filter(|name| name.tag == NAME) {
                record.request_resource = extension_name(name.content);
            }
        }
        _ => {}
    }
    true
}

/// Shows the entry that is changed or asked about.
fn entry_name(name: Option<Element<'_>>, record: &mut Record, limit: usize) {
    if let Some(name) = name {
        record.request_resource = bytes::text(name.content, limit);
        record.endpoint = name::container(name.content);
    }
}

/// The id that an ABANDON is about: its content is an integer without tag.
pub(crate) fn abandoned_id(message: &Message<'_>) -> Option<u64> {
    if message.content.is_empty() || message.content.len() > 4 {
        return None;
    }
    Some(message.content.iter().fold(0, |id, byte| id << 8 | u64::from(*byte)))
}

/// `version: INTEGER  name  simple [0] | sasl [3]`.
fn bind(message: &Message<'_>, record: &mut Record, limit: usize) {
    let mut parts = message.elements();
    if let Some(version) = parts.next().and_then(|version| version.integer()) {
        record.version = compact_str::format_compact!("{version}");
    }
    entry_name(parts.next(), record, limit);
    let Some(choice) = parts.next() else { return };
    let mechanism = match choice.tag {
        0x80 => Text::const_new("simple"),
        SASL => match choice.elements().next() {
            Some(mechanism) => bytes::text(mechanism.content, 64),
            None => return,
        },
        _ => return,
    };
    record.attributes.push((Text::const_new("mechanism"), mechanism));
}

/// Whether a bind uses SASL.
pub(crate) fn is_sasl(message: &Message<'_>) -> bool {
    message.elements().nth(2).is_some_and(|choice| choice.tag == SASL)
}

/// `base  scope  deref  size  time  types_only  filter  attributes` as `base scope filter`.
fn search(message: &Message<'_>, record: &mut Record, out: &Pairing<'_>) {
    let limit = out.config.limits.text_bytes;
    let mut parts = message.elements();
    let Some(base) = parts.next() else { return };
    record.endpoint = name::container(base.content);
    let mut text = bytes::text(base.content, limit);
    if let Some(scope) = parts.next().and_then(|scope| scope.integer()) {
        text.push_str(match scope {
            0 => " base",
            1 => " one",
            2 => " sub",
            _ => " children",
        });
    }
    if let Some(condition) = parts.nth(4) {
        text.push(' ');
        let hides_values = out.config.redacted.contains(L7Protocol::Ldap);
        filter::write(&condition, &mut text, limit, hides_values);
    }
    record.request_resource = text;
}

/// Names of well-known extensions (IANA, LDAP parameters); of others their object id.
fn extension_name(id: &[u8]) -> Text {
    match id {
        b"1.3.6.1.4.1.1466.20037" => Text::const_new(START_TLS),
        b"1.3.6.1.4.1.4203.1.11.1" => Text::const_new("PasswordModify"),
        b"1.3.6.1.4.1.4203.1.11.3" => Text::const_new("WhoAmI"),
        b"1.3.6.1.1.8" => Text::const_new("Cancel"),
        b"1.3.6.1.1.21.1" => Text::const_new("StartTransaction"),
        b"1.3.6.1.1.21.3" => Text::const_new("EndTransaction"),
        _ => bytes::text(id, 128),
    }
}

/// `code: ENUMERATED  matched  message` at the start of a response.
pub(crate) fn result<'a>(message: &Message<'a>) -> Option<(i64, &'a [u8])> {
    let mut parts = message.elements();
    let code = parts.next().filter(|code| code.tag == ber::ENUMERATED)?.integer()?;
    let _matched = parts.next();
    let text = parts.next().filter(|text| text.tag == ber::OCTET_STRING);
    Some((code, text.map_or(&[], |text| text.content)))
}

/// Results that are no errors, that blame the client, and others.
pub(crate) fn status(code: i64) -> ResponseStatus {
    match code {
        0 | 5 | 6 | 10 | 14 => ResponseStatus::Ok,
        1 | 3 | 11 | 51..=54 | 71 | 80 => ResponseStatus::ServerError,
        2..=70 | 118..=123 => ResponseStatus::ClientError,
        _ => ResponseStatus::ServerError,
    }
}

/// Name of a result code (RFC 4511 appendix A).
pub(crate) fn result_name(code: i64) -> Option<&'static str> {
    Some(match code {
        0 => "success",
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        5 => "compareFalse",
        6 => "compareTrue",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        14 => "saslBindInProgress",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        33 => "aliasProblem",
        34 => "invalidDNSyntax",
        36 => "aliasDereferencingProblem",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        54 => "loopDetect",
        64 => "namingViolation",
        65 => "objectClassViolation",
        66 => "notAllowedOnNonLeaf",
        67 => "notAllowedOnRDN",
        68 => "entryAlreadyExists",
        69 => "objectClassModsProhibited",
        71 => "affectsMultipleDSAs",
        80 => "other",
        118 => "canceled",
        119 => "noSuchOperation",
        120 => "tooLate",
        121 => "cannotCancel",
        122 => "assertionFailed",
        123 => "authorizationDenied",
        _ => return None,
    })
}
