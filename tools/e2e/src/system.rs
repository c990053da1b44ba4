//! The system under test: the programs as they are shipped, with a data folder and ports of its own.
//!
//! In: where the programs are, what to configure. Out: a running server and agent, together
//! (`all-in-one`) or apart, that end with their handle. It knows the command lines and nothing of
//! what is inside.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::http;
use crate::process::{Process, accepts, children, free_port};
use crate::query::Query;

/// How long a start may take.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the programs are, and below which folder all data goes.
#[derive(Debug, Clone)]
pub struct Place {
    /// Folder of `deepflow-server`, `deepflow-agent` and `deepflow-ctl`.
    pub programs: PathBuf,
    /// Folder of this system's data, ports and logs.
    pub folder: PathBuf,
    /// Port of HTTP.
    pub http_port: u16,
    /// UDP port that the server listens on.
    pub ingest_port: u16,
    /// UDP port that the agent sends to: the same, or a relay's.
    pub dial_port: u16,
}

impl Place {
    /// A place below `folder` with ports that are free now.
    pub fn below(programs: &Path, folder: &Path, name: &str) -> Result<Self> {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let (http_port, ingest_port) = (free_port()?, free_port()?);
        let programs = programs.to_owned();
        Ok(Self { programs, folder, http_port, ingest_port, dial_port: ingest_port })
    }

    /// A program by its name.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let path = self.programs.join(name);
        ensure!(path.is_file(), "{} is not built", path.display());
        Ok(path)
    }

    /// `host:port` of the server's HTTP.
    pub fn http_address(&self) -> String {
        format!("127.0.0.1:{}", self.http_port)
    }

    /// Questions to this system.
    pub fn query(&self) -> Query {
        Query { address: self.http_address() }
    }

    /// The command line of `deepflow-server VERB` here.
    pub fn server_command(&self, verb: &str) -> Result<Command> {
        let mut command = Command::new(self.program("deepflow-server")?);
        command.arg(verb).arg("--data-dir").arg(self.folder.join("server"));
        command.arg("--listen").arg(self.http_address());
        command.arg("--ingest-listen").arg(format!("127.0.0.1:{}", self.ingest_port));
        Ok(command)
    }

    /// Writes the agent's configuration: its own keys, then `more` (YAML).
    pub fn write_agent_configuration(&self, more: &str) -> Result<PathBuf> {
        let path = self.folder.join("agent.yaml");
        let (data, server) = (self.folder.join("agent"), self.folder.join("server"));
        let text = format!(
            "global:\n  communication:\n    ingester_ip: 127.0.0.1\n    ingester_port: {}\n  \
             self_monitoring:\n    interval: 1s\nagent:\n  data_dir: {}\n  \
             enrol_token_file: {}\n  own_ports: [\"{}\", \"{}\", \"{}\"]\n{more}",
            self.dial_port,
            data.display(),
            find_token(&server).unwrap_or_else(|| server.join("enrol.token")).display(),
            self.dial_port,
            self.ingest_port,
            self.http_port,
        );
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// A running server, with or without an agent inside.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub process: Process,
    place: Place,
}

impl Server {
    /// `deepflow-server all-in-one`: server and agent.
    pub fn all_in_one(place: &Place) -> Result<Self> {
        let configuration = place.write_agent_configuration("")?;
        let mut command = place.server_command("all-in-one")?;
        command.arg("--agent-config").arg(configuration);
        Self::start(place, &mut command)
    }

    /// `deepflow-server run`: the server alone.
    pub fn alone(place: &Place) -> Result<Self> {
        Self::start(place, &mut place.server_command("run")?)
    }

    fn start(place: &Place, command: &mut Command) -> Result<Self> {
        let mut process = Process::start("server", &place.folder, command)?;
        let address = place.http_address();
        process.wait_until(START_TIMEOUT, || {
            accepts(&address) && http::get(&address, "/healthz").is_ok_and(|r| r.status == 200)
        })?;
        Ok(Self { process, place: place.clone() })
    }

    /// Process id of the engine child.
    pub fn engine_id(&self) -> Result<u32> {
        let ids = children(self.process.id());
        ids.into_iter()
            .find(|id| command_line(*id).contains(" engine"))
            .with_context(|| format!("server {} has no engine child", self.process.id()))
    }

    /// Process id of the agent of `all-in-one`.
    pub fn agent_id(&self) -> Result<u32> {
        let ids = children(self.process.id());
        ids.into_iter()
            .find(|id| command_line(*id).contains("deepflow-agent"))
            .with_context(|| format!("server {} has no agent child", self.process.id()))
    }

    /// Waits until requests are seen at all three points.
    pub fn wait_for_agent(&mut self) -> Result<()> {
        let warm_up = WarmUp::start()?;
        let query = self.place.query();
        self.process.wait_until(START_TIMEOUT, || warm_up.is_observed(&query))
    }
}

/// A server of this test itself, whose requests tell when the agent observes everything; they stay
/// apart from the loads by their port.
#[derive(Debug)]
pub struct WarmUp {
    address: String,
    port: u16,
}

impl WarmUp {
    /// Listens on a free port. Its thread ends with the test.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 1024];
                let answer =
                    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
                if stream.read(&mut request).is_ok_and(|bytes| bytes > 0) {
                    // A client that left is no matter of this test.
                    let _ = stream.write_all(answer);
                }
            }
        });
        Ok(Self { address: format!("127.0.0.1:{port}"), port })
    }

    /// Sends one request; whether any so far was seen from each point.
    pub fn is_observed(&self, query: &Query) -> bool {
        if http::get(&self.address, "/warm-up").is_err() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(300));
        let sql = format!(
            "SELECT uniqExact(signal_source, observation_point) FROM flow_log.l7_flow_log \
             WHERE server_port = {}",
            self.port
        );
        query.number(&sql).is_ok_and(|points| points == 3)
    }
}

/// A running agent apart from the server.
#[derive(Debug)]
pub struct Agent {
    /// The process.
    pub process: Process,
}

impl Agent {
    /// `deepflow-agent run` with `more` configuration (YAML).
    pub fn start(place: &Place, more: &str) -> Result<Self> {
        let configuration = place.write_agent_configuration(more)?;
        let mut command = Command::new(place.program("deepflow-agent")?);
        command.arg("run").arg("-f").arg(configuration).args(["--liveness-port", "0"]);
        Ok(Self { process: Process::start("agent", &place.folder, &mut command)? })
    }
}

/// The enrolment token, wherever below its data folder the server keeps it.
fn find_token(folder: &Path) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            if path.ends_with("enrol.token") {
                return Some(path);
            }
            // The engine's folders are large, and the token is not there.
            if path.is_dir() && !path.ends_with("engine") {
                folders.push(path);
            }
        }
    }
    None
}

fn command_line(id: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}
