//! Which end of a conversation a single-end document belongs to.
//!
//! Each document of an edge yields exactly one single-end document, so that sums over
//! `application` and `network` equal those over the request and flow logs: the client's where the
//! client was observed, else the server's.

use std::net::IpAddr;

use schema::{ObservationPoint, Role};

use crate::edge::{Edge, Process};

/// One end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct End {
    /// Client or server.
    pub role: Role,
    /// Its address.
    pub ip: IpAddr,
    /// Its process.
    pub process: Process,
}

impl End {
    /// The end of `edge` that was observed.
    pub fn of(edge: &Edge) -> Self {
        match edge.point {
            ObservationPoint::CApp
            | ObservationPoint::CP
            | ObservationPoint::C
            | ObservationPoint::CNd => {
                Self { role: Role::Client, ip: edge.client_ip, process: edge.client.clone() }
            }
            ObservationPoint::SNd
            | ObservationPoint::S
            | ObservationPoint::SP
            | ObservationPoint::SApp
            | ObservationPoint::App
            | ObservationPoint::Local
            | ObservationPoint::Rest => {
                Self { role: Role::Server, ip: edge.server_ip, process: edge.server.clone() }
            }
        }
    }
}
