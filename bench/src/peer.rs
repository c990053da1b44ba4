//! Flow logs of one capture file by this agent and by Suricata, in the same run.
//!
//! In: a capture made here, `deepflow-agent`, and a Suricata of the machine (`SURICATA` names it, by
//! default `suricata`, else the one unpacked below `/opt/suricata`). Out: processor time of both,
//! and how many times that of the agent Suricata's is. Both on one thread, flow logs only: rules,
//! application protocols and every other output are off, since they would be compared with nothing.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use wire::build::{self, Tcp};
use wire::{TcpFlags, eth_type, protocol};

use crate::targets::Measurement;

/// Connections of the capture, and how many run at a time.
const FLOWS: u32 = 40_000;
const AT_A_TIME: u32 = 4_000;
/// Requests with their answers in each. unit byte of what
const EXCHANGES: u32 = 12;
const REQUEST_BYTES: usize = 200;
const ANSWER_BYTES: usize = 900;
/// What Suricata has to be told: one thread, flow records, nothing else.
const CONFIG: &str = "%YAML 1.1\n---\nvars: {address-groups: {HOME_NET: any, EXTERNAL_NET: any}}\n\
    stats: {enabled: no}\nrule-files: []\ndefault-log-dir: .\n\
    outputs:\n  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [flow]}\n\
    logging: {default-log-level: error, outputs: [{console: {enabled: yes}}]}\n\
    flow: {memcap: 4gb, hash-size: 1048576, prealloc: 100000}\n\
    stream: {memcap: 4gb, reassembly: {memcap: 4gb}}\n";
/// Application protocols that Suricata reads unless it is told not to.
const PROTOCOLS: &str = "bittorrent-dht dcerpc dhcp dnp3 enip ftp http http2 ike imap krb5 modbus \
    mqtt nfs ntp pgsql pop3 quic rdp rfb sip smb smtp snmp ssh telnet tftp tls";
/// The agent's counterpart: no request logs of packets, room for the flows.
const AGENT_CONFIG: &str = "processors:\n  request_log: {filters: {cbpf_disabled: true}}\n  \
    flow_log: {tunning: {concurrent_flow_limit: 2000000}}\n";

/// Measures both, or says why not.
pub fn measure(programs: &Path) -> Result<Vec<Measurement>> {
    let Some(suricata) = Suricata::find() else {
        println!("not run: no suricata");
        return Ok(Vec::new());
    };
    let folder = tempfile::Builder::new().prefix("deepflow-bench-").tempdir()?;
    let capture = folder.path().join("flows.pcap");
    let packets = write_capture(&capture)?;
    let config = folder.path().join("agent.yaml");
    std::fs::write(&config, AGENT_CONFIG)?;
    let mut agent = Command::new(programs.join("deepflow-agent"));
    agent.args(["replay", "--table", "l4_flow_log", "--config"]).arg(&config).arg(&capture);
    agent.stdout(File::create(folder.path().join("agent.json"))?);
    let agent_s = cpu_seconds(&mut agent)?;
    std::fs::write(folder.path().join("suricata.yaml"), suricata_config())?;
    let peer_s = cpu_seconds(&mut suricata.command(folder.path(), &capture))?;
    let logged = |name: &str| -> Result<usize> {
        Ok(std::fs::read_to_string(folder.path().join(name))?.lines().count())
    };
    let (ours, theirs) = (logged("agent.json")?, logged("eve.json")?);
    println!(
        "{packets} packets: agent {agent_s:.2} s, {ours} flows; Suricata {peer_s:.2} s, {theirs}"
    );
    ensure!(ours >= FLOWS as usize && theirs >= FLOWS as usize, "flows are missing");
    let how = format!(
        "`deepflow-agent replay --table l4_flow_log` {agent_s:.2} s, `suricata -r` {peer_s:.2} s of \
         processor time; one capture of {packets} packets and {FLOWS} connections, flow logs only"
    );
    Ok(vec![Measurement::new("suricata_ratio", peer_s / agent_s, how)])
}

fn suricata_config() -> String {
    let off = |name: &str| format!("    {name}: {{enabled: no}}\n");
    let off: String = PROTOCOLS.split_whitespace().map(off).collect();
    let dns = "    dns: {tcp: {enabled: no}, udp: {enabled: no}}\n";
    format!("{CONFIG}app-layer:\n  protocols:\n{off}{dns}")
}

/// A Suricata, and the loader that it needs where it is of another release of Debian.
struct Suricata {
    program: PathBuf,
    loader: Option<(PathBuf, PathBuf)>,
}

impl Suricata {
    fn find() -> Option<Self> {
        let name = std::env::var_os("SURICATA").unwrap_or_else(|| "suricata".into());
        let answers = Command::new(&name).arg("-V").output().is_ok_and(|o| o.status.success());
        if answers {
            return Some(Self { program: name.into(), loader: None });
        }
        let root = Path::new("/opt/suricata/usr");
        let libraries = root.join("lib/x86_64-linux-gnu");
        let loader = libraries.join("ld-linux-x86-64.so.2");
        let program = root.join("bin/suricata");
        let is_here = program.is_file() && loader.is_file();
        is_here.then_some(Self { program, loader: Some((loader, libraries)) })
    }

    fn command(&self, folder: &Path, capture: &Path) -> Command {
        let mut command = match &self.loader {
            None => Command::new(&self.program),
            Some((loader, libraries)) => {
                let mut command = Command::new(loader);
                command.arg("--library-path").arg(libraries).arg(&self.program);
                command
            }
        };
        command.args(["--runmode", "single", "-k", "none", "-c", "suricata.yaml", "-l", "."]);
        command.arg("-r").arg(capture).current_dir(folder).stdout(Stdio::null());
        command
    }
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

/// Connections in turn: opened, used, closed. Returns the number of packets.
fn write_capture(path: &Path) -> Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let (mut packets, mut now_us) = (0, 1_700_000_000_000_000_u64);
    for first in (0..FLOWS).step_by(AT_A_TIME as usize) {
        let mut connections: Vec<Connection> =
            (first..first + AT_A_TIME).map(Connection::new).collect();
        while !connections.is_empty() {
            connections.retain_mut(|connection| connection.prepare());
            for connection in &connections {
                let frame = connection.frame();
                now_us += 3;
                for word in [now_us / 1_000_000, now_us % 1_000_000] {
                    out.write_all(&(word as u32).to_le_bytes())?;
                }
                out.write_all(&(frame.len() as u32).to_le_bytes())?;
                out.write_all(&(frame.len() as u32).to_le_bytes())?;
                out.write_all(&frame)?;
                packets += 1;
            }
        }
    }
    out.flush()?;
    Ok(packets)
}

/// A connection at one of its packets.
struct Connection {
    number: u32,
    step: u32,
    /// Next sequence numbers of client and server.
    seqs: [u32; 2],
    packet: (bool, TcpFlags, usize, [u32; 2]),
}

impl Connection {
    fn new(number: u32) -> Self {
        let packet = (true, TcpFlags::SYN, 0, [0; 2]);
        Self { number, step: 0, seqs: [1000, 9000], packet }
    }

    /// Goes on to the next packet; false at the end.
    fn prepare(&mut self) -> bool {
        let data = TcpFlags::PSH | TcpFlags::ACK;
        let fin = TcpFlags::FIN | TcpFlags::ACK;
        let last = 3 + 3 * EXCHANGES;
        let (from_client, flags, bytes) = match self.step {
            0 => (true, TcpFlags::SYN, 0),
            1 => (false, TcpFlags::SYN_ACK, 0),
            2 => (true, TcpFlags::ACK, 0),
            step if step < last => match step % 3 {
                0 => (true, data, REQUEST_BYTES),
                1 => (false, data, ANSWER_BYTES),
                _ => (true, TcpFlags::ACK, 0),
            },
            step if step == last => (true, fin, 0),
            step if step == last + 1 => (false, fin, 0),
            step if step == last + 2 => (true, TcpFlags::ACK, 0),
            _ => return false,
        };
        self.packet = (from_client, flags, bytes, self.seqs);
        let counts = flags.intersects(TcpFlags::SYN | TcpFlags::FIN);
        let sender = &mut self.seqs[usize::from(!from_client)];
        *sender = sender.wrapping_add(bytes as u32 + u32::from(counts));
        self.step += 1;
        true
    }

    fn frame(&self) -> Vec<u8> {
        let (from_client, flags, bytes, [client_seq, server_seq]) = self.packet;
        let client = Ipv4Addr::from(0x0a00_0000 + self.number / 50);
        let server = Ipv4Addr::from(0xc0a8_0001 + self.number % 20);
        let ports = (10_000 + (self.number % 50 * 1000) as u16, 8000);
        let (ends, ports, seq, ack) = match from_client {
            true => ((client, server), ports, client_seq, server_seq),
            false => ((server, client), (ports.1, ports.0), server_seq, client_seq),
        };
        let (src_port, dst_port) = ports;
        let tcp = Tcp { src_port, dst_port, seq, ack, flags, window: 512, options: Vec::new() };
        // Bytes that no protocol begins with.
        let segment = tcp.with(&vec![0xa5; bytes]);
        let packet = build::ipv4(ends.0, ends.1, protocol::TCP, &segment);
        build::ethernet(eth_type::IPV4, &packet)
    }
}
