//! The handshake of a flow: its times by the agent's definition and by tshark.

use crate::agent::Place;
use crate::packet::{Packet, Tcp};
use crate::quantity::Quantity;
use crate::rule::Rule;

/// Handshakes that take longer give no time. unit ns
const LONGEST_NS: u64 = 30_000_000_000;

/// A time as both have it. unit µs
#[derive(Clone, Copy, Debug, Default)]
pub struct Time {
    /// tshark's.
    pub tshark_us: u64,
    /// By definition.
    pub defined_us: u64,
    /// Why they may differ.
    pub rule: Option<Rule>,
}

/// What the times are made of. Of several candidates for a rule the first one holds.
struct Handshake<'a> {
    all: &'a [&'a Packet],
    /// The client's SYNs.
    syns: Vec<&'a Packet>,
    /// The server's SYN-ACKs.
    syn_acks: Vec<&'a Packet>,
    /// The client's first pure ACK of the SYN-ACK, unless it had sent data before.
    ack: Option<&'a Packet>,
    /// The client's first segment that acknowledges the SYN-ACK, whatever else it carries.
    any_ack: Option<&'a Packet>,
    /// First data.
    data: Option<&'a Packet>,
    /// First data of the client.
    client_data: Option<&'a Packet>,
    /// First FIN or RST.
    closing: Option<&'a Packet>,
    /// A SYN of the server, or a SYN-ACK of the client.
    is_split: bool,
    /// The options of one of its segments were not captured to their end.
    is_cut: bool,
}

/// The times of a flow with this client.
pub fn times(packets: &[&Packet], client: Place) -> [(Quantity, Time); 3] {
    let shake = Handshake::new(packets, client);
    [
        (Quantity::Rtt, shake.rtt()),
        (Quantity::RttServer, shake.server()),
        (Quantity::RttClient, shake.client()),
    ]
}

fn tcp(packet: &Packet) -> &Tcp {
    packet.tcp.as_ref().expect("only segments are looked at")
}

fn micros(ns: Option<u64>) -> u64 {
    ns.map_or(0, |ns| ns / 1000)
}

/// Time between two packets, when it is one. unit ns
fn between(from: &Packet, to: &Packet) -> Option<u64> {
    let elapsed_ns = to.time_ns.checked_sub(from.time_ns)?;
    (1..=LONGEST_NS).contains(&elapsed_ns).then_some(elapsed_ns)
}

impl<'a> Handshake<'a> {
    fn new(all: &'a [&'a Packet], client: Place) -> Self {
        let mut out = Self {
            all,
            syns: Vec::new(),
            syn_acks: Vec::new(),
            ack: None,
            any_ack: None,
            data: None,
            client_data: None,
            closing: None,
            is_split: false,
            is_cut: false,
        };
        for packet in all.iter().copied().filter(|packet| packet.tcp.is_some()) {
            out.take(packet, packet.src == client);
        }
        out
    }

    fn take(&mut self, packet: &'a Packet, by_client: bool) {
        let tcp = tcp(packet);
        let is_data = packet.payload_bytes > 0;
        self.is_cut |= tcp.is(Tcp::SYN, 0) && tcp.is_cut;
        if tcp.is(Tcp::SYN | Tcp::ACK, Tcp::FIN | Tcp::RST) {
            self.is_split |= by_client;
            if !by_client {
                self.syn_acks.push(packet);
            }
        } else if tcp.is(Tcp::SYN, Tcp::FIN | Tcp::RST) {
            self.is_split |= !by_client;
            if by_client {
                self.syns.push(packet);
            }
        } else if tcp.is(Tcp::FIN, 0) || tcp.is(Tcp::RST, 0) {
            self.closing.get_or_insert(packet);
        } else if is_data {
            self.data.get_or_insert(packet);
            if by_client {
                self.client_data.get_or_insert(packet);
            }
        }
        let answers = self
            .syn_acks
            .first()
            .is_some_and(|syn_ack| by_client && self::tcp(syn_ack).seq.wrapping_add(1) == tcp.ack);
        if answers && tcp.is(Tcp::ACK, Tcp::SYN | Tcp::RST) {
            let first = *self.any_ack.get_or_insert(packet);
            self.is_cut |= self::tcp(first).is_cut;
            if !is_data && tcp.is(0, Tcp::FIN) && self.client_data.is_none() {
                self.ack.get_or_insert(packet);
            }
        }
    }

    /// The first SYN, when it came before the first SYN-ACK and is what that answers.
    fn answered(&self) -> Option<&'a Packet> {
        let (syn, syn_ack) = (*self.syns.first()?, *self.syn_acks.first()?);
        let is_answer = tcp(syn_ack).ack == tcp(syn).seq.wrapping_add(1);
        (is_answer && syn.frame < syn_ack.frame).then_some(syn)
    }

    /// The pure ACK, when nothing but the handshake came before it.
    fn undisturbed_ack(&self) -> Option<&'a Packet> {
        let is_before =
            |other: Option<&Packet>, ack: &Packet| other.is_some_and(|o| o.frame < ack.frame);
        self.ack.filter(|ack| !is_before(self.data, ack) && !is_before(self.closing, ack))
    }

    fn has_frame(&self, frame: Option<u64>) -> bool {
        frame.is_none_or(|frame| self.all.iter().any(|packet| packet.frame == frame))
    }

    /// Whether a time between two packets is none.
    fn odd_clock(&self, from: Option<&Packet>, to: Option<&Packet>) -> Option<Rule> {
        let (from, to) = (from?, to?);
        if between(from, to).is_some() {
            None
        } else if to.time_ns > from.time_ns {
            Some(Rule::LongHandshake)
        } else {
            Some(Rule::TimeRunsBack)
        }
    }

    fn rtt(&self) -> Time {
        let mut shown = self.all.iter().filter_map(|packet| packet.tcp.as_ref()?.initial_rtt_ns);
        let syn = self.answered();
        let ack = self.undisturbed_ack();
        let rule = match () {
            () if self.is_cut => Some(Rule::CutOptions),
            () if self.is_split => Some(Rule::SplitHandshake),
            () if self.syn_acks.is_empty() => Some(Rule::NoSynAck),
            () if syn.is_none() => Some(Rule::SynAfterSynAck),
            () if ack.is_none() => Some(Rule::AckWithData),
            () if self.syns.len() > 1 => Some(Rule::FirstSyn),
            () => {
                let syn_ack = self.syn_acks.first().copied();
                self.odd_clock(syn, ack)
                    .or_else(|| self.odd_clock(syn, syn_ack))
                    .or_else(|| self.odd_clock(syn_ack, ack))
            }
        };
        let defined = syn.zip(ack).and_then(|(syn, ack)| between(syn, ack));
        Time { tshark_us: micros(shown.next()), defined_us: micros(defined), rule }
    }

    fn server(&self) -> Time {
        let shown = self.syn_acks.iter().filter_map(|packet| tcp(packet).ack_rtt_ns).max();
        let asked = self.syn_acks.iter().find_map(|packet| tcp(packet).acks_frame);
        let is_early = |packet: &&&Packet| self.data.is_none_or(|d| d.frame > packet.frame);
        let syn = self.answered();
        let answers: Vec<&Packet> = syn.map_or(Vec::new(), |syn| {
            let wanted = tcp(syn).seq.wrapping_add(1);
            let early = self.syn_acks.iter().filter(is_early);
            early.filter(|packet| tcp(packet).ack == wanted).copied().collect()
        });
        let defined =
            syn.and_then(|syn| answers.iter().filter_map(|packet| between(syn, packet)).max());
        let rule = match () {
            () if self.is_cut => Some(Rule::CutOptions),
            () if self.is_split => Some(Rule::SplitHandshake),
            () if !self.has_frame(asked) => Some(Rule::FlowEnded),
            () if syn.is_none() => Some(Rule::SynAfterSynAck),
            () if answers.is_empty() => Some(Rule::AckWithData),
            () if self.syn_acks.len() > 1 => Some(Rule::EverySynAck),
            () if self.syns.len() > 1 => Some(Rule::FirstSyn),
            () => self.odd_clock(syn, answers.first().copied()),
        };
        Time { tshark_us: micros(shown), defined_us: micros(defined), rule }
    }

    fn client(&self) -> Time {
        let acknowledges = |packet: &&Packet| {
            let frame = tcp(packet).acks_frame;
            frame.is_some_and(|frame| self.syn_acks.iter().any(|s| s.frame == frame))
        };
        let shown = self.any_ack.filter(acknowledges).and_then(|packet| tcp(packet).ack_rtt_ns);
        let (syn_ack, ack) = (self.syn_acks.first().copied(), self.ack);
        let was_ended = ack.is_some_and(|ack| {
            // A FIN or RST before it, where the SYN was seen.
            !self.syns.is_empty() && self.closing.is_some_and(|end| end.frame < ack.frame)
        });
        let is_measured = !was_ended && (self.syns.is_empty() || self.answered().is_some());
        let defined = syn_ack.zip(ack).filter(|_| is_measured);
        let defined = defined.and_then(|(syn_ack, ack)| between(syn_ack, ack));
        let rule = match () {
            () if self.is_cut => Some(Rule::CutOptions),
            () if self.is_split => Some(Rule::SplitHandshake),
            () if ack.is_none() || was_ended => Some(Rule::AckWithData),
            () if !is_measured => Some(Rule::SynAfterSynAck),
            () if self.syn_acks.len() > 1 => Some(Rule::EverySynAck),
            () => self.odd_clock(syn_ack, ack),
        };
        Time { tshark_us: micros(shown), defined_us: micros(defined), rule }
    }
}
