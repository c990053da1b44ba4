//! Pairs requests with responses and makes records and stats of them.
//!
//! In: halves, as a protocol's `pair` found them: by id, or by order with any number of requests
//! under way. Out: records and stats. A response that is seen before its request is held, a
//! request without response expires, what a bound lets go is counted. Never: an order that
//! depends on hashing.

mod ending;
mod response;
mod table;

use schema::{L7Protocol, ResponseStatus, Text};

use crate::config::Config;
use crate::record::{Output, Record, StatKind};
pub(crate) use crate::session::response::Response;
pub(crate) use crate::session::table::SessionTable;
use crate::session::table::{HELD_RESPONSES, QUIET_NS, SKEW_NS, Waiting};
use crate::shared::DropCounts;
use crate::stream::Mark;

/// Which request a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The first that has none.
    Order,
    /// The one with this id.
    Id(u64),
}

/// What a protocol's `pair` writes to: the table, the output and the place in the stream.
pub(crate) struct Pairing<'a> {
    pub table: &'a mut SessionTable,
    pub output: &'a mut Output,
    pub config: &'a Config,
    pub drops: &'a mut DropCounts,
    /// Sessions of other conversations that wait.
    pub sessions_elsewhere: usize,
    pub protocol: L7Protocol,
    pub is_tls: bool,
    /// The bytes that all conversations hold are below their limit.
    pub has_room: bool,
    /// Port of the server.
    pub server_port: u16,
    /// Where the frame being read starts.
    pub mark: Mark,
    /// Bytes of that frame that were captured.
    pub captured_bytes: u32,
    /// Set by a protocol: bytes after the frame that are of no interest.
    pub pass_over: u64,
    /// Set by a protocol after whose frame another protocol is spoken (upgrade, tunnel).
    pub handover: bool,
    /// Set by a protocol after whose frame this one is spoken. What waits goes on waiting.
    pub successor: Option<L7Protocol>,
}

impl Pairing<'_> {
    pub fn note_captured(&mut self, bytes: u32) {
        self.captured_bytes = bytes;
    }

    /// A request record that starts at the current frame.
    pub fn record(&mut self) -> Box<Record> {
        self.record_at(self.mark)
    }

    /// A request record that started earlier.
    pub fn record_at(&mut self, mark: Mark) -> Box<Record> {
        let mut record = self.output.record(self.protocol);
        record.start_ns = mark.time_ns;
        record.end_ns = mark.time_ns;
        record.req_tcp_seq = mark.seq.unwrap_or(0);
        record.request_origin = mark.origin;
        record.is_tls = self.is_tls;
        record.captured_request_bytes = self.captured_bytes;
        record
    }

    /// A response that starts at the current frame.
    pub fn answer(&self, status: ResponseStatus) -> Response {
        Response {
            mark: self.mark,
            captured_bytes: self.captured_bytes,
            status,
            code: None,
            exception: Text::default(),
            result: Text::default(),
            bytes: None,
            affected_rows: None,
            x_request_id: Text::default(),
            version: Text::default(),
            echo: None,
            attributes: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// A request. `tag` is given back by `expected_tag` and `waiting_tag`.
    pub fn request(&mut self, key: Key, mut record: Box<Record>, tag: u64) {
        self.stat(record.start_ns, &record, StatKind::Request);
        let quiet = record.start_ns.saturating_sub(self.table.last_ns) >= QUIET_NS;
        self.table.last_ns = self.table.last_ns.max(record.start_ns);
        if quiet && self.table.suspect {
            self.table.suspect = false;
            while let Some(waiting) = self.table.by_order.pop_front() {
                self.let_down(waiting);
            }
        }
        if let Some(response) = self.take_held(key, record.start_ns) {
            self.complete(record, response);
            return;
        }
        if let Key::Id(id) = key
            && let Some(older) = self.table.by_id.remove(&id)
        {
            // The same id again: a repetition. The older one stays as it is.
            self.let_down(older);
        }
        if !self.make_room() {
            record.response_status = ResponseStatus::Unknown;
            self.output.records.push(record);
            return;
        }
        let waiting = Waiting { record, tag, quiet: false };
        match key {
            Key::Order => {
                self.table.by_order.push_back(waiting);
            }
            Key::Id(id) => {
                self.note_age(waiting.record.start_ns, id);
                self.table.by_id.insert(id, waiting);
            }
        }
    }

    /// A request whose response is silence unless there is something to say: one that waits in
    /// vain is a session by itself. By order, the protocol tells by `end_quiet` when silence was
    /// the response.
    pub fn quiet_request(&mut self, key: Key, record: Box<Record>, tag: u64) {
        self.stat(record.start_ns, &record, StatKind::Request);
        self.table.last_ns = self.table.last_ns.max(record.start_ns);
        if let Key::Id(id) = key {
            self.let_go(id);
        }
        let waiting = Waiting { record, tag, quiet: true };
        if !self.make_room() {
            self.let_down(waiting);
            return;
        }
        match key {
            Key::Order => self.table.by_order.push_back(waiting),
            Key::Id(id) => {
                self.note_age(waiting.record.start_ns, id);
                self.table.by_id.insert(id, waiting);
            }
        }
    }

    /// The next request by order is a quiet one that was answered by silence.
    pub fn end_quiet(&mut self) {
        if let Some(waiting) = self.table.by_order.pop_front() {
            self.let_down(waiting);
        }
    }

    /// A response.
    pub fn response(&mut self, key: Key, response: Response) {
        let now_ns = response.mark.time_ns;
        match self.take_request(key, now_ns) {
            Found::Request(record) => self.complete(record, response),
            Found::Late => self.lone_response(response),
            Found::Nothing => {
                if self.table.held.len() >= HELD_RESPONSES
                    && let Some((_, oldest)) = self.table.held.pop_front()
                {
                    self.lone_response(oldest);
                }
                self.table.held.push_back((key, response));
            }
        }
        self.table.last_ns = self.table.last_ns.max(now_ns);
    }

    /// A message that has no response: a session by itself. It is ok unless it says otherwise.
    pub fn one_way(&mut self, record: Box<Record>) {
        self.stat(record.start_ns, &record, StatKind::Request);
        self.end_alone(record);
    }

    /// Responses may have been lost.
    pub fn doubt(&mut self) {
        self.table.suspect = true;
        self.table.expired = 0;
    }
}

// === what becomes of halves ===

enum Found {
    Request(Box<Record>),
    /// Its request was given up before.
    Late,
    Nothing,
}

impl Pairing<'_> {
    fn take_request(&mut self, key: Key, now_ns: u64) -> Found {
        let waiting = match key {
            Key::Order => {
                if self.table.suspect && self.table.pipelined {
                    return Found::Late;
                }
                self.settle_order();
                if self.table.expired > 0 {
                    self.table.expired -= 1;
                    return Found::Late;
                }
                match self.table.by_order.front() {
                    // A response older than the request: its own request was not seen.
                    Some(waiting) if waiting.record.start_ns > now_ns => return Found::Late,
                    Some(_) => {}
                    None => return Found::Nothing,
                }
                let Some(waiting) = self.table.by_order.pop_front() else { return Found::Nothing };
                let next = self.table.by_order.front();
                self.table.pipelined |= next.is_some_and(|next| next.record.start_ns < now_ns);
                waiting
            }
            Key::Id(id) => match self.table.by_id.remove(&id) {
                Some(waiting) => waiting,
                None => return Found::Nothing,
            },
        };
        Found::Request(waiting.record)
    }

    /// A response that is held for a request of this time. Older ones turn out to be alone.
    fn take_held(&mut self, key: Key, start_ns: u64) -> Option<Response> {
        match key {
            Key::Order => {
                while let Some((_, response)) = self.table.held.pop_front() {
                    if response.mark.time_ns >= start_ns && self.table.by_order.is_empty() {
                        return Some(response);
                    }
                    self.lone_response(response);
                }
                None
            }
            Key::Id(_) => {
                let place = self.table.held.iter().position(|(held, _)| *held == key)?;
                let (_, response) = self.table.held.remove(place)?;
                if response.mark.time_ns.saturating_add(SKEW_NS) >= start_ns {
                    return Some(response);
                }
                // Ids are used again: it answered a request that was not seen.
                self.lone_response(response);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
