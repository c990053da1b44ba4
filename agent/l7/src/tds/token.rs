//! The server's tokens ([MS-TDS] 2.2.7), one after the other over the packets of an answer.
//!
//! In: payloads of packets. Out: errors, counts, handles, versions. Rows are passed over value by
//! value, with nothing held but what a token that is not complete needs. A type that is not known
//! ends it: then only the last token, which has a fixed place, is read.

use schema::Text;

use crate::bytes::Reader;
use crate::tds::types::{self, Form, Found, TypeInfo};
use crate::tds::utf16::{self, long_name, short_name};

mod number {
    pub const OFFSET: u8 = 0x78;
    pub const RETURN_STATUS: u8 = 0x79;
    pub const COLUMNS: u8 = 0x81;
    pub const ERROR: u8 = 0xaa;
    pub const INFO: u8 = 0xab;
    pub const RETURN_VALUE: u8 = 0xac;
    pub const LOGIN_ACK: u8 = 0xad;
    pub const FEATURES: u8 = 0xae;
    pub const ROW: u8 = 0xd1;
    pub const SPARSE_ROW: u8 = 0xd2;
    pub const SESSION_STATE: u8 = 0xe4;
    pub const FEDERATED_INFO: u8 = 0xee;
    pub const DONE: u8 = 0xfd;
    pub const DONE_IN_PROC: u8 = 0xff;
}

/// Bits of a DONE's status.
const DONE_ERROR: u16 = 0x0002;
const DONE_COUNT: u16 = 0x0010;
const DONE_ATTENTION: u16 = 0x0020;

/// Length of a DONE since 7.2. unit byte
const DONE_BYTES: usize = 13;

/// Longest token that is kept until it is complete. unit byte
const PENDING_BYTES: usize = 70_000;

/// What the tokens of an answer said.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub error: Option<Fault>,
    /// Rows changed or returned, all statements together.
    pub rows: Option<u64>,
    /// The client's attention was taken note of.
    pub is_attention: bool,
    /// First number that was returned: the handle of a statement that was prepared.
    pub handle: Option<i32>,
    /// Version of the protocol that a login settled.
    pub version: Option<u32>,
}

/// An error of a server.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    pub number: i32,
    /// Severity; from 17 on it is the server's.
    pub class: u8,
    pub message: Text,
}

/// Reads tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub outcome: Outcome,
    /// Before 7.2 some numbers are shorter.
    pub is_old: bool,
    pending: Vec<u8>,
    /// Bytes to pass over.
    skip: u64,
    columns: Vec<Form>,
    /// Definitions of columns still to come.
    definitions: u16,
    row: Option<Row>,
    /// Inside of a value in chunks.
    in_chunks: bool,
    in_features: bool,
    lost: bool,
}

/// A row that is being passed over.
#[derive(Debug, Default)]
struct Row {
    place: usize,
    /// Bits of columns that are null and have no value.
    nulls: Vec<u8>,
    /// A value by itself.
    single: Option<Form>,
}

enum Progress {
    Used(usize),
    Short,
    Lost,
}

impl Tokens {
    /// Starts over with a new answer.
    pub fn start(&mut self) {
        *self = Self { is_old: self.is_old, ..Self::default() };
    }

    /// What follows cannot be read.
    pub fn lose(&mut self) {
        self.lost = true;
        self.pending = Vec::new();
        self.skip = 0;
    }

    pub fn held_bytes(&self) -> usize {
        self.pending.capacity() + self.columns.capacity() * size_of::<Form>()
    }

    /// Reads the payload of a packet. `is_end`: the answer ends with it.
    pub fn read(&mut self, payload: &[u8], is_end: bool, limit: usize) {
        let mut pending = std::mem::take(&mut self.pending);
        let is_joined = !pending.is_empty();
        if is_joined {
            pending.extend_from_slice(payload);
        }
        let bytes = if is_joined { &pending } else { payload };
        let mut at = 0;
        while !self.lost && at < bytes.len() {
            if self.skip > 0 {
                let passed = self.skip.min((bytes.len() - at) as u64);
                self.skip -= passed;
                at += passed as usize;
                continue;
            }
            match self.step(&bytes[at..], limit) {
                Progress::Used(used) => at += used,
                Progress::Short if bytes.len() - at < PENDING_BYTES => break,
                _ => self.lose(),
            }
        }
        if self.lost && is_end {
            self.last_token(payload);
        } else if !self.lost && at < bytes.len() {
            self.pending = bytes[at..].to_vec();
        }
    }

    /// The last token of an answer whose others were not read.
    fn last_token(&mut self, payload: &[u8]) {
        let length = if self.is_old { DONE_BYTES - 4 } else { DONE_BYTES };
        let start = payload.len().checked_sub(length);
        let Some(last) = start.map(|start| &payload[start..]) else { return };
        if (number::DONE..number::DONE_IN_PROC).contains(&last[0]) {
            self.done(&mut Reader::new(&last[1..]));
        }
    }

    /// Passes over the next token, value or definition.
    fn step(&mut self, bytes: &[u8], limit: usize) -> Progress {
        let mut reader = Reader::new(bytes);
        let found = if self.in_chunks {
            self.chunk(&mut reader)
        } else if self.row.is_some() {
            self.next_value(&mut reader)
        } else if self.definitions > 0 {
            return self.definition(bytes);
        } else if self.in_features {
            self.feature(&mut reader)
        } else {
            return self.token(bytes, limit);
        };
        match found {
            Some(()) => Progress::Used(bytes.len() - reader.rest().len()),
            None => Progress::Short,
        }
    }

    fn chunk(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let length = reader.u32_le()?;
        self.in_chunks = length > 0;
        self.skip = u64::from(length);
        Some(())
    }

    fn feature(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        match reader.u8()? {
            0xff => self.in_features = false,
            _ => self.skip = u64::from(reader.u32_le()?),
        }
        Some(())
    }

    /// The next value of a row that has one.
    fn next_value(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let Some(row) = &mut self.row else { return Some(()) };
        let is_null = |place: usize| {
            row.nulls.get(place / 8).is_some_and(|bits| bits >> (place % 8) & 1 == 1)
        };
        while row.place < self.columns.len() && is_null(row.place) {
            row.place += 1;
        }
        let form = match row.single {
            Some(form) if row.place == 0 => Some(form),
            Some(_) => None,
            None => self.columns.get(row.place).copied(),
        };
        let Some(form) = form else {
            self.row = None;
            return Some(());
        };
        let (skip, in_chunks) = value_bytes(form, reader)?;
        row.place += 1;
        self.skip = skip;
        self.in_chunks = in_chunks;
        Some(())
    }

    /// A definition of a column.
    fn definition(&mut self, bytes: &[u8]) -> Progress {
        let mut reader = Reader::new(bytes);
        if reader.take(if self.is_old { 4 } else { 6 }).is_none() {
            return Progress::Short;
        }
        let info = match types::read(&mut reader) {
            Found::Type(info) => info,
            Found::Short => return Progress::Short,
            Found::Unknown => return Progress::Lost,
        };
        if column_names(&info, self.is_old, &mut reader).is_none() {
            return Progress::Short;
        }
        self.columns.push(info.form);
        self.definitions -= 1;
        Progress::Used(bytes.len() - reader.rest().len())
    }

    fn token(&mut self, bytes: &[u8], limit: usize) -> Progress {
        let mut reader = Reader::new(bytes);
        let number = reader.u8().unwrap_or(0);
        let found = match number {
            number::COLUMNS => self.columns(&mut reader),
            number::ROW => {
                self.row = Some(Row::default());
                Some(())
            }
            number::SPARSE_ROW => reader.take(self.columns.len().div_ceil(8)).map(|nulls| {
                self.row = Some(Row { nulls: nulls.to_vec(), ..Row::default() });
            }),
            number::DONE..=number::DONE_IN_PROC => self.done(&mut reader),
            number::RETURN_VALUE => return self.return_value(bytes),
            number::OFFSET | number::RETURN_STATUS => reader.take(4).map(|_| ()),
            number::FEATURES => {
                self.in_features = true;
                Some(())
            }
            number::FEDERATED_INFO | number::SESSION_STATE => reader.u32_le().map(|length| {
                self.skip = u64::from(length);
            }),
            number::ERROR | number::LOGIN_ACK => {
                let content = reader.u16_le().and_then(|length| reader.take(usize::from(length)));
                content.map(|content| match number {
                    number::ERROR => self.error(content, limit),
                    _ => self.login_ack(content),
                })
            }
            // INFO, ENVCHANGE, ORDER, SSPI, names of tables and columns.
            0xa4 | 0xa5 | 0xa9 | number::INFO | 0xe3 | 0xed => reader.u16_le().map(|length| {
                self.skip = u64::from(length);
            }),
            _ => return Progress::Lost,
        };
        match found {
            Some(()) => Progress::Used(bytes.len() - reader.rest().len()),
            None => Progress::Short,
        }
    }

    fn columns(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let count = reader.u16_le()?;
        self.columns.clear();
        self.definitions = if count == 0xffff { 0 } else { count };
        Some(())
    }

    fn done(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (status, _command) = (reader.u16_le()?, reader.u16_le()?);
        let count = match self.is_old {
            true => u64::from(reader.u32_le()?),
            false => reader.u64_le()?,
        };
        if status & DONE_COUNT != 0 {
            let rows = self.outcome.rows.unwrap_or(0);
            self.outcome.rows = Some(rows.saturating_add(count));
        }
        if status & DONE_ERROR != 0 && self.outcome.error.is_none() {
            self.outcome.error = Some(Fault::default());
        }
        self.outcome.is_attention |= status & DONE_ATTENTION != 0;
        Some(())
    }

    /// `number: i32  state: u8  class: u8  message: US_VARCHAR …`: the first counts.
    fn error(&mut self, content: &[u8], limit: usize) {
        if self.outcome.error.as_ref().is_some_and(|fault| fault.number != 0) {
            return;
        }
        let mut reader = Reader::new(content);
        let mut fault = Fault::default();
        if let (Some(number), Some([_state, class])) = (reader.u32_le(), reader.array()) {
            fault.number = number as i32;
            fault.class = class;
            let message = long_name(&mut reader).unwrap_or_default();
            fault.message = utf16::text(message, limit.min(1024));
        }
        self.outcome.error = Some(fault);
    }

    /// `interface: u8  version: u32 be …`.
    fn login_ack(&mut self, content: &[u8]) {
        let mut reader = Reader::new(content);
        let _interface = reader.u8();
        self.outcome.version = reader.u32_be();
    }

    /// `ordinal: u16  name  status: u8  user_type: u32  flags: u16  type  value`.
    fn return_value(&mut self, bytes: &[u8]) -> Progress {
        let mut reader = Reader::new(bytes);
        let user_type_bytes = if self.is_old { 2 } else { 4 };
        let head = (|| {
            reader.take(1 + 2)?;
            short_name(&mut reader)?;
            reader.take(1 + user_type_bytes + 2)
        })();
        if head.is_none() {
            return Progress::Short;
        }
        let info = match types::read(&mut reader) {
            Found::Type(info) => info,
            Found::Short => return Progress::Short,
            Found::Unknown => return Progress::Lost,
        };
        if matches!(info.number, types::INT_N | types::INT4) && self.outcome.handle.is_none() {
            let mut ahead = reader;
            let number = match info.form {
                Form::Byte => ahead.u8().map(|length| (length == 4).then(|| ahead.u32_le())),
                _ => Some(Some(ahead.u32_le())),
            };
            match number {
                None | Some(Some(None)) => return Progress::Short,
                Some(Some(Some(handle))) => self.outcome.handle = Some(handle as i32),
                Some(None) => {}
            }
        }
        self.row = Some(Row { single: Some(info.form), ..Row::default() });
        Progress::Used(bytes.len() - reader.rest().len())
    }
}

/// Names after a definition: of its table where the type has one, of the column.
fn column_names(info: &TypeInfo, is_old: bool, reader: &mut Reader<'_>) -> Option<()> {
    if info.has_table() {
        let parts = if is_old { 1 } else { reader.u8()? };
        for _ in 0..parts {
            long_name(reader)?;
        }
    }
    short_name(reader)?;
    Some(())
}

/// Length of the value that starts here, and whether it is in chunks.
pub(crate) fn value_bytes(form: Form, reader: &mut Reader<'_>) -> Option<(u64, bool)> {
    Some(match form {
        Form::Fixed(length) => (u64::from(length), false),
        Form::Byte => (u64::from(reader.u8()?), false),
        Form::Short => match reader.u16_le()? {
            0xffff => (0, false),
            length => (u64::from(length), false),
        },
        // Null, or a length in all that says nothing more.
        Form::Chunks => (0, reader.u64_le()? != u64::MAX),
        Form::Pointer => match reader.u8()? {
            0 => (0, false),
            pointer => {
                reader.take(usize::from(pointer) + 8)?;
                (u64::from(reader.u32_le()?), false)
            }
        },
        Form::Long => (u64::from(reader.u32_le()?), false),
    })
}

/// Whether an answer may start with this token.
pub(crate) fn is_first(number: u8) -> bool {
    matches!(
        number,
        number::COLUMNS
            | number::ERROR..=number::FEATURES
            | number::RETURN_STATUS
            | 0xe3
            | number::SESSION_STATE
            | 0xed
            | number::FEDERATED_INFO
            | number::DONE..=number::DONE_IN_PROC
    )
}
