//! Crate `query`.
