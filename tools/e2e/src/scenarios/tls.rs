//! Requests inside of TLS: what real clients say that they asked of nginx is what the rows say, from
//! the calls that both ends make of their TLS library.

use std::time::Duration;

use anyhow::Result;

use super::Context;
use super::real_servers::{check_access_log, transfers};
use crate::clients::python::Scripts;
use crate::clients::web::curl;
use crate::exchanges::{Exchange, Load};
use crate::lab::{self, Agent, Namespace, number};
use crate::process;
use crate::report::Report;
use crate::servers::web::{self, Web};

/// Packets show nothing of what is inside.
pub const POINTS: [&str; 2] = ["c-p", "s-p"];
/// After the last answer, before the agent is ended.
pub const SETTLE: Duration = Duration::from_secs(1);
const CURL_REQUESTS: usize = 120;

const CONFIGURATION: &str = "
inputs:
  cbpf: {af_packet: {interface_regex: '^lo$'}}
  ebpf: {socket: {uprobe: {tls: {enabled: true}}}}
processors:
  request_log: {application_protocol_inference: {enabled_protocols: [HTTP, HTTP2, TLS]}}
";

/// Runs a program with libraries that are files of their own in a mount namespace of its own.
const ELSEWHERE: &str = "mount -t tmpfs none /mnt && cp -L \
    \"$(ldconfig -p | sed -n 's/.*libssl.so.3 .*=> //p' | head -1)\" /mnt/ && \
    export LD_LIBRARY_PATH=/mnt && exec \"$@\"";

/// curl, Python, and Python in another mount namespace, against nginx.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    if !lab::is_possible(report) {
        return Ok(());
    }
    let (space, folder) = (Namespace::new("tls")?, context.folder.as_path());
    let scripts = Scripts::write(folder)?;
    let agent = Agent::start(&space, &context.programs, folder, "agent", CONFIGURATION)?;
    let server = Web::start(&space, folder)?;
    let origin = |port: u16| format!("https://{}:{port}", web::NAME);
    let resolve = |port: u16| format!("resolve = \"{}:{port}:127.0.0.1\"", web::NAME);

    let wanted = transfers(folder, CURL_REQUESTS)?;
    let words = ["insecure", "http1.1", &resolve(web::TLS_HTTP1_PORT)];
    let by_curl = untimed(curl(&space, folder, &origin(web::TLS_HTTP1_PORT), &words, &wanted)?);
    let words = ["insecure", "http2", &resolve(web::TLS_PORT)];
    let by_http2 = untimed(curl(&space, folder, &origin(web::TLS_PORT), &words, &wanted)?);

    let talk = ["tls_talk.py", &web::TLS_PYTHON_PORT.to_string(), "60", "0"].map(str::to_owned);
    let [script, words @ ..] = talk.each_ref().map(String::as_str);
    let by_python = scripts.ask(&space, script, &words)?;
    let mut command = space.command("unshare");
    command.args(["--mount", "sh", "-c", ELSEWHERE, "sh"]);
    let port = web::TLS_ELSEWHERE_PORT.to_string();
    scripts.append(&mut command, "tls_talk.py", &[&port, "30", "2"]);
    let elsewhere = Scripts::read(&process::run(&mut command)?)?;
    for (port, exchanges) in [
        (web::TLS_HTTP1_PORT, &by_curl),
        (web::TLS_PORT, &by_http2),
        (web::TLS_PYTHON_PORT, &by_python),
        (web::TLS_ELSEWHERE_PORT, &elsewhere),
    ] {
        check_access_log(&server, port, exchanges, report);
    }
    drop(server);

    std::thread::sleep(SETTLE);
    let rows = agent.finish()?;
    report.equal("events lost", rows.dropped("ring_full")?, 0);
    let http1 = Load {
        port: web::TLS_HTTP1_PORT,
        protocol: "HTTP",
        resource: "request_resource",
        processes: ("curl", "nginx"),
        left_out: &["ClientHello"],
        exchanges: &by_curl,
    };
    http1.check_at(&POINTS, &rows, report)?;
    let http2 = Load { port: web::TLS_PORT, protocol: "HTTP2", exchanges: &by_http2, ..http1 };
    http2.check_at(&POINTS, &rows, report)?;
    let python = Load {
        port: web::TLS_PYTHON_PORT,
        processes: ("python3", "nginx"),
        exchanges: &by_python,
        ..http1
    };
    python.check_at(&POINTS, &rows, report)?;
    let elsewhere = Load { port: web::TLS_ELSEWHERE_PORT, exchanges: &elsewhere, ..python };
    elsewhere.check_at(&POINTS, &rows, report)?;

    let all = rows.table("l7_flow_log")?;
    let inside = all.iter().filter(|row| row["l7_protocol"] != "TLS").collect::<Vec<_>>();
    let marked = inside.iter().filter(|row| number(row, "is_tls") == 1).count();
    report.equal("rows marked as TLS", marked, inside.len());
    // Requests of HTTP/2 that are written together have one number at each end, not always the same.
    check_sequences(&inside, 95, report);
    Ok(())
}

/// What client and server tell of a request has the same sequence number, in so many of a hundred.
pub fn check_sequences(rows: &[&serde_json::Value], percent: usize, report: &mut Report) {
    let of = |point: &str| -> std::collections::BTreeSet<(u64, u64, String)> {
        let at_point = rows.iter().filter(|row| row["observation_point"] == point);
        at_point
            .map(|row| {
                let resource = row["request_resource"].as_str().unwrap_or("").to_owned();
                (number(row, "client_port"), number(row, "req_tcp_seq"), resource)
            })
            .collect()
    };
    let (client, server) = (of("c-p"), of("s-p"));
    let same = client.intersection(&server).count();
    let detail = format!("{same} of {} and {}", client.len(), server.len());
    let holds = same * 100 >= client.len().max(server.len()) * percent && same > 0;
    report.check("the same req_tcp_seq at client and server", holds, &detail);
}

/// Without the times, of which those of handshakes are a part.
fn untimed(mut exchanges: Vec<Exchange>) -> Vec<Exchange> {
    for exchange in &mut exchanges {
        exchange.us = None;
    }
    exchanges
}
