//! What an agent says about its host: facts, processes, its own state.

use std::net::IpAddr;

use super::WireError;
use super::bytes::{Reader, Writer};

/// Facts of a host that hold from boot to boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Name of the host.
    pub hostname: String,
    /// Kernel release, as `uname -r`.
    pub kernel: String,
    /// Machine architecture, as `uname -m`.
    pub arch: String,
    /// Name and version of the distribution; may be empty.
    pub os: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `/etc/machine-id`; may be empty.
    pub machine_id: String,
    /// Processors online.
    pub cpu_count: u32,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Network interfaces with their addresses.
    pub interfaces: Vec<NetworkInterface>,
}

/// A network interface of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInterface {
    /// Index in the kernel.
    pub index: u32,
    /// Name, as `eth0`.
    pub name: String,
    /// Hardware address; zero when there is none.
    pub mac: [u8; 6],
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// A process that started or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEvent {
    /// What happened.
    pub kind: ProcessEventKind,
    /// Process id (tgid) in the host's namespace.
    pub process_id: u32,
    /// Its parent's; 0 = not known.
    pub parent_process_id: u32,
    /// When it started. unit µs, clock: wall; with `process_id` it names the process.
    pub start_time_us: i64,
    /// When it was seen to have started or ended. unit µs, clock: wall.
    pub time_us: i64,
    /// Name as the kernel has it (`comm`).
    pub name: String,
    /// Command line, arguments parted by blanks; may be cut.
    pub command_line: String,
    /// Path of the executable; may be empty.
    pub executable: String,
    /// Id of its container; empty = none.
    pub container_id: String,
}

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEventKind {
    /// It was there, or came.
    Started,
    /// It is gone.
    Ended,
}

/// The agent's own state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentStatistics {
    /// When it was measured. unit µs, clock: wall.
    pub time_us: i64,
    /// Version of the configuration in force.
    pub configuration_version: u64,
    /// Names of `schema/metrics.toml` (with tags as in `/metrics`) and their values.
    pub metrics: Vec<(String, f64)>,
    /// What does not work and why, in words for the user.
    pub problems: Vec<String>,
}

impl ProcessEvent {
    /// Encodes a batch of events: the payload of `Signal::Processes`.
    pub fn encode_all(events: &[Self]) -> Vec<u8> {
        let mut out = Writer::default();
        for event in events {
            event.put(&mut out);
        }
        out.0
    }

    /// Decodes `count` events.
    pub fn decode_all(bytes: &[u8], count: usize) -> Result<Vec<Self>, WireError> {
        let mut reader = Reader(bytes);
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(Self::take(&mut reader)?);
        }
        Ok(events)
    }

    fn put(&self, out: &mut Writer) {
        // Length first: a reader of an older version skips fields added later.
        let mut body = Writer::default();
        body.u8(match self.kind {
            ProcessEventKind::Started => 1,
            ProcessEventKind::Ended => 2,
        });
        body.uint(self.process_id.into());
        body.uint(self.parent_process_id.into());
        body.uint(self.start_time_us as u64);
        body.uint(self.time_us as u64);
        for text in [&self.name, &self.command_line, &self.executable, &self.container_id] {
            body.text(text);
        }
        out.bytes(&body.0);
    }

    fn take(reader: &mut Reader) -> Result<Self, WireError> {
        let mut body = Reader(reader.bytes("process")?);
        let kind = match body.u8("process.kind")? {
            1 => ProcessEventKind::Started,
            2 => ProcessEventKind::Ended,
            _ => return Err(WireError::OutOfRange("process.kind")),
        };
        Ok(Self {
            kind,
            process_id: body.fit("process.process_id")?,
            parent_process_id: body.fit("process.parent_process_id")?,
            start_time_us: body.uint("process.start_time_us")? as i64,
            time_us: body.uint("process.time_us")? as i64,
            name: body.text("process.name")?,
            command_line: body.text("process.command_line")?,
            executable: body.text("process.executable")?,
            container_id: body.text("process.container_id")?,
        })
    }
}

impl HostFacts {
    pub(super) fn put(&self, out: &mut Writer) {
        for text in
            [&self.hostname, &self.kernel, &self.arch, &self.os, &self.boot_id, &self.machine_id]
        {
            out.text(text);
        }
        out.uint(self.cpu_count.into());
        out.uint(self.memory_bytes);
        out.list(&self.interfaces, |out, interface| {
            out.uint(interface.index.into());
            out.text(&interface.name);
            out.raw(&interface.mac);
            out.list(&interface.addresses, |out, address| match address {
                IpAddr::V4(v4) => out.bytes(&v4.octets()),
                IpAddr::V6(v6) => out.bytes(&v6.octets()),
            });
        });
    }

    pub(super) fn take(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            hostname: reader.text("host.hostname")?,
            kernel: reader.text("host.kernel")?,
            arch: reader.text("host.arch")?,
            os: reader.text("host.os")?,
            boot_id: reader.text("host.boot_id")?,
            machine_id: reader.text("host.machine_id")?,
            cpu_count: reader.fit("host.cpu_count")?,
            memory_bytes: reader.uint("host.memory_bytes")?,
            interfaces: reader.list("host.interfaces", |reader| {
                Ok(NetworkInterface {
                    index: reader.fit("interface.index")?,
                    name: reader.text("interface.name")?,
                    mac: reader.array("interface.mac")?,
                    addresses: reader.list("interface.addresses", take_address)?,
                })
            })?,
        })
    }
}

fn take_address(reader: &mut Reader) -> Result<IpAddr, WireError> {
    let bytes = reader.bytes("interface.address")?;
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(v4.into());
    }
    let v6 = <[u8; 16]>::try_from(bytes).map_err(|_| WireError::OutOfRange("interface.address"))?;
    Ok(v6.into())
}

impl AgentStatistics {
    pub(super) fn put(&self, out: &mut Writer) {
        out.uint(self.time_us as u64);
        out.uint(self.configuration_version);
        out.list(&self.metrics, |out, (name, value)| {
            out.text(name);
            out.f64(*value);
        });
        out.list(&self.problems, |out, text| out.text(text));
    }

    pub(super) fn take(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            time_us: reader.uint("statistics.time_us")? as i64,
            configuration_version: reader.uint("statistics.configuration_version")?,
            metrics: reader.list("statistics.metrics", |reader| {
                Ok((reader.text("metric.name")?, reader.f64("metric.value")?))
            })?,
            problems: reader.list("statistics.problems", |reader| reader.text("problem"))?,
        })
    }
}
