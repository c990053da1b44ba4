//! Files that nginx sends by `sendfile`: the bodies are in no memory of a process, and yet every
//! response has its length, and what comes after it on the connection is in its place.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::Context;
use crate::clients::web::{Transfer, curl};
use crate::exchanges::{Exchange, Load};
use crate::lab::{self, Agent, Namespace, Rows, number};
use crate::report::Report;
use crate::servers::web::{self, SIZES, Web};

const POINTS: [&str; 3] = ["local", "c-p", "s-p"];
/// Programs `curl` at the same time.
const CLIENTS: usize = 3;
/// Of each of them; the server ends a connection after twenty.
const REQUESTS: usize = 80;
/// Files that have more are taken slowly: the socket's buffer is full most of the time.
const LARGE_BYTES: usize = 1_000_000;
/// After the last answer, before the agent is ended.
const SETTLE: Duration = Duration::from_secs(1);
const CONFIGURATION: &str = "
inputs: {cbpf: {af_packet: {interface_regex: '^lo$'}}}
processors:
  request_log: {application_protocol_inference: {enabled_protocols: [HTTP, TLS]}}
";

/// Several curls at once against nginx with `sendfile on`.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    if !lab::is_possible(report) {
        return Ok(());
    }
    let (space, folder) = (Namespace::new("sendfile")?, context.folder.as_path());
    let agent = Agent::start(&space, &context.programs, folder, "agent", CONFIGURATION)?;
    let server = Web::start(&space, folder)?;
    let exchanges = ask_together(&space, folder)?;
    std::thread::sleep(SETTLE);
    let sent = server.sent();
    drop(server);
    let rows = agent.finish()?;

    report.equal("packets dropped by the capture", rows.dropped("capture_kernel")?, 0);
    report.equal("events lost", rows.dropped("ring_full")?, 0);
    let bodies: u64 = sent.lines.iter().filter_map(|line| body_bytes(line)).sum();
    let detail = format!("{} of {bodies} bytes in {} calls", sent.file_bytes, sent.calls);
    report.check("nginx sent its files by sendfile", sent.file_bytes == bodies, &detail);
    let load = Load {
        protocol: "HTTP",
        processes: ("curl", "nginx"),
        ..Load::of(web::SENDFILE_PORT, &exchanges)
    };
    load.check(&rows, report)?;
    check_lengths(&rows, &sent.lines, report)
}

fn ask_together(space: &Namespace, folder: &Path) -> Result<Vec<Exchange>> {
    let origin = format!("http://127.0.0.1:{}", web::SENDFILE_PORT);
    let ask = |client: usize| {
        let folder = folder.join(format!("client-{client}"));
        std::fs::create_dir_all(&folder)?;
        curl(space, &folder, &origin, &[], &transfers(client))
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || ask(client))).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow!("a client's thread failed"))??);
        }
        Ok(all)
    })
}

/// Whole files of every size, parts of them, none of them because the client has it, and in between
/// what is no file.
fn transfers(client: usize) -> Vec<Transfer> {
    let one = |number: usize| {
        let bytes = SIZES[number % SIZES.len()];
        let path = format!("/sized/{bytes}?id={client}-{number}");
        let with = |option: &str| Transfer { path: path.clone(), options: vec![option.to_owned()] };
        match number % 11 {
            3 => with("range = \"0-99\""),
            5 => with("header = \"If-None-Match: *\""),
            7 => Transfer::get(&format!("/missing?id={client}-{number}")),
            _ if bytes > LARGE_BYTES => with("limit-rate = \"20M\""),
            _ => Transfer::get(&path),
        }
    };
    (0..REQUESTS).map(one).collect()
}

/// Each response has as many bytes as nginx says that it sent, at each point.
fn check_lengths(rows: &Rows, sent: &[String], report: &mut Report) -> Result<()> {
    let all = rows.table("l7_flow_log")?;
    for point in POINTS {
        let mut balance: BTreeMap<String, i64> = BTreeMap::new();
        for line in sent {
            *balance.entry(line.clone()).or_default() -= 1;
        }
        let at_point = |row: &&Value| {
            row["observation_point"] == point
                && number(row, "server_port") == u64::from(web::SENDFILE_PORT)
        };
        for row in all.iter().filter(at_point) {
            let text = |name: &str| row[name].as_str().unwrap_or("");
            let line = format!(
                "{} {} {} {}",
                text("request_type"),
                text("request_resource"),
                row["response_code"],
                number(row, "response_length")
            );
            *balance.entry(line).or_default() += 1;
        }
        balance.retain(|_, count| *count != 0);
        let shown: Vec<_> = balance.iter().take(6).collect();
        let detail = format!("{} responses {shown:?}", sent.len());
        report.check(&format!("lengths of responses at {point}"), balance.is_empty(), &detail);
    }
    Ok(())
}

/// Of a line of nginx's log about a file: bytes of the body.
fn body_bytes(line: &str) -> Option<u64> {
    line.contains(" /sized/").then(|| line.rsplit(' ').next()?.parse().ok()).flatten()
}
