//! Request metrics: sums of `l7::Stat`s, and their rows.

use std::sync::Arc;

use l7::Stat;
use schema::{L7Protocol, SignalSource, Text, application, application_map};

use crate::edge::{Addresses, Edge};
use crate::point::End;
use crate::requests::RequestSum;
use crate::window::{Document, Sum};

/// Key of an `application_map` document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApplicationKey {
    /// Between whom.
    pub edge: Arc<Edge>,
    /// Application protocol.
    pub protocol: L7Protocol,
    /// Endpoint; empty where the protocol has none.
    pub endpoint: Text,
}

impl From<&ApplicationKey> for ApplicationKey {
    fn from(key: &ApplicationKey) -> Self {
        key.clone()
    }
}

/// Sums of requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApplicationSum {
    requests: RequestSum,
    direction_score: u8,
}

impl ApplicationSum {
    /// Counts one event; `direction_score` is that of its flow.
    pub fn count(&mut self, stat: &Stat, direction_score: u8) {
        self.direction_score = self.direction_score.max(direction_score);
        self.requests.count(stat);
    }
}

impl Sum for ApplicationSum {
    fn join(&mut self, other: &Self) {
        self.requests.join(&other.requests);
        self.direction_score = self.direction_score.max(other.direction_score);
    }
}

/// Row of `application_map`.
pub fn map_row(document: &Document<ApplicationKey, ApplicationSum>) -> application_map::Row {
    let Document { start_s, key, sum } = document;
    let edge = &*key.edge;
    let (client, server) = (Addresses::from(edge.client_ip), Addresses::from(edge.server_ip));
    application_map::Row {
        time: *start_s as u32,
        ip4_0: client.ip4,
        ip4_1: server.ip4,
        ip6_0: client.ip6,
        ip6_1: server.ip6,
        is_ipv4: client.is_ipv4,
        protocol: edge.protocol,
        server_port: edge.server_port,
        signal_source: edge.signal_source.id(),
        observation_point: edge.point.name().into(),
        capture_nic: edge.nic,
        tunnel_type: edge.tunnel.id(),
        capture_network_type_id: crate::CLOUD_NETWORK,
        l7_protocol: key.protocol.id(),
        endpoint: key.endpoint.clone(),
        app_service: Text::default(),
        app_instance: Text::default(),
        process_id_0: edge.client.id,
        process_id_1: edge.server.id,
        process_kname_0: edge.client.name.clone(),
        process_kname_1: edge.server.name.clone(),
        container_id_0: edge.client.container.clone(),
        container_id_1: edge.server.container.clone(),
        request: sum.requests.requests,
        response: sum.requests.responses,
        client_error: sum.requests.client_errors,
        server_error: sum.requests.server_errors,
        timeout: sum.requests.timeouts,
        error: sum.requests.errors(),
        rrt_sum: sum.requests.rrt.sum_us as f64,
        rrt_count: sum.requests.rrt.count,
        rrt_max: sum.requests.rrt.max_us,
        direction_score: sum.direction_score,
    }
}

/// Key of an `application` document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SingleKey {
    end: End,
    ip_protocol: u8,
    server_port: u16,
    signal_source: SignalSource,
    protocol: L7Protocol,
    endpoint: Text,
}

impl From<&ApplicationKey> for SingleKey {
    fn from(key: &ApplicationKey) -> Self {
        Self {
            end: End::of(&key.edge),
            ip_protocol: key.edge.protocol,
            server_port: key.edge.server_port,
            signal_source: key.edge.signal_source,
            protocol: key.protocol,
            endpoint: key.endpoint.clone(),
        }
    }
}

/// Row of `application`.
pub fn single_row(document: &Document<SingleKey, ApplicationSum>) -> application::Row {
    let Document { start_s, key, sum } = document;
    let addresses = Addresses::from(key.end.ip);
    application::Row {
        time: *start_s as u32,
        ip4: addresses.ip4,
        ip6: addresses.ip6,
        is_ipv4: addresses.is_ipv4,
        protocol: key.ip_protocol,
        server_port: key.server_port,
        signal_source: key.signal_source.id(),
        role: key.end.role.id(),
        capture_network_type_id: crate::CLOUD_NETWORK,
        l7_protocol: key.protocol.id(),
        endpoint: key.endpoint.clone(),
        app_service: Text::default(),
        app_instance: Text::default(),
        process_id: key.end.process.id,
        process_kname: key.end.process.name.clone(),
        request: sum.requests.requests,
        response: sum.requests.responses,
        client_error: sum.requests.client_errors,
        server_error: sum.requests.server_errors,
        timeout: sum.requests.timeouts,
        error: sum.requests.errors(),
        rrt_sum: sum.requests.rrt.sum_us as f64,
        rrt_count: sum.requests.rrt.count,
        rrt_max: sum.requests.rrt.max_us,
        direction_score: sum.direction_score,
    }
}
