//! What requests came to: one sum for application metrics, network metrics and flow logs.
//!
//! In: `l7::Stat`s. Out: counts and response times that add up. Never: a key, a time.

use l7::{ErrorSide, Stat, StatKind};

use crate::network::Latency;

/// Sums of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestSum {
    /// Requests.
    pub requests: u32,
    /// Responses.
    pub responses: u32,
    /// Responses that blame the client.
    pub client_errors: u32,
    /// Responses that blame the server.
    pub server_errors: u32,
    /// Requests without a response.
    pub timeouts: u32,
    /// Response - request, of those of which both were seen. unit µs
    pub rrt: Latency,
}

impl RequestSum {
    /// Counts a request, response or timeout.
    pub fn count(&mut self, stat: &Stat) {
        match stat.kind {
            StatKind::Request => self.requests += 1,
            StatKind::Timeout => self.timeouts += 1,
            StatKind::Response { rrt_us, error } => {
                self.responses += 1;
                match error {
                    Some(ErrorSide::Client) => self.client_errors += 1,
                    Some(ErrorSide::Server) => self.server_errors += 1,
                    None => {}
                }
                if let Some(rrt_us) = rrt_us {
                    let max_us = u32::try_from(rrt_us).unwrap_or(u32::MAX);
                    self.rrt.join(&Latency { sum_us: rrt_us, count: 1, max_us });
                }
            }
        }
    }

    /// Adds what `other` holds.
    pub fn join(&mut self, other: &Self) {
        self.requests += other.requests;
        self.responses += other.responses;
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
        self.timeouts += other.timeouts;
        self.rrt.join(&other.rrt);
    }

    /// Responses that blame either side.
    pub fn errors(&self) -> u32 {
        self.client_errors + self.server_errors
    }
}
