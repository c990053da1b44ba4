//! The crate as its callers see it: cases, properties over them, and captures of a peer.

#![expect(clippy::disallowed_methods, reason = "tests read files and find them by environment")]

mod cases;
mod driver;
mod misread;
mod noise;
mod pcap;
mod peer;
mod policies;
mod properties;
mod script;
