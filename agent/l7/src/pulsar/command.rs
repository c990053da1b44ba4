//! The commands of Pulsar's binary protocol: names, what answers what, and where their fields
//! stand. pulsar.apache.org/docs/next/developing-binary-protocol, PulsarApi.proto as of 4.0.

use crate::protobuf::{self, Fields, Value};

/// What a command is in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Answered under its request id, the field of this number.
    Request(u64),
    /// Answers under the request id in the field of this number.
    Response(u64),
    /// Answered under its request id if it has one.
    MaybeRequest(u64),
    /// Answered by nothing.
    OneWay,
    /// With a rule of its own.
    Own,
}

/// A kind of command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub number: u64,
    pub name: &'static str,
    pub role: Role,
    /// Field of the topic; 0: none.
    pub topic: u64,
    /// Fields of an error's code and text; 0: none.
    pub error: (u64, u64),
}

/// Numbers of commands with a rule of their own.
pub(crate) mod number {
    pub const CONNECT: u64 = 2;
    pub const CONNECTED: u64 = 3;
    pub const SUBSCRIBE: u64 = 4;
    pub const PRODUCER: u64 = 5;
    pub const SEND: u64 = 6;
    pub const SEND_RECEIPT: u64 = 7;
    pub const SEND_ERROR: u64 = 8;
    pub const MESSAGE: u64 = 9;
    pub const CLOSE_PRODUCER: u64 = 15;
    pub const CLOSE_CONSUMER: u64 = 16;
    pub const PRODUCER_SUCCESS: u64 = 17;
    pub const PING: u64 = 18;
    pub const PONG: u64 = 19;
    pub const CONSUMER_STATS: u64 = 25;
    pub const AUTH_CHALLENGE: u64 = 36;
    pub const AUTH_RESPONSE: u64 = 37;
}

const fn kind(number: u64, name: &'static str, role: Role, topic: u64, error: (u64, u64)) -> Kind {
    Kind { number, name, role, topic, error }
}

const NONE: (u64, u64) = (0, 0);

use Role::{MaybeRequest, OneWay, Own, Request, Response};

/// In the order of their numbers.
static KINDS: [Kind; 58] = [
    kind(2, "CONNECT", Own, 0, NONE),
    kind(3, "CONNECTED", Own, 0, NONE),
    kind(4, "SUBSCRIBE", Request(5), 1, NONE),
    kind(5, "PRODUCER", Request(3), 1, NONE),
    kind(6, "SEND", Own, 0, NONE),
    kind(7, "SEND_RECEIPT", Own, 0, NONE),
    kind(8, "SEND_ERROR", Own, 0, (3, 4)),
    kind(9, "MESSAGE", OneWay, 0, NONE),
    kind(10, "ACK", MaybeRequest(8), 0, NONE),
    kind(11, "FLOW", OneWay, 0, NONE),
    kind(12, "UNSUBSCRIBE", Request(2), 0, NONE),
    kind(13, "SUCCESS", Response(1), 0, NONE),
    kind(14, "ERROR", Response(1), 0, (2, 3)),
    kind(15, "CLOSE_PRODUCER", Request(2), 0, NONE),
    kind(16, "CLOSE_CONSUMER", Request(2), 0, NONE),
    kind(17, "PRODUCER_SUCCESS", Response(1), 0, NONE),
    kind(18, "PING", Own, 0, NONE),
    kind(19, "PONG", Own, 0, NONE),
    kind(20, "REDELIVER_UNACKNOWLEDGED_MESSAGES", OneWay, 0, NONE),
    kind(21, "PARTITIONED_METADATA", Request(2), 1, NONE),
    kind(22, "PARTITIONED_METADATA_RESPONSE", Response(2), 0, (4, 5)),
    kind(23, "LOOKUP", Request(2), 1, NONE),
    kind(24, "LOOKUP_RESPONSE", Response(4), 0, (6, 7)),
    kind(25, "CONSUMER_STATS", Request(1), 0, NONE),
    kind(26, "CONSUMER_STATS_RESPONSE", Response(1), 0, (2, 3)),
    kind(27, "REACHED_END_OF_TOPIC", OneWay, 0, NONE),
    kind(28, "SEEK", Request(2), 0, NONE),
    kind(29, "GET_LAST_MESSAGE_ID", Request(2), 0, NONE),
    kind(30, "GET_LAST_MESSAGE_ID_RESPONSE", Response(2), 0, NONE),
    kind(31, "ACTIVE_CONSUMER_CHANGE", OneWay, 0, NONE),
    kind(32, "GET_TOPICS_OF_NAMESPACE", Request(1), 2, NONE),
    kind(33, "GET_TOPICS_OF_NAMESPACE_RESPONSE", Response(1), 0, NONE),
    kind(34, "GET_SCHEMA", Request(1), 2, NONE),
    kind(35, "GET_SCHEMA_RESPONSE", Response(1), 0, (2, 3)),
    kind(36, "AUTH_CHALLENGE", Own, 0, NONE),
    kind(37, "AUTH_RESPONSE", Own, 0, NONE),
    kind(38, "ACK_RESPONSE", Response(6), 0, (4, 5)),
    kind(39, "GET_OR_CREATE_SCHEMA", Request(1), 2, NONE),
    kind(40, "GET_OR_CREATE_SCHEMA_RESPONSE", Response(1), 0, (2, 3)),
    kind(50, "NEW_TXN", Request(1), 0, NONE),
    kind(51, "NEW_TXN_RESPONSE", Response(1), 0, (4, 5)),
    kind(52, "ADD_PARTITION_TO_TXN", Request(1), 4, NONE),
    kind(53, "ADD_PARTITION_TO_TXN_RESPONSE", Response(1), 0, (4, 5)),
    kind(54, "ADD_SUBSCRIPTION_TO_TXN", Request(1), 0, NONE),
    kind(55, "ADD_SUBSCRIPTION_TO_TXN_RESPONSE", Response(1), 0, (4, 5)),
    kind(56, "END_TXN", Request(1), 0, NONE),
    kind(57, "END_TXN_RESPONSE", Response(1), 0, (4, 5)),
    kind(58, "END_TXN_ON_PARTITION", Request(1), 4, NONE),
    kind(59, "END_TXN_ON_PARTITION_RESPONSE", Response(1), 0, (4, 5)),
    kind(60, "END_TXN_ON_SUBSCRIPTION", Request(1), 0, NONE),
    kind(61, "END_TXN_ON_SUBSCRIPTION_RESPONSE", Response(1), 0, (4, 5)),
    kind(62, "TC_CLIENT_CONNECT_REQUEST", Request(1), 0, NONE),
    kind(63, "TC_CLIENT_CONNECT_RESPONSE", Response(1), 0, (2, 3)),
    kind(64, "WATCH_TOPIC_LIST", Request(1), 3, NONE),
    kind(65, "WATCH_TOPIC_LIST_SUCCESS", Response(1), 0, NONE),
    kind(66, "WATCH_TOPIC_UPDATE", OneWay, 0, NONE),
    kind(67, "WATCH_TOPIC_LIST_CLOSE", Request(1), 0, NONE),
    kind(68, "TOPIC_MIGRATED", OneWay, 0, NONE),
];

/// The kind of a number.
pub(crate) fn kind_of(number: u64) -> Option<&'static Kind> {
    let place = KINDS.binary_search_by_key(&number, |kind| kind.number).ok()?;
    Some(&KINDS[place])
}

/// A command: its kind and its fields, as far as they were captured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command<'a> {
    pub kind: &'static Kind,
    fields: &'a [u8],
}

impl<'a> Command<'a> {
    /// Reads a command of `bytes`: its number, then the message of that number, which fills the
    /// rest. `Err(true)`: too short to tell; `Err(false)`: it is none.
    pub fn read(command: &'a [u8], bytes: usize) -> Result<Self, bool> {
        let cut = || Err(command.len() < bytes);
        let Some((first, rest)) = command.split_first() else { return cut() };
        if *first != 0x08 {
            return Err(false);
        }
        let Some((number, used)) = protobuf::varint(rest) else { return cut() };
        let Some(kind) = kind_of(number) else { return Err(false) };
        let rest = &rest[used..];
        let Some((key, key_bytes)) = protobuf::varint(rest) else { return cut() };
        if key != number << 3 | 2 {
            return Err(false);
        }
        let rest = &rest[key_bytes..];
        let Some((length, length_bytes)) = protobuf::varint(rest) else { return cut() };
        let before = 1 + used + key_bytes + length_bytes;
        if length != bytes.saturating_sub(before) as u64 {
            return Err(false);
        }
        Ok(Self { kind, fields: &rest[length_bytes..] })
    }

    /// The number in a field.
    pub fn number(&self, field: u64) -> Option<u64> {
        Fields::of(self.fields).find_map(|(number, value)| match value {
            Value::Number(value) if number == field => Some(value),
            _ => None,
        })
    }

    /// The text in a field.
    pub fn text(&self, field: u64) -> Option<&'a [u8]> {
        Fields::of(self.fields).find_map(|(number, value)| match value {
            Value::Bytes(bytes) if number == field && field > 0 => Some(bytes),
            _ => None,
        })
    }

    /// The fields captured are fields.
    pub fn is_sound(&self) -> bool {
        Fields::of(self.fields).are_sound()
    }
}

/// Names of errors, by code (enum ServerError).
static ERRORS: [&str; 26] = [
    "UnknownError",
    "MetadataError",
    "PersistenceError",
    "AuthenticationError",
    "AuthorizationError",
    "ConsumerBusy",
    "ServiceNotReady",
    "ProducerBlockedQuotaExceededError",
    "ProducerBlockedQuotaExceededException",
    "ChecksumError",
    "UnsupportedVersionError",
    "TopicNotFound",
    "SubscriptionNotFound",
    "ConsumerNotFound",
    "TooManyRequests",
    "TopicTerminatedError",
    "ProducerBusy",
    "InvalidTopicName",
    "IncompatibleSchema",
    "ConsumerAssignError",
    "TransactionCoordinatorNotFound",
    "InvalidTxnStatus",
    "NotAllowedError",
    "TransactionConflict",
    "TransactionNotFound",
    "ProducerFenced",
];

/// The name of an error; empty: not known.
pub(crate) fn error_name(code: u64) -> &'static str {
    let place = usize::try_from(code).unwrap_or(usize::MAX);
    ERRORS.get(place).copied().unwrap_or_default()
}

/// Whether an error is the broker's own: unknown, of its stores, not ready, or its coordinator's.
pub(crate) fn is_of_server(code: u64) -> bool {
    matches!(code, 0..=2 | 6 | 20) || error_name(code).is_empty()
}
