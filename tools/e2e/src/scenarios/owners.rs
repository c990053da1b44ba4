//! Flows seen as packets name the processes, containers and sockets of both ends.
//!
//! ```text
//! container c0 ── vethc [ agent, lo ] veths ── s0 container
//! ```
//! In: processes that live for some milliseconds each, on the loopback, in network namespaces and in
//! cgroups as container runtimes make them. Out: checks that every flow names its client and its
//! server, though all of the clients are gone when their events are read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Context;
use crate::lab::{self, Agent, Helper, Namespace, Rows, number};
use crate::process;
use crate::report::Report;

const LOCAL_PORT: u16 = 7201;
const POD_PORT: u16 = 7202;
/// Of HTTP alone: a server of which nothing could be read is not tried again for a while.
const HTTP_PORT: u16 = 7203;
/// Short clients on the loopback.
const LOCAL_CLIENTS: u64 = 1000;
/// Of each other kind.
const CLIENTS: u64 = 50;
/// Port of the first client by UDP; the others have those after it, below all that the kernel gives
/// out: two clients that by chance had the same port would rightly be one flow.
const DATAGRAM_PORT: u16 = 21_000;
const CLIENT: &str = "lab_client";
const SERVER: &str = "lab_server";
const CLIENT_NET: &str = "10.78.1";
const SERVER_NET: &str = "10.78.2";
/// Silence after which every flow has ended.
const FLOWS_END: Duration = Duration::from_secs(8);

/// Short clients by TCP, UDP and HTTP, on the loopback and from container to container.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    if !lab::is_possible(report) {
        return Ok(());
    }
    let talk = lab::program(&context.programs, "lab_talk")?;
    let programs = Programs::copy(&talk, &context.folder)?;
    let (pod, middle, server) = net()?;
    let configuration = "inputs: {cbpf: {af_packet: {interface_regex: '^(lo|veth.)$'}}}";
    let agent = Agent::start(&middle, &context.programs, &context.folder, "owners", configuration)?;
    let serve = |port: u16| Helper::start(&middle, &programs.server, &["serve", &port.to_string()]);
    let local = [serve(LOCAL_PORT)?, serve(HTTP_PORT)?];
    let (of_client, of_server) = ("c1".repeat(32), "d2".repeat(32));
    let groups = [Group::make(&format!("docker-{of_client}.scope"))?, Group::make(&of_server)?];
    let mut serve = server.command_in(&groups[1].folder, &programs.server);
    let served = Helper::spawn(serve.args(["serve", &POD_PORT.to_string()]))?;
    std::thread::sleep(Duration::from_secs(1));
    many(&middle, None, LOCAL_CLIENTS, &programs.client, &["once", "127.0.0.1"], LOCAL_PORT)?;
    many(&middle, None, CLIENTS, &programs.client, &["once", "::1"], LOCAL_PORT)?;
    datagrams(&middle, None, &programs.client, "127.0.0.1", LOCAL_PORT)?;
    let address = format!("{SERVER_NET}.2");
    let group = Some(&groups[0]);
    many(&pod, group, CLIENTS, &programs.client, &["once", &address], POD_PORT)?;
    datagrams(&pod, group, &programs.client, &address, POD_PORT)?;
    http(&middle)?;
    std::thread::sleep(FLOWS_END);
    let rows = agent.finish()?;
    drop((local, served));
    report.equal("packets dropped by the capture", rows.dropped("capture_kernel")?, 0);
    report.equal("events lost", rows.dropped("ring_full")?, 0);
    check_loopback(report, &rows)?;
    check_containers(report, &rows, &middle, (&of_client, &of_server))?;
    check_sockets(report, &rows)
}

/// The pod of the client, the host, the pod of the server; routed.
fn net() -> Result<(Namespace, Namespace, Namespace)> {
    let (pod, middle, server) = (Namespace::new("c")?, Namespace::new("m")?, Namespace::new("s")?);
    for (space, inside, outside, net) in
        [(&pod, "c0", "vethc", CLIENT_NET), (&server, "s0", "veths", SERVER_NET)]
    {
        space.without_ipv6()?;
        space.link(inside, &middle, outside)?;
        space.ip(&format!("addr add {net}.2/24 dev {inside}"))?;
        middle.ip(&format!("addr add {net}.1/24 dev {outside}"))?;
        space.ip(&format!("route add default via {net}.1"))?;
    }
    middle.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"])?;
    Ok((pod, middle, server))
}

/// The same program under the two names.
struct Programs {
    client: PathBuf,
    server: PathBuf,
}

impl Programs {
    fn copy(talk: &Path, folder: &Path) -> Result<Self> {
        let copy = |name: &str| -> Result<PathBuf> {
            let path = folder.join(name);
            std::fs::copy(talk, &path).with_context(|| path.display().to_string())?;
            Ok(path)
        };
        Ok(Self { client: copy(CLIENT)?, server: copy(SERVER)? })
    }
}

/// A cgroup as a container runtime makes it, in whatever hierarchy there is; gone with its handle.
struct Group {
    folder: PathBuf,
}

impl Group {
    fn make(name: &str) -> Result<Self> {
        let roots = ["", "pids", "memory", "unified"].map(|h| Path::new("/sys/fs/cgroup").join(h));
        let root = roots.into_iter().find(|root| root.join("cgroup.procs").is_file());
        let folder = root.context("no cgroup hierarchy")?.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes may still be on their way out.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        eprintln!("cgroup {} is left", self.folder.display());
    }
}

/// Asks once by TCP, `count` times, each time by a process of its own.
fn many(
    space: &Namespace,
    group: Option<&Group>,
    count: u64,
    program: &Path,
    words: &[&str],
    port: u16,
) -> Result<()> {
    let command = format!("{} {} {port}", program.display(), words.join(" "));
    repeat(space, group, count, &command)
}

/// Asks once by UDP, each time by a process and from a port of its own.
fn datagrams(
    space: &Namespace,
    group: Option<&Group>,
    program: &Path,
    host: &str,
    port: u16,
) -> Result<()> {
    let program = program.display();
    let command = format!("{program} datagram {host} {port} $(({DATAGRAM_PORT} + n))");
    repeat(space, group, CLIENTS, &command)
}

/// Runs a command of the shell `count` times; `$n` counts from 0.
fn repeat(space: &Namespace, group: Option<&Group>, count: u64, command: &str) -> Result<()> {
    let shell = Path::new("/bin/sh");
    let mut run = match group {
        Some(group) => space.command_in(&group.folder, shell),
        None => space.command(shell),
    };
    let script = format!(
        "n=0; while [ $n -lt {count} ]; do {command} > /dev/null || exit 1; n=$((n+1)); done"
    );
    process::run(run.args(["-c", &script])).map(drop)
}

fn http(space: &Namespace) -> Result<()> {
    let url = format!("http://127.0.0.1:{HTTP_PORT}/path");
    for _ in 0..CLIENTS {
        process::run(space.command("curl").args(["-s", "-o", "/dev/null", &url]))?;
    }
    Ok(())
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or("")
}

/// First reports of flows.
fn flows(rows: &Rows, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
    let is_new = |row: &Value| number(row, "is_new_flow") == 1 && wanted(row);
    Ok(rows.table("l4_flow_log")?.into_iter().filter(is_new).collect())
}

fn check_loopback(report: &mut Report, rows: &Rows) -> Result<()> {
    for (what, port, protocol, is_ipv4, client, count) in [
        ("TCP", LOCAL_PORT, 6, 1, CLIENT, LOCAL_CLIENTS),
        ("TCP by IPv6", LOCAL_PORT, 6, 0, CLIENT, CLIENTS),
        ("UDP", LOCAL_PORT, 17, 1, CLIENT, CLIENTS),
        ("HTTP", HTTP_PORT, 6, 1, "curl", CLIENTS),
    ] {
        let flows = flows(rows, |row| {
            number(row, "server_port") == u64::from(port)
                && number(row, "protocol") == protocol
                && number(row, "is_ipv4") == is_ipv4
        })?;
        report.equal(&format!("{what} on the loopback: flows"), flows.len() as u64, count);
        check_names(report, what, &flows, (client, SERVER));
        let ids: BTreeSet<u64> = flows.iter().map(|row| number(row, "process_id_0")).collect();
        report.equal(&format!("{what} on the loopback: clients"), ids.len() as u64, count);
    }
    let metrics = rows.table("network_map.1s")?;
    let of_port = metrics.iter().filter(|row| number(row, "server_port") == u64::from(LOCAL_PORT));
    let nameless = of_port.filter(|row| {
        number(row, "new_flow") > 0
            && (text(row, "process_kname_0").is_empty() || text(row, "process_kname_1").is_empty())
    });
    report.equal("documents of new flows without names", nameless.count(), 0);
    Ok(())
}

fn check_names(report: &mut Report, what: &str, flows: &[Value], (client, server): (&str, &str)) {
    let named =
        |column: &str, name: &str| flows.iter().filter(|row| text(row, column) == name).count();
    let (clients, servers) = (named("process_kname_0", client), named("process_kname_1", server));
    let detail = format!("{clients} and {servers} of {}", flows.len());
    let all = (clients, servers) == (flows.len(), flows.len());
    report.check(&format!("{what}: every flow names {client} and {server}"), all, &detail);
}

fn check_containers(
    report: &mut Report,
    rows: &Rows,
    middle: &Namespace,
    (of_client, of_server): (&str, &str),
) -> Result<()> {
    for (nic, point) in [("vethc", "c"), ("veths", "s")] {
        let index = middle.index(nic)?;
        for (what, protocol) in [("TCP", 6), ("UDP", 17)] {
            let flows = flows(rows, |row| {
                number(row, "server_port") == u64::from(POD_PORT)
                    && number(row, "capture_nic") == index
                    && number(row, "protocol") == protocol
            })?;
            let what = format!("{what} of containers at {nic}");
            report.equal(&format!("{what}: flows"), flows.len() as u64, CLIENTS);
            check_names(report, &what, &flows, (CLIENT, SERVER));
            let both = |row: &&Value| {
                text(row, "container_id_0") == of_client && text(row, "container_id_1") == of_server
            };
            let found = flows.iter().filter(both).count();
            report.equal(&format!("{what}: both containers"), found, flows.len());
            let points = flows.iter().filter(|row| text(row, "observation_point") == point).count();
            report.equal(&format!("{what}: at point {point}"), points, flows.len());
        }
    }
    Ok(())
}

/// Rows of packets lead to the rows of system calls on the same sockets.
fn check_sockets(report: &mut Report, rows: &Rows) -> Result<()> {
    let requests = rows.table("l7_flow_log")?;
    let of = |point: &str| -> Vec<&Value> {
        let is_of = |row: &&Value| {
            number(row, "server_port") == u64::from(HTTP_PORT)
                && text(row, "observation_point") == point
        };
        requests.iter().filter(is_of).collect()
    };
    let (packets, clients, servers) = (of("local"), of("c-p"), of("s-p"));
    let joined = |side: &str, calls: &[&Value]| {
        let leads = |row: &&&Value| {
            calls.iter().any(|call| {
                number(call, "flow_id") == number(row, side)
                    && number(call, "client_port") == number(row, "client_port")
            })
        };
        packets.iter().filter(leads).count() as u64
    };
    report.equal("HTTP: rows of packets", packets.len() as u64, CLIENTS);
    report.equal("HTTP: led to the client's calls", joined("socket_id_0", &clients), CLIENTS);
    report.equal("HTTP: led to the server's calls", joined("socket_id_1", &servers), CLIENTS);
    Ok(())
}
