//! The response's half of a session, and what a record takes from it.

use schema::{ResponseStatus, Text};

use crate::record::{ErrorSide, Record};
use crate::stream::Mark;

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

    pub(super) fn error(&self) -> Option<ErrorSide> {
        error_side(self.status)
    }
}

pub(super) fn error_side(status: ResponseStatus) -> Option<ErrorSide> {
    match status {
        ResponseStatus::ClientError => Some(ErrorSide::Client),
        ResponseStatus::ServerError => Some(ErrorSide::Server),
        _ => None,
    }
}

/// Writes a response into the record of its request.
pub(super) fn fill_response(record: &mut Record, response: Response, end_ns: u64) {
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
