//! What the tests start, and end again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use store::engine::library;
use store::{ChildConfig, Supervisor};

/// The program under test.
pub const SERVER: &str = env!("CARGO_BIN_EXE_deepflow-server");

/// The library, or `None` with a word about it.
pub fn library() -> Option<PathBuf> {
    let hint = std::env::var_os("DEEPFLOW_LIBCHDB").map(PathBuf::from);
    match library::find(hint.as_deref(), Some(Path::new(SERVER))) {
        Ok(found) => Some(found),
        Err(looked) => {
            println!("SKIPPED: no libchdb.so; looked in {looked:?}");
            None
        }
    }
}

/// Starts an engine on a data folder.
pub async fn engine(library: &Path, data_dir: &Path) -> Supervisor {
    let config = ChildConfig::library(SERVER.into(), library.to_owned(), data_dir);
    Supervisor::start(config).await.expect("engine starts")
}

/// Sends a signal by number or name.
pub fn signal(process_id: u32, signal: &str) {
    let status =
        Command::new("kill").arg(format!("-{signal}")).arg(process_id.to_string()).status();
    assert!(status.expect("kill runs").success(), "signal {signal} to {process_id}");
}

/// Whether a process is there (and not a zombie).
pub fn is_alive(process_id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits until `done`, at most `limit`.
pub fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < limit, "{what} within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Children of a process.
pub fn children(process_id: u32) -> Vec<u32> {
    let path = format!("/proc/{process_id}/task");
    let tasks = std::fs::read_dir(path).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// A running `deepflow-server run`.
pub struct Server {
    pub child: Child,
    pub address: String,
}

impl Server {
    /// Starts it on free ports and waits until it is ready.
    pub fn start(data_dir: &Path) -> Self {
        let mut child = Command::new(SERVER)
            .args(["run", "--listen", "127.0.0.1:0", "--ingest-listen", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data_dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let url = line.split_once("http://").expect("ready line").1;
        let address = url.split('/').next().expect("address").to_owned();
        Self { child, address }
    }

    /// One request: (status, headers, body).
    pub fn call(&self, method: &str, path: &str, kind: &str, body: &str) -> (u16, String, String) {
        call(&self.address, method, path, kind, body)
    }

    /// GET as JSON.
    pub fn get(&self, path: &str) -> Value {
        let (status, _, body) = self.call("GET", path, "", "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// A query: (status, answer).
    pub fn query(&self, sql: &str) -> (u16, Value) {
        let escape = |c: char| match c {
            c if c.is_ascii_alphanumeric() => c.to_string(),
            c => c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
        };
        let body = format!("db=flow_log&sql={}", sql.chars().map(escape).collect::<String>());
        let kind = "application/x-www-form-urlencoded";
        let (status, _, body) = self.call("POST", "/v1/query/", kind, &body);
        (status, serde_json::from_str(&body).expect("JSON"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP/1.1 request.
pub fn call(
    address: &str,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).expect("connects");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("writes");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("reads");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("status");
    (status, head.to_owned(), body.to_owned())
}
