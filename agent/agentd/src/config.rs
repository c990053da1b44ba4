//! The agent's configuration: each module's own part, made from the settings.

mod field_policies;
mod plugins;
mod settings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use schema::L7Protocol;
use serde_yaml_ng::Value;
use source::bpf::{FileCalls, FileMode};
use source::priority::NICE;

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
    /// Nice value of the agent; `None`: that of who starts it.
    pub nice: Option<i32>,
    /// What the agent takes of the processors at most.
    pub share: ShareConfig,
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
    /// Readers of the user's own protocols.
    pub plugins: Vec<plugin::Module>,
    /// Request logs of packets are made.
    pub l7_of_packets: bool,
    /// Flow logs.
    pub flow: FlowSettings,
    /// Rows a second: flow logs, request logs.
    pub throttles: (u64, u64),
    /// Where `standalone` writes, and the size at which it turns a file. unit byte
    pub standalone: (PathBuf, u64),
}

/// What the agent takes of the processors at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareConfig {
    /// At any time. unit 1/1000 of a processor
    pub max_millicpus: u64,
    /// While hardly any processor is idle. unit percent of all; 0: no such limit
    pub contended_percent: u64,
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
    /// Threads that share the packets.
    pub threads: u8,
    /// Packets a second of all threads; 0 = no limit.
    pub pps_max: u64,
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
    /// Calls on files that are told.
    pub files: FileCalls,
    /// Plaintext of TLS libraries is read.
    pub tls: bool,
    /// That of programs of Go is read.
    pub go: bool,
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
    /// Health checks become one row a minute.
    pub merges_health_checks: bool,
}

impl Config {
    /// Reads a file; without one, the defaults. Also the keys that are not acted on.
    pub fn load(path: Option<&Path>) -> Result<(Self, Vec<&'static str>)> {
        Self::load_as(path, false)
    }

    /// The same for a replay of captures: every protocol is read and nothing is redacted, unless
    /// the file says otherwise.
    pub fn load_for_replay(path: Option<&Path>) -> Result<(Self, Vec<&'static str>)> {
        Self::load_as(path, true)
    }

    fn load_as(path: Option<&Path>, is_replay: bool) -> Result<(Self, Vec<&'static str>)> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read configuration {}", path.display()))?,
            None => String::new(),
        };
        let named = || path.map_or_else(String::new, |path| path.display().to_string());
        let settings = Settings::parse(&text).with_context(named)?;
        let config = Self::from_settings(&settings, is_replay).with_context(named)?;
        Ok((config, settings.ignored))
    }

    /// From settings.
    pub fn from_settings(s: &Settings, is_replay: bool) -> Result<Self> {
        let ip = s.text("global.communication.ingester_ip")?;
        let token_file = s.text("agent.enrol_token_file")?;
        let plugins = plugins::load(s)?;
        let mut l7 = request_log(s, is_replay)?;
        if !plugins.is_empty() {
            // Who names a plug-in wants it to be used.
            l7.protocols.insert(L7Protocol::Custom);
        }
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
            nice: nice(s)?,
            share: share(s)?,
            own_ports: ports(&s.list("agent.own_ports")?.join(",")).context("agent.own_ports")?,
            telemetry_interval: s.duration("global.self_monitoring.interval")?,
            proc_dir: s.text("inputs.proc.proc_dir_path")?.into(),
            packets: packets(s)?,
            sockets: sockets(s)?,
            l7,
            plugins,
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

/// 0 is the default and means that nothing is changed.
fn nice(s: &Settings) -> Result<Option<i32>> {
    let path = "global.tunning.process_scheduling_priority";
    let nice = i32::try_from(s.integer(path)?).with_context(|| path.to_owned())?;
    ensure!(NICE.contains(&nice), "{path}: {nice} is not from {} to {}", NICE.start(), NICE.end());
    Ok((nice != 0).then_some(nice))
}

fn share(s: &Settings) -> Result<ShareConfig> {
    let (max, contended) = ("global.limits.max_millicpus", "agent.contended_percent");
    let limits =
        ShareConfig { max_millicpus: s.count(max)?, contended_percent: s.count(contended)? };
    ensure!(limits.max_millicpus > 0, "{max}: 0 leaves nothing to work with");
    ensure!(limits.contended_percent <= 100, "{contended}: more than 100 percent");
    Ok(limits)
}

fn packets(s: &Settings) -> Result<PacketConfig> {
    let decap = s.list("inputs.cbpf.preprocess.tunnel_decap_protocols")?;
    let own_ring = s.flag("inputs.cbpf.af_packet.tunning.ring_blocks_enabled")?;
    let blocks = s.count("inputs.cbpf.af_packet.tunning.ring_blocks")?;
    refuse(s)?;
    Ok(PacketConfig {
        interface_regex: s.text("inputs.cbpf.af_packet.interface_regex")?,
        snap_bytes: u32::try_from(s.count("inputs.cbpf.tunning.max_capture_packet_size")?)?,
        trim: s.list("inputs.cbpf.preprocess.tunnel_trim_protocols")?,
        ring_blocks: own_ring.then(|| u32::try_from(blocks)).transpose()?,
        threads: threads(s)?,
        pps_max: s.count("inputs.cbpf.tunning.max_capture_pps")?,
        decap: decap
            .iter()
            .map(|text| text.parse().with_context(|| format!("tunnel_decap_protocols: {text:?}")))
            .collect::<Result<_>>()?,
    })
}

/// Flow ids have room for 256 threads.
fn threads(s: &Settings) -> Result<u8> {
    let path = "inputs.cbpf.af_packet.tunning.packet_fanout_count";
    let count = s.count(path)?;
    u8::try_from(count.max(1)).with_context(|| format!("{path}: {count} is above 255"))
}

/// What cannot be done is said at once, not found out by what is missing later.
fn refuse(s: &Settings) -> Result<()> {
    let key = |name: &str| format!("inputs.cbpf.af_packet.{name}");
    let mode = key("tunning.packet_fanout_mode");
    if s.count(&mode)? != 0 {
        bail!("{mode}: only 0 (by flow) keeps the packets of a flow in one thread");
    }
    let filter = key("extra_bpf_filter");
    if !s.text(&filter)?.is_empty() {
        bail!("{filter}: this agent does not compile filter expressions; leave it empty");
    }
    let bonds = key("bond_interfaces");
    if !s.values(&bonds)?.is_empty() {
        bail!(
            "{bonds}: slaves are not merged; capture the bond itself by interface_regex, and leave \
             its slaves out"
        );
    }
    let inner = key("inner_interface_capture_enabled");
    if s.flag(&inner)? {
        bail!(
            "{inner}: interfaces inside of other network namespaces are not captured; capture their \
             ends on the host by interface_regex"
        );
    }
    Ok(())
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
        files: file_calls(s)?,
        tls: s.flag("inputs.ebpf.socket.uprobe.tls.enabled")?,
        go: s.flag("inputs.ebpf.socket.uprobe.golang.enabled")?,
    })
}

fn file_calls(s: &Settings) -> Result<FileCalls> {
    let key = |name: &str| format!("inputs.ebpf.file.io_event.{name}");
    let mode = key("collect_mode");
    Ok(FileCalls {
        mode: match s.count(&mode)? {
            0 => FileMode::Off,
            1 => FileMode::OfRequests,
            2 => FileMode::All,
            other => bail!("{mode}: {other} is none of 0 (off), 1 (within requests), 2 (all)"),
        },
        min_duration: s.duration(&key("minimal_duration"))?,
        virtual_files: s.flag(&key("enable_virtual_file_collect"))?,
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
        merges_health_checks: s
            .flag("outputs.flow_log.aggregators.aggregate_health_check_l4_flow_log")?,
    })
}

fn request_log(s: &Settings, is_replay: bool) -> Result<l7::Config> {
    let key = |name: &str| format!("processors.request_log.{name}");
    let nanos = |name: &str| Ok::<_, anyhow::Error>(s.duration(&key(name))?.as_nanos() as u64);
    // A replay reads every protocol and hides nothing, unless its configuration says otherwise.
    let mut config = if is_replay { l7::Config::replay() } else { l7::Config::live() };
    let enabled = key("application_protocol_inference.enabled_protocols");
    if s.is_set(&enabled) || !is_replay {
        config.protocols = protocols(s, &enabled)?;
    }
    let obfuscated = key("tag_extraction.obfuscate_protocols");
    if s.is_set(&obfuscated) || !is_replay {
        config.redacted = protocols(s, &obfuscated)?;
    }
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
    let bytes = |name: &str| raw_bytes(s, &key(&format!("tag_extraction.raw.{name}")));
    config.raw.error_request_header = bytes("error_request_header")?;
    config.raw.error_response_header = bytes("error_response_header")?;
    config.raw.error_request_payload = bytes("error_request_payload")?;
    config.raw.error_response_payload = bytes("error_response_payload")?;
    config.custom_fields.http = field_names(s, &key("tag_extraction.custom_fields.HTTP"))?;
    config.custom_fields.http2 = field_names(s, &key("tag_extraction.custom_fields.HTTP2"))?;
    config.field_policies = field_policies::load(s)?;
    if s.is_set("agent.redact_credentials") || !is_replay {
        config.redact_credentials = s.flag("agent.redact_credentials")?;
    }
    Ok(config)
}

/// Most bytes of a header or payload that a record may keep, as DeepFlow bounds them.
const RAW_BYTES: u64 = 16_384;

fn raw_bytes(s: &Settings, path: &str) -> Result<usize> {
    let bytes = s.count(path)?;
    if bytes > RAW_BYTES {
        bail!("{path}: {bytes} is more than {RAW_BYTES}");
    }
    Ok(usize::try_from(bytes)?)
}

/// Names in a list of `field_name: NAME`.
fn field_names(s: &Settings, path: &str) -> Result<Vec<String>> {
    let name = |value: Value| match value.get("field_name").and_then(Value::as_str) {
        Some(name) => Ok(name.to_owned()),
        None => bail!("{path}: expected entries with field_name"),
    };
    s.values(path)?.into_iter().map(name).collect()
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
    fn the_priority_is_a_nice_value() {
        let of = |value: &str| {
            let yaml = format!("global: {{tunning: {{process_scheduling_priority: {value}}}}}");
            nice(&Settings::parse(&yaml).expect("a key"))
        };
        assert_eq!((of("0").expect("none"), of("-20").expect("first")), (None, Some(-20)));
        assert_eq!(of("19").expect("last"), Some(19));
        for bad in ["20", "-21", "much", "99999999999"] {
            let text = format!("{:#}", of(bad).expect_err("no nice value"));
            assert!(text.contains("process_scheduling_priority"), "{text}");
        }
    }

    fn request_log_of(yaml: &str, is_replay: bool) -> Result<l7::Config> {
        Ok(Config::from_settings(&Settings::parse(yaml)?, is_replay)?.l7)
    }

    #[test]
    fn tags_of_the_request_log() {
        let yaml = "processors: {request_log: {tag_extraction: {
            tracing_tag: {x_request_id: [X_Request_ID, X_Trace], apm_trace_id: [b3]},
            custom_fields: {HTTP: [{field_name: x-tenant}], HTTP2: [{field_name: te}]},
            raw: {error_request_header: 512}}}}";
        let config = request_log_of(yaml, false).expect("a configuration");
        assert_eq!(config.trace.x_request_id, ["X_Request_ID", "X_Trace"]);
        assert_eq!(config.trace.apm_trace_id, ["b3"]);
        assert_eq!(config.trace.apm_span_id, ["traceparent", "sw8"]);
        assert_eq!(config.custom_fields.http, ["x-tenant"]);
        assert_eq!(config.custom_fields.http2, ["te"]);
        assert_eq!(config.raw.error_request_header, 512);
        assert_eq!(config.raw.error_response_payload, 256);
        for wrong in ["custom_fields: {HTTP: [x]}", "raw: {error_request_header: 16385}"] {
            let yaml = format!("processors: {{request_log: {{tag_extraction: {{{wrong}}}}}}}");
            let error = request_log_of(&yaml, false).expect_err("a wrong value");
            assert!(format!("{error:#}").contains("tag_extraction"), "{error:#}");
        }
    }

    #[test]
    fn a_replay_reads_all_and_hides_nothing_unless_it_is_told_to() {
        let live = request_log_of("", false).expect("defaults");
        assert!(live.redact_credentials && live.redacted.contains(L7Protocol::Redis));
        assert!(!live.protocols.contains(L7Protocol::Mongodb));
        let replay = request_log_of("", true).expect("defaults");
        assert_eq!(replay, l7::Config::replay());
        let yaml = "{agent: {redact_credentials: true}, processors: {request_log: {
            application_protocol_inference: {enabled_protocols: [HTTP]},
            tag_extraction: {obfuscate_protocols: [MySQL]}}}}";
        let told = request_log_of(yaml, true).expect("a configuration");
        assert!(told.redact_credentials && told.redacted.contains(L7Protocol::Mysql));
        assert!(!told.protocols.contains(L7Protocol::Redis));
    }

    #[test]
    fn calls_on_files() {
        let files = |yaml: &str| {
            let yaml = format!("inputs: {{ebpf: {{file: {{io_event: {{{yaml}}}}}}}}}");
            Ok::<_, anyhow::Error>(
                Config::from_settings(&Settings::parse(&yaml)?, false)?.sockets.files,
            )
        };
        assert_eq!(files("").expect("defaults"), FileCalls::default());
        let told =
            files("collect_mode: 2, minimal_duration: 50us, enable_virtual_file_collect: true");
        let wanted = FileCalls {
            mode: FileMode::All,
            min_duration: Duration::from_micros(50),
            virtual_files: true,
        };
        assert_eq!(told.expect("a configuration"), wanted);
        let error = files("collect_mode: 3").expect_err("no such mode");
        assert!(format!("{error:#}").contains("collect_mode"), "{error:#}");
    }

    #[test]
    fn an_unknown_protocol_is_named() {
        let yaml = "processors: {request_log: {application_protocol_inference: {enabled_protocols: [HTTQ]}}}";
        let settings = Settings::parse(yaml).expect("keys are right");
        let error = Config::from_settings(&settings, false).expect_err("protocol");
        assert!(format!("{error:#}").contains("HTTQ"), "{error:#}");
    }
}
