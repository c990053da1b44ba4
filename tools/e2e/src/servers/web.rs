//! nginx as a server of everything that HTTP has: HTTP/1.1, HTTP/2 in plain and over TLS, large
//! bodies both ways, chunks, errors, FastCGI behind it.
//!
//! In: a namespace of the laboratory. Out: a running server that ends with its handle, and what it
//! says that it answered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{plain, program};
use crate::lab::Namespace;
use crate::process::{self, Process};

/// HTTP/1.1.
pub const HTTP1_PORT: u16 = 8080;
/// HTTP/2 without TLS, known before.
pub const HTTP2_PORT: u16 = 8081;
/// HTTP/1.1 with `sendfile on`.
pub const SENDFILE_PORT: u16 = 8082;
/// HTTP/2 over TLS.
pub const TLS_PORT: u16 = 8443;
/// HTTP/1.1 over TLS, for each client that is told apart by its port.
pub const TLS_HTTP1_PORT: u16 = 8444;
/// The same.
pub const TLS_PYTHON_PORT: u16 = 8445;
/// The same.
pub const TLS_ELSEWHERE_PORT: u16 = 8446;
/// FastCGI.
pub const FASTCGI_PORT: u16 = 9000;
/// The server's name in its certificate.
pub const NAME: &str = "web.shop.test";
/// Requests on a connection, after which the server closes it.
pub const REQUESTS_A_CONNECTION: u32 = 20;
/// Of `/large`.
pub const LARGE_BYTES: usize = 1 << 20;
/// Bytes of the files `/sized/BYTES`: the last is more than nginx sends by one `sendfile`.
pub const SIZES: [usize; 8] = [0, 1, 700, 4096, 65_536, 100_001, 1 << 20, 2_500_000];
/// Of `/text`, which is sent in chunks to those that take gzip.
const TEXT_LINES: usize = 20_000;

/// What nginx told of the port with `sendfile on`.
#[derive(Debug)]
pub struct Sent {
    /// A line `method address status bytes` for each request; bytes: those of the body.
    pub lines: Vec<String>,
    /// Calls of `sendfile` that moved something.
    pub calls: u64,
    /// What they moved. unit byte
    pub file_bytes: u64,
}

/// A running nginx.
#[derive(Debug)]
pub struct Web {
    folder: PathBuf,
    _nginx: Process,
    _fastcgi: Option<Process>,
}

impl Web {
    /// Starts it below `folder`.
    pub fn start(space: &Namespace, folder: &Path) -> Result<Self> {
        let folder = folder.join("web");
        for name in ["pages", "pages/up", "pages/sized"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        std::fs::write(folder.join("pages/large"), vec![b'l'; LARGE_BYTES])?;
        for bytes in SIZES {
            std::fs::write(folder.join(format!("pages/sized/{bytes}")), vec![b's'; bytes])?;
        }
        let text: String = (0..TEXT_LINES).map(|line| format!("line {line} of a text\n")).collect();
        std::fs::write(folder.join("pages/text.txt"), text)?;
        certificate(&folder)?;
        std::fs::write(folder.join("nginx.conf"), configuration(&folder))?;
        let mut command = space.command(program("nginx")?);
        command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log"));
        command.arg("-c").arg(folder.join("nginx.conf"));
        let nginx = plain::start(space, &folder, "nginx", HTTP1_PORT, &mut command)?;
        Ok(Self { folder, _nginx: nginx, _fastcgi: None })
    }

    /// Also fcgiwrap with a script that asks for a status and a length.
    pub fn with_fastcgi(space: &Namespace, folder: &Path) -> Result<Self> {
        let script = folder.join("script");
        std::fs::write(&script, SCRIPT)?;
        process::run(Command::new("chmod").arg("755").arg(&script))?;
        let mut command = space.command(program("fcgiwrap")?);
        command.args(["-s", &format!("tcp:127.0.0.1:{FASTCGI_PORT}")]);
        let fastcgi = plain::start(space, folder, "fcgiwrap", FASTCGI_PORT, &mut command)?;
        Ok(Self { _fastcgi: Some(fastcgi), ..Self::start(space, folder)? })
    }

    /// Requests that it has answered: `port method address status` → count.
    pub fn answered(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in self.log("access.log").lines() {
            *counts.entry(line.to_owned()).or_insert(0) += 1;
        }
        counts
    }

    /// What it sent on the port with `sendfile on`; calls are those of its debug log.
    pub fn sent(&self) -> Sent {
        let calls = self.log("sendfile-error.log");
        let moved = calls.lines().filter_map(|line| {
            let (moved, _) = line.split_once(" sendfile: ")?.1.split_once(" of ")?;
            moved.parse::<u64>().ok().filter(|bytes| *bytes > 0)
        });
        let (calls, file_bytes) = moved.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
        let lines = self.log("sendfile.log").lines().map(str::to_owned).collect();
        Sent { lines, calls, file_bytes }
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}

/// Answers with the status that the query names.
const SCRIPT: &str = "#!/bin/sh
printf 'Status: %s\\r\\nContent-Type: text/plain\\r\\n\\r\\n' \"$QUERY_STRING\"
head -c 100000 /dev/zero
";

/// Writes `key.pem` and `cert.pem` for `NAME`.
pub fn certificate(folder: &Path) -> Result<()> {
    let mut command = Command::new(program("openssl")?);
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    command.args(["-nodes", "-days", "30", "-subj", &format!("/CN={NAME}")]);
    command.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("cert.pem"));
    process::run(&mut command).map(drop)
}

fn configuration(folder: &Path) -> String {
    let script = folder.with_file_name("script");
    let locations = locations(folder, &script);
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
user root;
events {{ worker_connections 512; }}
http {{
  log_format truth '$server_port $request_method $request_uri $status';
  log_format sent '$request_method $request_uri $status $body_bytes_sent';
  access_log {folder}/access.log truth;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 64m;
  gzip on;
  gzip_types text/plain;
  # Of one read no more is taken than 128 KiB.
  http2_recv_buffer_size 64k;
  server {{
    listen 127.0.0.1:{HTTP1_PORT};
    keepalive_requests {REQUESTS_A_CONNECTION};
    {locations}
  }}
  server {{
    listen 127.0.0.1:{SENDFILE_PORT};
    keepalive_requests {REQUESTS_A_CONNECTION};
    sendfile on;
    tcp_nopush on;
    access_log {folder}/sendfile.log sent;
    error_log {folder}/sendfile-error.log debug;
    {locations}
  }}
  server {{
    listen 127.0.0.1:{TLS_HTTP1_PORT} ssl;
    listen 127.0.0.1:{TLS_PYTHON_PORT} ssl;
    listen 127.0.0.1:{TLS_ELSEWHERE_PORT} ssl;
    server_name {NAME};
    keepalive_requests {REQUESTS_A_CONNECTION};
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    {locations}
  }}
  server {{
    listen 127.0.0.1:{HTTP2_PORT} http2;
    listen 127.0.0.1:{TLS_PORT} ssl http2;
    server_name {NAME};
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    {locations}
  }}
}}
"
    )
}

fn locations(folder: &Path, script: &Path) -> String {
    let (folder, script) = (folder.display(), script.display());
    format!(
        "root {folder}/pages;
    location /ok {{ return 200 \"fine\\n\"; }}
    location /missing {{ return 404 \"missing\\n\"; }}
    location /broken {{ return 500 \"broken\\n\"; }}
    location /up {{ dav_methods PUT; create_full_put_path on; }}
    location /cgi {{
      fastcgi_pass 127.0.0.1:{FASTCGI_PORT};
      fastcgi_param SCRIPT_FILENAME {script};
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param REQUEST_URI $request_uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param CONTENT_LENGTH $content_length;
    }}"
    )
}
