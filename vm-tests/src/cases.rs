//! The cases: a trigger each, and the records that it must leave.
//!
//! In: the agent. Out: a line `VM case NAME passed|failed: why` for each. All triggers run under
//! one agent; the rows are looked at when it has ended.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::agent::{Agent, Rows};
use crate::conversations::{BIG_BYTES, MANY};
use crate::files;
use crate::refusals;
use crate::replay;
use crate::roles::Calls;
use crate::rows::{Ends, Expected, compare};
use crate::tls;

/// This program, by any other name.
const SELF: &str = "/vm-guest";
/// A program of Go, by any other name.
const GO: &str = "/go-talk";
/// Its case, and where it listens.
const IN_GO: &str = "tls-go";
const GO_AT: &str = "127.0.0.1:9040";
/// Where programs get their names.
const NAMES: &str = "/tmp/bin";
const GATE: &str = "/tmp/gate";
const FOLDER: &str = "/tmp/rows";
/// Cases that more agents are, and their folders.
const OTHERS: [(&str, &str); 2] = [("second-agent", "/tmp/rows2"), ("third-agent", "/tmp/rows3")];

/// A case that has been triggered and is to be judged.
struct Triggered {
    name: &'static str,
    outcome: Result<Ends>,
    expected: Vec<Expected>,
}

/// Runs every case; one that fails does not stop the others. Where `is_oldest` tier, two more agents
/// watch the same: up to 4.14 a tracepoint takes one program, so that they must find other ways.
pub fn run_all(is_oldest: bool) -> Result<()> {
    std::fs::create_dir_all(NAMES)?;
    let early = start_early();
    let go = start_go();
    let agent = Agent::start(Path::new(FOLDER))?;
    let others: Vec<(&str, Result<Agent>)> = OTHERS
        .into_iter()
        .filter(|_| is_oldest)
        .map(|(name, folder)| (name, Agent::start(Path::new(folder))))
        .collect();
    let mut cases = trigger();
    cases.extend(openssl());
    cases.extend(go.map(finish_go));
    cases.push(finish_early(early));
    // Records settle, are held for order and written once a second.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let rows = agent.finish();
    if let Err(error) = &rows {
        println!("VM log {}", Agent::log(Path::new(FOLDER)).replace('\n', " | "));
        println!("VM error agent: {error:#}");
    }
    let rows = rows.unwrap_or_default();
    for case in &cases {
        say(case.name, judge(&rows, case));
    }
    println!("VM rows {}", rows.requests.len());
    for line in Agent::log(Path::new(FOLDER)).lines().filter(|line| line.contains("lost since")) {
        println!("VM log {line}");
    }
    for ((name, agent), (_, folder)) in others.into_iter().zip(OTHERS) {
        if let Some(line) = Agent::log(Path::new(folder)).lines().find(|l| l.contains("is missing"))
        {
            println!("VM log {name}: {line}");
        }
        let verdict = agent.and_then(Agent::finish).and_then(|rows| {
            cases.iter().try_for_each(|case| judge(&rows, case).context(case.name))
        });
        say(name, verdict);
    }
    if is_oldest {
        say("killed-agent", killed_agent());
    }
    say("replay", replay::run());
    say("without-tracefs", refusals::without_tracefs());
    match refusals::old_version() {
        Some(verdict) => say("uname-2.6", verdict),
        None => println!("VM case uname-2.6 not run: the root has no setarch"),
    }
    if let Some(verdict) = refusals::lockdown() {
        say("lockdown", verdict);
    }
    Ok(())
}

fn say(name: &str, verdict: Result<()>) {
    match verdict {
        Ok(()) => println!("VM case {name} passed"),
        Err(error) => println!("VM case {name} failed: {error:#}"),
    }
}

fn judge(rows: &Rows, case: &Triggered) -> Result<()> {
    match &case.outcome {
        Ok(ends) if case.name == files::NAME => {
            compare(&rows.requests, ends, &case.expected)?;
            files::compare(rows, ends)
        }
        Ok(ends) => compare(&rows.requests, ends, &case.expected),
        Err(error) => bail!("{error:#}"),
    }
}

/// Every conversation.
fn trigger() -> Vec<Triggered> {
    vec![
        tcp("http", "http", http_rows(), Calls::Socket, "127.0.0.1", 9001),
        tcp("http-read-write", "http", http_rows(), Calls::File, "127.0.0.1", 9002),
        tcp("http-readv-writev", "http", http_rows(), Calls::Vector, "127.0.0.1", 9003),
        tcp("http-ipv6", "http", http_rows(), Calls::Socket, "::1", 9004),
        tcp("http-pipelined", "http-pipelined", pipelined_rows(), Calls::Socket, "127.0.0.1", 9005),
        tcp("http-big", "http-big", big_rows(), Calls::Socket, "127.0.0.1", 9006),
        tcp("http-big-vector", "http-big", big_rows(), Calls::Vector, "127.0.0.1", 9007),
        tcp("http-sendfile", "http-sendfile", sent_rows(), Calls::Unseen, "127.0.0.1", 9011),
        from_file(),
        tcp("http-many", "http-many", many_rows(), Calls::Socket, "127.0.0.1", 9008),
        tcp("redis", "redis", redis_rows(), Calls::File, "127.0.0.1", 9009),
        tcp("mysql", "mysql", mysql_rows(), Calls::Socket, "127.0.0.1", 9010),
        threads(),
        inherited(),
        apart(),
        dns(),
    ]
}

/// Agents that are killed leave nothing that the next one does not delete.
fn killed_agent() -> Result<()> {
    let agents = OTHERS.map(|(_, folder)| Agent::start(Path::new(folder)));
    let [first, second] = agents;
    let (first, second) = (first?, second?);
    second.kill()?;
    let report: Value = serde_json::from_str(&crate::agent::check()?)?;
    first.kill()?;
    for hook in report["hooks"].as_array().context("no hooks")? {
        ensure!(hook["attached"] == true, "{}: {}", hook["hook"], hook["reason"]);
    }
    println!(
        "VM second agent: {} by {}",
        report["hooks"][7]["hook"], report["hooks"][7]["mechanism"]
    );
    // What the first left goes at the next start.
    crate::agent::check()?;
    for folder in ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] {
        for list in ["kprobe_events", "uprobe_events"] {
            let events = std::fs::read_to_string(format!("{folder}/{list}")).unwrap_or_default();
            ensure!(!events.contains("deepflow"), "{list} keeps: {}", events.trim());
        }
    }
    Ok(())
}

/// A process of a case, under a name of its own.
struct Actor {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Actor {
    fn start(name: &str, words: &[&str]) -> Result<Self> {
        Self::start_by(Command::new(named(name)?).args(words))
    }

    fn start_by(command: &mut Command) -> Result<Self> {
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("start {command:?}"))?;
        let said = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, said })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn port(&mut self) -> Result<u16> {
        let line = self.line()?;
        line.strip_prefix("port ").and_then(|port| port.parse().ok()).context(line)
    }

    fn finish(mut self) -> Result<()> {
        let rest: Vec<String> = self.said.lines().map_while(Result::ok).collect();
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}: {}", rest.join(" "));
        Ok(())
    }
}

/// A path to this program that ends in `name`.
fn named(name: &str) -> Result<PathBuf> {
    program_named(SELF, name)
}

/// A path to a program that ends in `name`.
fn program_named(program: &str, name: &str) -> Result<PathBuf> {
    let path = Path::new(NAMES).join(name);
    if !path.exists() {
        std::os::unix::fs::symlink(program, &path).with_context(|| format!("name {name}"))?;
    }
    Ok(path)
}

/// Plays a client against a server that has been started; gives the two ends.
fn meet(mut server: Actor, name: (&str, &str), words: &[&str], place: (&str, u16)) -> Result<Ends> {
    ensure!(server.line()? == "listening", "the server does not listen");
    let mut client = Actor::start(name.0, words)?;
    let client_port = client.port()?;
    client.finish().context("client")?;
    server.finish().context("server")?;
    Ok(ends(name, client_port, place))
}

fn ends((client, server): (&str, &str), client_port: u16, (ip, server_port): (&str, u16)) -> Ends {
    let (client, server) = (client.to_owned(), server.to_owned());
    let (client_ip, server_ip) = (ip.to_owned(), ip.to_owned());
    Ends { client, server, client_port, server_port, client_ip, server_ip, know_each_other: true }
}

fn address(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// A conversation over TCP.
fn tcp(
    name: &'static str,
    conversation: &str,
    expected: Vec<Expected>,
    calls: Calls,
    ip: &str,
    port: u16,
) -> Triggered {
    let at = address(ip, port);
    let (client, server) = (format!("{}-cli", short(name)), format!("{}-srv", short(name)));
    let outcome =
        Actor::start(&server, &["serve", conversation, &at, calls.word()]).and_then(|actor| {
            let words = ["ask", conversation, &at, calls.word()];
            meet(actor, (&client, &server), &words, (ip, port))
        });
    Triggered { name, outcome, expected }
}

/// The kernel keeps 15 bytes of a name.
fn short(name: &str) -> &str {
    &name[..name.len().min(11)]
}

/// A thread with a name of its own serves: rows carry the process's name.
fn threads() -> Triggered {
    let (client, server, at) = ("thread-cli", "thread-srv", "127.0.0.1:9020");
    let outcome = Actor::start(server, &["serve-thread", "http", at]).and_then(|actor| {
        let words = ["ask", "http", at, Calls::Socket.word()];
        meet(actor, (client, server), &words, ("127.0.0.1", 9020))
    });
    Triggered { name: "thread", outcome, expected: http_rows() }
}

/// Each response is written to a file, stored and read from it before it is sent.
fn from_file() -> Triggered {
    let (client, server, at) = ("file-cli", files::SERVER, "127.0.0.1:9012");
    let words = ["serve-from-file", "http", at, files::FOLDER];
    let outcome = Actor::start(server, &words).and_then(|actor| {
        let words = ["ask", "http", at, Calls::Socket.word()];
        meet(actor, (client, server), &words, ("127.0.0.1", 9012))
    });
    Triggered { name: files::NAME, outcome, expected: http_rows() }
}

/// A connection is handed to another program, as inetd does.
fn inherited() -> Triggered {
    let (client, server, at) = ("inetd-cli", "inetd-child", "127.0.0.1:9021");
    let outcome = named(server).and_then(|child| {
        let child = child.to_string_lossy().into_owned();
        let actor = Actor::start("inetd", &["serve-child", "http", at, &child])?;
        let words = ["ask", "http", at, Calls::Socket.word()];
        meet(actor, (client, server), &words, ("127.0.0.1", 9021))
    });
    Triggered { name: "inherited", outcome, expected: http_rows() }
}

/// Both ends in mount, network and process namespaces of their own, as in a container.
fn apart() -> Triggered {
    let (client, server, at) = ("apart-cli", "apart-srv", "127.0.0.1:9023");
    let play = || {
        let mut command = Command::new("/bin/busybox");
        command.args(["unshare", "-m", "-n", "-p", "-f"]).arg(named("apart")?);
        command.args(["apart", "http", at]).args([named(client)?, named(server)?]);
        let mut actor = Actor::start_by(&mut command)?;
        let client_port = actor.port()?;
        actor.finish()?;
        let both = ends((client, server), client_port, ("127.0.0.1", 9023));
        Ok(Ends { know_each_other: false, ..both })
    };
    Triggered { name: "namespaces", outcome: play(), expected: http_rows() }
}

fn dns() -> Triggered {
    let (client, server, at) = ("dns-cli", "dns-srv", "127.0.0.1:53");
    let outcome = Actor::start(server, &["serve-udp", "dns", at]).and_then(|actor| {
        meet(actor, (client, server), &["ask-udp", "dns", at], ("127.0.0.1", 53))
    });
    let expected = one(vec![
        ("l7_protocol", json!("DNS")),
        ("request_resource", json!("shop.test")),
        ("response_status", json!("ok")),
    ]);
    Triggered { name: "dns", outcome, expected: vec![expected] }
}

/// HTTP inside of TLS, by the library of this root and, where the kernel has overlays, by that of
/// containers.
fn openssl() -> Vec<Triggered> {
    const NAME: &str = "tls-openssl";
    if !Path::new(tls::OPENSSL).exists() {
        println!("VM case {NAME} not run: the root has no {}", tls::OPENSSL);
        return Vec::new();
    }
    let mut all = vec![in_tls(NAME, false, ("tls-cli", 9031), ("tls-srv", 9030))];
    if tls::has_overlays() {
        all.push(in_tls("tls-container", true, ("boxed-cli", 9033), ("boxed-srv", 9032)));
    }
    all
}

fn in_tls(
    name: &'static str,
    in_container: bool,
    (client, client_port): (&str, u16),
    (server, server_port): (&str, u16),
) -> Triggered {
    const IP: &str = "127.0.0.1";
    let play = || {
        let path = |name| program_named(tls::OPENSSL, name);
        let (client, server) = (path(client)?, path(server)?);
        let (client_at, server_at) = (address(IP, client_port), address(IP, server_port));
        tls::play(in_container, "http", (&client, &client_at), (&server, &server_at))
    };
    let outcome = play().map(|()| ends((client, server), client_port, (IP, server_port)));
    Triggered { name, outcome, expected: rows_in_tls() }
}

/// What is inside, and the handshake.
fn rows_in_tls() -> Vec<Expected> {
    let mut expected = http_rows();
    for row in &mut expected {
        row.columns.push(("is_tls", json!(1)));
    }
    expected.push(one(vec![("l7_protocol", json!("TLS")), ("is_tls", json!(0))]));
    expected
}

/// A server of Go, before the agent: that has hooked its file when it says that it watches. `None`:
/// the root has no such program.
fn start_go() -> Option<Result<Actor>> {
    if !Path::new(GO).exists() {
        println!("VM case {IN_GO} not run: the root has no {GO}");
        return None;
    }
    let start = |program: PathBuf| Actor::start_by(Command::new(program).args(["serve", GO_AT]));
    Some(program_named(GO, "go-srv").and_then(start))
}

/// HTTP inside of TLS by Go's own library, at both ends.
fn finish_go(server: Result<Actor>) -> Triggered {
    let play = || {
        let mut server = server?;
        ensure!(server.line()? == "listening", "the server does not listen");
        let program = program_named(GO, "go-cli")?;
        let mut client = Actor::start_by(Command::new(program).args(["ask", GO_AT]))?;
        let client_port = client.port()?;
        client.finish().context("client")?;
        server.finish().context("server")?;
        Ok(ends(("go-cli", "go-srv"), client_port, ("127.0.0.1", 9040)))
    };
    Triggered { name: IN_GO, outcome: play(), expected: rows_in_tls() }
}

/// A connection that was there before the agent.
fn start_early() -> Result<(Actor, Actor, u16)> {
    let mut server =
        Actor::start("early-srv", &["serve", "http-early", "127.0.0.1:9022", Calls::File.word()])?;
    ensure!(server.line()? == "listening", "the server does not listen");
    let mut client =
        Actor::start("early-cli", &["ask-later", "http-early", "127.0.0.1:9022", GATE])?;
    let port = client.port()?;
    Ok((server, client, port))
}

fn finish_early(early: Result<(Actor, Actor, u16)>) -> Triggered {
    let outcome = early.and_then(|(server, client, port)| {
        std::fs::write(GATE, "")?;
        client.finish().context("client")?;
        server.finish().context("server")?;
        Ok(ends(("early-cli", "early-srv"), port, ("127.0.0.1", 9022)))
    });
    Triggered { name: "before-the-agent", outcome, expected: http_rows() }
}

fn one(columns: Vec<(&'static str, Value)>) -> Expected {
    Expected { columns, rows: 1 }
}

fn http_row(path: &str, code: u16) -> Expected {
    one(vec![
        ("l7_protocol", json!("HTTP")),
        ("type", json!("session")),
        ("request_type", json!("GET")),
        ("request_domain", json!("shop.test")),
        ("request_resource", json!(path)),
        ("response_code", json!(code)),
    ])
}

fn http_rows() -> Vec<Expected> {
    vec![http_row("/hello", 200), http_row("/missing", 404)]
}

fn pipelined_rows() -> Vec<Expected> {
    vec![http_row("/first", 200), http_row("/second", 404)]
}

fn big_rows() -> Vec<Expected> {
    let mut row = http_row("/big", 200);
    row.columns.push(("response_length", json!(BIG_BYTES)));
    vec![row]
}

fn sent_rows() -> Vec<Expected> {
    vec![big_rows().remove(0), http_row("/after", 404)]
}

fn many_rows() -> Vec<Expected> {
    let columns = vec![("l7_protocol", json!("HTTP")), ("response_code", json!(200))];
    vec![Expected { columns, rows: MANY }]
}

fn redis_rows() -> Vec<Expected> {
    let row = |verb: &str, status: &str| {
        one(vec![
            ("l7_protocol", json!("Redis")),
            ("request_type", json!(verb)),
            ("response_status", json!(status)),
        ])
    };
    vec![row("SET", "ok"), row("GET", "ok"), row("LPOP", "server_error")]
}

fn mysql_rows() -> Vec<Expected> {
    let row =
        |verb: &str| one(vec![("l7_protocol", json!("MySQL")), ("request_type", json!(verb))]);
    vec![row("LOGIN"), row("QUERY")]
}
