//! The quantities of a flow by tshark's fields, and what each rule adds to them.

use std::collections::{BTreeMap, HashMap};

use crate::agent::{Flow, key};
use crate::context::Context;
use crate::handshake;
use crate::packet::{Packet, Tcp};
use crate::quantity::{Quantity, Sides};
use crate::rule::Rule;
use crate::segment::{Class, Judged, Sender};

/// The greatest length of a frame that tshark tells. unit byte
const LONGEST_FRAME: u64 = 0x7fff_ffff;

/// One quantity of one side of a flow.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which.
    pub quantity: Quantity,
    /// Side.
    pub side: usize,
    /// tshark's value.
    pub tshark: i64,
    /// The agent's value.
    pub agent: i64,
    /// What each rule adds to tshark's value.
    pub rules: BTreeMap<Rule, i64>,
    /// Frames on which definition and tshark differ without a rule.
    pub frames: Vec<u64>,
}

impl Finding {
    /// Whether both are the same, without any rule.
    pub fn is_equal(&self) -> bool {
        self.tshark == self.agent && self.rules.is_empty()
    }

    /// Whether the rules say what the agent says, and leave no frame out.
    pub fn is_explained(&self) -> bool {
        self.frames.is_empty() && self.tshark + self.rules.values().sum::<i64>() == self.agent
    }
}

/// Compares a flow with its packets.
pub fn judge(flow: &Flow, packets: &[&Packet], context: &Context) -> Vec<Finding> {
    let mut sums = Sums::default();
    let mut senders = [Sender::default(), Sender::default()];
    for packet in packets {
        let (_, side) = key(packet.src, packet.dst, packet.protocol);
        sums.volume(packet, side);
        if let Some(tcp) = &packet.tcp {
            sums.flags(tcp, side);
            let judged = senders[side].take(packet, tcp);
            sums.order(packet, tcp, side, judged, &senders[side], context);
        }
    }
    let client = if flow.client == 0 { flow.key.0 } else { flow.key.1 };
    sums.times(packets, client);
    sums.findings(flow)
}

/// The sums of a flow, by quantity and side.
#[derive(Default)]
struct Sums {
    tshark: HashMap<Quantity, Sides>,
    rules: HashMap<(Quantity, usize), BTreeMap<Rule, i64>>,
    frames: HashMap<(Quantity, usize), Vec<u64>>,
    /// A frame is as long as tshark's numbers go.
    is_clamped: bool,
}

impl Sums {
    fn add(&mut self, quantity: Quantity, side: usize, value: i64) {
        let side = if quantity.is_sided() { side } else { 0 };
        self.tshark.entry(quantity).or_default()[side] += value;
    }

    /// Enters a difference on one frame, `None` where nothing explains it.
    fn differ(&mut self, quantity: Quantity, side: usize, frame: u64, rule: Option<Rule>, by: i64) {
        let side = if quantity.is_sided() { side } else { 0 };
        match rule {
            Some(rule) => {
                let sum = self.rules.entry((quantity, side)).or_default().entry(rule).or_default();
                *sum += by;
            }
            None => self.frames.entry((quantity, side)).or_default().push(frame),
        }
    }

    fn volume(&mut self, packet: &Packet, side: usize) {
        self.add(Quantity::Packets, side, 1);
        self.add(Quantity::Bytes, side, packet.bytes as i64);
        self.is_clamped |= packet.bytes == LONGEST_FRAME;
        let shown = packet.tcp.as_ref().map_or(packet.payload_bytes, |tcp| tcp.payload_bytes);
        self.add(Quantity::PayloadBytes, side, shown as i64);
        let more = packet.payload_bytes as i64 - shown as i64;
        if more != 0 {
            self.differ(Quantity::PayloadBytes, side, packet.frame, Some(Rule::IpLength), more);
        }
    }

    fn flags(&mut self, tcp: &Tcp, side: usize) {
        let counts = [
            (Quantity::Syn, tcp.is(Tcp::SYN, Tcp::ACK | Tcp::FIN | Tcp::RST)),
            (Quantity::SynAck, tcp.is(Tcp::SYN | Tcp::ACK, Tcp::FIN | Tcp::RST)),
            (Quantity::Fin, tcp.is(Tcp::FIN, Tcp::SYN | Tcp::RST)),
            (Quantity::ZeroWindow, tcp.zero_window),
        ];
        for (quantity, counts) in counts {
            self.add(quantity, side, counts.into());
        }
        if tcp.window == 0 && tcp.is(0, Tcp::RST) && !tcp.zero_window {
            self.differ(Quantity::ZeroWindow, side, 0, Some(Rule::SynWindow), 1);
        }
    }

    fn order(
        &mut self,
        packet: &Packet,
        tcp: &Tcp,
        side: usize,
        judged: Judged,
        sender: &Sender,
        context: &Context,
    ) {
        let mut quantities = vec![Quantity::Retransmissions];
        if tcp.is(Tcp::SYN, Tcp::FIN | Tcp::RST) {
            let is_answer = tcp.is(Tcp::ACK, 0);
            quantities.push(if is_answer { Quantity::RetransSynAck } else { Quantity::RetransSyn });
        }
        let limited = Some(sender.why_limited());
        let is_again = |class| class == Class::Again;
        let (exact, defined) = (is_again(judged.exact), is_again(judged.defined));
        for quantity in quantities {
            self.add(quantity, side, tcp.retransmission.into());
            if exact != tcp.retransmission {
                let rule = sender.why_again(packet, tcp, judged, context);
                let by = i64::from(exact) - i64::from(tcp.retransmission);
                self.differ(quantity, side, packet.frame, rule, by);
            }
            if defined != exact {
                let by = i64::from(defined) - i64::from(exact);
                self.differ(quantity, side, packet.frame, limited, by);
            }
        }
        let is_late = |class| class == Class::Late;
        let (exact, defined) = (is_late(judged.exact), is_late(judged.defined));
        self.add(Quantity::OutOfOrder, side, tcp.out_of_order.into());
        if exact != tcp.out_of_order {
            let rule = sender.why_late(packet, tcp, judged);
            let by = i64::from(exact) - i64::from(tcp.out_of_order);
            self.differ(Quantity::OutOfOrder, side, packet.frame, rule, by);
        }
        if defined != exact {
            let by = i64::from(defined) - i64::from(exact);
            self.differ(Quantity::OutOfOrder, side, packet.frame, limited, by);
        }
    }

    fn times(&mut self, packets: &[&Packet], client: crate::agent::Place) {
        for (quantity, time) in handshake::times(packets, client) {
            self.add(quantity, 0, time.tshark_us as i64);
            let by = time.defined_us as i64 - time.tshark_us as i64;
            if by != 0 {
                self.differ(quantity, 0, 0, time.rule, by);
            }
        }
    }

    fn findings(mut self, flow: &Flow) -> Vec<Finding> {
        let mut out = Vec::new();
        for quantity in Quantity::ALL {
            let agent = flow.sums.get(&quantity).copied().unwrap_or_default();
            let tshark = self.tshark.get(&quantity).copied().unwrap_or_default();
            let sides = if quantity.is_sided() { 0..2 } else { 0..1 };
            for side in sides {
                let place = (quantity, side);
                let by = agent[side] - tshark[side];
                if quantity == Quantity::Bytes && self.is_clamped && by > 0 {
                    self.differ(quantity, side, 0, Some(Rule::LongFrame), by);
                }
                out.push(Finding {
                    quantity,
                    side,
                    tshark: tshark[side],
                    agent: agent[side],
                    rules: self.rules.remove(&place).unwrap_or_default(),
                    frames: self.frames.remove(&place).unwrap_or_default(),
                });
            }
        }
        out
    }
}
