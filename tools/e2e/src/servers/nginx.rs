//! nginx with one worker and an access log that is the truth about requests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::program;
use crate::lab::SlowDisk;
use crate::process::{Process, accepts, free_port};

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    /// Where it listens.
    pub port: u16,
    access_log: PathBuf,
    _process: Process,
}

impl Nginx {
    /// Starts it below `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_by(Command::new(program("nginx")?), folder, ("body", ""))
    }

    /// Serves and stores files on a slow disk: a small one is read by one call, and what it is given is
    /// written as it comes.
    pub fn start_on(folder: &Path, disk: &SlowDisk) -> Result<Self> {
        let mount = disk.mount.display();
        let locations = format!(
            "root {mount};
    location /stored {{ dav_methods PUT; client_body_buffer_size 16k; }}"
        );
        let body = format!("{mount}/body");
        Self::start_by(disk.command(program("nginx")?), folder, (&body, &locations))
    }

    /// By a command to which the arguments are added; where it keeps bodies, and further lines.
    fn start_by(mut command: Command, folder: &Path, (body, more): (&str, &str)) -> Result<Self> {
        let folder = folder.join("nginx");
        std::fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let access_log = folder.join("access.log");
        std::fs::write(folder.join("nginx.conf"), configuration(&folder, port, body, more))?;
        command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log"));
        command.arg("-c").arg(folder.join("nginx.conf"));
        let mut process = Process::start("nginx", &folder, &mut command)?;
        process.wait_until(Duration::from_secs(10), || accepts(&format!("127.0.0.1:{port}")))?;
        Ok(Self { port, access_log, _process: process })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Requests that it has answered, by status code.
    pub fn answered(&self) -> BTreeMap<u16, u64> {
        let mut counts = BTreeMap::new();
        for (status, _) in self.requests() {
            *counts.entry(status).or_insert(0) += 1;
        }
        counts
    }

    /// Status and address of each request that it has answered, in order.
    pub fn requests(&self) -> Vec<(u16, String)> {
        let text = std::fs::read_to_string(&self.access_log).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(status, address)| Some((status.parse().ok()?, address.to_owned())))
            .collect()
    }
}

fn configuration(folder: &Path, port: u16, body: &str, more: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
user root;
events {{ worker_connections 512; }}
http {{
  log_format truth '$status $request_uri';
  access_log {folder}/access.log truth;
  client_body_temp_path {body};
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000;
  server {{
    listen 127.0.0.1:{port};
    location /ok {{ return 200 \"fine\\n\"; }}
    location /made {{ return 201 \"made\\n\"; }}
    location /moved {{ return 302 /ok; }}
    location /missing {{ return 404 \"missing\\n\"; }}
    location /broken {{ return 503 \"broken\\n\"; }}
    {more}
  }}
}}
"
    )
}
