//! What a conversation yields: records for the request log and stats for the meter.

use schema::{L7Protocol, RecordType, ResponseStatus, Text};

use crate::segment::Origin;

/// One row of `flow_log.l7_flow_log`, as far as the protocol knows it. Names as in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Request only, response only, or both (also one-way messages).
    pub kind: RecordType,
    /// Protocol it was read by.
    pub protocol: L7Protocol,
    /// What a plug-in calls the protocol; empty where the protocol is one of the schema's own.
    pub protocol_name: Text,
    /// Request seen; for a response alone, the response. unit ns since the Unix epoch
    pub start_ns: u64,
    /// Response seen; without one, `start_ns`. unit ns since the Unix epoch
    pub end_ns: u64,
    /// Response seen - request seen; `None` unless both were seen. unit ns
    pub duration_ns: Option<u64>,
    /// Version of the protocol.
    pub version: Text,
    /// The payload was encrypted on the wire.
    pub is_tls: bool,
    /// The response may come on another connection.
    pub is_async: bool,
    /// The server asked the client.
    pub is_reversed: bool,
    /// Method or command.
    pub request_type: Text,
    /// Host, queried name or the like.
    pub request_domain: Text,
    /// Path, statement, key or the like.
    pub request_resource: Text,
    /// Resource with its variable part taken off.
    pub endpoint: Text,
    /// Id that the protocol gives a request.
    pub request_id: Option<u64>,
    /// How it ended.
    pub response_status: ResponseStatus,
    /// Code that the protocol gives a response.
    pub response_code: Option<i32>,
    /// Error text of the response.
    pub response_exception: Text,
    /// Result of the response.
    pub response_result: Text,
    /// Client that a proxy named.
    pub http_proxy_client: Text,
    /// Request id header of the request.
    pub x_request_id_0: Text,
    /// Request id header of the response.
    pub x_request_id_1: Text,
    /// Trace id.
    pub trace_id: Text,
    /// Second trace id, where two formats name different ones.
    pub trace_id_2: Text,
    /// Span id.
    pub span_id: Text,
    /// Parent span id.
    pub parent_span_id: Text,
    /// Service that the application names.
    pub app_service: Text,
    /// Instance that the application names.
    pub app_instance: Text,
    /// Length of the request by its protocol. unit byte
    pub request_bytes: Option<i64>,
    /// Length of the response by its protocol. unit byte
    pub response_bytes: Option<i64>,
    /// Rows that a statement changed or returned.
    pub sql_affected_rows: Option<u64>,
    /// Request bytes captured, as far as they were read. unit byte
    pub captured_request_bytes: u32,
    /// Response bytes captured, as far as they were read. unit byte
    pub captured_response_bytes: u32,
    /// Further attributes: name and value, in the order of the protocol.
    pub attributes: Vec<(Text, Text)>,
    /// Further numbers: name and value.
    pub metrics: Vec<(Text, f64)>,
    /// TCP sequence of the request's first byte; 0 = none known.
    pub req_tcp_seq: u32,
    /// TCP sequence of the response's first byte; 0 = none known.
    pub resp_tcp_seq: u32,
    /// Who sent or received the request.
    pub request_origin: Origin,
    /// Who sent or received the response.
    pub response_origin: Origin,
}

impl Record {
    /// A record of `protocol` in which nothing else is known.
    pub fn new(protocol: L7Protocol) -> Self {
        Self {
            kind: RecordType::Request,
            protocol,
            protocol_name: Text::default(),
            start_ns: 0,
            end_ns: 0,
            duration_ns: None,
            version: Text::default(),
            is_tls: false,
            is_async: false,
            is_reversed: false,
            request_type: Text::default(),
            request_domain: Text::default(),
            request_resource: Text::default(),
            endpoint: Text::default(),
            request_id: None,
            response_status: ResponseStatus::Unknown,
            response_code: None,
            response_exception: Text::default(),
            response_result: Text::default(),
            http_proxy_client: Text::default(),
            x_request_id_0: Text::default(),
            x_request_id_1: Text::default(),
            trace_id: Text::default(),
            trace_id_2: Text::default(),
            span_id: Text::default(),
            parent_span_id: Text::default(),
            app_service: Text::default(),
            app_instance: Text::default(),
            request_bytes: None,
            response_bytes: None,
            sql_affected_rows: None,
            captured_request_bytes: 0,
            captured_response_bytes: 0,
            attributes: Vec::new(),
            metrics: Vec::new(),
            req_tcp_seq: 0,
            resp_tcp_seq: 0,
            request_origin: Origin::default(),
            response_origin: Origin::default(),
        }
    }
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSide {
    /// The response blames the client.
    Client,
    /// The response blames the server.
    Server,
}

/// What happened, for the application metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatKind {
    /// A request was seen.
    Request,
    /// A response was seen.
    Response {
        /// Response seen - request seen; `None` where the request was not seen or the message
        /// is one-way. unit µs
        rrt_us: Option<u64>,
        /// Whose error the response reports, if any.
        error: Option<ErrorSide>,
    },
    /// A request was given up: no response within the window, or the conversation ended.
    Timeout,
}

/// One event for the application metrics. A session yields a request and a response, each at
/// its own time.
#[derive(Clone, Debug, PartialEq)]
pub struct Stat {
    /// When it happened. unit ns since the Unix epoch
    pub time_ns: u64,
    /// Protocol it was read by.
    pub protocol: L7Protocol,
    /// Endpoint of the request; empty where the protocol has none.
    pub endpoint: Text,
    /// What happened.
    pub kind: StatKind,
}

/// Where a conversation puts what it found. The caller empties it and uses it again.
#[derive(Debug, Default)]
pub struct Output {
    /// Records, in the order in which they were completed: in the boxes in which their requests waited, so
    /// that 800 bytes are written once and not moved.
    pub records: Vec<Box<Record>>,
    /// Stats, in the order in which they happened.
    pub stats: Vec<Stat>,
    /// The conversation found that what it was told is the client is the server. From its next
    /// segment on the caller gives directions the other way round (`flow::reverse`).
    pub reversed: bool,
    /// Boxes of records that became rows, for records that begin. Whoever takes `records` may put them here.
    pub spares: Vec<Box<Record>>,
}

impl Output {
    /// A record of `protocol` in which nothing else is known.
    pub fn record(&mut self, protocol: L7Protocol) -> Box<Record> {
        match self.spares.pop() {
            Some(mut spare) => {
                *spare = Record::new(protocol);
                spare
            }
            None => Box::new(Record::new(protocol)),
        }
    }

    /// Forgets what it holds and keeps its memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.stats.clear();
        self.reversed = false;
    }
}
