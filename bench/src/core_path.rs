//! The pure core: packets through `wire`, `flow` and `meter`, and HTTP requests through `l7`.
//!
//! In: the example `pps` of crate `meter`, and requests made here. Out: packets and requests a
//! second on one core.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use l7::{
    Config, Conversation, ConversationContext, Direction, Origin, Output, Segment, Shared,
    Transport,
};
use schema::SignalSource;

use crate::targets::Measurement;

const CONVERSATIONS: u64 = 1000;
const FEW_FLOWS: u32 = 1_000;
const MANY_FLOWS: u32 = 1_000_000;
const DURATION: Duration = Duration::from_secs(5);
/// A request of 400 to 500 bytes, as browsers and libraries send them.
const REQUEST: &str = "GET /shop/goods/4711?id=ID HTTP/1.1\r\nHost: shop.example\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\nCookie: session=0123456789abcdef\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\n\
    Content-Length: 64\r\nConnection: keep-alive\r\nX-Request-ID: 4711\r\n\r\n\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Packets of few and of very many flows, then requests.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let mut found = packets(programs, FEW_FLOWS)?;
    found.extend(packets(programs, MANY_FLOWS)?);
    let rate = requests_per_second()?;
    let how = format!(
        "`bench core`: {CONVERSATIONS} conversations, requests of {} B and responses of {} B, \
         records made",
        REQUEST.len(),
        RESPONSE.len()
    );
    found.push(Measurement::new("l7_krequests", rate / 1e3, how));
    Ok(found)
}

/// What the example `pps` says of so many flows.
fn packets(programs: &Path, flows: u32) -> Result<Vec<Measurement>> {
    let program = programs.join("examples/pps");
    let output = Command::new(&program).arg(flows.to_string()).output();
    let output = output.with_context(|| program.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let mut found = Vec::new();
    for line in text.lines() {
        let how = format!("`target/release/examples/pps {flows}`: {}", line.trim());
        let (rate, unit) = match line.starts_with("64 ") {
            true => ("flow_mpps", "Mpps"),
            false => ("flow_gbit", "Gbit/s"),
        };
        let measured = number_before(line, unit).with_context(|| format!("no {unit}: {line}"))?;
        found.push(Measurement::new(rate, measured, how.clone()));
        if flows == MANY_FLOWS {
            let resident = number_before(line, "MB").with_context(|| format!("no MB: {line}"))?;
            found.push(Measurement::new("flow_memory_mb", resident, how));
        }
    }
    ensure!(!found.is_empty(), "pps printed no rate");
    Ok(found)
}

fn requests_per_second() -> Result<f64> {
    let mut shared = Shared::new(Config::live());
    let mut conversations: Vec<_> = (0..CONVERSATIONS).map(conversation).collect();
    let mut out = Output::default();
    let (mut records, mut requests, mut time_ns) = (0u64, 0u64, 1_700_000_000_000_000_000);
    let begin = Instant::now();
    while begin.elapsed() < DURATION {
        for conversation in &mut conversations {
            time_ns += 1000;
            let request = segment(time_ns, Direction::ClientToServer, REQUEST);
            conversation.on_segment(&mut shared, &request, &mut out);
            let response = segment(time_ns + 500, Direction::ServerToClient, RESPONSE);
            conversation.on_segment(&mut shared, &response, &mut out);
            requests += 1;
        }
        records += out.records.len() as u64;
        black_box(&out);
        out.clear();
    }
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(records == requests, "{records} records of {requests} requests");
    Ok(requests as f64 / seconds)
}

fn conversation(number: u64) -> Conversation {
    Conversation::new(ConversationContext {
        transport: Transport::Tcp,
        client_port: 10_000 + (number % 50_000) as u16,
        server_port: 80,
        server_key: 1,
        signal_source: SignalSource::Ebpf,
        direction_known: true,
        is_tls: false,
    })
}

fn segment(time_ns: u64, direction: Direction, text: &'static str) -> Segment<'static> {
    Segment {
        time_ns,
        direction,
        seq: None,
        payload: text.as_bytes(),
        wire_bytes: text.len() as u32,
        syn: false,
        fin: false,
        origin: Origin::default(),
    }
}

/// The number that stands just before the word `unit`.
fn number_before(line: &str, unit: &str) -> Option<f64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| word.trim_end_matches(',') == unit)?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let line = "64 bytes, 1000 flows: 2.31 Mpps, 1.2 Gbit/s, 433 ns a packet, 0 allocations";
        assert_eq!(number_before(line, "Mpps"), Some(2.31));
        assert_eq!(number_before(line, "Kpps"), None);
    }
}
