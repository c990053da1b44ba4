//! Rows of the request log.

use std::mem::take;
use std::net::IpAddr;

use l7::{Origin, Record};
use meter::Edge;
use schema::l7_flow_log::Row;

use super::seen::Seen;

const NS_A_US: u64 = 1_000;
const US_A_SECOND: u64 = 1_000_000;

/// The row of a record, whose texts are taken out of it.
// tidy: long — one line a column
pub fn row(seen: &Seen, edge: &Edge, record: &mut Record) -> Row {
    let (ip4_0, ip6_0) = address(seen.client.ip());
    let (ip4_1, ip6_1) = address(seen.server.ip());
    let sockets = seen.sockets();
    let end_us = record.end_ns / NS_A_US;
    let (attribute_names, attribute_values) = record.attributes.drain(..).unzip();
    let (metrics_names, metrics_values) = record.metrics.drain(..).unzip();
    Row {
        time: (end_us / US_A_SECOND) as u32,
        ip4_0,
        ip4_1,
        ip6_0,
        ip6_1,
        is_ipv4: u8::from(seen.client.is_ipv4()),
        protocol: seen.protocol,
        client_port: seen.client.port(),
        server_port: seen.server.port(),
        flow_id: seen.flow_id,
        capture_network_type_id: meter::CLOUD_NETWORK,
        signal_source: seen.signal_source.id(),
        tunnel_type: seen.tunnel.id(),
        capture_nic: seen.nic,
        observation_point: seen.point.name().into(),
        req_tcp_seq: seq(record.req_tcp_seq, record.request_origin),
        resp_tcp_seq: seq(record.resp_tcp_seq, record.response_origin),
        start_time: (record.start_ns / NS_A_US) as i64,
        end_time: end_us as i64,
        process_id_0: edge.client.id,
        process_id_1: edge.server.id,
        process_kname_0: edge.client.name.clone(),
        process_kname_1: edge.server.name.clone(),
        container_id_0: edge.client.container.clone(),
        container_id_1: edge.server.container.clone(),
        socket_id_0: sockets.0,
        socket_id_1: sockets.1,
        syscall_trace_id_request: record.request_origin.trace_id,
        syscall_trace_id_response: record.response_origin.trace_id,
        syscall_thread_0: record.request_origin.thread,
        syscall_thread_1: record.response_origin.thread,
        syscall_coroutine_0: record.request_origin.coroutine,
        syscall_coroutine_1: record.response_origin.coroutine,
        syscall_cap_seq_0: record.request_origin.cap_seq,
        syscall_cap_seq_1: record.response_origin.cap_seq,
        l7_protocol: record.protocol.id(),
        biz_protocol: take(&mut record.protocol_name),
        version: take(&mut record.version),
        r#type: record.kind.id(),
        is_tls: record.is_tls.into(),
        is_async: record.is_async.into(),
        is_reversed: record.is_reversed.into(),
        request_type: take(&mut record.request_type),
        request_domain: take(&mut record.request_domain),
        request_resource: take(&mut record.request_resource),
        endpoint: take(&mut record.endpoint),
        request_id: record.request_id,
        response_status: record.response_status.id(),
        response_code: record.response_code,
        response_exception: take(&mut record.response_exception),
        response_result: take(&mut record.response_result),
        http_proxy_client: take(&mut record.http_proxy_client),
        x_request_id_0: take(&mut record.x_request_id_0),
        x_request_id_1: take(&mut record.x_request_id_1),
        trace_id: take(&mut record.trace_id),
        _trace_id_2: take(&mut record.trace_id_2),
        span_id: take(&mut record.span_id),
        parent_span_id: take(&mut record.parent_span_id),
        app_service: take(&mut record.app_service),
        app_instance: take(&mut record.app_instance),
        response_duration: record.duration_ns.unwrap_or(0) / NS_A_US,
        request_length: record.request_bytes,
        response_length: record.response_bytes,
        sql_affected_rows: record.sql_affected_rows,
        direction_score: seen.direction_score,
        captured_request_byte: record.captured_request_bytes,
        captured_response_byte: record.captured_response_bytes,
        attribute_names,
        attribute_values,
        metrics_names,
        metrics_values,
    }
}

/// The TCP sequence number of a message: of plaintext that of what it was encrypted to.
fn seq(of_stream: u32, origin: Origin) -> u32 {
    if origin.encrypted_seq != 0 { origin.encrypted_seq } else { of_stream }
}

/// An address as the store has it: IPv4 number, IPv6 bytes.
pub fn address(ip: IpAddr) -> (u32, [u8; 16]) {
    match ip {
        IpAddr::V4(ip) => (ip.to_bits(), [0; 16]),
        IpAddr::V6(ip) => (0, ip.octets()),
    }
}
