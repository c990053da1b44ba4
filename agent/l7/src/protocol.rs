//! The registry of protocols.

use schema::L7Protocol;

/// What this crate reads, in the order in which it is tried.
pub const PARSED_PROTOCOLS: &[L7Protocol] = &[
    L7Protocol::Http,
    L7Protocol::Redis,
    L7Protocol::Mysql,
    L7Protocol::Postgresql,
    L7Protocol::Dns,
];
