//! More protocols against real servers, in a namespace of the laboratory: what a real client says
//! that it exchanged, and how long each exchange took, is what the rows say, from packets and from
//! the system calls of both ends.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Context;
use crate::clients::node;
use crate::clients::python::Scripts;
use crate::clients::web::{Transfer, curl};
use crate::exchanges::{Exchange, Load};
use crate::lab::{self, Agent, Helper, Namespace, Rows};
use crate::report::Report;
use crate::servers::plain;
use crate::servers::rabbitmq::RabbitMq;
use crate::servers::web::{self, Web};

const PORT: u16 = 7301;
/// What Debian's and every other interpreter is called once it runs.
const PYTHON: (&str, &str) = ("python3", "python3");
/// Of what curl sends.
const UPLOAD_BYTES: usize = 400_000;
/// After the last answer, before the agent is ended.
const SETTLE: Duration = Duration::from_secs(1);

/// Every protocol is tried on every port.
const CONFIGURATION: &str = "
inputs: {cbpf: {af_packet: {interface_regex: '^lo$'}}}
processors:
  request_log:
    application_protocol_inference:
      enabled_protocols: [HTTP, HTTP2, gRPC, TLS, Redis, MySQL, PostgreSQL, Pulsar, RocketMQ, Kafka,
        DNS, MQTT, MongoDB, AMQP, NATS, ZMTP, OpenWire, Memcached, Dubbo, Cassandra, TDS, bRPC,
        FastCGI, SofaRPC, Tars, SomeIP, KRPC, Thrift, LDAP, SMTP]
";

/// A namespace with an agent, and what real clients need.
struct Lab<'a> {
    space: Namespace,
    agent: Agent,
    scripts: Scripts,
    folder: &'a Path,
}

impl<'a> Lab<'a> {
    /// `None` where there cannot be one.
    fn start(context: &'a Context, report: &mut Report) -> Result<Option<Self>> {
        if !lab::is_possible(report) {
            return Ok(None);
        }
        let (space, folder) = (Namespace::new("r")?, context.folder.as_path());
        let scripts = Scripts::write(folder)?;
        let agent = Agent::start(&space, &context.programs, folder, "agent", CONFIGURATION)?;
        Ok(Some(Self { space, agent, scripts, folder }))
    }

    fn ask(&self, script: &str, words: &[&str]) -> Result<Vec<Exchange>> {
        self.scripts.ask(&self.space, script, words)
    }

    fn serve(&self, script: &str) -> Result<Helper> {
        Helper::spawn(&mut self.scripts.command(&self.space, script, &["serve", &PORT.to_string()]))
    }

    /// Ends the agent; its rows, of which none may be missing.
    fn finish(self, report: &mut Report) -> Result<Rows> {
        std::thread::sleep(SETTLE);
        let rows = self.agent.finish()?;
        report.equal("packets dropped by the capture", rows.dropped("capture_kernel")?, 0);
        report.equal("events lost", rows.dropped("ring_full")?, 0);
        Ok(rows)
    }
}

/// HTTP/1.1 by curl against nginx: large bodies both ways, chunks, errors, connections that the
/// server closes after some requests.
pub fn http1(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = Web::start(&lab.space, lab.folder)?;
    let origin = format!("http://127.0.0.1:{}", web::HTTP1_PORT);
    let transfers = transfers(lab.folder, 240)?;
    let exchanges = curl(&lab.space, lab.folder, &origin, &[], &transfers)?;
    check_access_log(&server, web::HTTP1_PORT, &exchanges, report);
    drop(server);
    let load = Load {
        protocol: "HTTP",
        processes: ("curl", "nginx"),
        ..Load::of(web::HTTP1_PORT, &exchanges)
    };
    load.check(&lab.finish(report)?, report)
}

/// HTTP/2 against nginx: by httpx one after the other and many at once on a connection, and by curl
/// over TLS, of which the handshakes are seen.
pub fn http2(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = Web::start(&lab.space, lab.folder)?;
    let exchanges = lab.ask("http2_talk.py", &[&web::HTTP2_PORT.to_string(), "240"])?;
    check_access_log(&server, web::HTTP2_PORT, &exchanges, report);
    let handshakes = over_tls(&lab)?;
    drop(server);
    let rows = lab.finish(report)?;
    let load = Load {
        protocol: "HTTP2",
        processes: ("python3", "nginx"),
        ..Load::of(web::HTTP2_PORT, &exchanges)
    };
    load.check(&rows, report)?;
    let tls = Load {
        port: web::TLS_PORT,
        protocol: "TLS",
        processes: ("curl", "nginx"),
        exchanges: &handshakes,
        ..load
    };
    tls.check(&rows, report)
}

/// Some connections with some requests each; what is seen of them: the handshakes.
fn over_tls(lab: &Lab<'_>) -> Result<Vec<Exchange>> {
    let origin = format!("https://{}:{}", web::NAME, web::TLS_PORT);
    let resolve = format!("resolve = \"{}:{}:127.0.0.1\"", web::NAME, web::TLS_PORT);
    let words = ["insecure", &resolve];
    let transfers = [Transfer::get("/ok"), Transfer::get("/large"), Transfer::get("/missing")];
    let mut handshakes = Vec::new();
    for _ in 0..20 {
        curl(&lab.space, lab.folder, &origin, &words, &transfers)?;
        handshakes.push(Exchange {
            kind: "ClientHello".to_owned(),
            resource: web::NAME.to_owned(),
            code: None,
            us: None,
            is_one_way: false,
            is_reversed: false,
        });
    }
    Ok(handshakes)
}

/// FastCGI: nginx, which asks, and fcgiwrap; and the requests of curl for which it does.
pub fn fastcgi(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = Web::with_fastcgi(&lab.space, lab.folder)?;
    let origin = format!("http://127.0.0.1:{}", web::HTTP1_PORT);
    let transfers: Vec<Transfer> = (0..100)
        .map(|number| Transfer::get(&format!("/cgi?{}", [200, 404, 500, 201][number % 4])))
        .collect();
    let exchanges = curl(&lab.space, lab.folder, &origin, &[], &transfers)?;
    check_access_log(&server, web::HTTP1_PORT, &exchanges, report);
    drop(server);
    let rows = lab.finish(report)?;
    let load = Load {
        protocol: "HTTP",
        processes: ("curl", "nginx"),
        ..Load::of(web::HTTP1_PORT, &exchanges)
    };
    load.check(&rows, report)?;
    let behind = Load {
        port: web::FASTCGI_PORT,
        protocol: "FastCGI",
        processes: ("nginx", "fcgiwrap"),
        ..load
    };
    behind.check(&rows, report)
}

/// Requests of every kind in turn, each to an address of its own.
pub fn transfers(folder: &Path, count: usize) -> Result<Vec<Transfer>> {
    let body = folder.join("body");
    std::fs::write(&body, vec![b'u'; UPLOAD_BYTES])?;
    let gzip = "header = \"Accept-Encoding: gzip\"".to_owned();
    Ok((0..count)
        .map(|number| match number % 8 {
            0 | 4 => Transfer::get(&format!("/ok?id={number}")),
            1 => Transfer::get(&format!("/missing?id={number}")),
            2 => Transfer::get(&format!("/broken?id={number}")),
            3 => Transfer::get(&format!("/large?id={number}")),
            5 => Transfer {
                options: vec![gzip.clone()],
                ..Transfer::get(&format!("/text.txt?id={number}"))
            },
            6 => Transfer::put(&format!("/up/whole-{number}"), &body, false),
            _ => Transfer::put(&format!("/up/chunks-{number}"), &body, true),
        })
        .collect())
}

/// The server's log has, of this port, what the client says.
pub fn check_access_log(server: &Web, port: u16, exchanges: &[Exchange], report: &mut Report) {
    let mut told = std::collections::BTreeMap::new();
    for exchange in exchanges {
        let code = exchange.code.unwrap_or(0);
        let line = format!("{port} {} {} {code}", exchange.kind, exchange.resource);
        *told.entry(line).or_insert(0) += 1;
    }
    let mut answered = server.answered();
    answered.retain(|line, _| line.starts_with(&format!("{port} ")));
    let holds = answered == told;
    let detail = format!("{} requests", exchanges.len());
    report.check("nginx answered what curl asked", holds, &detail);
}

/// gRPC by its own library: calls of each kind, errors, large messages, new connections.
pub fn grpc(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = lab.serve("grpc_talk.py")?;
    let exchanges = lab.ask("grpc_talk.py", &["ask", &PORT.to_string(), "350"])?;
    drop(server);
    let load = Load {
        protocol: "gRPC",
        resource: "endpoint",
        processes: PYTHON,
        ..Load::of(PORT, &exchanges)
    };
    load.check(&lab.finish(report)?, report)
}

/// memcached by two libraries: in text and in binary form.
pub fn memcached(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = plain::memcached(&lab.space, lab.folder, PORT)?;
    let port = PORT.to_string();
    let mut exchanges = lab.ask("memcached_talk.py", &["text", &port, "500"])?;
    exchanges.extend(lab.ask("memcached_talk.py", &["binary", &port, "500"])?);
    drop(server);
    let load = Load {
        protocol: "Memcached",
        processes: ("python3", "memcached"),
        ..Load::of(PORT, &exchanges)
    };
    load.check(&lab.finish(report)?, report)
}

/// MQTT by Paho against mosquitto: versions 3.1.1 and 5, every quality of service.
pub fn mqtt(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = plain::mosquitto(&lab.space, lab.folder, PORT)?;
    let port = PORT.to_string();
    let mut exchanges = lab.ask("mqtt_talk.py", &["311", &port, "150"])?;
    exchanges.extend(lab.ask("mqtt_talk.py", &["5", &port, "150"])?);
    drop(server);
    let load = Load {
        protocol: "MQTT",
        processes: ("python3", "mosquitto"),
        ..Load::of(PORT, &exchanges)
    };
    load.check(&lab.finish(report)?, report)
}

/// AMQP 0-9-1 by pika against RabbitMQ.
pub fn amqp(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = RabbitMq::start(&lab.space, lab.folder, PORT)?;
    let exchanges = lab.ask("amqp_talk.py", &[&PORT.to_string(), "60"])?;
    drop(server);
    let load = Load {
        protocol: "AMQP",
        processes: ("python3", "beam.smp"),
        left_out: &["ProtocolHeader", "Connection.Start", "Connection.Tune"],
        ..Load::of(PORT, &exchanges)
    };
    load.check(&lab.finish(report)?, report)
}

/// AMQP 1.0 by rhea against RabbitMQ's extension for it.
pub fn amqp1(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = RabbitMq::start(&lab.space, lab.folder, PORT)?;
    let exchanges = node::ask(&lab.space, "amqp1_talk.mjs", &[&PORT.to_string(), "30"])?;
    drop(server);
    let load = Load {
        protocol: "AMQP",
        processes: ("node", "beam.smp"),
        // How a connection begins, and windows.
        left_out: &["ProtocolHeader", "sasl-mechanisms", "sasl-init", "flow", "disposition"],
        ..Load::of(PORT, &exchanges)
    };
    load.check(&lab.finish(report)?, report)
}

/// NATS by its own library: requests and replies, publications, headers, new connections.
pub fn nats(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = plain::nats(&lab.space, lab.folder, PORT)?;
    let exchanges = lab.ask("nats_talk.py", &[&PORT.to_string(), "100"])?;
    drop(server);
    let load = Load {
        protocol: "NATS",
        processes: ("python3", "nats-server"),
        ..Load::of(PORT, &exchanges)
    };
    load.check(&lab.finish(report)?, report)
}

/// ZeroMQ by pyzmq: requests with replies, publications.
pub fn zmtp(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = lab.serve("zmtp_talk.py")?;
    let exchanges = lab.ask("zmtp_talk.py", &["ask", &PORT.to_string(), "200"])?;
    drop(server);
    let (asked, news): (Vec<Exchange>, Vec<Exchange>) =
        exchanges.into_iter().partition(|exchange| !exchange.is_one_way);
    let rows = lab.finish(report)?;
    for (port, exchanges) in [(PORT, &asked), (PORT + 1, &news)] {
        let load = Load {
            protocol: "ZMTP",
            processes: PYTHON,
            left_out: &["GREETING", "READY", "SUBSCRIBE"],
            ..Load::of(port, exchanges)
        };
        load.check(&rows, report)?;
    }
    Ok(())
}

/// LDAP by ldap3 against slapd: binds, searches, changes, errors, answers of many entries.
pub fn ldap(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = plain::slapd(&lab.space, lab.folder, PORT)?;
    let exchanges = lab.ask("ldap_talk.py", &[&PORT.to_string(), "40", plain::PASSWORD])?;
    drop(server);
    let load =
        Load { protocol: "LDAP", processes: ("python3", "slapd"), ..Load::of(PORT, &exchanges) };
    load.check(&lab.finish(report)?, report)
}

/// SMTP by smtplib against aiosmtpd: mails of all sizes, refusals, other commands.
pub fn smtp(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = lab.serve("smtp_talk.py")?;
    let exchanges = lab.ask("smtp_talk.py", &["ask", &PORT.to_string(), "100"])?;
    drop(server);
    let load = Load { protocol: "SMTP", processes: PYTHON, ..Load::of(PORT, &exchanges) };
    load.check(&lab.finish(report)?, report)
}

/// Thrift by thriftpy2: binary and compact, with frames and without.
pub fn thrift(context: &Context, report: &mut Report) -> Result<()> {
    let Some(lab) = Lab::start(context, report)? else { return Ok(()) };
    let server = lab.serve("thrift_talk.py")?;
    let mut forms = Vec::new();
    for (form, port) in ["0", "1", "2"].into_iter().zip(PORT..) {
        forms.push((port, lab.ask("thrift_talk.py", &["ask", &port.to_string(), form, "200"])?));
    }
    drop(server);
    let rows = lab.finish(report)?;
    for (port, exchanges) in &forms {
        let load = Load { protocol: "Thrift", processes: PYTHON, ..Load::of(*port, exchanges) };
        load.check(&rows, report)?;
    }
    Ok(())
}
