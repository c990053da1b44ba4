//! Conversations and records as text, for the case folders of `testdata/`.
//!
//! ```text
//! case   := "tcp" | "udp" | "icmp"  server-port  ["middle"]  ["live" | "fields"]  ["policies"]
//! line   := "@" µs  (">" | "<")  token…  ["cut=" bytes]        one segment
//!         | "@" µs  (">" | "<")  "gap=" bytes                  bytes never seen
//! token  := "text with \r \n \t \0 \\ \" \xNN" | hex digits | token "*" times
//! ```

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use l7::{Config, Record};

use super::pcap::Captured;
use super::policies;

/// A conversation as a case writes it.
#[derive(Clone, Debug)]
pub struct Script {
    pub segments: Vec<Captured>,
    /// Some bytes were never seen.
    pub has_gaps: bool,
    /// What the case is run with.
    pub setting: Setting,
    /// Fields are taken out of messages.
    pub has_policies: bool,
}

/// A configuration that a case asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Nothing redacted.
    Replay,
    /// As on a live host.
    Live,
    /// As on a live host, with further header fields wanted.
    Fields,
}

impl Setting {
    /// The configuration.
    pub fn config(self) -> Config {
        let mut config = if self == Self::Replay { Config::replay() } else { Config::live() };
        if self == Self::Fields {
            let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
            config.custom_fields.http = names(&["X-Tenant", "Cookie", "Content-Type"]);
            config.custom_fields.http2 = config.custom_fields.http.clone();
            config.raw.error_request_header = 200;
            config.raw.error_response_header = 100;
            config.raw.error_request_payload = 20;
            config.trace.x_request_id = names(&["X_Request_ID", "X-Correlation-Id"]);
            config.trace.apm_trace_id = names(&["b3", "x-my-trace"]);
            config.trace.apm_span_id = names(&["b3"]);
            config.trace.copy_apm_trace_id = true;
        }
        config
    }
}

const CLIENT: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 40_000);
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

impl Script {
    /// Reads a case's input. The stream starts with a SYN unless the option `middle` is given.
    pub fn parse(text: &str) -> Self {
        let mut lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
        let mut header = lines.next().expect("a first line").split_whitespace();
        let carrier = header.next();
        let is_tcp = carrier == Some("tcp");
        let server = (SERVER, header.next().and_then(|port| port.parse().ok()).expect("a port"));
        let options: Vec<&str> = header.collect();
        let middle = options.contains(&"middle");
        let setting = match () {
            () if options.contains(&"live") => Setting::Live,
            () if options.contains(&"fields") => Setting::Fields,
            () => Setting::Replay,
        };
        let mut seqs = [u32::MAX - 100, 5000];
        let mut segments = Vec::new();
        let mut has_gaps = false;
        if is_tcp && !middle {
            for (side, seq) in seqs.into_iter().enumerate() {
                let mut syn = empty(0, side, server, Some(seq.wrapping_sub(1)));
                syn.syn = true;
                segments.push(syn);
            }
        }
        for line in lines {
            let mut rest = line.trim();
            let (time, after) = rest.split_once(' ').expect("a time and something");
            let time_us: u64 = time[1..].parse().expect("a time");
            rest = after.trim();
            let side = usize::from(rest.starts_with('<'));
            let (payload, cut_bytes, gap_bytes) = tokens(rest[1..].trim());
            has_gaps |= gap_bytes > 0;
            let seq = is_tcp.then_some(seqs[side]);
            let wire_bytes = (payload.len() + cut_bytes) as u32;
            seqs[side] = seqs[side].wrapping_add(wire_bytes + gap_bytes as u32);
            if wire_bytes > 0 {
                let mut segment = empty(time_us * 1000, side, server, seq);
                segment.payload = payload;
                segment.wire_bytes = wire_bytes;
                segment.is_icmp = carrier == Some("icmp");
                segments.push(segment);
            }
        }
        let has_policies = options.contains(&"policies");
        Self { segments, has_gaps, setting, has_policies }
    }

    /// The configuration that it is run with.
    pub fn config(&self) -> Config {
        let mut config = self.setting.config();
        if self.has_policies {
            config.field_policies = policies::all();
        }
        config
    }
}

fn empty(time_ns: u64, side: usize, server: (IpAddr, u16), seq: Option<u32>) -> Captured {
    let (source, target) = if side == 0 { (CLIENT, server) } else { (server, CLIENT) };
    let (syn, fin, payload) = (false, false, Vec::new());
    Captured { time_ns, source, target, seq, is_icmp: false, syn, fin, payload, wire_bytes: 0 }
}

/// Bytes of the tokens of a line; bytes cut off after them; bytes never seen.
fn tokens(mut rest: &str) -> (Vec<u8>, usize, usize) {
    let (mut bytes, mut cut_bytes, mut gap_bytes) = (Vec::new(), 0, 0);
    while !rest.is_empty() {
        let mut token = Vec::new();
        if let Some(text) = rest.strip_prefix('"') {
            let mut chars = text.char_indices();
            loop {
                let (at, char) = chars.next().expect("a closing quote");
                match char {
                    '"' => {
                        rest = &text[at + 1..];
                        break;
                    }
                    '\\' => match chars.next().expect("an escape").1 {
                        'r' => token.push(b'\r'),
                        'n' => token.push(b'\n'),
                        't' => token.push(b'\t'),
                        '0' => token.push(0),
                        'x' => {
                            let code: String =
                                (0..2).filter_map(|_| chars.next()).map(|c| c.1).collect();
                            token.push(u8::from_str_radix(&code, 16).expect("hex digits"));
                        }
                        other => token.push(other as u8),
                    },
                    other => {
                        token.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
            }
        } else {
            let end = rest.find([' ', '*']).unwrap_or(rest.len());
            let word = &rest[..end];
            rest = &rest[end..];
            match word.split_once('=') {
                Some(("cut", count)) => cut_bytes = count.parse().expect("a number"),
                Some(("gap", count)) => gap_bytes = count.parse().expect("a number"),
                _ => token = hex(word),
            }
        }
        if let Some(times) = rest.strip_prefix('*') {
            let end = times.find(' ').unwrap_or(times.len());
            token = token.repeat(times[..end].parse().expect("a number"));
            rest = &times[end..];
        }
        bytes.append(&mut token);
        rest = rest.trim_start();
    }
    (bytes, cut_bytes, gap_bytes)
}

fn hex(word: &str) -> Vec<u8> {
    assert!(word.len().is_multiple_of(2), "odd hex: {word}");
    (0..word.len() / 2)
        .map(|place| u8::from_str_radix(&word[place * 2..place * 2 + 2], 16).expect("hex digits"))
        .collect()
}

/// A record as one line: its type, protocol and times, then whatever is set.
pub fn line(record: &Record) -> String {
    let mut line = format!("{} {}", record.kind.name(), record.protocol.name());
    let start_us = record.start_ns / 1000;
    match record.duration_ns {
        Some(duration_ns) => write!(line, " @{start_us}+{}", duration_ns / 1000),
        None => write!(line, " @{start_us}"),
    }
    .expect("a string takes all");
    write!(line, " {}", record.response_status.name()).expect("a string takes all");
    if record.is_reversed {
        line.push_str(" reversed");
    }
    let texts = [
        ("version", &record.version),
        ("type", &record.request_type),
        ("domain", &record.request_domain),
        ("resource", &record.request_resource),
        ("endpoint", &record.endpoint),
        ("exception", &record.response_exception),
        ("result", &record.response_result),
        ("proxy_client", &record.http_proxy_client),
        ("x_request_id_0", &record.x_request_id_0),
        ("x_request_id_1", &record.x_request_id_1),
        ("trace_id", &record.trace_id),
        ("trace_id_2", &record.trace_id_2),
        ("span_id", &record.span_id),
        ("parent_span_id", &record.parent_span_id),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        write!(line, " {name}={text:?}").expect("a string takes all");
    }
    let numbers = [
        ("id", record.request_id.map(|id| id as i64)),
        ("code", record.response_code.map(i64::from)),
        ("request_bytes", record.request_bytes),
        ("response_bytes", record.response_bytes),
        ("rows", record.sql_affected_rows.map(|rows| rows as i64)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            write!(line, " {name}={number}").expect("a string takes all");
        }
    }
    for (name, value) in &record.attributes {
        write!(line, " {name}={value:?}").expect("a string takes all");
    }
    for (name, value) in &record.metrics {
        write!(line, " {name}={value}").expect("a string takes all");
    }
    let (request, response) = (record.req_tcp_seq, record.resp_tcp_seq);
    write!(line, " seq={request}/{response}").expect("a string takes all");
    line
}
