//! The crate as its callers see it: cases, properties over them, and captures of a peer.

mod cases;
mod driver;
mod pcap;
mod peer;
mod properties;
mod script;
