//! Crate `ctl`.
fn main() {}
