//! Requests inside of TLS between programs of Go: what the clients say that they asked is what the
//! rows say, at both ends, from calls that go on in other threads than they began in.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Context;
use super::tls::check_sequences;
use crate::clients::go::{Shop, ask};
use crate::exchanges::{Exchange, Load};
use crate::lab::{self, Agent, Helper, Namespace, number};
use crate::report::Report;
use crate::servers::web;

/// Packets show nothing of what is inside.
const POINTS: [&str; 2] = ["c-p", "s-p"];
const SETTLE: Duration = Duration::from_secs(1);
const REQUESTS: u32 = 160;
const REQUESTS_ELSEWHERE: u32 = 40;
/// HTTP/1.1, HTTP/2 and gRPC of the server with symbols, and of the one without.
const WHOLE: [u16; 3] = [9443, 9444, 9445];
const BARE: [u16; 3] = [9453, 9454, 9455];
/// Another of its kind, which only a client asks whose file is gone.
const ELSEWHERE: [u16; 3] = [9463, 9464, 9465];
/// What the program calls it, the protocol, and the column that has what was asked for.
const PROTOCOLS: [(&str, &str, &str); 3] = [
    ("http1", "HTTP", "request_resource"),
    ("http2", "HTTP2", "request_resource"),
    ("grpc", "gRPC", "endpoint"),
];

const CONFIGURATION: &str = "
inputs:
  cbpf: {af_packet: {interface_regex: '^lo$'}}
  ebpf: {socket: {uprobe: {golang: {enabled: true}}}}
processors:
  request_log:
    application_protocol_inference: {enabled_protocols: [HTTP, HTTP2, gRPC, TLS]}
";

/// Runs a copy of a program in a mount namespace of its own, and deletes it while it runs.
const GONE: &str = "set -e; mount -t tmpfs none /mnt; cp \"$1\" /mnt/shop-gone; shift; \
    (sleep 0.2; rm /mnt/shop-gone) & exec /mnt/shop-gone \"$@\"";

/// What a client told of a port.
struct Told {
    exchanges: Vec<Exchange>,
    port: u16,
    spoken: &'static (&'static str, &'static str, &'static str),
    processes: (&'static str, &'static str),
}

/// A stripped client asks a server with symbols, and the other way round; one is in another mount
/// namespace, its file deleted.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    if !lab::is_possible(report) {
        return Ok(());
    }
    let (space, folder) = (Namespace::new("go")?, context.folder.as_path());
    let shop = Shop::build(folder)?;
    web::certificate(folder)?;
    let agent = Agent::start(&space, &context.programs, folder, "agent", CONFIGURATION)?;
    let serve = |program: &Path, ports: [u16; 3]| {
        let mut command = space.command(program);
        command.arg("serve").args(ports.map(|port| port.to_string())).arg(folder);
        Helper::spawn(&mut command)
    };
    let servers =
        [serve(&shop.whole, WHOLE)?, serve(&shop.bare, BARE)?, serve(&shop.bare, ELSEWHERE)?];
    // The agent looks at a program when it begins, and once more after this.
    std::thread::sleep(SETTLE);
    let gone = || {
        let mut command = space.command("unshare");
        command.args(["--mount", "sh", "-c", GONE, "sh"]).arg(&shop.bare);
        command
    };
    let loads = [
        (space.command(&shop.bare), ("shop-bare", "shop-whole"), WHOLE, (REQUESTS, 0)),
        (space.command(&shop.whole), ("shop-whole", "shop-bare"), BARE, (REQUESTS, 0)),
        (gone(), ("shop-gone", "shop-bare"), ELSEWHERE, (REQUESTS_ELSEWHERE, 2)),
    ];
    let mut told = Vec::new();
    for (command, processes, ports, amount) in loads {
        for (port, spoken) in ports.into_iter().zip(&PROTOCOLS) {
            let mut own = Command::new(command.get_program());
            own.args(command.get_args());
            let exchanges = ask(own, spoken.0, port, amount)?;
            told.push(Told { exchanges, port, spoken, processes });
        }
    }
    drop(servers);

    std::thread::sleep(SETTLE);
    let rows = agent.finish()?;
    report.equal("events lost", rows.dropped("ring_full")?, 0);
    for one in &told {
        let (_, protocol, resource) = *one.spoken;
        let load = Load {
            protocol,
            resource,
            processes: one.processes,
            left_out: &["ClientHello"],
            ..Load::of(one.port, &one.exchanges)
        };
        load.check_at(&POINTS, &rows, report)?;
    }
    let all = rows.table("l7_flow_log")?;
    let inside = all.iter().filter(|row| row["l7_protocol"] != "TLS").collect::<Vec<_>>();
    let marked = inside.iter().filter(|row| number(row, "is_tls") == 1).count();
    report.equal("rows marked as TLS", marked, inside.len());
    // Go reads ahead, so that at the server a number may be that of a later request: with HTTP/1.1 at
    // the begin of a connection, with HTTP/2 wherever requests come together.
    let http1: Vec<_> = inside.into_iter().filter(|row| row["l7_protocol"] == "HTTP").collect();
    check_sequences(&http1, 85, report);
    Ok(())
}
