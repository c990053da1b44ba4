//! The columns that a plug-in may set, by number (docs/plugins.md).
//!
//! In: numbers, texts and integers. Out: a message. Never: a number that is not listed taken for
//! another.

use l7::{PluginMessage, PluginMessageKind};
use schema::{ResponseStatus, Text};

/// Messages that one call may give.
pub(crate) const MESSAGES: usize = 64;

/// Attributes, and metrics, of one message.
const ENTRIES: usize = 32;

/// Longest text. unit byte
pub(crate) const TEXT_BYTES: usize = 16 << 10;

/// Longest name of an attribute or metric. unit byte
pub(crate) const NAME_BYTES: usize = 128;

/// A message of a kind, waiting for or answering the one with the key; below 0: by order.
pub(crate) fn begin(kind: i32, key: i64) -> Option<PluginMessage> {
    let kind = match kind {
        0 => PluginMessageKind::Request,
        1 => PluginMessageKind::Response,
        2 => PluginMessageKind::OneWay,
        _ => return None,
    };
    Some(PluginMessage::new(kind, u64::try_from(key).ok()))
}

/// Sets a column that is text. `false`: there is no such column.
pub(crate) fn set_text(message: &mut PluginMessage, column: i32, value: Text) -> bool {
    let is_response = message.kind == PluginMessageKind::Response;
    let fields = &mut *message.fields;
    let place = match column {
        1 => &mut fields.request_type,
        2 => &mut fields.request_domain,
        3 => &mut fields.request_resource,
        4 => &mut fields.endpoint,
        5 => &mut fields.version,
        6 => &mut fields.response_exception,
        7 => &mut fields.response_result,
        8 => &mut fields.trace_id,
        9 => &mut fields.span_id,
        10 => &mut fields.parent_span_id,
        11 if is_response => &mut fields.x_request_id_1,
        11 => &mut fields.x_request_id_0,
        12 => &mut fields.app_service,
        13 => &mut fields.app_instance,
        _ => return false,
    };
    *place = value;
    true
}

/// Sets a column that is a number. `false`: there is no such column, or the value does not fit.
pub(crate) fn set_number(message: &mut PluginMessage, column: i32, value: i64) -> bool {
    let is_response = message.kind == PluginMessageKind::Response;
    let fields = &mut *message.fields;
    match column {
        1 => match u64::try_from(value) {
            Ok(id) => fields.request_id = Some(id),
            Err(_) => return false,
        },
        2 => match i32::try_from(value) {
            Ok(code) => fields.response_code = Some(code),
            Err(_) => return false,
        },
        3 => match value {
            0 => fields.response_status = ResponseStatus::Ok,
            3 => fields.response_status = ResponseStatus::ServerError,
            4 => fields.response_status = ResponseStatus::ClientError,
            _ => return false,
        },
        4 if is_response => fields.response_bytes = Some(value),
        4 => fields.request_bytes = Some(value),
        5 => match u64::try_from(value) {
            Ok(rows) => fields.sql_affected_rows = Some(rows),
            Err(_) => return false,
        },
        _ => return false,
    }
    true
}

/// Adds an attribute. `false`: there are too many.
pub(crate) fn add_attribute(message: &mut PluginMessage, name: Text, value: Text) -> bool {
    let has_room = message.fields.attributes.len() < ENTRIES;
    if has_room {
        message.fields.attributes.push((name, value));
    }
    has_room
}

/// Adds a metric. `false`: there are too many, or it is no number.
pub(crate) fn add_metric(message: &mut PluginMessage, name: Text, value: f64) -> bool {
    let has_room = message.fields.metrics.len() < ENTRIES && value.is_finite();
    if has_room {
        message.fields.metrics.push((name, value));
    }
    has_room
}
