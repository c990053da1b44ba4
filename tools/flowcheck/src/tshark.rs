//! What tshark reads in a capture: one line of fields for each frame.
//!
//! In: a capture file. Out: frames with the values that tshark printed, where a field that occurs
//! in several layers has several. Never: a judgement.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Fields asked for. Those of a layer come in the order of the layers.
pub const FIELDS: [&str; 66] = [
    "frame.number",
    "frame.interface_id",
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.id",
    "ip.len",
    "ip.hdr_len",
    "ip.flags.mf",
    "ip.frag_offset",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.plen",
    "ipv6.hopopts.nxt",
    "ipv6.dstopts.nxt",
    "ipv6.routing.nxt",
    "ipv6.hopopts.len_oct",
    "ipv6.dstopts.len_oct",
    "ipv6.routing.len_oct",
    "ah.length",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.more",
    "ipv6.fraghdr.ident",
    "ah.next_header",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.stream",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.len",
    "tcp.hdr_len",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.analysis.retransmission",
    "tcp.analysis.fast_retransmission",
    "tcp.analysis.spurious_retransmission",
    "tcp.analysis.out_of_order",
    "tcp.analysis.keep_alive",
    "tcp.analysis.zero_window_probe",
    "tcp.analysis.zero_window",
    "tcp.analysis.lost_segment",
    "tcp.analysis.reused_ports",
    "tcp.analysis.initial_rtt",
    "tcp.analysis.ack_rtt",
    "tcp.analysis.acks_frame",
    "vxlan.flags",
    "vxlan.vni",
    "geneve.vni",
    "geneve.proto_type",
    "nsh.spi",
    "tcp.urgent_pointer",
    "tcp.options",
    "mpls.label",
    "sll.pkttype",
    "udp.checksum",
    "icmp.type",
    "sll.ifindex",
];

/// One frame.
#[derive(Debug)]
pub struct Frame {
    values: Vec<Vec<String>>,
}

impl Frame {
    /// Every value of a field.
    pub fn all(&self, field: &str) -> &[String] {
        let at = FIELDS.iter().position(|name| *name == field);
        at.and_then(|at| self.values.get(at)).map_or(&[], Vec::as_slice)
    }

    /// The value of a field in the layer of this index.
    pub fn at(&self, field: &str, index: usize) -> Option<&str> {
        self.all(field).get(index).map(String::as_str)
    }

    /// Whether a field occurs.
    pub fn has(&self, field: &str) -> bool {
        !self.all(field).is_empty()
    }

    /// The number of a field in the layer of this index; `0x` leads a hexadecimal one.
    pub fn number(&self, field: &str, index: usize) -> Option<u64> {
        number(self.at(field, index)?)
    }
}

impl Frame {
    /// The interface it was captured on: by the frame itself, else by the file.
    pub fn interface(&self) -> u64 {
        let told = self.number("sll.ifindex", 0);
        told.or_else(|| self.number("frame.interface_id", 0)).unwrap_or(0)
    }
}

fn number(text: &str) -> Option<u64> {
    match (text.strip_prefix("0x"), text) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (None, "True") => Some(1),
        (None, "False") => Some(0),
        (None, text) => text.parse().ok(),
    }
}

/// Nanoseconds of a decimal number of seconds.
pub fn nanos(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<9}");
    let nanos: u64 = part.get(..9)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Whether there is a tshark here.
pub fn is_here() -> bool {
    Command::new("tshark").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Reads a capture. Fragments and streams stay as they were captured; numbers are absolute. A
/// capture that is cut off gives the frames before the end. tshark takes what several interfaces
/// captured of a connection for one; so each of them is analysed once more apart.
pub fn read(capture: &Path) -> Result<Vec<Frame>> {
    let fields: Vec<&str> = FIELDS.iter().flat_map(|field| ["-e", *field]).collect();
    let read = |file: &Path| -> Result<Vec<Frame>> {
        Ok(run(file, &fields)?.lines().map(frame).collect())
    };
    let mut frames = read(capture)?;
    for interface in shared(&frames) {
        let folder = tempfile::tempdir()?;
        let part = folder.path().join("part");
        let filter = filter(interface);
        let mut command = tshark(capture);
        command.arg("-w").arg(&part).args(["-Y", &filter]);
        command.output().context("failed to start tshark")?;
        take_analysis(&mut frames, interface, read(&part)?);
    }
    Ok(frames)
}

/// Takes over what tshark says of the segments of one interface in a capture of that alone, where
/// frames and connections have other numbers.
fn take_analysis(frames: &mut [Frame], interface: u64, alone: Vec<Frame>) {
    let own = frames.iter_mut().filter(|frame| frame.interface() == interface);
    let own: Vec<&mut Frame> = own.collect();
    let numbers: Vec<String> =
        own.iter().map(|frame| frame.at("frame.number", 0).unwrap_or("").to_owned()).collect();
    for (frame, alone) in own.into_iter().zip(alone) {
        for (at, (field, values)) in FIELDS.iter().zip(alone.values).enumerate() {
            let renumbered = |text: &String| match *field {
                "tcp.stream" => Some(format!("{interface}{text:0>9}")),
                _ => numbers.get(text.parse::<usize>().ok()?.checked_sub(1)?).cloned(),
            };
            match *field {
                "tcp.stream" | "tcp.analysis.acks_frame" => {
                    frame.values[at] = values.iter().filter_map(renumbered).collect();
                }
                field if field.starts_with("tcp.analysis.") => frame.values[at] = values,
                _ => {}
            }
        }
    }
}

fn filter(interface: u64) -> String {
    format!("sll.ifindex == {interface} || (!sll.ifindex && frame.interface_id == {interface})")
}

/// Interfaces on which a connection was captured that was captured on another one, too.
fn shared(frames: &[Frame]) -> BTreeSet<u64> {
    let mut of_stream: HashMap<u64, BTreeSet<u64>> = HashMap::new();
    for frame in frames {
        if let Some(stream) = frame.number("tcp.stream", 0) {
            of_stream.entry(stream).or_default().insert(frame.interface());
        }
    }
    of_stream.into_values().filter(|interfaces| interfaces.len() > 1).flatten().collect()
}

/// Runs tshark with these words; of a capture that is cut off what stands before the end.
fn run(capture: &Path, words: &[&str]) -> Result<String> {
    let mut command = tshark(capture);
    command.args(["-T", "fields"]);
    command.args(["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"]);
    let output = command.args(words).output().context("failed to start tshark")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command that reads a capture.
fn tshark(capture: &Path) -> Command {
    const OPTIONS: [&str; 8] = [
        "ip.defragment:FALSE",
        "ipv6.defragment:FALSE",
        "ip.tso_support:TRUE",
        "ipv6.tso_support:TRUE",
        "tcp.desegment_tcp_streams:FALSE",
        "tcp.analyze_sequence_numbers:TRUE",
        "tcp.relative_sequence_numbers:FALSE",
        "tcp.ignore_tcp_timestamps:TRUE",
    ];
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(capture);
    // Linux's port of VXLAN before there was one assigned.
    command.args(["-d", "udp.port==8472,vxlan"]);
    for option in OPTIONS {
        command.args(["-o", option]);
    }
    command
}

fn frame(line: &str) -> Frame {
    let split = |cell: &str| cell.split('|').map(str::to_owned).collect();
    let cells = line.split('\t').map(|cell| if cell.is_empty() { Vec::new() } else { split(cell) });
    Frame { values: cells.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_name_and_layer() {
        let mut cells = vec![String::new(); FIELDS.len()];
        cells[0] = "7".to_owned();
        cells[6] = "10.0.0.1|10.0.0.2".to_owned();
        cells[9] = "0x0010|5".to_owned();
        let frame = frame(&cells.join("\t"));
        assert_eq!(frame.number("frame.number", 0), Some(7));
        assert_eq!(frame.at("ip.src", 1), Some("10.0.0.2"));
        assert_eq!((frame.number("ip.id", 0), frame.number("ip.id", 1)), (Some(16), Some(5)));
        assert!(!frame.has("tcp.stream") && frame.number("ip.id", 2).is_none());
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(nanos("1533089324.835178000"), Some(1_533_089_324_835_178_000));
        assert_eq!(nanos("0.01"), Some(10_000_000));
        assert_eq!((nanos("3"), nanos("-1.5"), nanos("")), (Some(3_000_000_000), None, None));
    }
}
