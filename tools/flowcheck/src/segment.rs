//! What each segment of a flow is, by the agent's definition, and why tshark says otherwise.

use crate::bytes::{Defined, Exact, Seen};
use crate::context::{Context, Earlier};
use crate::packet::{Packet, Tcp};
use crate::rule::Rule;

/// What a segment counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Sent again.
    Again,
    /// Out of order.
    Late,
    /// Sent again in part.
    Partly,
    /// Neither.
    Other,
}

impl From<Seen> for Class {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::New => Self::Other,
            Seen::Hole => Self::Late,
            Seen::Partly => Self::Partly,
            Seen::Before => Self::Again,
        }
    }
}

/// One sender of a flow.
#[derive(Debug, Default)]
pub struct Sender {
    exact: Exact,
    defined: Defined,
    /// Numbers of its last SYN and SYN-ACK.
    syn: Option<u32>,
    syn_ack: Option<u32>,
    /// Highest number that the definition goes by for keep-alives.
    end: Option<u32>,
    /// Highest number of any segment.
    highest: Option<u32>,
    /// Whether tshark sees other lengths than the IP headers tell.
    is_cut: bool,
}

/// A segment judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// With every byte known.
    pub exact: Class,
    /// With the definition's limits.
    pub defined: Class,
    /// It is below a number that its sender had used.
    pub is_below: bool,
    /// A SYN or SYN-ACK with another number than the one before.
    pub has_other_number: bool,
}

impl Sender {
    /// Takes the next segment.
    pub fn take(&mut self, packet: &Packet, tcp: &Tcp) -> Judged {
        let is_below = self.highest.is_some_and(|highest| is_less(tcp.seq, highest));
        let opened = if tcp.is(Tcp::ACK, 0) { self.syn_ack } else { self.syn };
        let has_other_number =
            tcp.is(Tcp::SYN, Tcp::FIN | Tcp::RST) && opened.is_some_and(|seq| seq != tcp.seq);
        let (exact, defined) = self.judge(packet, tcp);
        let flags = u32::from(tcp.is(Tcp::SYN, 0)) + u32::from(tcp.is(Tcp::FIN, 0));
        let end = tcp.seq.wrapping_add(packet.payload_bytes as u32).wrapping_add(flags);
        if self.highest.is_none_or(|highest| is_less(highest, end)) {
            self.highest = Some(end);
        }
        self.is_cut |= packet.payload_bytes != tcp.payload_bytes;
        Judged { exact, defined, is_below, has_other_number }
    }

    fn judge(&mut self, packet: &Packet, tcp: &Tcp) -> (Class, Class) {
        let len = packet.payload_bytes;
        let none = (Class::Other, Class::Other);
        if tcp.is(Tcp::SYN, Tcp::FIN | Tcp::RST) {
            let next = tcp.seq.wrapping_add(1);
            self.end = Some(next);
            if len > 0 {
                self.exact.insert(next, len);
                self.defined.insert(next, len);
            }
            let sent = if tcp.is(Tcp::ACK, 0) { &mut self.syn_ack } else { &mut self.syn };
            let class = if sent.replace(tcp.seq).is_some() { Class::Again } else { Class::Other };
            return (class, class);
        }
        let is_stream =
            tcp.is(Tcp::FIN, Tcp::SYN | Tcp::RST) || tcp.is(Tcp::ACK, Tcp::SYN | Tcp::RST);
        if !is_stream {
            return none;
        }
        let is_keepalive =
            len <= 1 && tcp.is(Tcp::ACK, Tcp::FIN) && self.end == Some(tcp.seq.wrapping_add(1));
        let end = tcp.seq.wrapping_add(len as u32);
        if tcp.is(0, Tcp::FIN) && self.end.is_none_or(|old| is_less(old, end)) {
            self.end = Some(end);
        }
        if len == 0 || is_keepalive {
            return none;
        }
        (self.exact.insert(tcp.seq, len).into(), self.defined.insert(tcp.seq, len).into())
    }

    /// Why tshark and the exact definition differ on whether a segment was sent again.
    pub fn why_again(
        &self,
        packet: &Packet,
        tcp: &Tcp,
        judged: Judged,
        context: &Context,
    ) -> Option<Rule> {
        let has_data = packet.payload_bytes > 0;
        if tcp.retransmission {
            return match (judged.exact, context.earlier(packet)) {
                (Class::Partly, _) => Some(Rule::PartlyNew),
                _ if tcp.is(Tcp::RST, 0) => Some(Rule::ResetWithData),
                _ if !has_data && tcp.is(Tcp::FIN, 0) => Some(Rule::EmptyFin),
                (_, Some(Earlier::SameNetwork)) => Some(Rule::FlowEnded),
                (_, Some(Earlier::OtherNetwork)) => Some(Rule::OtherNetwork),
                _ if self.is_cut => Some(Rule::IpLength),
                _ if has_data && tcp.spurious && !judged.is_below => Some(Rule::AcknowledgedBefore),
                (Class::Late, _) => Some(Rule::FilledHole),
                (Class::Other, _) if has_data && judged.is_below => Some(Rule::FilledHole),
                _ => None,
            };
        }
        match () {
            () if tcp.out_of_order => Some(Rule::SeenBefore),
            () if tcp.zero_window_probe => Some(Rule::ZeroWindowProbe),
            () if tcp.keep_alive => Some(Rule::KeepAlive),
            () if packet.fragment.is_some() => Some(Rule::Fragment),
            () if tcp.is_cut => Some(Rule::CutOptions),
            () if judged.has_other_number => Some(Rule::OtherNumber),
            () if self.is_cut => Some(Rule::IpLength),
            () => None,
        }
    }

    /// Why tshark and the exact definition differ on whether a segment was out of order.
    pub fn why_late(&self, packet: &Packet, tcp: &Tcp, judged: Judged) -> Option<Rule> {
        if tcp.out_of_order {
            return match judged.exact {
                Class::Again => Some(Rule::SeenBefore),
                Class::Partly => Some(Rule::PartlyNew),
                _ if packet.payload_bytes == 0 && tcp.is(Tcp::FIN, 0) => Some(Rule::EmptyFin),
                _ if tcp.is(Tcp::RST, 0) => Some(Rule::ResetWithData),
                _ if self.is_cut => Some(Rule::IpLength),
                _ if judged.is_below => Some(Rule::FilledHole),
                _ => None,
            };
        }
        match () {
            () if tcp.retransmission => Some(Rule::FilledHole),
            () if packet.fragment.is_some() => Some(Rule::Fragment),
            () if tcp.is_cut => Some(Rule::CutOptions),
            () if self.is_cut => Some(Rule::IpLength),
            () => None,
        }
    }

    /// Why the exact definition and the one with limits differ.
    pub fn why_limited(&self) -> Rule {
        if self.defined.has_wrapped { Rule::WrapAround } else { Rule::SixteenRanges }
    }
}

/// Whether a sequence number is below another.
fn is_less(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}
