//! Pairs requests with responses and makes records and stats of them.
//!
//! In: halves, as a protocol's `pair` found them: by id, or by order with any number of requests
//! under way. Out: records and stats. A response that is seen before its request is held, a
//! request without response expires, what a bound lets go is counted. Never: an order that
//! depends on hashing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use schema::{L7Protocol, RecordType, ResponseStatus, Text};

use crate::config::Config;
use crate::record::{ErrorSide, Output, Record, Stat, StatKind};
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

/// The response's half of a session.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Of its first byte.
    pub mark: Mark,
    /// Its bytes captured.
    pub captured_bytes: u32,
    /// How it ended.
    pub status: ResponseStatus,
    /// Code that the protocol gives it.
    pub code: Option<i32>,
    /// Error text.
    pub exception: Text,
    /// Result.
    pub result: Text,
    /// Its length by the protocol.
    pub bytes: Option<i64>,
    /// Rows changed or returned.
    pub affected_rows: Option<u64>,
    /// Request id header.
    pub x_request_id: Text,
    /// Fills `version` where the request does not say one.
    pub version: Text,
    /// What a response without its request shows: fields of a request that it repeats.
    pub echo: Option<Box<Record>>,
    /// Further attributes.
    pub attributes: Vec<(Text, Text)>,
    /// Further numbers.
    pub metrics: Vec<(Text, f64)>,
}

impl Response {
    /// Nothing went wrong.
    pub fn is_ok(&self) -> bool {
        self.status == ResponseStatus::Ok
    }

    fn error(&self) -> Option<ErrorSide> {
        error_side(self.status)
    }
}

fn error_side(status: ResponseStatus) -> Option<ErrorSide> {
    match status {
        ResponseStatus::ClientError => Some(ErrorSide::Client),
        ResponseStatus::ServerError => Some(ErrorSide::Server),
        _ => None,
    }
}

/// A request under way, with a number of the protocol's own.
#[derive(Debug)]
struct Waiting {
    record: Box<Record>,
    tag: u64,
    /// No response is a response too: see [`Pairing::quiet_request`].
    quiet: bool,
}

/// Requests and responses of one conversation that wait for each other.
#[derive(Debug, Default)]
pub(crate) struct SessionTable {
    by_order: VecDeque<Waiting>,
    /// Requests before those that were given up: their responses are still to come.
    expired: u64,
    by_id: BTreeMap<u64, Waiting>,
    /// Start and id of what was put into `by_id`, oldest first; some of it is there no more.
    ages: VecDeque<(u64, u64)>,
    held: VecDeque<(Key, Response)>,
    /// A response came while more than one request was under way.
    pipelined: bool,
    /// Responses may be missing: their order says nothing until the conversation was quiet.
    suspect: bool,
    last_ns: u64,
}

/// Responses that may wait for their requests.
const HELD_RESPONSES: usize = 64;

/// A response seen so much before its request is that of another. unit ns
const SKEW_NS: u64 = 10_000;

/// A conversation without a message for so long has nothing under way. unit ns
const QUIET_NS: u64 = 200_000_000;

impl SessionTable {
    /// Sessions that wait.
    pub fn len(&self) -> usize {
        self.by_order.len() + self.by_id.len() + self.held.len()
    }
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
    pub fn record(&self) -> Box<Record> {
        self.record_at(self.mark)
    }

    /// A request record that started earlier.
    pub fn record_at(&self, mark: Mark) -> Box<Record> {
        let mut record = Box::new(Record::new(self.protocol));
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

    /// What a response shows if nothing waits for it: its id.
    pub fn echo_of_id(&self, key: u64, request_id: u64) -> Option<Box<Record>> {
        if self.table.by_id.contains_key(&key) {
            return None;
        }
        let mut echo = self.record();
        echo.request_id = Some(request_id);
        Some(echo)
    }

    /// The tag of the request that the next response by order answers.
    pub fn expected_tag(&mut self) -> Option<u64> {
        self.settle_order();
        if self.table.expired > 0 {
            return None;
        }
        self.table.by_order.front().map(|waiting| waiting.tag)
    }

    /// The request that the next response by order answers.
    pub fn expected(&mut self) -> Option<&mut Record> {
        self.settle_order();
        if self.table.expired > 0 {
            return None;
        }
        self.table.by_order.front_mut().map(|waiting| &mut *waiting.record)
    }

    /// The last request by order, if it waits still.
    pub fn latest(&mut self) -> Option<&mut Record> {
        self.table.by_order.back_mut().map(|waiting| &mut *waiting.record)
    }

    /// Requests that wait by order.
    pub fn waiting_in_order(&self) -> usize {
        self.table.by_order.len()
    }

    /// Lets the request that the next response by order would answer wait under an id instead.
    pub fn expect_under(&mut self, id: u64) -> Option<&mut Record> {
        self.expected()?;
        let waiting = self.table.by_order.pop_front()?;
        self.note_age(waiting.record.start_ns, id);
        self.table.by_id.insert(id, waiting);
        self.waiting(id)
    }

    /// The tag of the request that waits under an id.
    pub fn waiting_tag(&self, id: u64) -> Option<u64> {
        self.table.by_id.get(&id).map(|waiting| waiting.tag)
    }

    /// An id in `range` that a request waits under.
    pub fn waiting_id(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.table.by_id.range(range).next().map(|(id, _)| *id)
    }

    /// The ids in `range` that requests wait under.
    pub fn waiting_ids(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = u64> {
        self.table.by_id.range(range).map(|(id, _)| *id)
    }

    /// The last id in `range` that a request waits under.
    pub fn last_waiting_id(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.table.by_id.range(range).next_back().map(|(id, _)| *id)
    }

    /// The request that waits under an id.
    pub fn waiting(&mut self, id: u64) -> Option<&mut Record> {
        self.table.by_id.get_mut(&id).map(|waiting| &mut *waiting.record)
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
            self.output.records.push(*record);
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

    /// Whether the next request by order is a quiet one.
    pub fn is_quiet_expected(&self) -> bool {
        self.table.by_order.front().is_some_and(|waiting| waiting.quiet)
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

    /// Lets a request with an id go: its response can no longer be told.
    pub fn let_go(&mut self, id: u64) {
        if let Some(waiting) = self.table.by_id.remove(&id) {
            self.let_down(waiting);
        }
    }

    /// Lets the requests with an id in `range` go.
    pub fn let_go_all(&mut self, range: RangeInclusive<u64>) {
        while let Some(id) = self.waiting_id(range.clone()) {
            self.let_go(id);
        }
    }

    /// Responses may have been lost.
    pub fn doubt(&mut self) {
        self.table.suspect = true;
        self.table.expired = 0;
    }

    /// Ends what waited too long.
    pub fn expire(&mut self, now_ns: u64) {
        let window_ns = match self.protocol {
            L7Protocol::Dns => self.config.windows.dns_ns,
            L7Protocol::Tls => self.config.windows.tls_ns,
            _ => self.config.windows.session_ns,
        };
        let is_old = |start_ns: u64| start_ns.saturating_add(window_ns) <= now_ns;
        while self.table.by_order.front().is_some_and(|first| is_old(first.record.start_ns)) {
            match self.table.by_order.pop_front() {
                Some(waiting) if waiting.quiet => self.let_down(waiting),
                Some(waiting) => {
                    self.table.expired += 1;
                    self.time_out(waiting.record, now_ns);
                }
                None => {}
            }
        }
        let old: Vec<u64> = self
            .table
            .by_id
            .iter()
            .filter(|(_, waiting)| is_old(waiting.record.start_ns))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            match self.table.by_id.remove(&id) {
                Some(waiting) if waiting.quiet => self.let_down(waiting),
                Some(waiting) => self.time_out(waiting.record, now_ns),
                None => {}
            }
        }
        while self.table.held.front().is_some_and(|(_, held)| is_old(held.mark.time_ns)) {
            if let Some((_, response)) = self.table.held.pop_front() {
                self.lone_response(response);
            }
        }
    }

    /// Ends every request with an id that waits, as if its response did not come in time.
    pub fn time_out_all(&mut self) {
        let now_ns = self.mark.time_ns;
        while let Some((_, waiting)) = self.table.by_id.pop_first() {
            self.time_out(waiting.record, now_ns);
        }
    }

    /// Ends everything.
    pub fn flush(&mut self, now_ns: u64) {
        while let Some((_, response)) = self.table.held.pop_front() {
            self.lone_response(response);
        }
        while let Some(waiting) = self.table.by_order.pop_front() {
            match waiting.quiet {
                true => self.let_down(waiting),
                false => self.abandon(waiting.record, now_ns),
            }
        }
        self.table.expired = 0;
        while let Some((_, waiting)) = self.table.by_id.pop_first() {
            match waiting.quiet {
                true => self.let_down(waiting),
                false => self.abandon(waiting.record, now_ns),
            }
        }
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

    /// After a loss: of a client that waits for each response, only the last request before a
    /// response can be what it answers.
    fn settle_order(&mut self) {
        if !self.table.suspect || self.table.pipelined {
            return;
        }
        let now_ns = self.mark.time_ns;
        while self.table.by_order.get(1).is_some_and(|next| next.record.start_ns <= now_ns) {
            if let Some(waiting) = self.table.by_order.pop_front() {
                self.let_down(waiting);
            }
        }
        self.table.suspect = false;
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

    fn complete(&mut self, mut record: Box<Record>, response: Response) {
        let end_ns = response.mark.time_ns.max(record.start_ns);
        let duration_ns = end_ns - record.start_ns;
        let kind = StatKind::Response { rrt_us: Some(duration_ns / 1000), error: response.error() };
        self.stat(end_ns, &record, kind);
        record.kind = RecordType::Session;
        record.duration_ns = Some(duration_ns);
        fill_response(&mut record, response, end_ns);
        self.output.records.push(*record);
    }

    /// A response that is known to have no request.
    pub fn lone_response(&mut self, mut response: Response) {
        let mut record = match response.echo.take() {
            Some(echo) => echo,
            None => Box::new(Record::new(self.protocol)),
        };
        let time_ns = response.mark.time_ns;
        let kind = StatKind::Response { rrt_us: None, error: response.error() };
        self.stat(time_ns, &record, kind);
        record.kind = RecordType::Response;
        record.start_ns = time_ns;
        record.is_tls = self.is_tls;
        record.captured_request_bytes = 0;
        record.req_tcp_seq = 0;
        record.request_origin = Default::default();
        fill_response(&mut record, response, time_ns);
        self.output.records.push(*record);
    }

    /// A request whose response does not come or can no longer be told.
    fn let_down(&mut self, waiting: Waiting) {
        match waiting.quiet {
            true => self.end_alone(waiting.record),
            false => self.give_up(waiting.record, ResponseStatus::Unknown),
        }
    }

    /// A request that has no response is a session by itself.
    fn end_alone(&mut self, mut record: Box<Record>) {
        if record.response_status == ResponseStatus::Unknown {
            record.response_status = ResponseStatus::Ok;
        }
        let error = error_side(record.response_status);
        self.stat(record.start_ns, &record, StatKind::Response { rrt_us: None, error });
        record.kind = RecordType::Session;
        self.output.records.push(*record);
    }

    /// A request whose response can no longer be told: not a timeout.
    fn give_up(&mut self, mut record: Box<Record>, status: ResponseStatus) {
        record.kind = RecordType::Request;
        record.response_status = status;
        self.output.records.push(*record);
    }

    fn time_out(&mut self, record: Box<Record>, now_ns: u64) {
        self.stat(now_ns, &record, StatKind::Timeout);
        self.give_up(record, ResponseStatus::Timeout);
    }

    /// A request that the end of its conversation left without response.
    fn abandon(&mut self, record: Box<Record>, now_ns: u64) {
        self.stat(now_ns.max(record.start_ns), &record, StatKind::Timeout);
        self.give_up(record, ResponseStatus::Unknown);
    }

    /// Lets the oldest waiting request go when a bound is reached. `false`: there is none.
    fn make_room(&mut self) -> bool {
        let limits = &self.config.limits;
        let own = self.table.by_order.len() + self.table.by_id.len();
        if own < limits.conversation_sessions && own + self.sessions_elsewhere < limits.sessions {
            return true;
        }
        self.drops.sessions += 1;
        if let Some(waiting) = self.table.by_order.pop_front() {
            self.table.expired += u64::from(!waiting.quiet);
            self.let_down(waiting);
            return true;
        }
        while let Some((start_ns, id)) = self.table.ages.pop_front() {
            let found = self.table.by_id.get(&id);
            if found.is_some_and(|waiting| waiting.record.start_ns == start_ns) {
                self.let_go(id);
                return true;
            }
        }
        false
    }

    /// Remembers the age of a request with an id; forgets those of requests that are gone when
    /// they are the most.
    fn note_age(&mut self, start_ns: u64, id: u64) {
        let SessionTable { ages, by_id, .. } = &mut *self.table;
        if ages.len() >= 2 * by_id.len() + 64 {
            ages.retain(|(start_ns, id)| {
                by_id.get(id).is_some_and(|waiting| waiting.record.start_ns == *start_ns)
            });
        }
        ages.push_back((start_ns, id));
    }

    /// A stat of a record's protocol and endpoint: a protocol may mark some of its records as
    /// another's (gRPC in HTTP/2).
    fn stat(&mut self, time_ns: u64, record: &Record, kind: StatKind) {
        let (protocol, endpoint) = (record.protocol, record.endpoint.clone());
        self.output.stats.push(Stat { time_ns, protocol, endpoint, kind });
    }
}

fn fill_response(record: &mut Record, response: Response, end_ns: u64) {
    record.end_ns = end_ns;
    record.response_status = response.status;
    record.response_code = response.code;
    record.response_exception = response.exception;
    record.response_result = response.result;
    record.response_bytes = response.bytes;
    record.sql_affected_rows = response.affected_rows;
    record.x_request_id_1 = response.x_request_id;
    record.captured_response_bytes = response.captured_bytes;
    record.resp_tcp_seq = response.mark.seq.unwrap_or(0);
    record.response_origin = response.mark.origin;
    if record.version.is_empty() {
        record.version = response.version;
    }
    for (mut name, value) in response.attributes {
        // What the request has, too: as in other columns, 1 is the response's side.
        if record.attributes.iter().any(|(known, _)| *known == name) {
            name.push_str("_1");
        }
        record.attributes.push((name, value));
    }
    record.metrics.extend(response.metrics);
}

#[cfg(test)]
mod tests;
