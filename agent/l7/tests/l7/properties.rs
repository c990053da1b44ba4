//! Properties over all cases.
