//! Made-up traffic as it looks on a real host: what sizes and speeds are measured on.
//!
//! Rows come in the order in which an agent finishes them. Random numbers are seeded: the same
//! rows each time.

use crate::{Text, l4_flow_log, l7_flow_log};

const START_US: i64 = 1_763_800_000_000_000;

/// xorshift64*: enough for made-up traffic.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// About `typical_us`, with a long tail.
    pub fn latency_us(&mut self, typical_us: u64) -> u64 {
        let tail = if self.below(20) == 0 { 8 } else { 1 };
        typical_us / 2 + self.below(typical_us) * tail
    }
}

struct Service {
    port: u16,
    host: &'static str,
    name: &'static str,
    process_id: u32,
    resources: &'static [(&'static str, u64, u64)],
}

/// Resource with its identifiers' range (0: none) and typical latency.
const SERVICES: [Service; 4] = [
    Service {
        port: 80,
        host: "shop.example",
        name: "nginx",
        process_id: 812,
        resources: &[("/", 0, 400), ("/static/app.js", 0, 200), ("/api/cart", 0, 2500)],
    },
    Service {
        port: 8080,
        host: "cart:8080",
        name: "java",
        process_id: 2311,
        resources: &[("/v1/items/", 5000, 1500), ("/v1/carts/", 20_000, 2200)],
    },
    Service {
        port: 9000,
        host: "users:9000",
        name: "gunicorn",
        process_id: 977,
        resources: &[("/users/", 100_000, 3000), ("/login", 0, 9000)],
    },
    Service {
        port: 7000,
        host: "stock:7000",
        name: "stock",
        process_id: 1544,
        resources: &[("/stock/", 800, 700)],
    },
];

struct Connection {
    service: usize,
    flow_id: u64,
    client_port: u16,
    request_seq: u32,
    response_seq: u32,
    calls: u32,
    thread: u32,
    free_at_us: i64,
}

/// Request logs of one observation point: `connections` kept alive to four HTTP services, each
/// replaced after some hundred requests.
pub fn l7_rows(count: usize, connections: usize, seed: u64) -> Vec<l7_flow_log::Row> {
    let mut dice = Dice::new(seed);
    let mut open: Vec<Connection> =
        (0..connections).map(|i| connect(&mut dice, i as u64)).collect();
    let mut flows = connections as u64;
    let mut trace_id = 77_000_000;
    let mut rows: Vec<_> = (0..count)
        .map(|i| {
            let slot = dice.below(connections as u64) as usize;
            if dice.below(300) == 0 {
                open[slot] = connect(&mut dice, flows);
                flows += 1;
            }
            trace_id += 1 + dice.below(3);
            let start_us = START_US + i as i64 * 100 + dice.below(100) as i64;
            request(&mut dice, &mut open[slot], start_us, trace_id)
        })
        .collect();
    rows.sort_by_key(|row| row.end_time);
    rows
}

fn connect(dice: &mut Dice, number: u64) -> Connection {
    Connection {
        service: dice.below(SERVICES.len() as u64) as usize,
        flow_id: 0x68e0_0000_0100_0000 | number,
        client_port: 32_768 + dice.below(28_000) as u16,
        request_seq: dice.next() as u32,
        response_seq: dice.next() as u32,
        calls: 0,
        thread: 4000 + dice.below(8) as u32,
        free_at_us: 0,
    }
}

fn request(
    dice: &mut Dice,
    connection: &mut Connection,
    start_us: i64,
    trace_id: u64,
) -> l7_flow_log::Row {
    let service = &SERVICES[connection.service];
    let (path, ids, typical_us) =
        service.resources[dice.below(service.resources.len() as u64) as usize];
    let resource = match ids {
        0 => path.to_owned(),
        ids => format!("{path}{}", dice.below(ids)),
    };
    let start_us = start_us.max(connection.free_at_us);
    let duration_us = dice.latency_us(typical_us);
    let end_us = start_us + duration_us as i64;
    connection.free_at_us = end_us + 20;
    let request_bytes = 150 + resource.len() as u32;
    let response_bytes = 180 + if ids == 0 { 1200 } else { dice.below(600) as u32 };
    let code = [200, 200, 200, 200, 200, 200, 200, 304, 404, 500][dice.below(10) as usize];
    let row = l7_flow_log::Row {
        time: (end_us / 1_000_000) as u32,
        ip4_0: 0x0a00_0105,
        ip4_1: 0x0a00_0110 + connection.service as u32,
        is_ipv4: 1,
        protocol: 6,
        client_port: connection.client_port,
        server_port: service.port,
        flow_id: connection.flow_id,
        capture_network_type_id: 3,
        signal_source: 3,
        observation_point: Text::from("s-p"),
        req_tcp_seq: connection.request_seq,
        resp_tcp_seq: connection.response_seq,
        start_time: start_us,
        end_time: end_us,
        process_id_0: 700 + connection.service as u32,
        process_id_1: service.process_id,
        process_kname_0: Text::from("gateway"),
        process_kname_1: Text::from(service.name),
        syscall_trace_id_request: trace_id,
        syscall_trace_id_response: trace_id,
        syscall_thread_0: connection.thread,
        syscall_thread_1: connection.thread,
        syscall_cap_seq_0: connection.calls + 1,
        syscall_cap_seq_1: connection.calls + 2,
        l7_protocol: 20,
        version: Text::from("1.1"),
        r#type: 2,
        request_type: Text::from("GET"),
        request_domain: Text::from(service.host),
        endpoint: Text::from(path),
        request_resource: Text::from(resource),
        response_status: if code < 400 { 0 } else { 4 - (code >= 500) as u8 },
        response_code: Some(code),
        response_duration: duration_us,
        request_length: Some(0),
        response_length: Some(i64::from(response_bytes) - 180),
        direction_score: 255,
        captured_request_byte: request_bytes,
        captured_response_byte: response_bytes,
        ..l7_flow_log::Row::default()
    };
    connection.calls += 2;
    connection.request_seq = connection.request_seq.wrapping_add(request_bytes);
    connection.response_seq = connection.response_seq.wrapping_add(response_bytes);
    row
}

/// Flow logs of one interface: short HTTP flows, DNS, and long connections reported each minute.
pub fn l4_rows(count: usize, seed: u64) -> Vec<l4_flow_log::Row> {
    let mut dice = Dice::new(seed);
    let mut rows: Vec<_> = (0..count)
        .map(|i| {
            let end_us = START_US + i as i64 * 2000 + dice.below(2000) as i64;
            match dice.below(10) {
                0..=5 => tcp_flow(&mut dice, i as u64, end_us, false),
                6..=7 => tcp_flow(&mut dice, i as u64, end_us, true),
                _ => dns_flow(&mut dice, i as u64, end_us),
            }
        })
        .collect();
    rows.sort_by_key(|row| row.end_time);
    rows
}

fn flow(dice: &mut Dice, number: u64, end_us: i64, duration_us: u64) -> l4_flow_log::Row {
    l4_flow_log::Row {
        time: (end_us / 1_000_000) as u32,
        mac_0: 0x5254_0012_3456,
        mac_1: 0x5254_00ab_cdef,
        eth_type: 0x0800,
        ip4_0: 0x0a00_0105,
        ip4_1: 0x0a00_0110 + dice.below(12) as u32,
        is_ipv4: 1,
        client_port: 32_768 + dice.below(28_000) as u16,
        init_ipid: dice.below(65_536) as u32,
        process_id_0: 700 + dice.below(4) as u32,
        process_kname_0: Text::from("gateway"),
        start_time: end_us - duration_us as i64,
        end_time: end_us,
        duration: duration_us,
        flow_id: 0x68e0_0000_0200_0000 | number,
        capture_network_type_id: 3,
        capture_nic: 2,
        observation_point: Text::from("c"),
        l2_end_0: 1,
        l3_end_0: 1,
        direction_score: 255,
        ..l4_flow_log::Row::default()
    }
}

fn tcp_flow(dice: &mut Dice, number: u64, end_us: i64, long: bool) -> l4_flow_log::Row {
    let requests = if long { 20 + dice.below(400) } else { 1 };
    let rrt_us = dice.latency_us(1500);
    let (rtt_client_us, rtt_server_us) = (15 + dice.below(40) as u32, 90 + dice.below(200) as u32);
    let duration_us = if long { 60_000_000 } else { rrt_us + u64::from(rtt_server_us) + 300 };
    let (packet_tx, packet_rx) = (5 + requests, 4 + requests);
    let (l4_tx, l4_rx) = (requests * 160 + dice.below(40), requests * 700 + dice.below(600));
    let l3 = |payload: u64, packets: u64| payload + packets * 32;
    let bytes = |payload: u64, packets: u64| payload + packets * 66;
    let row = flow(dice, number, end_us, duration_us);
    l4_flow_log::Row {
        protocol: 6,
        server_port: [80, 8080, 9000, 7000][dice.below(4) as usize],
        tcp_flags_bit_0: if long { 0x18 } else { 0x1b },
        tcp_flags_bit_1: if long { 0x18 } else { 0x1b },
        syn_seq: dice.next() as u32,
        syn_ack_seq: dice.next() as u32,
        l7_protocol: 20,
        request_domain: Text::from("shop.example"),
        close_type: if long { 5 } else { 1 },
        is_new_flow: u8::from(!long),
        packet_tx,
        packet_rx,
        byte_tx: bytes(l4_tx, packet_tx),
        byte_rx: bytes(l4_rx, packet_rx),
        l3_byte_tx: l3(l4_tx, packet_tx),
        l3_byte_rx: l3(l4_rx, packet_rx),
        l4_byte_tx: l4_tx,
        l4_byte_rx: l4_rx,
        total_packet_tx: packet_tx,
        total_packet_rx: packet_rx,
        total_byte_tx: bytes(l4_tx, packet_tx),
        total_byte_rx: bytes(l4_rx, packet_rx),
        l7_request: requests as u32,
        l7_response: requests as u32,
        rtt: rtt_client_us + rtt_server_us,
        rtt_client: rtt_client_us,
        rtt_server: rtt_server_us,
        srt_sum: 60 * requests as u32 + dice.below(50) as u32,
        srt_count: requests as u32,
        srt_max: 60 + dice.below(50) as u32,
        art_sum: (rrt_us * requests) as u32,
        art_count: requests as u32,
        art_max: rrt_us as u32,
        rrt_sum: rrt_us * requests,
        rrt_count: requests as u32,
        rrt_max: rrt_us as u32,
        syn_count: u32::from(!long),
        synack_count: u32::from(!long),
        fin_count: 2 * u32::from(!long),
        ..row
    }
}

fn dns_flow(dice: &mut Dice, number: u64, end_us: i64) -> l4_flow_log::Row {
    let rrt_us = dice.latency_us(600);
    let (l4_tx, l4_rx) = (40 + dice.below(20), 60 + dice.below(120));
    let row = flow(dice, number, end_us, rrt_us);
    l4_flow_log::Row {
        protocol: 17,
        server_port: 53,
        l7_protocol: 120,
        packet_tx: 1,
        packet_rx: 1,
        byte_tx: l4_tx + 42,
        byte_rx: l4_rx + 42,
        l3_byte_tx: l4_tx + 8,
        l3_byte_rx: l4_rx + 8,
        l4_byte_tx: l4_tx,
        l4_byte_rx: l4_rx,
        total_packet_tx: 1,
        total_packet_rx: 1,
        total_byte_tx: l4_tx + 42,
        total_byte_rx: l4_rx + 42,
        l7_request: 1,
        l7_response: 1,
        rrt_sum: rrt_us,
        rrt_count: 1,
        rrt_max: rrt_us as u32,
        is_new_flow: 1,
        ..row
    }
}
