//! Responses of servers: from the first packet of a response to the end of its last result set.
//!
//! ```text
//! response    := OK | ERR | EOF | local_infile result | result
//! result      := column_count column{n} [EOF] row* (EOF | OK with 0xfe | ERR) [result]
//! prepared    := 0 id: u32 columns: u16 parameters: u16 … parameter{n} [EOF] column{n} [EOF]
//! ```
//! Whether an EOF stands after columns shows in the packets themselves, so that this works
//! without the login having been seen.

use schema::ResponseStatus;

use crate::bytes::{self, Reader};
use crate::mysql::Statement;
use crate::mysql::command::{self, tag};
use crate::mysql::packet::{self, HEADER_BYTES, Packet, length_encoded};
use crate::session::{Key, Pairing, Response};

/// The response that is being read.
#[derive(Debug, Default)]
pub(crate) struct Answering {
    stage: Stage,
    open: Option<Response>,
    /// Rows of the response so far; `None`: it has none, or some were not seen.
    rows: Option<u64>,
    /// Packets were lost: only one with the number after the client's can start a response.
    unsynced: bool,
    /// Number of the client's last packet.
    client_seq: u8,
    /// Whether any packet of the server was read.
    started: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Before the first packet of a response, or of its next result.
    #[default]
    Head,
    /// So many definitions, then perhaps EOF, then rows.
    Columns(u64),
    /// After definitions of columns.
    ColumnsEnd,
    Rows,
    /// Definitions after a prepared statement: so many parameters, so many columns.
    Definitions(u16, u16),
    /// Events of replication until the connection ends.
    Replication,
}

const MORE_RESULTS: u16 = 0x0008;
const CURSOR_EXISTS: u16 = 0x0040;

impl Answering {
    /// A packet of the client.
    pub fn note_client(&mut self, seq: u8) {
        self.client_seq = seq;
    }

    /// A command is sent: what was being read is complete.
    pub fn expect(&mut self, out: &mut Pairing<'_>) {
        if self.open.is_some() {
            self.rows = None;
        }
        if self.open.is_some() && out.expected().is_some() {
            self.finish(out);
        }
    }

    /// Ends what is being read.
    pub fn finish(&mut self, out: &mut Pairing<'_>) {
        if let Some(mut response) = self.open.take() {
            if response.affected_rows.is_none() {
                response.affected_rows = self.rows;
            }
            out.response(Key::Order, response);
        }
        self.rows = None;
        self.stage = Stage::Head;
    }

    /// Bytes of the server were lost.
    pub fn lost(&mut self, out: &mut Pairing<'_>) {
        self.rows = None;
        self.finish(out);
        self.unsynced = true;
    }

    /// Length of the rows and definitions at the front of `bytes` that nobody wants to see.
    pub fn pass_rows(&mut self, bytes: &[u8]) -> Option<u64> {
        let mut at = 0u64;
        while (at as usize) < bytes.len() {
            let rest = &bytes[at as usize..];
            let Some((body_bytes, _)) = packet::header(rest) else { break };
            match self.stage {
                Stage::Replication => {}
                Stage::Columns(1) => self.stage = Stage::ColumnsEnd,
                Stage::Columns(count) => self.stage = Stage::Columns(count - 1),
                Stage::Rows => match rest.get(HEADER_BYTES) {
                    Some(0xff) => break,
                    // The end; a row that starts so is longer than a packet.
                    Some(0xfe) if body_bytes < packet::PACKET_BYTES_MAX => break,
                    None if body_bytes > 0 => break,
                    _ => self.rows = self.rows.map(|rows| rows + 1),
                },
                _ => break,
            }
            at += (HEADER_BYTES + body_bytes) as u64;
        }
        (at > 0).then_some(at)
    }

    /// A packet. Gives back a statement that was prepared.
    pub fn packet(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Pairing<'_>,
    ) -> Option<(u32, Statement)> {
        let first = packet.body.first().copied();
        match self.stage {
            Stage::ColumnsEnd if packet.is_eof() => {
                self.stage = Stage::Rows;
                if status_of(packet) & CURSOR_EXISTS != 0 {
                    self.end_of_result(packet, out);
                }
                return None;
            }
            Stage::ColumnsEnd | Stage::Rows => {
                self.stage = Stage::Rows;
                match first {
                    Some(0xff) => self.error(packet, out),
                    Some(0xfe) => self.end_of_result(packet, out),
                    _ => self.rows = self.rows.map(|rows| rows + 1),
                }
                return None;
            }
            Stage::Definitions(parameters, columns) => {
                if parameters > 0 || columns > 0 || packet.is_eof() {
                    self.pass_definition(packet, parameters, columns);
                    return None;
                }
                self.stage = Stage::Head;
            }
            Stage::Replication | Stage::Columns(_) => return None,
            Stage::Head => {}
        }
        self.head(packet, out)
    }

    fn pass_definition(&mut self, packet: &Packet<'_>, parameters: u16, columns: u16) {
        self.stage = if packet.is_eof() {
            Stage::Definitions(parameters, columns)
        } else if parameters > 0 {
            Stage::Definitions(parameters - 1, columns)
        } else {
            Stage::Definitions(0, columns.saturating_sub(1))
        };
    }

    /// The first packet of a response or of a further result.
    fn head(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) -> Option<(u32, Statement)> {
        let first = packet.body.first().copied()?;
        let expected = match self.open {
            Some(_) => Some(u64::from(command::QUERY)),
            None => out.expected_tag(),
        };
        let in_sync = self.started && !self.unsynced;
        let follows = packet.seq == self.client_seq.wrapping_add(1);
        if !in_sync && !follows && expected != Some(tag::LOGIN) && self.open.is_none() {
            // Somewhere inside a result set whose start was not seen.
            if !(packet.seq == 0 && first == 0xff) {
                return None;
            }
        }
        self.started = true;
        self.unsynced = false;
        if self.open.is_none() {
            let mut response = out.answer(ResponseStatus::Ok);
            response.bytes = Some(packet.body_bytes as i64);
            self.open = Some(response);
        }
        let expected_command = expected.and_then(|tag| u8::try_from(tag).ok());
        match (first, expected_command) {
            (0xff, _) => self.error(packet, out),
            (0x00, Some(command::STMT_PREPARE)) => return self.prepared(packet, out),
            (0x00, Some(command::BINLOG_DUMP | command::BINLOG_DUMP_GTID)) => {
                self.finish(out);
                self.stage = Stage::Replication;
            }
            (_, Some(command::STATISTICS)) => self.finish(out),
            (_, Some(command::STMT_FETCH | command::FIELD_LIST | command::TABLE_DUMP)) => {
                self.rows = Some(0);
                self.stage = Stage::Rows;
                return self.packet(packet, out);
            }
            (0x00, command) => self.ok(packet, command, out),
            (0xfe, _) if packet.body_bytes < 9 => self.end_of_result(packet, out),
            // LOAD DATA LOCAL: the client sends the file, then comes the result.
            (0xfb, _) => self.stage = Stage::Head,
            // Authentication goes on (CHANGE_USER), or a packet that is none of these.
            (0xfe | 0x01, Some(command::CHANGE_USER)) => {}
            (_, expected) => self.result_set(packet, expected.is_some(), out),
        }
        None
    }

    fn ok(&mut self, packet: &Packet<'_>, command: Option<u8>, out: &mut Pairing<'_>) {
        let mut reader = Reader::new(packet.body.get(1..).unwrap_or(&[]));
        let affected = length_encoded(&mut reader);
        let changes = matches!(
            command,
            Some(command::QUERY | command::STMT_EXECUTE | command::STMT_BULK_EXECUTE)
        );
        if let Some(response) = self.open.as_mut().filter(|_| changes) {
            let before = response.affected_rows.unwrap_or(0);
            response.affected_rows = affected.map(|rows| before.saturating_add(rows));
        }
        self.end_of_result(packet, out);
    }

    fn error(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        let mut reader = Reader::new(packet.body.get(1..).unwrap_or(&[]));
        let code = reader.u16_le().unwrap_or(0);
        if code == 0xffff {
            // MariaDB: a progress report.
            return;
        }
        let message = match reader.rest() {
            [b'#', rest @ ..] => rest.get(5..).unwrap_or(&[]),
            rest => rest,
        };
        if let Some(response) = &mut self.open {
            response.status = match code {
                2000..3000 => ResponseStatus::ClientError,
                _ => ResponseStatus::ServerError,
            };
            response.code = Some(i32::from(code));
            response.exception = bytes::text(message, out.config.limits.text_bytes.min(1024));
        }
        self.rows = None;
        self.finish(out);
    }

    fn prepared(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) -> Option<(u32, Statement)> {
        let mut reader = Reader::new(packet.body.get(1..).unwrap_or(&[]));
        let id = reader.u32_le().unwrap_or(0);
        let columns = reader.u16_le().unwrap_or(0);
        let parameters = reader.u16_le().unwrap_or(0);
        let mut statement = Statement { parameters, ..Statement::default() };
        if let Some(record) = out.expected() {
            record.request_id = Some(u64::from(id));
            statement.sql = record.request_resource.clone();
        }
        self.finish(out);
        self.stage = Stage::Definitions(parameters, columns);
        Some((id, statement))
    }

    fn result_set(&mut self, packet: &Packet<'_>, is_expected: bool, out: &mut Pairing<'_>) {
        let mut reader = Reader::new(packet.body);
        let columns = length_encoded(&mut reader).filter(|columns| *columns <= 4096);
        let rest = reader.rest().len();
        let (Some(columns), true) = (columns, packet.body_bytes <= 4 && rest <= 1) else {
            // None of the forms of a response. Without its request it is none.
            self.open = self.open.take().filter(|_| is_expected);
            self.finish(out);
            self.unsynced = true;
            return;
        };
        // MariaDB: a last byte 0 says that the definitions are left out.
        let cached = rest == 1 && reader.rest() == [0];
        self.stage = if cached { Stage::ColumnsEnd } else { Stage::Columns(columns) };
        self.rows = self.rows.or(Some(0));
    }

    /// OK or EOF at the end of a result; another may follow.
    fn end_of_result(&mut self, packet: &Packet<'_>, out: &mut Pairing<'_>) {
        if status_of(packet) & MORE_RESULTS != 0 && packet.is_whole() {
            self.stage = Stage::Head;
        } else {
            self.finish(out);
        }
    }
}

/// Status flags of an OK or EOF packet.
fn status_of(packet: &Packet<'_>) -> u16 {
    let mut reader = Reader::new(packet.body.get(1..).unwrap_or(&[]));
    if packet.is_eof() {
        let _warnings = reader.u16_le();
        return reader.u16_le().unwrap_or(0);
    }
    let _affected = length_encoded(&mut reader);
    let _insert_id = length_encoded(&mut reader);
    reader.u16_le().unwrap_or(0)
}
