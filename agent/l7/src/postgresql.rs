//! PostgreSQL frontend/backend protocol 3: postgresql.org/docs/current/protocol.html
//!
//! ```text
//! message := type: u8  len: u32 be (with itself)  body: len - 4
//! startup := len: u32 be  code: u32 be  body: len - 8
//! ```
//! One session for each statement executed: a Query, an Execute or a FunctionCall. Parse, Bind,
//! Describe and Close fold into the Execute that follows them before the next Sync; only when one
//! of them fails and no Execute follows does it become a session, with the error. Executes that
//! the server skips after an error are sessions with that error. Login and Terminate are none,
//! but a login that fails is. `request_type`: Q Query; P Execute of a statement parsed in the
//! same cycle; E Execute of one parsed before; F FunctionCall. The response's time is that of the
//! first message that answers the statement. After SSL was granted the
//! connection speaks TLS, after GSSAPI nothing is read on.

mod backend;
mod body;
mod error;
mod frontend;
mod probe;

use std::collections::{BTreeMap, VecDeque};

use schema::{L7Protocol, Text};

use crate::protocol::{Input, Probe, ProbeContext, Protocol, Step};
use crate::segment::Direction;
use crate::session::{Key, Pairing};
use crate::stream::Mark;

/// One connection to a PostgreSQL server.
#[derive(Debug, Default)]
pub(crate) struct Postgresql {
    /// Messages of the client that the server has yet to answer.
    steps: VecDeque<Awaited>,
    /// Serial number of the next session.
    next_id: u64,
    /// First message of the client since the last Sync, Flush or Execute.
    cycle: Option<Mark>,
    /// Whether that cycle parses a statement.
    cycle_parses: bool,
    /// First message of the server that answers the session at the front.
    answer: Option<Mark>,
    answer_bytes: u64,
    /// Rows of the statements of a Query so far.
    rows: Option<u64>,
    statements: BTreeMap<Text, Text>,
    portals: BTreeMap<Text, Text>,
    startup: Startup,
    /// Messages of the server were lost.
    unsynced: bool,
    encrypted: bool,
}

/// What the server owes.
#[derive(Clone, Debug, PartialEq)]
enum Awaited {
    /// The end of a Query: `ReadyForQuery`.
    Query { id: u64, failed: bool },
    /// The end of an Execute or FunctionCall.
    Execute { id: u64 },
    /// An answer to Parse; the statement, should it fail.
    Parse { sql: Text, mark: Mark },
    /// An answer to Bind, Describe or Close.
    Other { mark: Mark },
    /// `ReadyForQuery` after a Sync.
    Sync,
}

/// Where the login stands.
#[derive(Clone, Debug, Default, PartialEq)]
enum Startup {
    /// Not seen, or done.
    #[default]
    None,
    /// The client asked for encryption; the server answers with one byte.
    Asked,
    /// The client said who it is.
    Sent { who: Text, mark: Mark },
}

/// One message, or its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// 0: a startup message.
    pub kind: u8,
    /// As much of the body as a record needs, or as was captured.
    pub body: &'a [u8],
    /// Its whole length.
    pub body_bytes: usize,
}

/// Longest message that is believed. unit byte
const MESSAGE_BYTES: u32 = 1 << 30;

/// Messages under way that are remembered.
const STEPS_MAX: usize = 65_536;

impl Protocol for Postgresql {
    const ID: L7Protocol = L7Protocol::Postgresql;
    type Frame<'a> = Message<'a>;

    fn probe(first: &[u8], context: &ProbeContext) -> Probe {
        match context.direction {
            Direction::ClientToServer => probe::frontend(first, context.cut),
            Direction::ServerToClient => probe::backend(first),
        }
    }

    fn frame<'a>(&mut self, direction: Direction, input: Input<'a>) -> Step<Message<'a>> {
        if self.encrypted {
            return Step::Skip(u64::MAX);
        }
        let bytes = input.bytes;
        let is_client = direction == Direction::ClientToServer;
        if is_client && bytes[0] == 0 {
            return cut(input, 0, 4);
        }
        if !is_client && self.startup == Startup::Asked && matches!(bytes[0], b'S' | b'N' | b'G') {
            let frame = Message { kind: bytes[0], body: &[], body_bytes: 0 };
            return Step::Frame { frame, used: 1 };
        }
        let passed = pass_data(bytes, is_client);
        if passed > 0 && (is_client || self.answer.is_some() || self.steps.is_empty()) {
            return Step::Skip(passed);
        }
        cut(input, 1, 5)
    }

    fn pair(&mut self, direction: Direction, message: Message<'_>, out: &mut Pairing<'_>) {
        match direction {
            Direction::ClientToServer => self.read_client(&message, out),
            Direction::ServerToClient => self.read_server(&message, out),
        }
    }

    fn resync(&self, direction: Direction, bytes: &[u8]) -> bool {
        match direction {
            Direction::ClientToServer => probe::frontend(bytes, false) != Probe::No,
            Direction::ServerToClient => probe::backend(bytes) != Probe::No,
        }
    }

    fn lost(&mut self, direction: Direction, _out: &mut Pairing<'_>) {
        if direction == Direction::ServerToClient {
            self.unsynced = true;
            self.answer = None;
            self.rows = None;
        } else {
            self.cycle = None;
            self.cycle_parses = false;
        }
        self.startup = Startup::None;
    }

    fn held_bytes(&self) -> usize {
        let texts = self.statements.iter().map(|(name, sql)| name.len() + sql.len() + 96);
        texts.sum::<usize>() + self.steps.len() * size_of::<Awaited>()
    }
}

impl Postgresql {
    /// A number for the next session, under which its halves are paired.
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn await_step(&mut self, step: Awaited) {
        if self.steps.len() >= STEPS_MAX {
            self.steps.clear();
            self.unsynced = true;
        }
        self.steps.push_back(step);
    }

    /// A request that starts with the current cycle.
    fn request(&mut self, kind: &'static str, sql: Text, out: &mut Pairing<'_>) -> u64 {
        let mark = self.cycle.unwrap_or(out.mark);
        let id = self.new_id();
        self.request_at(mark, kind, sql, id, out);
        id
    }

    fn request_at(
        &mut self,
        mark: Mark,
        kind: &'static str,
        sql: Text,
        id: u64,
        out: &mut Pairing<'_>,
    ) {
        let mut record = out.record_at(mark);
        record.request_type = Text::const_new(kind);
        record.endpoint = crate::sql::endpoint(sql.as_bytes());
        let mut context = crate::trace::TraceContext::default();
        crate::sql::trace(&out.config.trace, sql.as_bytes(), &mut context);
        context.fill(&out.config.trace, &mut record);
        record.request_resource = sql;
        out.request(Key::Id(id), record, 0);
    }
}

/// Cuts a message whose length stands at `at` and whose body starts at `body_at`.
fn cut(input: Input<'_>, at: usize, body_at: usize) -> Step<Message<'_>> {
    let Some(length) = input.bytes.get(at..at + 4) else { return Step::Need(at + 4) };
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    if !(4..MESSAGE_BYTES).contains(&length) {
        return Step::Lost;
    }
    let kind = if at == 0 { 0 } else { input.bytes[0] };
    if kind != 0 && !kind.is_ascii_alphanumeric() {
        return Step::Lost;
    }
    let body_bytes = length as usize - 4;
    let body = &input.bytes[body_at..];
    let wanted = body_bytes.min(input.text_bytes + 512);
    if body.len() < wanted && !input.cut {
        return Step::Need(body_at + wanted);
    }
    let body = &body[..wanted.min(body.len())];
    Step::Frame { frame: Message { kind, body, body_bytes }, used: (body_at + body_bytes) as u64 }
}

/// Length of the DataRow and CopyData messages at the front of `bytes`.
fn pass_data(bytes: &[u8], is_client: bool) -> u64 {
    let mut at = 0u64;
    while let Some(&[kind, a, b, c, d]) =
        bytes.get(at as usize..).and_then(|rest| rest.first_chunk::<5>())
    {
        // A client's D is Describe.
        if kind != b'd' && (kind != b'D' || is_client) {
            break;
        }
        let length = u32::from_be_bytes([a, b, c, d]);
        if !(4..MESSAGE_BYTES).contains(&length) {
            break;
        }
        at += 1 + u64::from(length);
    }
    at
}

#[cfg(test)]
mod tests;
