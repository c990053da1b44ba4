//! TCP: what a connection's segments say about its health.
//!
//! Rules as DeepFlow states them; times are of the capture, so they hold for the place where the
//! packets were seen.

pub(crate) mod close;
mod seen;
pub(crate) mod state;

use wire::{TcpFlags, TcpView};

use self::seen::{Seen, Segments};
use crate::SECOND_NS;
use crate::counters::Counters;
use crate::info::Direction;

/// Handshake times above this are not handshake times.
const RTT_MAX_NS: u64 = 30 * SECOND_NS;
/// Acknowledgements later than this were not waiting for the segment.
const SRT_MAX_NS: u64 = 10 * SECOND_NS;
/// Response times above this are not responses.
const ART_MAX_NS: u64 = 30 * SECOND_NS;

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SYN alone.
    Syn,
    /// SYN with ACK.
    SynAck,
    /// Acknowledgement without payload.
    Ack,
    /// Acknowledgement with payload.
    Data,
    /// FIN, with or without payload.
    Fin,
    /// RST.
    Rst,
    /// A combination of flags that TCP does not know.
    Odd,
}

impl Kind {
    /// By flags and payload.
    pub(crate) fn of(flags: TcpFlags, payload_bytes: u32) -> Self {
        let has = |flag| flags.contains(flag);
        match (has(TcpFlags::SYN), has(TcpFlags::FIN), has(TcpFlags::RST), has(TcpFlags::ACK)) {
            (true, false, false, false) => Self::Syn,
            (true, false, false, true) => Self::SynAck,
            (false, false, true, _) => Self::Rst,
            (false, true, false, _) => Self::Fin,
            (false, false, false, true) if payload_bytes > 0 => Self::Data,
            (false, false, false, true) => Self::Ack,
            _ => Self::Odd,
        }
    }
}

/// Latency and loss of a connection. Index 0 of what is twofold is the client, 1 the server.
#[derive(Debug, Default)]
pub(crate) struct TcpPerf {
    sides: [Side; 2],
    /// A SYN was seen and no data yet: handshake times can still be taken.
    handshaking: bool,
    /// The client's handshake ACK was seen.
    acknowledged: bool,
}

/// What is remembered of one sender.
#[derive(Debug, Default)]
struct Side {
    segments: Segments,
    /// Time of its last segment, FIN and RST apart.
    last_ns: u64,
    /// Time of its last new data.
    data_ns: u64,
    /// Time of its first SYN or SYN-ACK; 0 = not seen.
    opened_ns: u64,
    /// Acknowledgement that its SYN or SYN-ACK asks for.
    opening_ack: Option<u32>,
    /// Sequence after its last segment.
    next_seq: Option<u32>,
    /// Highest sequence it has sent, for keep-alives.
    end_seq: Option<u32>,
    /// Sequence after its last new data.
    data_end: u32,
    /// Payload of its last segment, 1 for a SYN. unit byte
    last_bytes: u32,
    syn_sent: bool,
    syn_ack_sent: bool,
    /// Its SYN came before the SYN-ACK.
    syn_first: bool,
    /// Its next data follows the handshake ACK.
    handshake_ack: bool,
    srt_armed: bool,
    art_armed: bool,
}

/// What a segment was, for the flow and for those who read payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// All of it had been seen before.
    pub(crate) retransmitted: bool,
    /// It only keeps the connection alive.
    pub(crate) keepalive: bool,
}

impl TcpPerf {
    /// Takes a segment and counts it.
    pub(crate) fn on_segment(
        &mut self,
        time_ns: u64,
        direction: Direction,
        tcp: &TcpView<'_>,
        payload_bytes: u32,
        counters: &mut Counters,
    ) -> Verdict {
        let sender = direction.sender();
        let keepalive = self.sides[sender].is_keepalive(tcp, payload_bytes);
        let kind = match Kind::of(tcp.flags, payload_bytes) {
            Kind::Data if keepalive => Kind::Ack,
            kind => kind,
        };
        if kind != Kind::Rst && tcp.window == 0 {
            // A scaled window is 0 exactly when the field is.
            *of(sender, &mut counters.zero_win_tx, &mut counters.zero_win_rx) += 1;
        }
        let retransmitted = match kind {
            Kind::Syn => self.on_syn(time_ns, sender, tcp, payload_bytes, counters),
            Kind::SynAck => self.on_syn_ack(time_ns, sender, tcp, counters),
            Kind::Ack => {
                self.on_ack(time_ns, sender, tcp, counters);
                false
            }
            Kind::Data => self.on_data(time_ns, sender, tcp, payload_bytes, counters),
            Kind::Fin => {
                counters.fin_count += 1;
                self.disarm();
                self.insert(sender, tcp.seq, payload_bytes, counters) == Seen::Before
            }
            Kind::Rst | Kind::Odd => {
                self.disarm();
                false
            }
        };
        if !matches!(kind, Kind::Fin | Kind::Rst | Kind::Odd) {
            self.sides[sender].remember(time_ns, kind, tcp, payload_bytes);
        }
        Verdict { retransmitted, keepalive: keepalive && kind == Kind::Ack }
    }

    /// Exchanges client and server.
    pub(crate) fn reverse(&mut self) {
        self.sides.swap(CLIENT, SERVER);
    }

    fn on_syn(
        &mut self,
        time_ns: u64,
        sender: usize,
        tcp: &TcpView<'_>,
        payload_bytes: u32,
        counters: &mut Counters,
    ) -> bool {
        counters.syn_count += 1;
        let side = &mut self.sides[sender];
        if side.opening_ack.is_none() {
            side.opening_ack = Some(tcp.seq.wrapping_add(1));
            side.opened_ns = time_ns;
            self.handshaking = true;
        }
        if payload_bytes > 0 {
            // Data that came early (RFC 7413): without the server's consent it is sent once more.
            side.segments.insert(tcp.seq.wrapping_add(1), payload_bytes);
        }
        let again = std::mem::replace(&mut side.syn_sent, true);
        if again {
            counters.retrans_syn += 1;
            *of(sender, &mut counters.retrans_tx, &mut counters.retrans_rx) += 1;
        }
        self.disarm_latency();
        again
    }

    fn on_syn_ack(
        &mut self,
        time_ns: u64,
        sender: usize,
        tcp: &TcpView<'_>,
        counters: &mut Counters,
    ) -> bool {
        counters.synack_count += 1;
        let (side, peer) = self.pair(sender);
        let again = std::mem::replace(&mut side.syn_ack_sent, true);
        if again {
            counters.retrans_synack += 1;
            *of(sender, &mut counters.retrans_tx, &mut counters.retrans_rx) += 1;
        } else {
            side.opened_ns = time_ns;
            side.opening_ack = Some(tcp.seq.wrapping_add(1));
            if peer.opening_ack.is_some() {
                peer.syn_first = true;
            } else {
                // A SYN that comes now was overtaken: its time says nothing.
                peer.opening_ack = Some(tcp.ack);
            }
        }
        let asked_ns = peer.opened_ns;
        if peer.opening_ack == Some(tcp.ack) && asked_ns != 0 && self.handshaking {
            sample(time_ns, asked_ns, RTT_MAX_NS, |rtt| counters.rtt_server.add(rtt));
        }
        self.disarm_latency();
        again
    }

    fn on_ack(&mut self, time_ns: u64, sender: usize, tcp: &TcpView<'_>, counters: &mut Counters) {
        let (handshaking, acknowledged) = (self.handshaking, self.acknowledged);
        let (side, peer) = self.pair(sender);
        if sender == CLIENT && peer.syn_ack_sent && peer.opening_ack == Some(tcp.ack) {
            side.handshake_ack = true;
            if !acknowledged {
                if side.syn_first && handshaking {
                    sample(time_ns, side.opened_ns, RTT_MAX_NS, |rtt| counters.rtt.add(rtt));
                }
                if side.syn_first || !side.syn_sent {
                    let answered_ns = peer.opened_ns;
                    sample(time_ns, answered_ns, RTT_MAX_NS, |rtt| counters.rtt_client.add(rtt));
                }
            }
            self.acknowledged = true;
            return;
        }
        if side.srt_armed && tcp.ack == peer.data_end {
            side.srt_armed = false;
            if sender == SERVER {
                sample(time_ns, peer.data_ns, SRT_MAX_NS, |srt| counters.srt.add(srt));
            }
        }
    }

    fn on_data(
        &mut self,
        time_ns: u64,
        sender: usize,
        tcp: &TcpView<'_>,
        payload_bytes: u32,
        counters: &mut Counters,
    ) -> bool {
        self.handshaking = false;
        let seen = self.insert(sender, tcp.seq, payload_bytes, counters);
        if matches!(seen, Seen::Before | Seen::Overlapping) {
            self.disarm_latency();
            return seen == Seen::Before;
        }
        let (side, peer) = self.pair(sender);
        if sender == CLIENT && payload_bytes > 1 {
            // One byte may be a heartbeat.
            if std::mem::take(&mut side.handshake_ack) {
                let idle_since_ns = side.last_ns.max(peer.last_ns);
                counters.cit.add(time_ns.saturating_sub(idle_since_ns));
            } else if peer.last_bytes > 1 && (side.last_bytes <= 1 || peer.last_ns > side.last_ns) {
                counters.cit.add(time_ns.saturating_sub(peer.last_ns));
            }
        }
        if side.art_armed && sender == SERVER && side.next_seq == Some(tcp.seq) {
            sample(time_ns, peer.data_ns, ART_MAX_NS, |art| counters.art.add(art));
        }
        (side.srt_armed, side.art_armed) = (false, false);
        (peer.srt_armed, peer.art_armed) = (true, true);
        side.data_ns = time_ns;
        side.data_end = tcp.seq.wrapping_add(payload_bytes);
        false
    }

    /// Enters payload into what was seen of the sender, and counts what that tells.
    fn insert(
        &mut self,
        sender: usize,
        seq: u32,
        payload_bytes: u32,
        counters: &mut Counters,
    ) -> Seen {
        if payload_bytes == 0 {
            return Seen::New;
        }
        let seen = self.sides[sender].segments.insert(seq, payload_bytes);
        match seen {
            Seen::Before => *of(sender, &mut counters.retrans_tx, &mut counters.retrans_rx) += 1,
            Seen::Filling => *of(sender, &mut counters.ooo_tx, &mut counters.ooo_rx) += 1,
            Seen::New | Seen::Overlapping => {}
        }
        seen
    }

    fn pair(&mut self, sender: usize) -> (&mut Side, &mut Side) {
        let [client, server] = &mut self.sides;
        if sender == CLIENT { (client, server) } else { (server, client) }
    }

    /// No latency may be taken from what was seen so far.
    fn disarm(&mut self) {
        self.disarm_latency();
        for side in &mut self.sides {
            side.syn_first = false;
        }
    }

    fn disarm_latency(&mut self) {
        for side in &mut self.sides {
            side.srt_armed = false;
            side.art_armed = false;
        }
    }
}

impl Side {
    /// RFC 9293 §3.8.4: at most one byte, one before the next to send.
    fn is_keepalive(&self, tcp: &TcpView<'_>, payload_bytes: u32) -> bool {
        payload_bytes <= 1
            && !tcp.flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST)
            && tcp.flags.contains(TcpFlags::ACK)
            && self.end_seq == Some(tcp.seq.wrapping_add(1))
    }

    fn remember(&mut self, time_ns: u64, kind: Kind, tcp: &TcpView<'_>, payload_bytes: u32) {
        let is_syn = matches!(kind, Kind::Syn | Kind::SynAck);
        self.last_ns = self.last_ns.max(time_ns);
        self.last_bytes = if is_syn { 1 } else { payload_bytes };
        let next = tcp.seq.wrapping_add(self.last_bytes);
        self.next_seq = Some(next);
        let is_later = |end: u32| next.wrapping_sub(end) as i32 > 0;
        if is_syn || self.end_seq.is_none_or(is_later) {
            self.end_seq = Some(next);
        }
    }
}

/// The counter of the sender.
fn of<'a>(sender: usize, tx: &'a mut u32, rx: &'a mut u32) -> &'a mut u32 {
    if sender == CLIENT { tx } else { rx }
}

/// Gives the time since `since_ns` to `add`, when it is one: known, not 0, not above the limit.
fn sample(time_ns: u64, since_ns: u64, max_ns: u64, add: impl FnOnce(u64)) {
    let elapsed_ns = time_ns.saturating_sub(since_ns);
    if since_ns != 0 && (1..=max_ns).contains(&elapsed_ns) {
        add(elapsed_ns);
    }
}
