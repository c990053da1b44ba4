//! Requests per second on one core, from segments to records and stats, per protocol.
//!
//! `cargo run --release -p l7 --example speed [protocol]`. Each figure is the best of three runs
//! over one long-lived conversation; DNS also over one conversation per query. Time is what the
//! thread spent on a CPU, so that a busy machine does not count.

use l7::{
    Config, Conversation, ConversationContext, Direction, Origin, Output, Segment, Shared,
    Transport,
};
use schema::SignalSource;

/// One round of a dialogue: segments with their direction, and how many requests it holds.
struct Load {
    name: &'static str,
    target_per_s: u64,
    transport: Transport,
    segments: Vec<(Direction, Vec<u8>)>,
    requests: u64,
    /// A new conversation for each round.
    fresh: bool,
}

const C: Direction = Direction::ClientToServer;
const S: Direction = Direction::ServerToClient;

fn main() {
    let wanted = std::env::args().nth(1);
    let loads = loads();
    for load in loads.iter().filter(|load| wanted.as_ref().is_none_or(|name| name == load.name)) {
        let best = (0..3).map(|_| run(load)).fold(0.0, f64::max);
        println!(
            "{:16} {:>9.0} requests/s  {:>6.0} ns each  target {:>7}  {}",
            load.name,
            best,
            1e9 / best,
            load.target_per_s,
            if best >= load.target_per_s as f64 { "met" } else { "NOT met" }
        );
    }
}

fn run(load: &Load) -> f64 {
    let rounds = 400_000 / load.requests;
    let mut shared = Shared::new(Config::live());
    let mut out = Output::default();
    let mut conversation = new_conversation(load.transport);
    let mut seqs = [1u32, 1];
    let (mut records, mut time_ns) = (0, 1_000_000_000);
    let start_ns = on_cpu_ns();
    for _ in 0..rounds {
        if load.fresh {
            conversation.on_close(&mut shared, time_ns, &mut out);
            conversation = new_conversation(load.transport);
        }
        for (direction, payload) in &load.segments {
            time_ns += 1000;
            let side = usize::from(*direction == S);
            let segment = Segment {
                time_ns,
                direction: *direction,
                seq: (load.transport == Transport::Tcp).then_some(seqs[side]),
                payload,
                wire_bytes: payload.len() as u32,
                syn: false,
                fin: false,
                origin: Origin::default(),
            };
            seqs[side] = seqs[side].wrapping_add(payload.len() as u32);
            conversation.on_segment(&mut shared, &segment, &mut out);
        }
        records += out.records.len() as u64;
        out.clear();
    }
    let seconds = (on_cpu_ns() - start_ns) as f64 / 1e9;
    assert_eq!(records, rounds * load.requests, "{}: records", load.name);
    records as f64 / seconds
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
    let load = |name, target_per_s, segments, requests| Load {
        name,
        target_per_s,
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
        load("http", 150_000, vec![(C, http_request.into()), (S, http_response.into())], 1),
        load("redis", 250_000, redis(1), 1),
        load("redis-pipelined", 250_000, redis(50), 50),
        load("mysql", 250_000, vec![(C, query), (S, rows)], 1),
        load(
            "postgresql",
            250_000,
            vec![
                (C, pg_message(b'Q', b"SELECT name FROM orders WHERE id = 42\0")),
                (S, pg_answer.concat()),
            ],
            1,
        ),
        Load { transport: Transport::Udp, ..load("dns", 500_000, dns.clone(), 1) },
        Load { transport: Transport::Udp, fresh: true, ..load("dns-per-flow", 500_000, dns, 1) },
    ]
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
