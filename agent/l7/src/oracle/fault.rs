//! Errors: `ORA-nnnnn`, whom they blame, and how they are shown.
//!
//! Ranges are those of Oracle's Database Error Messages.

use compact_str::format_compact;
use schema::{ResponseStatus, Text};

use crate::bytes;

/// No more rows: the usual end of a query.
const NO_DATA_FOUND: u64 = 1403;

/// Instance, memory, redo and the like stand among errors of statements.
const OF_SERVER: [u64; 13] =
    [1000, 1012, 1014, 1033, 1034, 1089, 1090, 1092, 1109, 1115, 1110, 2049, 2063];

/// Whom an error blames.
pub(crate) fn status(code: u64) -> ResponseStatus {
    match code {
        0 | NO_DATA_FOUND => ResponseStatus::Ok,
        code if OF_SERVER.contains(&code) => ResponseStatus::ServerError,
        // A constraint; statements, names and privileges; values; dates; constraints.
        1 | 900..=1099 | 1400..=1499 | 1700..=1899 | 1900..=2099 | 2100..=2299 => {
            ResponseStatus::ClientError
        }
        // PL/SQL: values, compilation; its own errors of applications.
        6502 | 6550 | 6553 | 20_000..=20_999 => ResponseStatus::ClientError,
        // No such service or instance; a name that cannot be resolved.
        12_154 | 12_504 | 12_505 | 12_514 | 12_521 => ResponseStatus::ClientError,
        // Values too long; errors of a batch; accounts and passwords.
        12_899 | 24_381 | 28_000..=28_003 | 28_009 | 32_795 => ResponseStatus::ClientError,
        _ => ResponseStatus::ServerError,
    }
}

/// An error's text; without one its number.
pub(crate) fn text(code: u64, text: &[u8]) -> Text {
    match text.strip_suffix(&[0]).unwrap_or(text).trim_ascii() {
        [] => format_compact!("ORA-{code:05}"),
        text => bytes::text(text, 1024),
    }
}
