//! Messages of the client: what is agreed on before calls, and calls by their function.
//!
//! In: the payload of data packets. Out: what a record shows of it. Never: a password, a value.

use schema::{L7Protocol, Text};

use crate::bytes::{self, Reader};
use crate::config::Config;
use crate::oracle::statement;
use crate::record::Record;
use crate::trace::TraceContext;

/// Bytes of a message that are held beside its statement.
pub(crate) const LOOK_BYTES: usize = 2048;

const PROTOCOL: u8 = 0x01;
const DATA_TYPES: u8 = 0x02;
const FUNCTION: u8 = 0x03;
const PIGGYBACK: u8 = 0x11;
const ONE_WAY: u8 = 0x1a;
const FAST_AUTH: u8 = 0x22;

/// Start of the negotiation of encryption and checksums.
const NETWORK_SERVICES: &[u8] = b"\xde\xad\xbe\xef";

/// How that is shown.
pub(crate) const NETWORK_SERVICES_NAME: &str = "NETWORK_SERVICES";

const REEXECUTE: u8 = 4;
const FETCH: u8 = 5;
const REEXECUTE_AND_FETCH: u8 = 78;
const EXECUTE: u8 = 94;
const AUTH: u8 = 115;
const AUTH_START: u8 = 118;

/// Functions that are known.
pub(crate) const FUNCTIONS: usize = 44;

/// Names of functions by their number.
const NAMES: [(u8, &str); FUNCTIONS] = [
    (2, "OPEN"),
    (3, "PARSE"),
    (REEXECUTE, "REEXECUTE"),
    (FETCH, "FETCH"),
    (8, "CLOSE"),
    (9, "LOGOFF"),
    (12, "AUTOCOMMIT_ON"),
    (13, "AUTOCOMMIT_OFF"),
    (14, "COMMIT"),
    (15, "ROLLBACK"),
    (20, "CANCEL"),
    (43, "DESCRIBE"),
    (48, "STARTUP"),
    (49, "SHUTDOWN"),
    (59, "VERSION"),
    (67, "K2_TRANSACTION"),
    (71, "EXECUTE"),
    (74, "PARSE_AND_EXECUTE"),
    (76, "LOGON_RPC"),
    (REEXECUTE_AND_FETCH, "REEXECUTE_AND_FETCH"),
    (81, "LOGON"),
    (82, "LOGON_CHALLENGE"),
    (84, "SESSION_KEY"),
    (EXECUTE, "EXECUTE"),
    (96, "LOB"),
    (98, "DESCRIBE_ANY"),
    (103, "TRANSACTION_SWITCH"),
    (104, "TRANSACTION_END"),
    (105, "CLOSE_CURSORS"),
    (AUTH, "AUTH"),
    (AUTH_START, "AUTH_START"),
    (119, "DESCRIBE_ARRAY"),
    (121, "ENQUEUE"),
    (122, "DEQUEUE"),
    (125, "NOTIFY"),
    (128, "DIRECT_PATH_PREPARE"),
    (129, "DIRECT_PATH_LOAD"),
    (130, "DIRECT_PATH_END"),
    (135, "END_TO_END_METRICS"),
    (145, "ARRAY_ENQUEUE"),
    (147, "PING"),
    (152, "SET_SCHEMA"),
    (162, "SESSION_GET"),
    (163, "SESSION_RELEASE"),
];

/// What a message of the client is.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    /// Something to agree on, by its name.
    Agreement(&'static str),
    /// A call.
    Call(Call<'a>),
    /// A call that is never answered.
    OneWay(Call<'a>),
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    function: u8,
    arguments: &'a [u8],
}

/// The message that starts here.
pub(crate) fn read(payload: &[u8]) -> Option<Message<'_>> {
    let (&kind, rest) = payload.split_first()?;
    match kind {
        PROTOCOL if rest.first().is_some_and(|version| (4..=32).contains(version)) => {
            Some(Message::Agreement("PROTOCOL"))
        }
        DATA_TYPES if rest.len() >= 16 => Some(Message::Agreement("DATA_TYPES")),
        FAST_AUTH if rest.len() >= 16 => Some(Message::Agreement("FAST_AUTH")),
        FUNCTION => function(rest).map(Message::Call),
        ONE_WAY => function(rest).map(Message::OneWay),
        PIGGYBACK => {
            let carried = function(rest)?;
            Some(Message::Call(carrier(rest).unwrap_or(carried)))
        }
        _ if payload.starts_with(NETWORK_SERVICES) => {
            Some(Message::Agreement(NETWORK_SERVICES_NAME))
        }
        _ => None,
    }
}

/// `function  number  arguments`.
fn function(rest: &[u8]) -> Option<Call<'_>> {
    let [function, number, arguments @ ..] = rest else { return None };
    (name(*function).is_some() && *number > 0).then_some(Call { function: *function, arguments })
}

/// The call that others ride on: the first whose number follows theirs.
fn carrier(rest: &[u8]) -> Option<Call<'_>> {
    let mut number = *rest.get(1)?;
    let looked = &rest[..rest.len().min(LOOK_BYTES)];
    let mut at = 2;
    while let Some(next) =
        looked.get(at..).and_then(|rest| memchr::memchr2(FUNCTION, PIGGYBACK, rest))
    {
        at += next;
        let next_number = number.checked_add(1).unwrap_or(1);
        if let Some(call) = function(&rest[at + 1..])
            && rest[at + 2] == next_number
        {
            if rest[at] == FUNCTION {
                return Some(call);
            }
            number = next_number;
        }
        at += 1;
    }
    None
}

/// Name of a function.
pub(crate) fn name(function: u8) -> Option<&'static str> {
    let place = NAMES.binary_search_by_key(&function, |(known, _)| *known).ok()?;
    Some(NAMES[place].1)
}

impl Call<'_> {
    /// The cursor that is used again.
    pub fn cursor(&self) -> Option<u32> {
        let mut reader = self.reader()?;
        match self.function {
            REEXECUTE | FETCH | REEXECUTE_AND_FETCH => number(&mut reader),
            EXECUTE => {
                number(&mut reader)?;
                number(&mut reader)
            }
            _ => None,
        }
        .filter(|cursor| (1..=0xffff).contains(cursor))
    }

    pub fn opens_cursor(&self) -> bool {
        matches!(self.function, EXECUTE | 3 | 71 | 74)
    }

    /// Whether a statement is among its arguments.
    pub fn has_statement(&self) -> bool {
        self.opens_cursor() && statement::find(self.arguments, 64).is_some()
    }

    /// Arguments after the token that new versions have; it is 0 unless calls are pipelined.
    fn reader(&self) -> Option<Reader<'_>> {
        let start = usize::from(self.arguments.first() == Some(&0));
        Some(Reader::new(self.arguments.get(start..)?))
    }

    /// Writes it into a record. `known`: the statement of its cursor.
    pub fn describe(&self, record: &mut Record, config: &Config, known: Option<&Text>) {
        record.request_type = Text::const_new(name(self.function).unwrap_or_default());
        if matches!(self.function, AUTH | AUTH_START) {
            return self.describe_login(record);
        }
        let limit = config.limits.text_bytes;
        let text = match self.opens_cursor() {
            true => statement::find(self.arguments, limit),
            false => None,
        };
        let statement: &[u8] = match (&text, known) {
            (Some(text), _) => text,
            (None, Some(known)) => known.as_bytes(),
            (None, None) => return,
        };
        record.endpoint = crate::sql::endpoint(statement);
        record.request_resource = match config.redacted.contains(L7Protocol::Oracle) {
            true => record.endpoint.clone(),
            false => bytes::text(statement.trim_ascii(), limit),
        };
        let mut context = TraceContext::default();
        crate::sql::trace(&config.trace, statement, &mut context);
        context.fill(&config.trace, record);
    }

    /// `has user  length  mode  1  pairs  1  1  user  *(key  value  flags)`: the user, the program
    /// and its host.
    fn describe_login(&self, record: &mut Record) {
        if let Some(user) = self.user() {
            record.request_resource = bytes::text(user, 128);
        }
        for (key, shown) in [
            (&b"AUTH_PROGRAM_NM"[..], "program"),
            (b"AUTH_MACHINE", "client_host"),
            (b"SESSION_CLIENT_DRIVER_NAME", "driver"),
        ] {
            if let Some(value) = value_after(self.arguments, key) {
                record.attributes.push((Text::const_new(shown), bytes::text(value, 128)));
            }
        }
    }

    fn user(&self) -> Option<&[u8]> {
        let mut reader = self.reader()?;
        if reader.u8()? != 1 {
            return None;
        }
        let length = number(&mut reader)?;
        number(&mut reader)?;
        reader.u8()?;
        number(&mut reader)?;
        reader.take(2)?;
        let length = usize::try_from(length).ok().filter(|length| (1..=128).contains(length))?;
        // Some write the length once more.
        if usize::from(*reader.rest().first()?) == length {
            reader.u8()?;
        }
        reader.take(length).filter(|user| bytes::is_name(user))
    }
}

/// A number: how many bytes it has, then those.
pub(crate) fn number(reader: &mut Reader<'_>) -> Option<u32> {
    let length = reader.u8().filter(|length| *length <= 4)?;
    let digits = reader.take(usize::from(length))?;
    Some(digits.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// The text after a key: its length, perhaps once more in one byte, then it.
fn value_after<'a>(arguments: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(arguments, key)? + key.len();
    let mut reader = Reader::new(arguments.get(at..)?);
    let length = number(&mut reader).filter(|length| (1..=252).contains(length))? as usize;
    if usize::from(*reader.rest().first()?) == length {
        reader.u8()?;
    }
    let value = reader.take(length)?;
    value.iter().all(|byte| *byte >= b' ' && *byte != 0x7f).then_some(value)
}
