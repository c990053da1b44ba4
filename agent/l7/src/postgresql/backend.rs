//! Messages of servers: which of the client's messages they answer.

use schema::{ResponseStatus, Text};

use crate::bytes::{self, Reader};
use crate::postgresql::error::ServerError;
use crate::postgresql::{Awaited, Message, Postgresql, Startup};
use crate::session::{Key, Pairing, Response};

impl Postgresql {
    /// One message of the server.
    pub(super) fn read_server(&mut self, message: &Message<'_>, out: &mut Pairing<'_>) {
        if self.startup == Startup::Asked {
            self.startup = Startup::None;
            match message.kind {
                b'S' if message.body_bytes == 0 => {
                    out.handover = true;
                    return;
                }
                b'G' if message.body_bytes == 0 => {
                    self.encrypted = true;
                    out.pass_over = u64::MAX;
                    return;
                }
                b'N' if message.body_bytes == 0 => return,
                _ => {}
            }
        }
        if self.unsynced {
            self.settle(out);
        }
        match message.kind {
            // Notices, parameters and notifications answer nothing.
            b'N' | b'S' | b'A' | b'R' | b'K' | b'v' => return,
            _ => {}
        }
        if self.awaits_session() {
            self.answer.get_or_insert(out.mark);
            self.answer_bytes += message.body_bytes as u64 + 5;
        }
        match message.kind {
            b'1' | b'2' | b'3' | b'n' => self.step_done(),
            b'T' => self.step_done(),
            b'C' => self.command_complete(message.body, out),
            b'I' | b's' | b'V' => self.execute_done(None, out),
            b'E' => self.error(&ServerError::read(message.body), out),
            b'Z' => self.ready(out),
            _ => {}
        }
    }

    /// Whether a statement waits before the next Sync.
    fn awaits_session(&self) -> bool {
        let mut steps = self.steps.iter().take_while(|step| **step != Awaited::Sync);
        steps.any(|step| matches!(step, Awaited::Query { .. } | Awaited::Execute { .. }))
    }

    /// Parse, Bind, Describe or Close was answered.
    fn step_done(&mut self) {
        if matches!(self.steps.front(), Some(Awaited::Parse { .. } | Awaited::Other { .. })) {
            self.steps.pop_front();
        }
    }

    /// `CommandComplete`: a tag such as `INSERT 0 5`.
    fn command_complete(&mut self, body: &[u8], out: &mut Pairing<'_>) {
        let tag = Reader::new(body).until_nul().unwrap_or(body);
        let rows = tag.rsplit(|byte| *byte == b' ').next().and_then(bytes::decimal);
        if let Some(Awaited::Query { .. }) = self.steps.front() {
            // Of a Query with several statements all rows count.
            self.rows = match (self.rows, rows) {
                (Some(before), Some(rows)) => Some(before.saturating_add(rows)),
                (before, rows) => rows.or(before),
            };
            return;
        }
        self.execute_done(rows, out);
    }

    /// The Execute at the front is complete.
    fn execute_done(&mut self, rows: Option<u64>, out: &mut Pairing<'_>) {
        if matches!(self.steps.front(), Some(Awaited::Query { .. })) {
            return;
        }
        // Steps whose answers were lost stand before it.
        while let Some(step) = self.steps.front() {
            match *step {
                Awaited::Execute { id } => {
                    self.steps.pop_front();
                    let response = self.answered(ResponseStatus::Ok, rows, out);
                    out.response(Key::Id(id), response);
                    return;
                }
                Awaited::Parse { .. } | Awaited::Other { .. } => {
                    self.steps.pop_front();
                }
                Awaited::Query { .. } | Awaited::Sync => break,
            }
        }
        // The request was not seen.
        self.answer = Some(out.mark);
        let response = self.answered(ResponseStatus::Ok, rows, out);
        out.lone_response(response);
    }

    fn error(&mut self, error: &ServerError<'_>, out: &mut Pairing<'_>) {
        if let Startup::Sent { who, mark } = std::mem::take(&mut self.startup) {
            self.answer = Some(out.mark);
            self.failed_alone(mark, "STARTUP", who, error, out);
            return;
        }
        if let Some(Awaited::Query { id, failed }) = self.steps.front_mut() {
            let id = *id;
            *failed = true;
            let mut response = self.answered(error.status(), None, out);
            error.fill(&mut response, out.config.limits.text_bytes.min(1024));
            out.response(Key::Id(id), response);
            return;
        }
        if self.steps.is_empty() {
            self.answer = Some(out.mark);
            let mut response = self.answered(error.status(), None, out);
            error.fill(&mut response, out.config.limits.text_bytes.min(1024));
            out.lone_response(response);
            return;
        }
        self.skip_to_sync(error, out);
    }

    /// After an error the server skips everything up to the next Sync.
    fn skip_to_sync(&mut self, error: &ServerError<'_>, out: &mut Pairing<'_>) {
        let mut failed = None;
        let mut executed = false;
        while let Some(step) = self.steps.front() {
            match step {
                Awaited::Sync | Awaited::Query { .. } => break,
                Awaited::Execute { id } => {
                    let id = *id;
                    executed = true;
                    let mut response = self.answered(error.status(), None, out);
                    error.fill(&mut response, out.config.limits.text_bytes.min(1024));
                    out.response(Key::Id(id), response);
                }
                Awaited::Parse { sql, mark } => {
                    failed.get_or_insert((*mark, "P", sql.clone()));
                }
                Awaited::Other { mark } => {
                    failed.get_or_insert((*mark, "B", Text::default()));
                }
            }
            self.steps.pop_front();
        }
        if let Some((mark, kind, sql)) = failed
            && !executed
        {
            self.answer = Some(out.mark);
            self.failed_alone(mark, kind, sql, error, out);
        }
    }

    /// A message that failed with no Execute to belong to: a session by itself.
    fn failed_alone(
        &mut self,
        mark: crate::stream::Mark,
        kind: &'static str,
        sql: Text,
        error: &ServerError<'_>,
        out: &mut Pairing<'_>,
    ) {
        let id = self.new_id();
        self.request_at(mark, kind, sql, id, out);
        let mut response = self.answered(error.status(), None, out);
        error.fill(&mut response, out.config.limits.text_bytes.min(1024));
        out.response(Key::Id(id), response);
    }

    /// `ReadyForQuery`.
    fn ready(&mut self, out: &mut Pairing<'_>) {
        self.startup = Startup::None;
        while let Some(step) = self.steps.pop_front() {
            match step {
                Awaited::Sync => break,
                Awaited::Query { id, failed } => {
                    if !failed {
                        let rows = self.rows.take();
                        let response = self.answered(ResponseStatus::Ok, rows, out);
                        out.response(Key::Id(id), response);
                    }
                    break;
                }
                Awaited::Execute { id } => out.let_go(id),
                Awaited::Parse { .. } | Awaited::Other { .. } => {}
            }
        }
        self.answer = None;
        self.answer_bytes = 0;
        self.rows = None;
    }

    /// Messages were lost: of a client that waits for each ReadyForQuery, only the last cycle can
    /// still be answered.
    fn settle(&mut self, out: &mut Pairing<'_>) {
        self.unsynced = false;
        let ends = |step: &Awaited| matches!(step, Awaited::Sync | Awaited::Query { .. });
        let mut cycles = self.steps.iter().filter(|step| ends(step)).count();
        while cycles > 1 {
            let Some(step) = self.steps.pop_front() else { return };
            cycles -= usize::from(ends(&step));
            match step {
                Awaited::Query { id, failed: false } | Awaited::Execute { id } => out.let_go(id),
                _ => {}
            }
        }
    }

    /// The response to the session at the front, which is complete with the current message.
    fn answered(
        &mut self,
        status: ResponseStatus,
        rows: Option<u64>,
        out: &mut Pairing<'_>,
    ) -> Response {
        let mut response = out.answer(status);
        response.mark = self.answer.take().unwrap_or(out.mark);
        response.affected_rows = rows;
        response.bytes = Some(std::mem::take(&mut self.answer_bytes) as i64);
        response
    }
}
