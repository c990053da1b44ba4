//! Requests inside of TLS of GnuTLS: what its own client asked of its own server, from the calls that both
//! make of the library.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Context;
use super::tls::{POINTS, SETTLE, check_sequences};
use crate::exchanges::{Exchange, Load};
use crate::lab::{self, Agent, Namespace, number};
use crate::process::{self, Process};
use crate::report::Report;
use crate::servers::web;

const PORT: u16 = 8461;
const REQUESTS: usize = 20;
/// Until the server listens.
const START: Duration = Duration::from_secs(20);
const CONFIGURATION: &str = "
inputs:
  cbpf: {af_packet: {interface_regex: '^lo$'}}
  ebpf: {socket: {uprobe: {tls: {enabled: true}}}}
processors:
  request_log: {application_protocol_inference: {enabled_protocols: [HTTP, TLS]}}
";
/// One request on a connection of its own: folder, port, host, path.
const ASK: &str = "printf 'GET %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n' \"$4\" \"$3\" | \
    exec gnutls-cli --x509cafile \"$1/cert.pem\" --port \"$2\" --sni-hostname \"$3\" \
    --verify-hostname \"$3\" 127.0.0.1";

/// gnutls-cli against gnutls-serv.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    if !lab::is_possible(report) {
        return Ok(());
    }
    let (space, folder) = (Namespace::new("gnutls")?, context.folder.as_path());
    web::certificate(folder)?;
    let agent = Agent::start(&space, &context.programs, folder, "agent", CONFIGURATION)?;
    let server = serve(&space, folder)?;
    let mut exchanges = Vec::new();
    for n in 0..REQUESTS {
        let resource = format!("/gnutls/{n}");
        let mut command = space.command("sh");
        command.args(["-c", ASK, "sh"]).arg(folder);
        process::run(command.args([&PORT.to_string(), web::NAME, &resource]))?;
        exchanges.push(Exchange {
            kind: "GET".to_owned(),
            resource,
            code: Some(200),
            us: None,
            is_one_way: false,
            is_reversed: false,
        });
    }
    drop(server);

    std::thread::sleep(SETTLE);
    let rows = agent.finish()?;
    report.equal("events lost", rows.dropped("ring_full")?, 0);
    let load = Load {
        port: PORT,
        protocol: "HTTP",
        resource: "request_resource",
        processes: ("gnutls-cli", "gnutls-serv"),
        left_out: &["ClientHello"],
        exchanges: &exchanges,
    };
    load.check_at(&POINTS, &rows, report)?;
    let all = rows.table("l7_flow_log")?;
    let inside = all.iter().filter(|row| row["l7_protocol"] == "HTTP").collect::<Vec<_>>();
    let marked = inside.iter().filter(|row| number(row, "is_tls") == 1).count();
    report.equal("rows marked as TLS", marked, inside.len());
    check_sequences(&inside, 95, report);
    Ok(())
}

fn serve(space: &Namespace, folder: &Path) -> Result<Process> {
    let mut command = space.command("gnutls-serv");
    command.args(["--http", "--quiet", "--port", &PORT.to_string(), "--x509certfile"]);
    command.arg(folder.join("cert.pem")).arg("--x509keyfile").arg(folder.join("key.pem"));
    let mut server = Process::start("gnutls-serv", folder, &mut command)?;
    let is_there = format!("sport = :{PORT}");
    server.wait_until(START, || {
        let mut ss = space.command("ss");
        ss.args(["--tcp", "--listening", "--no-header", &is_there]);
        process::run(&mut ss).is_ok_and(|text| !text.trim().is_empty())
    })?;
    Ok(server)
}
