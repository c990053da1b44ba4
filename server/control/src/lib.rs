//! Who may talk to the server: certificate authority, enrolment token, TLS.
//!
//! In: a folder of the server's data. Out: the server's TLS settings, certificates for agents
//! that show the token. Never: keys of agents (they stay with the agents), or a key file that
//! others than its owner can read.

mod authority;
mod files;

pub use authority::{Authority, AuthorityError, IssueError};

#[cfg(test)]
mod tests;
