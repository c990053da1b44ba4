//! What is tested, by name. A scenario starts what it needs, asks, and compares.

pub mod selfcheck;
