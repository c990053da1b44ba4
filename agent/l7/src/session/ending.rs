//! How sessions end: with their response, alone, given up, in time or not.
//!
//! In: halves that the table let go. Out: records and stats.

use std::ops::RangeInclusive;

use schema::{L7Protocol, RecordType, ResponseStatus};

use crate::record::{Record, Stat, StatKind};
use crate::session::Pairing;
use crate::session::response::{Response, error_side, fill_response};
use crate::session::table::Waiting;

impl Pairing<'_> {
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

    pub(super) fn complete(&mut self, mut record: Box<Record>, response: Response) {
        let end_ns = response.mark.time_ns.max(record.start_ns);
        let duration_ns = end_ns - record.start_ns;
        let kind = StatKind::Response { rrt_us: Some(duration_ns / 1000), error: response.error() };
        self.stat(end_ns, &record, kind);
        record.kind = RecordType::Session;
        record.duration_ns = Some(duration_ns);
        fill_response(&mut record, response, end_ns);
        self.output.records.push(record);
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
        self.output.records.push(record);
    }

    /// A request whose response does not come or can no longer be told.
    pub(super) fn let_down(&mut self, waiting: Waiting) {
        match waiting.quiet {
            true => self.end_alone(waiting.record),
            false => self.give_up(waiting.record, ResponseStatus::Unknown),
        }
    }

    /// A request that has no response is a session by itself.
    pub(super) fn end_alone(&mut self, mut record: Box<Record>) {
        if record.response_status == ResponseStatus::Unknown {
            record.response_status = ResponseStatus::Ok;
        }
        let error = error_side(record.response_status);
        self.stat(record.start_ns, &record, StatKind::Response { rrt_us: None, error });
        record.kind = RecordType::Session;
        self.output.records.push(record);
    }

    /// A request whose response can no longer be told: not a timeout.
    pub(super) fn give_up(&mut self, mut record: Box<Record>, status: ResponseStatus) {
        record.kind = RecordType::Request;
        record.response_status = status;
        self.output.records.push(record);
    }

    pub(super) fn time_out(&mut self, record: Box<Record>, now_ns: u64) {
        self.stat(now_ns, &record, StatKind::Timeout);
        self.give_up(record, ResponseStatus::Timeout);
    }

    /// A request that the end of its conversation left without response.
    pub(super) fn abandon(&mut self, record: Box<Record>, now_ns: u64) {
        self.stat(now_ns.max(record.start_ns), &record, StatKind::Timeout);
        self.give_up(record, ResponseStatus::Unknown);
    }

    /// A stat of a record's protocol and endpoint: a protocol may mark some of its records as
    /// another's (gRPC in HTTP/2).
    pub(super) fn stat(&mut self, time_ns: u64, record: &Record, kind: StatKind) {
        let (protocol, endpoint) = (record.protocol, record.endpoint.clone());
        self.output.stats.push(Stat { time_ns, protocol, endpoint, kind });
    }
}
