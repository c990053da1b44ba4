//! The named reasons for which the agent and tshark may differ.
//!
//! Each holds for single packets (or one handshake) and is decided from tshark's own fields; there
//! is no tolerance anywhere. `docs/flow-check.md` prints this list.

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "Rule::text says what each means")]
pub enum Rule {
    FilledHole,
    PartlyNew,
    SeenBefore,
    EmptyFin,
    ResetWithData,
    ZeroWindowProbe,
    KeepAlive,
    AcknowledgedBefore,
    FlowEnded,
    OtherNetwork,
    OtherNumber,
    SixteenRanges,
    WrapAround,
    Fragment,
    CutOptions,
    IpLength,
    LongFrame,
    SynWindow,
    FirstSyn,
    EverySynAck,
    AckWithData,
    NoSynAck,
    SynAfterSynAck,
    SplitHandshake,
    TimeRunsBack,
    LongHandshake,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 26] = [
        Self::FilledHole,
        Self::PartlyNew,
        Self::SeenBefore,
        Self::EmptyFin,
        Self::ResetWithData,
        Self::ZeroWindowProbe,
        Self::KeepAlive,
        Self::AcknowledgedBefore,
        Self::FlowEnded,
        Self::OtherNetwork,
        Self::OtherNumber,
        Self::SixteenRanges,
        Self::WrapAround,
        Self::Fragment,
        Self::CutOptions,
        Self::IpLength,
        Self::LongFrame,
        Self::SynWindow,
        Self::FirstSyn,
        Self::EverySynAck,
        Self::AckWithData,
        Self::NoSynAck,
        Self::SynAfterSynAck,
        Self::SplitHandshake,
        Self::TimeRunsBack,
        Self::LongHandshake,
    ];

    /// What differs, and why the agent does it its way.
    // tidy: long — one arm a rule
    pub fn text(self) -> &'static str {
        match self {
            Self::FilledHole => {
                "Bytes that were never seen, below a number that the sender had used: their first \
                 copy was lost before the place of capture, or they were overtaken. tshark tells \
                 the two apart by time; the agent counts what it saw: a segment that fills a hole \
                 between data is out of order, none is a retransmission."
            }
            Self::PartlyNew => {
                "Some of the segment's bytes were seen before and some were not. tshark goes by \
                 the first byte; the agent counts a retransmission when all of it was seen, and \
                 out of order when none was."
            }
            Self::SeenBefore => {
                "tshark: out of order, since it came shortly after a later segment. All its bytes \
                 had been seen before, so it is a retransmission."
            }
            Self::EmptyFin => {
                "A FIN without data below a number that was used. tshark counts it as \
                 retransmission or out of order; the agent counts data."
            }
            Self::ResetWithData => {
                "An RST with a text for the reason. It is no part of the stream (RFC 9293 §3.5.3)."
            }
            Self::ZeroWindowProbe => {
                "A byte sent again to learn whether the window has opened. tshark has a name of \
                 its own for it; its bytes were seen before, so the agent counts a retransmission."
            }
            Self::KeepAlive => {
                "At most one byte, just below the next to send (RFC 9293 §3.8.4): one side counts \
                 it as a keep-alive, by the highest number seen; the other goes by the last."
            }
            Self::AcknowledgedBefore => {
                "tshark: spurious, since the other side had acknowledged it. It was captured only \
                 after its acknowledgement; the bytes are new."
            }
            Self::FlowEnded => {
                "The earlier copy (or the SYN) belongs to a flow that the agent had ended: its \
                 timeout had passed, or the connection was over and another began."
            }
            Self::OtherNetwork => {
                "The earlier copy was captured in another overlay network, or outside of it: \
                 another connection, or the same packet seen before it was wrapped up."
            }
            Self::OtherNumber => {
                "A SYN or SYN-ACK with another sequence number than the one before: a new \
                 connection for tshark. The agent begins a flow when the old one has ended; until \
                 then it is one more attempt at the same."
            }
            Self::SixteenRanges => {
                "More than sixteen ranges of bytes with holes between them: the two lowest have \
                 become one, and data in the hole between them counts as seen."
            }
            Self::WrapAround => {
                "Sequence numbers wrapped around. A segment across the end is not judged, and \
                 neither is a late one from before it unless it was seen."
            }
            Self::Fragment => "A fragment of a segment: tshark does not analyse it.",
            Self::CutOptions => {
                "The capture's snap length ends in the options of the TCP header: tshark stops \
                 there and says nothing of its analysis."
            }
            Self::IpLength => {
                "The IP header tells more bytes than the frame had (written so by the capturing \
                 program). tshark goes by the frame, the agent by the IP header."
            }
            Self::LongFrame => {
                "A record that says its frame had 2 GiB or more: tshark's lengths end there."
            }
            Self::SynWindow => "A window of 0 in a SYN, SYN-ACK or FIN, which tshark leaves out.",
            Self::FirstSyn => {
                "The SYN was sent again: tshark goes by the last, the agent by the first."
            }
            Self::EverySynAck => {
                "Several SYN-ACKs: each gives a sample of `rtt_server`, the greatest is shown; \
                 tshark has the first. `rtt_client` goes from the first, tshark from the last."
            }
            Self::AckWithData => {
                "No pure ACK ended the handshake: the client's first segment carried data or FIN, \
                 or data came before. tshark takes any segment; the agent none, since data is sent \
                 when there is some."
            }
            Self::NoSynAck => {
                "tshark gives a handshake time without a SYN-ACK, to the first segment with fitting \
                 numbers of one direction."
            }
            Self::SynAfterSynAck => {
                "The SYN was not captured before the SYN-ACK, or is answered by none: its time says \
                 nothing."
            }
            Self::SplitHandshake => "Both sides sent a SYN, or the SYN-ACK came from the client.",
            Self::TimeRunsBack => {
                "The capture's clock stands still or runs back within the handshake: there is no \
                 time to measure."
            }
            Self::LongHandshake => "Longer than 30 s: no handshake time.",
        }
    }
}
