//! Commands of clients, and the records they make.

use schema::Text;

use crate::bytes::{self, Reader};
use crate::mysql::packet::{self, Packet};
use crate::mysql::{Mysql, parameter};
use crate::record::Record;
use crate::session::{Key, Pairing};
use crate::sql;
use crate::trace::TraceContext;

/// What is expected as response: the command's number, or one of these.
pub(crate) mod tag {
    pub const LOGIN: u64 = 0x100;
}

pub(crate) const QUIT: u8 = 1;
pub(crate) const INIT_DB: u8 = 2;
pub(crate) const QUERY: u8 = 3;
pub(crate) const FIELD_LIST: u8 = 4;
pub(crate) const CREATE_DB: u8 = 5;
pub(crate) const DROP_DB: u8 = 6;
pub(crate) const STATISTICS: u8 = 9;
pub(crate) const CHANGE_USER: u8 = 17;
pub(crate) const BINLOG_DUMP: u8 = 18;
pub(crate) const TABLE_DUMP: u8 = 19;
pub(crate) const STMT_PREPARE: u8 = 22;
pub(crate) const STMT_EXECUTE: u8 = 23;
pub(crate) const STMT_SEND_LONG_DATA: u8 = 24;
pub(crate) const STMT_CLOSE: u8 = 25;
pub(crate) const STMT_RESET: u8 = 26;
pub(crate) const STMT_FETCH: u8 = 28;
pub(crate) const BINLOG_DUMP_GTID: u8 = 30;
pub(crate) const STMT_BULK_EXECUTE: u8 = 0xfa;

const NAMES: [&str; 32] = [
    "SLEEP",
    "QUIT",
    "INIT_DB",
    "QUERY",
    "FIELD_LIST",
    "CREATE_DB",
    "DROP_DB",
    "REFRESH",
    "SHUTDOWN",
    "STATISTICS",
    "PROCESS_INFO",
    "CONNECT",
    "PROCESS_KILL",
    "DEBUG",
    "PING",
    "TIME",
    "DELAYED_INSERT",
    "CHANGE_USER",
    "BINLOG_DUMP",
    "TABLE_DUMP",
    "CONNECT_OUT",
    "REGISTER_SLAVE",
    "STMT_PREPARE",
    "STMT_EXECUTE",
    "STMT_SEND_LONG_DATA",
    "STMT_CLOSE",
    "STMT_RESET",
    "SET_OPTION",
    "STMT_FETCH",
    "DAEMON",
    "BINLOG_DUMP_GTID",
    "RESET_CONNECTION",
];

/// Name of a command; `None` for a number that is none.
pub(crate) fn name_of(command: u8) -> Option<&'static str> {
    match command {
        STMT_BULK_EXECUTE => Some("STMT_BULK_EXECUTE"),
        _ => NAMES.get(usize::from(command)).copied(),
    }
}

/// The statement of a QUERY: query attributes may stand before it.
pub(crate) fn query_text(rest: &[u8]) -> &[u8] {
    // Some clients send the end of a C string.
    let rest = rest.strip_suffix(b"\0").unwrap_or(rest);
    // No attributes, one set of them: text does not start like that.
    match rest {
        [0, 1, text @ ..] => text,
        [1..=32, 1, attributes @ ..] => {
            parameter::after_attributes(attributes, rest[0]).unwrap_or(rest)
        }
        _ => rest,
    }
}

impl Mysql {
    /// A command packet.
    pub(crate) fn command(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        let Some((&command, rest)) = packet.body.split_first() else { return };
        let Some(name) = name_of(command) else { return };
        let mut record = out.record();
        record.version = self.server_version.clone();
        record.request_type = Text::const_new(name);
        record.request_bytes = Some(packet.body_bytes as i64);
        let limit = out.config.limits.text_bytes;
        match command {
            QUERY | STMT_PREPARE => {
                let statement = if command == QUERY { query_text(rest) } else { rest };
                record.request_resource = bytes::text(statement, limit);
                record.endpoint = sql::endpoint(statement);
                let mut context = TraceContext::default();
                sql::trace(
                    &out.config.trace,
                    &statement[..statement.len().min(limit)],
                    &mut context,
                );
                context.fill(&out.config.trace, &mut record);
            }
            INIT_DB | CREATE_DB | DROP_DB => record.request_resource = bytes::text(rest, limit),
            FIELD_LIST => {
                let table = Reader::new(rest).until_nul().unwrap_or(rest);
                record.request_resource = bytes::text(table, limit);
            }
            CHANGE_USER => {
                let user = Reader::new(rest).until_nul().unwrap_or(rest);
                record.request_resource = Text::const_new("Login username: ");
                record.request_resource.push_str(&bytes::text(user, 256));
            }
            STMT_EXECUTE | STMT_BULK_EXECUTE | STMT_SEND_LONG_DATA | STMT_CLOSE | STMT_RESET
            | STMT_FETCH => {
                self.on_statement(command, rest, &mut record, limit);
            }
            _ => {}
        }
        self.answering.expect(out);
        match command {
            QUIT | STMT_CLOSE | STMT_SEND_LONG_DATA => out.one_way(record),
            _ => out.request(Key::Order, record, u64::from(command)),
        }
    }

    /// A command that names a prepared statement.
    fn on_statement(&mut self, command: u8, rest: &[u8], record: &mut Record, limit: usize) {
        let mut reader = Reader::new(rest);
        let Some(id) = reader.u32_le() else { return };
        record.request_id = Some(u64::from(id));
        if command == STMT_CLOSE {
            if let Some(statement) = self.statements.remove(&id) {
                record.endpoint = sql::endpoint(statement.sql.as_bytes());
                record.request_resource = statement.sql;
            }
            return;
        }
        let Some(statement) = self.statements.get_mut(&id) else { return };
        record.endpoint = sql::endpoint(statement.sql.as_bytes());
        record.request_resource = statement.sql.clone();
        if command != STMT_EXECUTE || reader.take(5).is_none() {
            return;
        }
        let values =
            parameter::texts(&mut reader, statement.parameters, &mut statement.types, limit);
        for value in values {
            if record.request_resource.len() >= limit {
                break;
            }
            record.request_resource.push_str(" , ");
            record.request_resource.push_str(&value);
        }
        truncate(&mut record.request_resource, limit);
    }
}

fn truncate(text: &mut Text, limit: usize) {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

/// Whether bytes may be the start of a statement: printable, and beginning with a word, a
/// parenthesis or a comment.
pub(crate) fn is_statement(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let looked = &text[..text.len().min(64)];
    let word = looked.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let starts = match looked.get(word) {
        None => word > 0,
        Some(b'(' | b'/' | b'-' | b'#') => true,
        Some(byte) => word >= 2 && (byte.is_ascii_whitespace() || b";*@'\"`{_.".contains(byte)),
    };
    let is_text = |byte: &u8| *byte >= b' ' && *byte != 0x7f || byte.is_ascii_whitespace();
    starts && looked.iter().all(is_text)
}

/// Whether a command packet's body has the form of its command, and if only few others could be
/// mistaken for it.
pub(crate) fn plausibility(packet: &Packet<'_>) -> Option<bool> {
    let (&command, rest) = packet.body.split_first()?;
    name_of(command)?;
    let body_bytes = packet.body_bytes;
    match command {
        // A word of three letters is none of SQL's and may be chance.
        QUERY => is_statement(query_text(rest)).then_some(rest.len() > 3),
        STMT_PREPARE => is_statement(rest).then_some(rest.len() > 3),
        INIT_DB | CREATE_DB | DROP_DB => {
            (body_bytes < 256 && rest.iter().all(|byte| *byte >= b' ')).then_some(false)
        }
        STMT_CLOSE | STMT_RESET => (body_bytes == 5).then_some(false),
        STMT_FETCH => (body_bytes == 9).then_some(false),
        STMT_EXECUTE => {
            let iterations = rest.get(5..9);
            (body_bytes >= 10 && iterations == Some(&[1, 0, 0, 0])).then_some(false)
        }
        STMT_SEND_LONG_DATA => (body_bytes >= 7).then_some(false),
        // SLEEP, CONNECT, TIME, DELAYED_INSERT, CONNECT_OUT, DAEMON: internal, never sent.
        0 | 11 | 15 | 16 | 20 | 29 => None,
        FIELD_LIST | CHANGE_USER | BINLOG_DUMP | BINLOG_DUMP_GTID | TABLE_DUMP => Some(false),
        // QUIT, STATISTICS, PROCESS_INFO, DEBUG, PING, RESET_CONNECTION: nothing but themselves.
        1 | 9 | 10 | 13 | 14 | 31 => (body_bytes == 1).then_some(false),
        _ => (body_bytes <= 5).then_some(false),
    }
    .filter(|_| packet.body_bytes <= packet::PACKET_BYTES_MAX)
}
