//! One capture compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::agent::{self, Flow, Replay};
use crate::context::Context;
use crate::flow::{assign, fill_ports};
use crate::judge::{Finding, judge};
use crate::packet::{self, NoPacket, Packet};
use crate::tshark;

/// What came of a capture.
#[derive(Debug)]
pub struct Compared {
    /// The file.
    pub path: PathBuf,
    /// Frames that tshark reads.
    pub frames: usize,
    /// Packets of flows among them.
    pub packets: usize,
    /// Flows of the agent.
    pub flows: usize,
    /// Frames that give no packet, by reason.
    pub none: BTreeMap<NoPacket, usize>,
    /// Every quantity of every flow.
    pub findings: Vec<(String, Finding)>,
    /// Differences that no rule explains, in words.
    pub unexplained: Vec<String>,
}

/// A capture, or why it cannot be compared.
pub type Outcome = std::result::Result<Compared, (PathBuf, String)>;

/// Compares a capture. One that the agent cannot read, or in which tshark reads nothing, is an
/// outcome; a program that fails is an error.
pub fn compare(agent: &Path, path: &Path) -> Result<Outcome> {
    let frames = tshark::read(path)?;
    let replay = agent::replay(agent, path)?;
    if frames.is_empty() {
        return Ok(Err((path.to_owned(), "tshark reads no frame".to_owned())));
    }
    if let Some(why) = replay.damage.as_deref().and_then(unreadable) {
        return Ok(Err((path.to_owned(), why)));
    }
    let (mut packets, mut none) = (Vec::new(), BTreeMap::new());
    for frame in &frames {
        match packet::read(frame) {
            Ok(packet) => packets.push(packet),
            Err(why) => *none.entry(why).or_default() += 1,
        }
    }
    fill_ports(&mut packets);
    let mut out = Compared {
        path: path.to_owned(),
        frames: frames.len(),
        packets: packets.len(),
        flows: replay.flows.len(),
        none,
        findings: Vec::new(),
        unexplained: Vec::new(),
    };
    out.judge(&packets, &replay);
    Ok(Ok(out))
}

/// The agent's word for a kind of file that it does not read at all.
fn unreadable(damage: &str) -> Option<String> {
    let (_, number) = damage.split_once("link type ")?;
    let number = number.split(' ').next()?;
    Some(format!("link type {number} is not read"))
}

impl Compared {
    fn judge(&mut self, packets: &[Packet], replay: &Replay) {
        let assigned = assign(packets, &replay.flows);
        let context = Context::new(packets);
        for at in &assigned.of_none {
            let packet = &packets[*at];
            self.unexplained.push(format!(
                "frame {}: the agent has no flow for protocol {} from {:?} to {:?}",
                packet.frame, packet.protocol, packet.src, packet.dst
            ));
        }
        for (flow, of) in replay.flows.iter().zip(&assigned.of_flow) {
            let of: Vec<&Packet> = of.iter().map(|at| &packets[*at]).collect();
            for finding in judge(flow, &of, &context) {
                if !finding.is_explained() {
                    let text = describe(flow, &finding, of.first().map_or(0, |p| p.frame));
                    self.unexplained.push(text);
                }
                self.findings.push((name(flow), finding));
            }
        }
    }
}

fn name(flow: &Flow) -> String {
    let ((a, a_port), (b, b_port), protocol) = flow.key;
    format!("{a} {a_port} – {b} {b_port}, protocol {protocol}")
}

fn describe(flow: &Flow, finding: &Finding, first_frame: u64) -> String {
    let Finding { quantity, side, tshark, agent, rules, frames } = finding;
    format!(
        "{}, from frame {first_frame}: {quantity:?} of side {side} is {agent}, tshark {tshark}, \
         rules {rules:?}, frames {frames:?}",
        name(flow)
    )
}
