//! What OpenWire's commands and objects are made of, in versions 1 to 12.
//!
//! From the marshallers that ActiveMQ generates from its commands: the fields in order, each with
//! the versions that have it. Tight and loose encoding have the same order.

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Byte,
    Int,
    Long,
    Text,
    Bytes,
    /// An object, which may have been sent before.
    Cached,
    /// An object.
    Nested,
    /// A list of objects.
    List,
    /// An exception.
    Fault,
}

/// What a field says, as far as a record needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Nothing,
    CommandId,
    ResponseRequired,
    /// The command that a response answers.
    Answers,
    Destination,
    BrokerUrl,
    BrokerName,
    ClientId,
    ConnectionId,
    JmsCorrelationId,
    Properties,
    Fault,
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub kind: Kind,
    pub meaning: Meaning,
    pub since: u8,
    pub until: u8,
}

const fn field(kind: Kind) -> Field {
    Field { kind, meaning: Meaning::Nothing, since: 1, until: u8::MAX }
}

const fn named(kind: Kind, meaning: Meaning) -> Field {
    Field { kind, meaning, since: 1, until: u8::MAX }
}

const fn since(version: u8, field: Field) -> Field {
    Field { since: version, ..field }
}

const fn until(version: u8, field: Field) -> Field {
    Field { until: version, ..field }
}

const BOOL: Field = field(Kind::Bool);
const BYTE: Field = field(Kind::Byte);
const INT: Field = field(Kind::Int);
const LONG: Field = field(Kind::Long);
const TEXT: Field = field(Kind::Text);
const BYTES: Field = field(Kind::Bytes);
const CACHED: Field = field(Kind::Cached);
const NESTED: Field = field(Kind::Nested);
const LIST: Field = field(Kind::List);
const DESTINATION: Field = named(Kind::Cached, Meaning::Destination);
const FAULT: Field = named(Kind::Fault, Meaning::Fault);
const CLIENT_ID: Field = named(Kind::Text, Meaning::ClientId);
const CONNECTION: Field = named(Kind::Cached, Meaning::ConnectionId);

/// What each command starts with.
pub(crate) const COMMAND: &[Field] =
    &[named(Kind::Int, Meaning::CommandId), named(Kind::Bool, Meaning::ResponseRequired)];

const BROKER_INFO: &[Field] = &[
    CACHED,
    named(Kind::Text, Meaning::BrokerUrl),
    LIST,
    named(Kind::Text, Meaning::BrokerName),
    BOOL,
    BOOL,
    BOOL,
    since(2, BOOL),
    since(2, BOOL),
    since(2, LONG),
    since(3, TEXT),
    since(3, TEXT),
];

// Client id, password, user name: the last two are not read.
const CONNECTION_INFO: &[Field] = &[
    CONNECTION,
    CLIENT_ID,
    TEXT,
    TEXT,
    LIST,
    BOOL,
    BOOL,
    since(2, BOOL),
    since(6, BOOL),
    since(6, BOOL),
    since(8, TEXT),
];

const CONSUMER_INFO: &[Field] = &[
    CONNECTION,
    BOOL,
    DESTINATION,
    INT,
    INT,
    BOOL,
    TEXT,
    since(10, CLIENT_ID),
    TEXT,
    BOOL,
    BOOL,
    BOOL,
    BYTE,
    LIST,
    NESTED,
    BOOL,
    BOOL,
    BOOL,
    since(4, LIST),
];

const PRODUCER_INFO: &[Field] = &[CONNECTION, DESTINATION, LIST, since(2, BOOL), since(3, INT)];
const TRANSACTION_INFO: &[Field] = &[CONNECTION, CACHED, BYTE];
const DESTINATION_INFO: &[Field] = &[CONNECTION, DESTINATION, BYTE, LONG, LIST];
const REMOVE_SUBSCRIPTION_INFO: &[Field] = &[CONNECTION, TEXT, CLIENT_ID];
const REMOVE_INFO: &[Field] = &[CONNECTION, since(5, LONG)];
const CONNECTION_ERROR: &[Field] = &[FAULT, named(Kind::Nested, Meaning::ConnectionId)];

const CONSUMER_CONTROL: &[Field] = &[
    since(6, named(Kind::Nested, Meaning::Destination)),
    BOOL,
    named(Kind::Nested, Meaning::ConnectionId),
    INT,
    since(2, BOOL),
    since(2, BOOL),
    since(2, BOOL),
];

const CONNECTION_CONTROL: &[Field] = &[
    BOOL,
    BOOL,
    BOOL,
    BOOL,
    BOOL,
    since(6, TEXT),
    since(6, TEXT),
    since(6, BOOL),
    since(8, BYTES),
];

const PRODUCER_ACK: &[Field] = &[named(Kind::Nested, Meaning::ConnectionId), INT];

const MESSAGE_PULL: &[Field] = &[CONNECTION, DESTINATION, LONG, since(3, TEXT), since(3, NESTED)];

const MESSAGE_DISPATCH: &[Field] = &[CONNECTION, DESTINATION, NESTED, INT];

const MESSAGE_ACK: &[Field] =
    &[DESTINATION, CACHED, CONNECTION, BYTE, NESTED, NESTED, INT, since(7, FAULT)];

const MESSAGE: &[Field] = &[
    CONNECTION,
    DESTINATION,
    CACHED,
    CACHED,
    NESTED,
    CACHED,
    TEXT,
    INT,
    named(Kind::Text, Meaning::JmsCorrelationId),
    BOOL,
    LONG,
    BYTE,
    NESTED,
    LONG,
    TEXT,
    BYTES,
    named(Kind::Bytes, Meaning::Properties),
    NESTED,
    CACHED,
    BOOL,
    INT,
    LIST,
    LONG,
    TEXT,
    BOOL,
    since(2, BOOL),
    since(3, LIST),
    since(3, LONG),
    since(3, LONG),
    since(10, BOOL),
];

const BLOB: &[Field] = &[TEXT, TEXT, BOOL];
const ANSWERS: Field = named(Kind::Int, Meaning::Answers);
const RESPONSE: &[Field] = &[ANSWERS];
const EXCEPTION_RESPONSE: &[Field] = &[ANSWERS, FAULT];
const DATA_RESPONSE: &[Field] = &[ANSWERS, NESTED];
const DATA_ARRAY_RESPONSE: &[Field] = &[ANSWERS, LIST];
const INTEGER_RESPONSE: &[Field] = &[ANSWERS, INT];

const SUBSCRIPTION_INFO: &[Field] =
    &[CLIENT_ID, CACHED, TEXT, TEXT, since(3, NESTED), since(11, BOOL)];

const BRIDGE_FILTER: &[Field] = &[until(9, INT), CACHED, since(10, INT), since(10, INT)];

const MESSAGE_ID: &[Field] = &[since(10, TEXT), CACHED, LONG, LONG];

/// Types of commands and objects that are treated in their own way.
pub(crate) mod kind {
    pub const WIRE_FORMAT_INFO: u8 = 1;
    pub const BROKER_INFO: u8 = 2;
    pub const KEEP_ALIVE_INFO: u8 = 10;
    pub const CONNECTION_ERROR: u8 = 16;
    pub const RESPONSE: u8 = 30;
    pub const EXCEPTION_RESPONSE: u8 = 31;
    pub const INTEGER_RESPONSE: u8 = 34;
    pub const QUEUE: u8 = 100;
    pub const TEMPORARY_TOPIC: u8 = 103;
}

/// Whether a type is a message.
pub(crate) fn is_message(kind: u8) -> bool {
    (23..=29).contains(&kind)
}

/// Whether a type is a command.
pub(crate) fn is_command(kind: u8) -> bool {
    name_of(kind).is_some() && kind != kind::WIRE_FORMAT_INFO
}

/// The name of a command.
pub(crate) fn name_of(kind: u8) -> Option<&'static str> {
    Some(match kind {
        1 => "WireFormatInfo",
        2 => "BrokerInfo",
        3 => "ConnectionInfo",
        4 => "SessionInfo",
        5 => "ConsumerInfo",
        6 => "ProducerInfo",
        7 => "TransactionInfo",
        8 => "DestinationInfo",
        9 => "RemoveSubscriptionInfo",
        10 => "KeepAliveInfo",
        11 => "ShutdownInfo",
        12 => "RemoveInfo",
        14 => "ControlCommand",
        15 => "FlushCommand",
        16 => "ConnectionError",
        17 => "ConsumerControl",
        18 => "ConnectionControl",
        19 => "ProducerAck",
        20 => "MessagePull",
        21 => "MessageDispatch",
        22 => "MessageAck",
        23 => "ActiveMQMessage",
        24 => "ActiveMQBytesMessage",
        25 => "ActiveMQMapMessage",
        26 => "ActiveMQObjectMessage",
        27 => "ActiveMQStreamMessage",
        28 => "ActiveMQTextMessage",
        29 => "ActiveMQBlobMessage",
        30 => "Response",
        31 => "ExceptionResponse",
        32 => "DataResponse",
        33 => "DataArrayResponse",
        34 => "IntegerResponse",
        65 => "ReplayCommand",
        90 => "MessageDispatchNotification",
        92 => "BrokerSubscriptionInfo",
        _ => return None,
    })
}

/// The fields of a type, in two parts; those of a command follow [`COMMAND`]. `None`: not known.
pub(crate) fn fields_of(kind: u8) -> Option<(&'static [Field], &'static [Field])> {
    let fields: &[Field] = match kind {
        2 => BROKER_INFO,
        3 => CONNECTION_INFO,
        4 => &[CONNECTION],
        5 => CONSUMER_INFO,
        6 => PRODUCER_INFO,
        7 => TRANSACTION_INFO,
        8 => DESTINATION_INFO,
        9 => REMOVE_SUBSCRIPTION_INFO,
        10 | 11 | 15 => &[],
        12 => REMOVE_INFO,
        14 => &[TEXT],
        16 => CONNECTION_ERROR,
        17 => CONSUMER_CONTROL,
        18 => CONNECTION_CONTROL,
        19 => PRODUCER_ACK,
        20 => MESSAGE_PULL,
        21 => MESSAGE_DISPATCH,
        22 => MESSAGE_ACK,
        23..=28 => MESSAGE,
        29 => return Some((MESSAGE, BLOB)),
        30 => RESPONSE,
        31 => EXCEPTION_RESPONSE,
        32 => DATA_RESPONSE,
        33 => DATA_ARRAY_RESPONSE,
        34 => INTEGER_RESPONSE,
        55 => SUBSCRIPTION_INFO,
        65 => &[INT, INT],
        90 => &[CONNECTION, DESTINATION, LONG, NESTED],
        91 => BRIDGE_FILTER,
        92 => &[NESTED, TEXT, LIST],
        // Queue, topic, and temporary ones: a name.
        100..=103 => &[TEXT],
        110 => MESSAGE_ID,
        // Transactions: local, XA.
        111 => &[LONG, CACHED],
        112 => &[INT, BYTES, BYTES],
        // Connection, session, consumer, producer, broker.
        120 | 124 => &[TEXT],
        121 => &[TEXT, LONG],
        122 | 123 => &[TEXT, LONG, LONG],
        _ => return None,
    };
    Some((fields, &[]))
}
