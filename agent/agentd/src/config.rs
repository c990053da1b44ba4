//! The agent's configuration: each module's own part, made from the settings.

mod settings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use schema::L7Protocol;
use serde_yaml_ng::Value;

pub use settings::Settings;

/// Everything that can be set. Two equal configurations behave the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Server to send to.
    pub server: (String, u16),
    /// Identity, ledger and spool.
    pub data_dir: PathBuf,
    /// File with the enrolment token; needed at the first start only.
    pub token_file: Option<PathBuf>,
    /// Bytes of the disk spool.
    pub spool_bytes: u64,
    /// Memory that the agent may take. unit byte
    pub memory_bytes: u64,
    /// Ports of our own traffic, which is left out.
    pub own_ports: Vec<u16>,
    /// Interval of self-telemetry.
    pub telemetry_interval: Duration,
    /// `/proc`, or where the host's is mounted.
    pub proc_dir: PathBuf,
    /// Packet capture.
    pub packets: PacketConfig,
    /// Capture of system calls.
    pub sockets: SocketConfig,
    /// Request logs.
    pub l7: l7::Config,
    /// Request logs of packets are made.
    pub l7_of_packets: bool,
    /// Flow logs.
    pub flow: FlowSettings,
    /// Rows a second: flow logs, request logs.
    pub throttles: (u64, u64),
    /// Where `standalone` writes, and the size at which it turns a file. unit byte
    pub standalone: (PathBuf, u64),
}

/// Packet capture.
#[derive(Clone, Debug, PartialEq)]
pub struct PacketConfig {
    /// Interfaces.
    pub interface_regex: String,
    /// Bytes of a packet that are captured.
    pub snap_bytes: u32,
    /// Blocks of 1 MiB of the ring; `None`: chosen by the memory limit.
    pub ring_blocks: Option<u32>,
    /// Headers of mirroring to take off, by name of `tunnel_trim_protocols`.
    pub trim: Vec<String>,
    /// Tunnels to open, by number of `tunnel_decap_protocols`.
    pub decap: Vec<u8>,
}

/// Capture of system calls.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketConfig {
    /// Neither loaded nor attached.
    pub disabled: bool,
    /// Ports left out.
    pub denied_ports: Vec<u16>,
    /// Only these ports; empty = all.
    pub allowed_ports: Vec<u16>,
    /// Payload of one system call that is captured. unit byte
    pub payload_bytes: u32,
    /// No trace ids.
    pub trace_id_disabled: bool,
    /// Sockets remembered.
    pub sockets: u32,
}

/// Flow table and time-outs.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSettings {
    /// Flows at once.
    pub flows: usize,
    /// Silent established flows end after this.
    pub established: Duration,
    /// After an RST.
    pub closing_rst: Duration,
    /// After an RST while opening.
    pub opening_rst: Duration,
    /// In any other state.
    pub others: Duration,
}

impl Config {
    /// Reads a file; without one, the defaults. Also the keys that are not acted on.
    pub fn load(path: Option<&Path>) -> Result<(Self, Vec<&'static str>)> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read configuration {}", path.display()))?,
            None => String::new(),
        };
        let named = || path.map_or_else(String::new, |path| path.display().to_string());
        let settings = Settings::parse(&text).with_context(named)?;
        let config = Self::from_settings(&settings).with_context(named)?;
        Ok((config, settings.ignored))
    }

    /// From settings.
    pub fn from_settings(s: &Settings) -> Result<Self> {
        let ip = s.text("global.communication.ingester_ip")?;
        let token_file = s.text("agent.enrol_token_file")?;
        Ok(Self {
            server: (
                if ip.is_empty() { "127.0.0.1".to_owned() } else { ip },
                match port(s.count("global.communication.ingester_port")?)? {
                    DEEPFLOW_INGESTER_PORT => schema::wire::INGEST_PORT,
                    port => port,
                },
            ),
            data_dir: s.text("agent.data_dir")?.into(),
            token_file: (!token_file.is_empty()).then(|| token_file.into()),
            spool_bytes: s.count("agent.spool_bytes")?,
            memory_bytes: s.count("global.limits.max_memory")? << 20,
            own_ports: ports(&s.list("agent.own_ports")?.join(",")).context("agent.own_ports")?,
            telemetry_interval: s.duration("global.self_monitoring.interval")?,
            proc_dir: s.text("inputs.proc.proc_dir_path")?.into(),
            packets: packets(s)?,
            sockets: sockets(s)?,
            l7: request_log(s)?,
            l7_of_packets: !s.flag("processors.request_log.filters.cbpf_disabled")?,
            flow: flow(s)?,
            throttles: (
                s.count("outputs.flow_log.throttles.l4_throttle")?,
                s.count("outputs.flow_log.throttles.l7_throttle")?,
            ),
            standalone: (
                s.text("global.standalone_mode.data_file_dir")?.into(),
                s.count("global.standalone_mode.max_data_file_size")? << 20,
            ),
        })
    }
}

/// DeepFlow's default of `ingester_port`, a Kubernetes node port; ours listens on its own.
const DEEPFLOW_INGESTER_PORT: u16 = 30033;

fn packets(s: &Settings) -> Result<PacketConfig> {
    let decap = s.list("inputs.cbpf.preprocess.tunnel_decap_protocols")?;
    let own_ring = s.flag("inputs.cbpf.af_packet.tunning.ring_blocks_enabled")?;
    let blocks = s.count("inputs.cbpf.af_packet.tunning.ring_blocks")?;
    Ok(PacketConfig {
        interface_regex: s.text("inputs.cbpf.af_packet.interface_regex")?,
        snap_bytes: u32::try_from(s.count("inputs.cbpf.tunning.max_capture_packet_size")?)?,
        trim: s.list("inputs.cbpf.preprocess.tunnel_trim_protocols")?,
        ring_blocks: own_ring.then(|| u32::try_from(blocks)).transpose()?,
        decap: decap
            .iter()
            .map(|text| text.parse().with_context(|| format!("tunnel_decap_protocols: {text:?}")))
            .collect::<Result<_>>()?,
    })
}

fn sockets(s: &Settings) -> Result<SocketConfig> {
    let disabled =
        s.flag("inputs.ebpf.disabled")? || s.flag("inputs.ebpf.socket.kprobe.disabled")?;
    let port_set = |path| ports(&s.text(path)?).with_context(|| path.to_owned());
    Ok(SocketConfig {
        disabled,
        denied_ports: port_set("inputs.ebpf.socket.kprobe.blacklist.ports")?,
        allowed_ports: port_set("inputs.ebpf.socket.kprobe.whitelist.ports")?,
        payload_bytes: u32::try_from(
            s.count("processors.request_log.tunning.payload_truncation")?,
        )?,
        trace_id_disabled: s.flag("inputs.ebpf.socket.tunning.syscall_trace_id_disabled")?,
        sockets: u32::try_from(s.count("inputs.ebpf.tunning.max_socket_entries")?)?,
    })
}

fn flow(s: &Settings) -> Result<FlowSettings> {
    let timeout =
        |name: &str| s.duration(&format!("processors.flow_log.conntrack.timeouts.{name}"));
    Ok(FlowSettings {
        flows: usize::try_from(s.count("processors.flow_log.tunning.concurrent_flow_limit")?)?,
        established: timeout("established")?,
        closing_rst: timeout("closing_rst")?,
        opening_rst: timeout("opening_rst")?,
        others: timeout("others")?,
    })
}

fn request_log(s: &Settings) -> Result<l7::Config> {
    let key = |name: &str| format!("processors.request_log.{name}");
    let nanos = |name: &str| Ok::<_, anyhow::Error>(s.duration(&key(name))?.as_nanos() as u64);
    let mut config = l7::Config::live();
    config.protocols = protocols(s, &key("application_protocol_inference.enabled_protocols"))?;
    config.redacted = protocols(s, &key("tag_extraction.obfuscate_protocols"))?;
    config.windows.session_ns = nanos("timeouts.session_aggregate_window_duration")?;
    config.limits.sessions =
        usize::try_from(s.count(&key("tunning.session_aggregate_max_entries"))?)?;
    config.inference.failures =
        u32::try_from(s.count(&key("application_protocol_inference.inference_max_retries"))?)?;
    config.inference.ttl_ns = nanos("application_protocol_inference.inference_result_ttl")?;
    let tag = |name: &str| s.list(&key(&format!("tag_extraction.tracing_tag.{name}")));
    config.trace.http_real_client = tag("http_real_client")?;
    config.trace.x_request_id = tag("x_request_id")?;
    config.trace.apm_trace_id = tag("apm_trace_id")?;
    config.trace.apm_span_id = tag("apm_span_id")?;
    config.trace.copy_apm_trace_id =
        s.flag(&key("tag_extraction.tracing_tag.copy_apm_trace_id"))?;
    config.http_endpoint.extraction_disabled =
        s.flag(&key("tag_extraction.http_endpoint.extraction_disabled"))?;
    config.http_endpoint.match_rules = endpoint_rules(s)?;
    config.mysql_decompress = s.flag(&key(
        "application_protocol_inference.protocol_special_config.mysql.decompress_payload",
    ))?;
    config.error_response_bytes =
        usize::try_from(s.count(&key("tag_extraction.raw.error_response_payload"))?)?;
    Ok(config)
}

fn endpoint_rules(s: &Settings) -> Result<Vec<l7::EndpointRule>> {
    let path = "processors.request_log.tag_extraction.http_endpoint.match_rules";
    let rule = |value: Value| {
        let prefix = value.get("url_prefix").and_then(Value::as_str);
        let keep = value.get("keep_segments").and_then(Value::as_u64);
        let (Some(prefix), Some(keep)) = (prefix, keep) else {
            bail!("{path}: expected entries with url_prefix and keep_segments");
        };
        Ok(l7::EndpointRule {
            url_prefix: prefix.to_owned(),
            keep_segments: usize::try_from(keep)?,
        })
    };
    s.values(path)?.into_iter().map(rule).collect()
}

fn protocols(s: &Settings, path: &str) -> Result<l7::ProtocolSet> {
    let mut set = l7::ProtocolSet::none();
    for name in s.list(path)? {
        let known = L7Protocol::ALL.iter().find(|p| p.name().eq_ignore_ascii_case(&name));
        let Some(protocol) = known else { bail!("{path}: unknown protocol {name:?}") };
        set.insert(*protocol);
    }
    Ok(set)
}

/// Ports written as `80,443,8000-8100`.
fn ports(text: &str) -> Result<Vec<u16>> {
    let mut out = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = || format!("{part:?} is not a port or a range of ports");
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u16 = first.trim().parse().with_context(wrong)?;
        let last: u16 = last.trim().parse().with_context(wrong)?;
        out.extend(first..=last);
    }
    Ok(out)
}

fn port(number: u64) -> Result<u16> {
    u16::try_from(number).with_context(|| format!("port {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_lists() {
        assert_eq!(ports("80, 8000-8002").expect("ports"), [80, 8000, 8001, 8002]);
        assert!(ports("").expect("none").is_empty());
        for bad in ["a", "70000", "1-", "80-x"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_protocol_is_named() {
        let yaml = "processors: {request_log: {application_protocol_inference: {enabled_protocols: [HTTQ]}}}";
        let settings = Settings::parse(yaml).expect("keys are right");
        let error = Config::from_settings(&settings).expect_err("protocol");
        assert!(format!("{error:#}").contains("HTTQ"), "{error:#}");
    }
}
