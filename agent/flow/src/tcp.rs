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
use crate::info::Direction;
use crate::tally::Count;

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

/// What is remembered of one sender. There are as many as flows, twice: it is kept small.
#[derive(Debug, Default)]
struct Side {
    segments: Segments,
    /// Time of its last segment, FIN and RST apart.
    last_ns: u64,
    /// Time of its last new data; known with [`Mark::HasData`].
    data_ns: u64,
    /// Time of its first SYN or SYN-ACK; known with [`Mark::Opened`].
    opened_ns: u64,
    /// Acknowledgement that its SYN or SYN-ACK asks for; known with [`Mark::OpeningKnown`].
    opening_ack: u32,
    /// Sequence after its last segment; known with [`Mark::HasSent`].
    next_seq: u32,
    /// Highest sequence it has sent, for keep-alives; known with [`Mark::HasSent`].
    end_seq: u32,
    /// Sequence after its last new data.
    data_end: u32,
    /// Of [`Mark`]s, by their numbers.
    marks: u16,
}

/// Yes-or-no facts of one sender.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Mark {
    /// The acknowledgement that its opening asks for is known.
    OpeningKnown,
    /// It has sent anything but FIN and RST.
    HasSent,
    /// Its last segment had more than one byte, which may be a heartbeat.
    LongLast,
    /// It has sent a SYN.
    SynSent,
    /// It has sent a SYN-ACK.
    SynAckSent,
    /// Its SYN came before the SYN-ACK.
    SynFirst,
    /// Its next data follows the handshake ACK.
    HandshakeAck,
    /// It may acknowledge what the other has sent, and that tells a latency.
    SrtArmed,
    /// It may answer what the other has sent, and that tells a latency.
    ArtArmed,
    /// It has sent a SYN or SYN-ACK whose time is known.
    Opened,
    /// It has sent new data.
    HasData,
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
        count: &mut Count<'_>,
    ) -> Verdict {
        let sender = direction.sender();
        let keepalive = self.sides[sender].is_keepalive(tcp, payload_bytes);
        let kind = match Kind::of(tcp.flags, payload_bytes) {
            Kind::Data if keepalive => Kind::Ack,
            kind => kind,
        };
        if kind != Kind::Rst && tcp.window == 0 {
            // A scaled window is 0 exactly when the field is.
            count.losses().zero_win[sender] += 1;
        }
        if matches!(kind, Kind::Syn | Kind::SynAck) && payload_bytes > 0 {
            // Data that came early (RFC 7413): without the peer's consent it is sent once more.
            self.sides[sender].segments.insert(tcp.seq.wrapping_add(1), payload_bytes);
        }
        let retransmitted = match kind {
            Kind::Syn => self.on_syn(time_ns, sender, tcp, count),
            Kind::SynAck => self.on_syn_ack(time_ns, sender, tcp, count),
            Kind::Ack => {
                self.on_ack(time_ns, sender, tcp, count);
                false
            }
            Kind::Data => self.on_data(time_ns, sender, tcp, payload_bytes, count),
            Kind::Fin => {
                count.volume().fin_count += 1;
                self.disarm();
                self.insert(sender, tcp.seq, payload_bytes, count) == Seen::Before
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
        count: &mut Count<'_>,
    ) -> bool {
        count.opening().syn_count += 1;
        let side = &mut self.sides[sender];
        if !side.is(Mark::OpeningKnown) {
            side.set_opening_ack(tcp.seq.wrapping_add(1));
            side.set_opened(time_ns);
            self.handshaking = true;
        }
        let again = side.is(Mark::SynSent);
        side.mark(Mark::SynSent);
        if again {
            count.opening().retrans_syn += 1;
            count.losses().retrans[sender] += 1;
        }
        self.disarm_latency();
        again
    }

    fn on_syn_ack(
        &mut self,
        time_ns: u64,
        sender: usize,
        tcp: &TcpView<'_>,
        count: &mut Count<'_>,
    ) -> bool {
        count.opening().synack_count += 1;
        let (side, peer) = self.pair(sender);
        let again = side.is(Mark::SynAckSent);
        side.mark(Mark::SynAckSent);
        if again {
            count.opening().retrans_synack += 1;
            count.losses().retrans[sender] += 1;
        } else {
            side.set_opened(time_ns);
            side.set_opening_ack(tcp.seq.wrapping_add(1));
            if peer.is(Mark::OpeningKnown) {
                peer.mark(Mark::SynFirst);
            } else {
                // A SYN that comes now was overtaken: its time says nothing.
                peer.set_opening_ack(tcp.ack);
            }
        }
        let asked_ns = peer.opened_ns();
        // A SYN-ACK of the client answers a SYN of the server: both opened at the same time.
        let answers = sender == SERVER && peer.opening_ack() == Some(tcp.ack);
        if answers && self.handshaking {
            sample(time_ns, asked_ns, RTT_MAX_NS, |rtt| count.opening().rtt_server.add(rtt));
        }
        self.disarm_latency();
        again
    }

    fn on_ack(&mut self, time_ns: u64, sender: usize, tcp: &TcpView<'_>, count: &mut Count<'_>) {
        let (handshaking, acknowledged) = (self.handshaking, self.acknowledged);
        let (side, peer) = self.pair(sender);
        // Not once the client has sent data: that has ended the handshake.
        let is_of_handshake = peer.is(Mark::SynAckSent)
            && peer.opening_ack() == Some(tcp.ack)
            && !side.is(Mark::HasData);
        if sender == CLIENT && is_of_handshake {
            side.mark(Mark::HandshakeAck);
            if !acknowledged {
                let opening = count.opening();
                if side.is(Mark::SynFirst) && handshaking {
                    sample(time_ns, side.opened_ns(), RTT_MAX_NS, |rtt| opening.rtt.add(rtt));
                }
                if side.is(Mark::SynFirst) || !side.is(Mark::SynSent) {
                    let answered_ns = peer.opened_ns();
                    sample(time_ns, answered_ns, RTT_MAX_NS, |rtt| opening.rtt_client.add(rtt));
                }
            }
            self.acknowledged = true;
            return;
        }
        if side.is(Mark::SrtArmed) && tcp.ack == peer.data_end {
            side.unmark(Mark::SrtArmed);
            if sender == SERVER {
                sample(time_ns, peer.data_ns(), SRT_MAX_NS, |srt| count.latency().srt.add(srt));
            }
        }
    }

    fn on_data(
        &mut self,
        time_ns: u64,
        sender: usize,
        tcp: &TcpView<'_>,
        payload_bytes: u32,
        count: &mut Count<'_>,
    ) -> bool {
        self.handshaking = false;
        let seen = self.insert(sender, tcp.seq, payload_bytes, count);
        if matches!(seen, Seen::Before | Seen::Overlapping) {
            self.disarm_latency();
            return seen == Seen::Before;
        }
        let (side, peer) = self.pair(sender);
        if sender == CLIENT && payload_bytes > 1 {
            // One byte may be a heartbeat.
            if side.is(Mark::HandshakeAck) {
                side.unmark(Mark::HandshakeAck);
                let idle_since_ns = side.last_ns.max(peer.last_ns);
                count.latency().cit.add(time_ns.saturating_sub(idle_since_ns));
            } else if peer.is(Mark::LongLast)
                && (!side.is(Mark::LongLast) || peer.last_ns > side.last_ns)
            {
                count.latency().cit.add(time_ns.saturating_sub(peer.last_ns));
            }
        }
        let follows = side.is(Mark::HasSent) && side.next_seq == tcp.seq;
        if side.is(Mark::ArtArmed) && sender == SERVER && follows {
            sample(time_ns, peer.data_ns(), ART_MAX_NS, |art| count.latency().art.add(art));
        }
        side.unmark(Mark::SrtArmed);
        side.unmark(Mark::ArtArmed);
        peer.mark(Mark::SrtArmed);
        peer.mark(Mark::ArtArmed);
        side.data_ns = time_ns;
        side.mark(Mark::HasData);
        side.data_end = tcp.seq.wrapping_add(payload_bytes);
        false
    }

    /// Enters payload into what was seen of the sender, and counts what that tells.
    fn insert(
        &mut self,
        sender: usize,
        seq: u32,
        payload_bytes: u32,
        count: &mut Count<'_>,
    ) -> Seen {
        if payload_bytes == 0 {
            return Seen::New;
        }
        let seen = self.sides[sender].segments.insert(seq, payload_bytes);
        match seen {
            Seen::Before => count.losses().retrans[sender] += 1,
            Seen::Filling => count.losses().ooo[sender] += 1,
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
            side.unmark(Mark::SynFirst);
        }
    }

    fn disarm_latency(&mut self) {
        for side in &mut self.sides {
            side.unmark(Mark::SrtArmed);
            side.unmark(Mark::ArtArmed);
        }
    }
}

impl Side {
    /// RFC 9293 §3.8.4: at most one byte, one before the next to send.
    fn is_keepalive(&self, tcp: &TcpView<'_>, payload_bytes: u32) -> bool {
        payload_bytes <= 1
            && !tcp.flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST)
            && tcp.flags.contains(TcpFlags::ACK)
            && self.is(Mark::HasSent)
            && self.end_seq == tcp.seq.wrapping_add(1)
    }

    fn remember(&mut self, time_ns: u64, kind: Kind, tcp: &TcpView<'_>, payload_bytes: u32) {
        let is_syn = matches!(kind, Kind::Syn | Kind::SynAck);
        self.last_ns = self.last_ns.max(time_ns);
        let bytes = if is_syn { 1 } else { payload_bytes };
        if bytes > 1 {
            self.mark(Mark::LongLast);
        } else {
            self.unmark(Mark::LongLast);
        }
        let next = tcp.seq.wrapping_add(bytes);
        self.next_seq = next;
        let is_later = next.wrapping_sub(self.end_seq).cast_signed() > 0;
        if is_syn || !self.is(Mark::HasSent) || is_later {
            self.end_seq = next;
        }
        self.mark(Mark::HasSent);
    }

    fn opening_ack(&self) -> Option<u32> {
        self.is(Mark::OpeningKnown).then_some(self.opening_ack)
    }

    fn set_opening_ack(&mut self, ack: u32) {
        self.opening_ack = ack;
        self.mark(Mark::OpeningKnown);
    }

    fn set_opened(&mut self, time_ns: u64) {
        self.opened_ns = time_ns;
        self.mark(Mark::Opened);
    }

    fn opened_ns(&self) -> Option<u64> {
        self.is(Mark::Opened).then_some(self.opened_ns)
    }

    fn data_ns(&self) -> Option<u64> {
        self.is(Mark::HasData).then_some(self.data_ns)
    }

    fn is(&self, mark: Mark) -> bool {
        self.marks & 1 << mark as u8 != 0
    }

    fn mark(&mut self, mark: Mark) {
        self.marks |= 1 << mark as u8;
    }

    fn unmark(&mut self, mark: Mark) {
        self.marks &= !(1 << mark as u8);
    }
}

/// Gives the time since `since_ns` to `add`, when it is one: known, not 0, not above the limit.
fn sample(time_ns: u64, since_ns: Option<u64>, max_ns: u64, add: impl FnOnce(u64)) {
    let Some(since_ns) = since_ns else { return };
    let elapsed_ns = time_ns.saturating_sub(since_ns);
    if (1..=max_ns).contains(&elapsed_ns) {
        add(elapsed_ns);
    }
}
