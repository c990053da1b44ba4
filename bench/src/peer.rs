//! Captures read by this agent, by Suricata and by tshark, in the same run.
//!
//! In: captures made here, `deepflow-agent`, a Suricata of the machine (`SURICATA` names it, by default
//! `suricata`, else the one unpacked below `/opt/suricata`) and `tshark`. Out: processor time of each,
//! and how many times that of the agent the others' is. All on one thread, with one kind of record:
//! rules, other application protocols and other outputs are off, since they would be compared with
//! nothing.

mod capture;
mod suricata;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use self::capture::Dialogue;
use self::suricata::{RECORDS, Suricata};
use crate::targets::Measurement;

/// Room for the flows of the captures, and no request logs where none are compared.
const FLOWS_ONLY: &str = "processors:\n  request_log: {filters: {cbpf_disabled: true}}\n  \
    flow_log: {tunning: {concurrent_flow_limit: 2000000}}\n";
const REQUESTS: &str = "processors:\n  request_log: {filters: {cbpf_disabled: false}}\n";

/// One comparison.
struct Contest {
    /// What is compared.
    what: &'static str,
    dialogue: Dialogue,
    /// The agent's table and configuration.
    table: &'static str,
    config: &'static str,
    /// Suricata's kind of record and protocol.
    records: (&'static str, Option<&'static str>),
    /// tshark's filter and a field, where it makes such records.
    tshark: Option<(&'static str, &'static str)>,
    /// Rows of the agent to be expected, at least.
    rows: u64,
    /// Target for how many times the agent's processor time Suricata's is.
    ratio: &'static str,
}

/// Measures all that are on the machine.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let suricata = Suricata::find();
    if suricata.is_none() {
        println!("Suricata: not run: not on this machine");
    }
    let mut found = Vec::new();
    for contest in contests() {
        found.extend(contest.hold(programs, suricata.as_ref())?);
    }
    Ok(found)
}

fn contests() -> [Contest; 3] {
    let flows = Dialogue {
        connections: 40_000,
        at_a_time: 4_000,
        exchanges: 12,
        server_port: 8000,
        is_udp: false,
        // Bytes that no protocol begins with.
        request: vec![0xa5; 200],
        answer: vec![0xa5; 900],
    };
    let http = Dialogue {
        connections: 2_000,
        at_a_time: 200,
        exchanges: 50,
        server_port: 80,
        is_udp: false,
        request: b"GET /shop/goods/4711?id=7 HTTP/1.1\r\nHost: shop.example\r\n\
            User-Agent: curl/8.5.0\r\nAccept: */*\r\nX-Request-ID: 7f3a\r\n\r\n"
            .to_vec(),
        answer: b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\n\
            Content-Length: 16\r\n\r\n0123456789abcdef"
            .to_vec(),
    };
    let (query, reply) = dns();
    let dns = Dialogue {
        connections: 20_000,
        at_a_time: 200,
        exchanges: 5,
        server_port: 53,
        is_udp: true,
        request: query,
        answer: reply,
    };
    [
        Contest {
            what: "flow logs",
            rows: u64::from(flows.connections),
            dialogue: flows,
            table: "l4_flow_log",
            config: FLOWS_ONLY,
            records: ("flow", None),
            tshark: None,
            ratio: "suricata_ratio",
        },
        Contest {
            what: "HTTP request logs",
            rows: 100_000,
            dialogue: http,
            table: "l7_flow_log",
            config: REQUESTS,
            records: ("http", Some("http")),
            tshark: Some(("http.response", "http.response.code")),
            ratio: "suricata_http_ratio",
        },
        Contest {
            what: "DNS request logs",
            rows: 100_000,
            dialogue: dns,
            table: "l7_flow_log",
            config: REQUESTS,
            records: ("dns", Some("dns")),
            tshark: Some(("dns.flags.response == 1", "dns.flags.rcode")),
            ratio: "suricata_dns_ratio",
        },
    ]
}

/// A query and its answer.
fn dns() -> (Vec<u8>, Vec<u8>) {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01".to_vec();
    let mut answer = query.clone();
    answer[2..4].copy_from_slice(b"\x81\x80");
    answer[7] = 1;
    answer.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x01");
    (query, answer)
}

impl Contest {
    fn hold(&self, programs: &Path, suricata: Option<&Suricata>) -> Result<Vec<Measurement>> {
        let folder = tempfile::Builder::new().prefix("deepflow-bench-").tempdir()?;
        let capture = folder.path().join("capture.pcap");
        let packets = capture::write(&capture, &self.dialogue)?;
        let ours = self.agent(programs, folder.path(), &capture)?;
        println!("{}, {packets} packets: agent {ours:.2} s", self.what);
        let mut found = Vec::new();
        let how = |name: &str, theirs: f64| {
            format!(
                "{}: `deepflow-agent replay --table {}` {ours:.2} s, {name} {theirs:.2} s of \
                 processor time; one capture of {packets} packets",
                self.what, self.table
            )
        };
        if let Some(suricata) = suricata {
            let mut command = suricata.command(folder.path(), &capture, self.records)?;
            let theirs = cpu_seconds(&mut command)?;
            let records = lines(&folder.path().join(RECORDS))?;
            println!("Suricata {theirs:.2} s, {records} records");
            ensure!(records >= self.rows, "Suricata's records are missing");
            found.push(Measurement::new(self.ratio, theirs / ours, how("`suricata -r`", theirs)));
        }
        if let Some((filter, field)) = self.tshark
            && has_tshark()
        {
            let out = folder.path().join("tshark.txt");
            let mut command = Command::new("tshark");
            command.arg("-n").arg("-r").arg(&capture).args(["-Y", filter, "-T", "fields"]);
            command.args(["-e", "frame.time_epoch", "-e", field]).stdout(File::create(&out)?);
            let theirs = cpu_seconds(command.stderr(Stdio::null()))?;
            println!("tshark {theirs:.2} s, {} lines", lines(&out)?);
            ensure!(lines(&out)? >= self.rows, "tshark's lines are missing");
            let how = how("`tshark -T fields`", theirs);
            found.push(Measurement::new("tshark_ratio", theirs / ours, how));
        }
        Ok(found)
    }

    /// The agent's processor time. unit s
    fn agent(&self, programs: &Path, folder: &Path, capture: &Path) -> Result<f64> {
        let (config, records) = (folder.join("agent.yaml"), folder.join("agent.json"));
        std::fs::write(&config, self.config)?;
        let mut agent = Command::new(programs.join("deepflow-agent"));
        agent.args(["replay", "--table", self.table, "--config"]).arg(&config).arg(capture);
        let seconds = cpu_seconds(agent.stdout(File::create(&records)?))?;
        let rows = lines(&records)?;
        ensure!(rows >= self.rows, "{}: {rows} rows of the agent, not {}", self.what, self.rows);
        Ok(seconds)
    }
}

fn lines(path: &Path) -> Result<u64> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(bytes.iter().filter(|byte| **byte == b'\n').count() as u64)
}

fn has_tshark() -> bool {
    let output = Command::new("tshark").arg("-v").output();
    let is_here = output.is_ok_and(|output| output.status.success());
    if !is_here {
        println!("tshark: not run: not on this machine");
    }
    is_here
}

/// Runs a program; its time on processors, user and system.
fn cpu_seconds(command: &mut Command) -> Result<f64> {
    let before = children_seconds()?;
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(children_seconds()? - before)
}

/// Time of all children that have ended (proc(5), `cutime` and `cstime`).
fn children_seconds() -> Result<f64> {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    let ticks: Vec<f64> = fields.skip(13).take(2).filter_map(|text| text.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS_A_SECOND)
}
