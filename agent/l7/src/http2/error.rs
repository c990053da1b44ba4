//! Error codes of HTTP/2 (RFC 9113 §7): their names, and whom they blame.

use schema::ResponseStatus;

use crate::segment::Direction;

/// Nothing went wrong.
pub(crate) const NO_ERROR: u32 = 0;

/// The stream is not needed any more.
pub(crate) const CANCEL: u32 = 8;

/// The request was not processed at all.
pub(crate) const REFUSED_STREAM: u32 = 7;

const NAMES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// The name of a code; unknown ones are treated as internal errors (§7).
pub(crate) fn name(code: u32) -> &'static str {
    NAMES.get(code as usize).copied().unwrap_or("INTERNAL_ERROR")
}

/// Whose error it is when `sender` ends a stream with this code: some codes are reproaches.
pub(crate) fn status(sender: Direction, code: u32) -> ResponseStatus {
    let blames_peer = matches!(code, 1 | 3 | 5 | 6 | 9 | 11 | 12 | 13);
    match (sender == Direction::ClientToServer) != blames_peer {
        true => ResponseStatus::ClientError,
        false => ResponseStatus::ServerError,
    }
}
