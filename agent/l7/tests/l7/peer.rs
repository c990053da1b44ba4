//! Captures of a peer with its results, which are not part of the tree: which share of the facts
//! that the peer states is found in our records. The rule is that of the captures' `score_l7.py`.

use std::path::{Path, PathBuf};

use l7::{Config, Record};

use crate::{driver, pcap, script};

/// Folders whose protocols this crate reads.
#[rustfmt::skip]
const FOLDERS: &[&str] = &[
    "http",
    "dns",
    "redis",
    "mysql",
    "postgre",
    "mongo",
    "amqp",
    "nats",
    "zmtp",
    "openwire",
    "kafka",
    "pulsar",
    "memcached",
    "brpc",
    "dubbo",
    "fastcgi",
    "krpc",
    "sofarpc",
    "some_ip",
    "tars",
    "rocketmq",
    "mqtt",
];

fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peer-captures");
    let path = std::env::var_os("DEEPFLOW_PEER_CAPTURES").map_or_else(beside, PathBuf::from);
    path.is_dir().then_some(path)
}

fn captures(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = FOLDERS
        .iter()
        .filter_map(|name| std::fs::read_dir(root.join(name)).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .collect();
    found.sort();
    found
}

/// Names of texts in the peer's debug form.
const TEXTS: [&str; 29] = [
    "method",
    "path",
    "host",
    "topic_name",
    "publish_topic",
    "group_id",
    "client_id",
    "service_name",
    "method_name",
    "request",
    "request_type",
    "error",
    "err_msg",
    "op_code_name",
    "req_code_name",
    "ext_topic",
    "ext_group",
    "remark",
    "exception",
    "endpoint",
    "user_agent",
    "command",
    "vhost",
    "exchange",
    "queue",
    "routing_key",
    "subject",
    "topic",
    "field",
];

/// Names of numbers in the peer's debug form.
const NUMBERS: [&str; 7] = [
    "request_id",
    "correlation_id",
    "status_code",
    "opaque",
    "stream_id",
    "resp_code",
    "server_error_code",
];

/// Names of texts in the peer's JSON form.
const JSON_TEXTS: [&str; 6] = [
    "request_resource",
    "endpoint",
    "response_execption",
    "request_type",
    "request_domain",
    "span_id",
];

/// Facts that the peer's result states, as the scoring script takes them.
fn facts(result: &str) -> Vec<String> {
    let mut facts = Vec::new();
    for line in result.lines() {
        if line.starts_with('{') {
            facts.extend(JSON_TEXTS.iter().filter_map(|key| json_text(line, key)));
            for key in ["request_id", "sql_affected_rows", "request_resource", "endpoint"] {
                facts.extend(json_number(line, key));
            }
            continue;
        }
        for key in TEXTS {
            facts.extend(debug_values(line, key).filter_map(quoted));
        }
        for key in NUMBERS {
            facts.extend(debug_values(line, key).filter_map(digits));
        }
        if let Some((_, rest)) =
            line.split_once("MemcachedInfo ").and_then(|(_, rest)| rest.split_once(" request: "))
        {
            facts
                .extend(rest.split_once(" req_size").map(|(request, _)| request.trim().to_owned()));
        }
    }
    let nothing = ["", "0", "None", "null", "_RequestHeader", "_ResponseHeader"];
    facts.retain(|fact| !nothing.contains(&fact.as_str()));
    facts.sort();
    facts.dedup();
    facts
}

fn json_text(line: &str, key: &str) -> Option<String> {
    let start = line.find(&format!("\"{key}\":\""))? + key.len() + 4;
    let mut text = String::new();
    let mut chars = line[start..].chars();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'u' => {
                    let code: String = chars.by_ref().take(4).collect();
                    text.extend(char::from_u32(u32::from_str_radix(&code, 16).ok()?));
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

fn json_number(line: &str, key: &str) -> Option<String> {
    let start = line.find(&format!("\"{key}\":"))? + key.len() + 3;
    let digits: String = line[start..].chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// What stands after each `key: ` or `key: Some(`.
fn debug_values<'a>(line: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(key).filter_map(move |(at, _)| {
        let before = line[..at].chars().next_back();
        let is_word = before.is_some_and(|char| char.is_alphanumeric() || char == '_');
        let rest = line[at + key.len()..].strip_prefix(": ").filter(|_| !is_word)?;
        Some(rest.strip_prefix("Some(").unwrap_or(rest))
    })
}

/// A quoted text at the front, as Rust escapes it.
fn quoted(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                '0' => text.push('\0'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

fn digits(rest: &str) -> Option<String> {
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

fn shown(record: &Record) -> String {
    let numbers = format!(
        "{:?}\0{:?}\0{:?}",
        record.request_id, record.response_code, record.sql_affected_rows
    );
    let texts = [
        &record.request_type,
        &record.request_domain,
        &record.request_resource,
        &record.endpoint,
        &record.response_exception,
        &record.response_result,
        &record.trace_id,
        &record.trace_id_2,
        &record.span_id,
        &record.x_request_id_0,
        &record.x_request_id_1,
    ];
    let attributes = record.attributes.iter().map(|(_, value)| value);
    let texts: Vec<&str> = texts.into_iter().chain(attributes).map(|text| &**text).collect();
    texts.join("\0") + "\0" + &numbers
}

#[test]
fn facts_of_the_peer_are_found() {
    let Some(root) = folder() else {
        eprintln!("skipped: no peer captures beside the checkout");
        return;
    };
    let (mut total, mut found) = (0, 0);
    let mut missing = Vec::new();
    for path in captures(&root) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let segments = pcap::read(&std::fs::read(&path).expect("a capture"));
        let outcome = driver::run(&segments, Config::replay());
        assert_eq!(outcome.left, (0, 0), "{name}: memory left");
        if std::env::var_os("L7_SHOW").is_some_and(|show| name.contains(&*show.to_string_lossy())) {
            for record in &outcome.records {
                println!("{name}: {}", script::line(record));
            }
            println!("{name}: {:?} {} stats", outcome.drops, outcome.stats.len());
        }
        let Ok(result) = std::fs::read(path.with_extension("result")) else { continue };
        let ours: Vec<String> =
            outcome.records.iter().map(|record| shown(record).to_lowercase()).collect();
        for fact in facts(&String::from_utf8_lossy(&result)) {
            total += 1;
            let wanted = fact.to_lowercase();
            match ours.iter().any(|record| record.contains(&wanted)) {
                true => found += 1,
                false => missing.push(format!("{name}: {fact}")),
            }
        }
    }
    let few: Vec<_> =
        missing.iter().map(|line| line.chars().take(160).collect::<String>()).collect();
    println!("{found} of {total} facts; missing: {few:#?}");
    assert!(found * 100 >= total * 98, "{found} of {total} facts; missing: {few:#?}");
}

/// What each folder's captures may be taken for.
const ONLY: [(&str, &[&str]); 26] = [
    ("amqp", &["AMQP"]),
    ("brpc", &["bRPC"]),
    ("dns", &["DNS"]),
    ("dubbo", &["Dubbo"]),
    ("fastcgi", &["FastCGI"]),
    ("http", &["HTTP", "HTTP2", "gRPC"]),
    ("kafka", &["Kafka"]),
    ("krpc", &["KRPC"]),
    ("l4", &["HTTP", "DNS"]),
    ("memcached", &["Memcached"]),
    ("mongo", &["MongoDB"]),
    ("mqtt", &["MQTT"]),
    ("mysql", &["MySQL"]),
    ("nats", &["NATS"]),
    ("openwire", &["OpenWire"]),
    ("postgre", &["PostgreSQL"]),
    ("pulsar", &["Pulsar"]),
    ("redis", &["Redis"]),
    ("rocketmq", &["RocketMQ"]),
    ("sofarpc", &["SofaRPC"]),
    ("some_ip", &["SomeIP"]),
    ("tars", &["Tars"]),
    ("tunnels", &["HTTP", "DNS"]),
    ("zmtp", &["ZMTP"]),
    ("websphere", &["WebSphereMQ"]),
    ("thrift", &["Thrift"]),
];

/// No capture is taken for another protocol, whatever is tried and in whichever place it starts.
#[test]
fn captures_are_taken_for_nothing_else() {
    let Some(root) = folder() else {
        eprintln!("skipped: no peer captures beside the checkout");
        return;
    };
    let mut wrong = Vec::new();
    for (name, only) in ONLY {
        let files = std::fs::read_dir(root.join(name)).into_iter().flatten().flatten();
        let files = files.map(|entry| entry.path());
        for path in files.filter(|path| path.extension().is_some_and(|ext| ext == "pcap")) {
            let segments = pcap::read(&std::fs::read(&path).expect("a capture"));
            // From the start, and without the first segments.
            for start in [0, 1, 3, 5].into_iter().take_while(|start| *start < segments.len()) {
                let outcome = driver::run(&segments[start..], Config::replay());
                for record in &outcome.records {
                    if !only.contains(&record.protocol.name()) {
                        wrong.push(format!(
                            "{} from {start}: {}",
                            path.display(),
                            script::line(record)
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
