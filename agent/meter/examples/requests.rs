//! Requests per second on one core, from segments to records and metrics, per protocol, and the
//! time that one message takes.
//!
//! `cargo run --release -p meter --example requests [protocol]`. Each rate is the best of three runs
//! over one long-lived conversation; DNS also over one conversation per query. Time is what the
//! process spent on a CPU, so that a busy machine does not count. Times of single messages are by the
//! wall, of segments at random places of a run of their own.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use l7::{
    Config, Conversation, ConversationContext, Direction, Origin, Output, Segment, Shared,
    Transport,
};
use meter::{Edge, Meter, Process};
use schema::{ObservationPoint, SignalSource, TunnelType};

/// One round of a dialogue: segments with their direction, and how many requests it holds.
struct Load {
    name: &'static str,
    transport: Transport,
    segments: Vec<(Direction, Vec<u8>)>,
    requests: u64,
    /// A new conversation for each round.
    fresh: bool,
}

const C: Direction = Direction::ClientToServer;
const S: Direction = Direction::ServerToClient;

const ROUNDS_REQUESTS: u64 = 400_000;
/// `direction_score` of a connection of which the handshake was seen.
const CERTAIN: u8 = 255;

fn main() {
    let wanted = std::env::args().nth(1);
    let loads = loads();
    for load in loads.iter().filter(|load| wanted.as_ref().is_none_or(|name| name == load.name)) {
        let best = (0..3).map(|_| Run::new(load).rate()).fold(0.0, f64::max);
        let mut times_ns = Run::new(load).times_ns();
        times_ns.sort_unstable();
        println!(
            "{:16} {:>9.0} requests/s  {:>6.0} ns each  p99 {} ns a message",
            load.name,
            best,
            1e9 / best,
            times_ns[times_ns.len() * 99 / 100],
        );
    }
}

/// A load on its way through conversation and meter.
struct Run<'a> {
    load: &'a Load,
    shared: Shared,
    conversation: Conversation,
    meter: Meter,
    edge: Arc<Edge>,
    out: Output,
    seqs: [u32; 2],
    time_ns: u64,
    /// The last one that was metered to its end.
    second: u64,
    records: u64,
}

impl<'a> Run<'a> {
    fn new(load: &'a Load) -> Self {
        Self {
            load,
            shared: Shared::new(Config::live()),
            conversation: new_conversation(load.transport),
            meter: Meter::default(),
            edge: Arc::new(edge()),
            out: Output::default(),
            seqs: [1; 2],
            time_ns: 1_000_000_000,
            second: 0,
            records: 0,
        }
    }

    /// Requests a second.
    fn rate(mut self) -> f64 {
        let rounds = ROUNDS_REQUESTS / self.load.requests;
        let start_ns = on_cpu_ns();
        for _ in 0..rounds {
            self.round(|_| {});
        }
        let seconds = (on_cpu_ns() - start_ns) as f64 / 1e9;
        assert_eq!(self.records, rounds * self.load.requests, "{}: records", self.load.name);
        self.records as f64 / seconds
    }

    /// How long messages take. unit ns
    fn times_ns(mut self) -> Vec<u64> {
        let mut times_ns = Vec::new();
        for _ in 0..ROUNDS_REQUESTS / self.load.requests / 4 {
            let mut before = Instant::now();
            self.round(|messages| {
                let now = Instant::now();
                times_ns.push((now - before).as_nanos() as u64 / messages);
                before = now;
            });
        }
        times_ns
    }

    /// The segments once; `done` is told after each how many messages it had.
    fn round(&mut self, mut done: impl FnMut(u64)) {
        let load = self.load;
        if load.fresh {
            self.conversation.on_close(&mut self.shared, self.time_ns, &mut self.out);
            self.conversation = new_conversation(load.transport);
        }
        for (direction, payload) in &load.segments {
            self.time_ns += 1000;
            let side = usize::from(*direction == S);
            let segment = Segment {
                time_ns: self.time_ns,
                direction: *direction,
                seq: (load.transport == Transport::Tcp).then_some(self.seqs[side]),
                payload,
                wire_bytes: payload.len() as u32,
                syn: false,
                fin: false,
                origin: Origin::default(),
            };
            self.seqs[side] = self.seqs[side].wrapping_add(payload.len() as u32);
            self.conversation.on_segment(&mut self.shared, &segment, &mut self.out);
            for stat in &self.out.stats {
                self.meter.on_stat(&self.edge, CERTAIN, stat);
            }
            self.records += self.out.records.len() as u64;
            self.out.clear();
            done(load.requests);
        }
        let second = self.time_ns / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.meter.finish(second, &mut |batch| drop(batch));
        }
    }
}

fn edge() -> Edge {
    Edge {
        client_ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        server_ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        protocol: 6,
        server_port: 1234,
        signal_source: SignalSource::Packet,
        point: ObservationPoint::C,
        nic: 1,
        tunnel: TunnelType::None,
        client: Process::default(),
        server: Process::default(),
    }
}

/// Time this process spent on a CPU. unit ns
fn on_cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("Linux with schedstat");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number")
}

fn new_conversation(transport: Transport) -> Conversation {
    Conversation::new(ConversationContext {
        transport,
        client_port: 40_000,
        server_port: 1234,
        server_key: 1,
        signal_source: SignalSource::Packet,
        direction_known: true,
        is_tls: false,
    })
}

fn loads() -> Vec<Load> {
    let http_request = "GET /api/v1/orders/4711?expand=items HTTP/1.1\r\nHost: shop.example.org\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\r\nAccept: */*\r\n\
        Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nX-Request-Id: 7f3a\r\n\
        traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
    let http_response = format!(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 16:00:00 GMT\r\n\
         Content-Type: application/json\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n{}",
        "x".repeat(1024)
    );
    let redis = |count| {
        let get = "*2\r\n$3\r\nGET\r\n$12\r\nuser:1234567\r\n".repeat(count);
        let reply = "$32\r\n0123456789abcdef0123456789abcdef\r\n".repeat(count);
        vec![(C, get.into_bytes()), (S, reply.into_bytes())]
    };
    let packet = |seq: u8, body: &[u8]| {
        let length = (body.len() as u32).to_le_bytes();
        [&length[..3], &[seq], body].concat()
    };
    let row = |seq| packet(seq, b"\x051000\x0012345");
    let rows = [
        packet(1, b"\x01"),
        packet(2, b"\x03def\x01t\x01t\x01t\x02id\x02id\x0c\x3f\0\x0b\0\0\0\x03\0\0\0\0\0"),
        packet(3, b"\xfe\0\0\x02\0"),
        row(4),
        row(5),
        packet(6, b"\xfe\0\0\x02\0"),
    ]
    .concat();
    let query = packet(0, b"\x03SELECT id, name FROM `orders` WHERE customer_id = 42 AND open");
    let dns = dns_dialogue();
    let load = |name, segments, requests| Load {
        name,
        transport: Transport::Tcp,
        segments,
        requests,
        fresh: false,
    };
    let pg_message = |kind: u8, body: &[u8]| {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[kind], &length[..], body].concat()
    };
    let pg_answer = [
        pg_message(b'D', b"\0\x01\0\0\0\x0242"),
        pg_message(b'C', b"SELECT 1\0"),
        pg_message(b'Z', b"I"),
    ];
    vec![
        load("http", vec![(C, http_request.into()), (S, http_response.into())], 1),
        load("http2", http2_dialogue(), 1),
        load("redis", redis(1), 1),
        load("redis-pipelined", redis(50), 50),
        load("mysql", vec![(C, query), (S, rows)], 1),
        load(
            "postgresql",
            vec![
                (C, pg_message(b'Q', b"SELECT name FROM orders WHERE id = 42\0")),
                (S, pg_answer.concat()),
            ],
            1,
        ),
        Load { transport: Transport::Udp, ..load("dns", dns.clone(), 1) },
        Load { transport: Transport::Udp, fresh: true, ..load("dns-per-flow", dns, 1) },
    ]
}

/// A gRPC call with twelve header fields, ten of them new each time: text in Huffman code that
/// goes into the dynamic table.
fn http2_dialogue() -> Vec<(Direction, Vec<u8>)> {
    let request =
        hex("0000e90104000000018386449661139eb5fb857d56485b3716cee62158c454eab242d941983d9216c42e\
         89cf5ae8ee45c945a8496c5e8390745c780f034082497f864d833505b11f5f901d75d0620d263d4c4d65\
         64ff75d8749f7a8a9acac8b4c7602bb8d2e040899acac8b24d494f6a7f837df6e9408e9acac8b0c842d6\
         958b510f21aa9b839bd9ab4089f2b585ed6950958d27997656461236259e91e2acd4602acf8db79614a1\
         91c1808d14214086f2b24b50ea4f8925a849e92d8b34e84340884d83216b1d85a93fa700166a395f14ac\
         b6ebb1b2d483706c90af89f9005015a7597160025038e8c608c6f8051bab003f00002d00010000000100\
         00000028");
    let head =
        hex("000031010400000001885f901d75d0620d263d4c4d6564ff75d8749f6196dd6d5f4a084a693f75040138\
         a05cb8005c0014c5a37f76842d5dcfeb0000cd00000000000100000000c8");
    let trailers = hex("00001801050000000140889acac8b21234da8f810740899acac8b5254207317f80");
    let settings = hex("000000040000000000");
    let response = [settings, head, vec![b'y'; 200], trailers].concat();
    vec![(C, [request, vec![b'x'; 40]].concat()), (S, response)]
}

fn hex(digits: &str) -> Vec<u8> {
    let octet = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(text, 16).expect("hex digits")
    };
    digits.as_bytes().chunks(2).map(octet).collect()
}

/// A query and its answer.
fn dns_dialogue() -> Vec<(Direction, Vec<u8>)> {
    let dns_query =
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01".to_vec();
    let mut dns_answer = dns_query.clone();
    dns_answer[2..4].copy_from_slice(b"\x81\x80");
    dns_answer[7] = 1;
    dns_answer.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x01");
    vec![(C, dns_query), (S, dns_answer)]
}
