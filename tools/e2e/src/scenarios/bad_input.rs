//! What others send us wrong: a clear error, a counter, and the service goes on.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Context;
use crate::http;
use crate::process::Process;
use crate::report::Report;
use crate::system::{Agent, Place, Server};
use crate::telemetry::{Telemetry, sum};

/// Datagrams of garbage.
const GARBAGE: usize = 200;
/// How long a program with a wrong configuration may take to say so.
const REFUSAL: Duration = Duration::from_secs(15);

/// Garbage, foreign identities, wrong statements, wrong configurations, ports that are taken.
pub fn run(context: &Context, report: &mut Report) -> Result<()> {
    let place = Place::below(&context.programs, &context.folder, "system")?;
    let mut server = Server::alone(&place)?;
    garbage(&place)?;
    strangers(context, &place, report)?;
    statements(&place, report)?;
    configurations(&place, report)?;
    taken_port(&place, report)?;
    report.check("the server still runs", server.process.ended().is_none(), "after all of it");
    let one = place.query().number("SELECT 1")?;
    report.equal("and still answers", one, 1);
    Ok(())
}

/// Random bytes, and bytes that look like the first packet of QUIC.
fn garbage(place: &Place) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(("127.0.0.1", place.ingest_port))?;
    let mut state = 0x9e37_79b9_u32;
    for number in 0..GARBAGE {
        let mut datagram: Vec<u8> = (0..1200)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        if number % 2 == 0 {
            // Long header, Initial, version 1.
            datagram[..5].copy_from_slice(&[0xc3, 0, 0, 0, 1]);
        }
        socket.send(&datagram)?;
    }
    Ok(())
}

/// An agent with a wrong token, and one with the certificate of another server.
fn strangers(context: &Context, place: &Place, report: &mut Report) -> Result<()> {
    let mut other = Place::below(&context.programs, &context.folder, "stranger")?;
    let home_port = other.dial_port;
    other.dial_port = place.ingest_port;
    std::fs::create_dir_all(other.folder.join("server"))?;
    std::fs::write(other.folder.join("server/enrol.token"), "deepflow-not-a-token\n")?;
    let said = agent_for_a_while(&other)?;
    let clear = said.contains("token");
    report.check("a wrong token is refused in clear words", clear, last_line(&said));
    std::fs::remove_dir_all(other.folder.join("server"))?;

    // At home it gets a certificate; then it comes here with it.
    other.dial_port = home_port;
    let home = Server::alone(&other)?;
    agent_for_a_while(&other)?;
    let known = Telemetry::read(&other.http_address())?.agent.len();
    report.check("at home it is known", known > 0, &format!("{known} metrics"));
    drop(home);
    other.dial_port = place.ingest_port;
    let said = agent_for_a_while(&other)?;
    let clear = ["certificate", "authority", "refused"].iter().any(|word| said.contains(word));
    report.check("a foreign certificate is refused in clear words", clear, last_line(&said));

    let telemetry = Telemetry::read(&place.http_address())?;
    report.equal("metrics of agents that were refused", telemetry.agent.len(), 0);
    let refused = sum(&telemetry.server, "server_refused_total", "");
    report.check("refusals are counted", refused > 0, &refused.to_string());
    Ok(())
}

/// Runs an agent for some seconds; what it said, in lower case.
fn agent_for_a_while(place: &Place) -> Result<String> {
    let mut agent = Agent::start(place, "")?;
    std::thread::sleep(Duration::from_secs(5));
    if agent.process.ended().is_none() {
        agent.process.interrupt()?;
    }
    Ok(agent.process.output().to_lowercase())
}

fn statements(place: &Place, report: &mut Report) -> Result<()> {
    let address = place.http_address();
    for (what, sql) in [
        ("nonsense", "SELEC 1"),
        ("an unknown column", "SELECT no_such_column FROM flow_log.l7_flow_log"),
        ("a table dropped", "DROP TABLE flow_log.l7_flow_log"),
        ("rows inserted", "INSERT INTO flow_log.l7_flow_log (time) VALUES (1)"),
        ("two statements", "SELECT 1; DROP TABLE flow_log.l7_flow_log"),
        ("a file read", "SELECT * FROM file('/etc/passwd', 'LineAsString')"),
        ("an address asked", "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')"),
        ("a setting raised", "SELECT 1 SETTINGS max_execution_time = 0, readonly = 0"),
    ] {
        let answer = http::post_form(&address, "/v1/query/", &[("db", "flow_log"), ("sql", sql)])?;
        let refused = (400..500).contains(&answer.status) && answer.body.len() > 20;
        let detail = format!("{} {}", answer.status, last_line(&answer.body));
        report.check(&format!("refused: {what}"), refused, &detail);
    }
    let answer = http::post_form(&address, "/v1/query/", &[("db", "flow_log")])?;
    report.equal("status without a statement", answer.status, 400);
    Ok(())
}

fn configurations(place: &Place, report: &mut Report) -> Result<()> {
    for (what, text, word) in [
        ("an unknown key", "global:\n  no_such_key: 1\n", "no_such_key"),
        ("a wrong type", "global:\n  limits:\n    max_memory: plenty\n", "max_memory"),
        ("not YAML", "global: [1,\n", "yaml"),
    ] {
        let file = place.folder.join("wrong.yaml");
        std::fs::write(&file, text)?;
        let mut command = Command::new(place.program("deepflow-agent")?);
        command.arg("run").arg("-f").arg(&file);
        let name = format!("agent-{}", what.replace(' ', "-"));
        refused(report, &format!("agent: {what}"), &name, place, &mut command, word)?;
    }
    let mut command = place.server_command("run")?;
    command.arg("--no-such-option");
    refused(report, "server: an unknown option", "server-option", place, &mut command, "no-such")
}

/// A second server beside this one says which port is taken, and ends.
fn taken_port(place: &Place, report: &mut Report) -> Result<()> {
    let mut second = place.clone();
    second.folder = place.folder.join("second");
    std::fs::create_dir_all(&second.folder)?;
    let mut command = second.server_command("run")?;
    let port = place.http_port.to_string();
    refused(report, "a port that is taken", "second", &second, &mut command, &port)
}

fn refused(
    report: &mut Report,
    what: &str,
    name: &str,
    place: &Place,
    command: &mut Command,
    word: &str,
) -> Result<()> {
    let mut process = Process::start(name, &place.folder, command)?;
    let status = process.wait(REFUSAL);
    let said = process.output();
    let named = said.to_lowercase().contains(&word.to_lowercase());
    let ended_badly = status.as_ref().is_ok_and(|status| !status.success());
    report.check(&format!("refused: {what}"), named && ended_badly, last_line(&said));
    Ok(())
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("")
}
