//! States of a connection as an observer sees them.

use super::Kind;
use crate::config::Timeouts;
use crate::info::Direction;

/// State, named after what was last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing yet; flows that are not TCP stay here.
    #[default]
    Raw,
    /// SYN.
    Opening1,
    /// SYN-ACK.
    Opening2,
    /// Handshake done, or seen in the middle.
    Established,
    /// FIN by the client.
    ClosingTx1,
    /// FIN by the client, then by the server.
    ClosingTx2,
    /// FIN by the server.
    ClosingRx1,
    /// FIN by the server, then by the client.
    ClosingRx2,
    /// FIN both ways and the last one acknowledged.
    Closed,
    /// RST of what was established or closing.
    Reset,
    /// A segment that no state can explain.
    Exception,
    /// RST by the server in answer to a SYN.
    ServerReset,
    /// The server reset after it had sent its SYN-ACK again.
    ServerCandidateQueueLack,
    /// The client reset after its SYN was answered with a plain ACK.
    ClientPortReuse,
    /// SYN answered with a plain ACK.
    Syn1,
    /// SYN-ACK sent again although established.
    SynAck1,
    /// RST while opening.
    OpeningReset,
}

impl State {
    /// The state after a segment.
    pub(crate) fn next(self, kind: Kind, direction: Direction) -> Self {
        let by_client = direction == Direction::ClientToServer;
        if self.is_over() {
            return self;
        }
        match kind {
            Kind::Odd => Self::Exception,
            Kind::Syn => self.on_syn(by_client),
            Kind::SynAck => self.on_syn_ack(by_client),
            Kind::Ack | Kind::Data => self.on_ack(kind, by_client),
            Kind::Fin => self.on_fin(by_client),
            Kind::Rst => self.on_rst(by_client),
        }
    }

    /// Silence after which the flow ends.
    pub(crate) fn timeout_ns(self, timeouts: &Timeouts) -> u64 {
        match self {
            Self::Established | Self::SynAck1 => timeouts.established_ns,
            Self::Reset | Self::ServerCandidateQueueLack => timeouts.closing_rst_ns,
            Self::ServerReset | Self::ClientPortReuse | Self::OpeningReset => {
                timeouts.opening_rst_ns
            }
            Self::Closed => timeouts.fin_done_ns,
            _ => timeouts.others_ns,
        }
    }

    /// Whether the connection has ended, so that a further SYN begins another one.
    pub(crate) fn is_ended(self) -> bool {
        self.is_over() || matches!(self, Self::ClosingTx2 | Self::ClosingRx2)
    }

    /// Whether no segment changes the state any more.
    fn is_over(self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::Reset
                | Self::ServerReset
                | Self::ServerCandidateQueueLack
                | Self::ClientPortReuse
                | Self::OpeningReset
        )
    }

    fn on_syn(self, by_client: bool) -> Self {
        match self {
            Self::Raw | Self::Exception => Self::Opening1,
            Self::Syn1 if by_client => Self::Opening1,
            Self::SynAck1 if by_client => Self::Established,
            other => other,
        }
    }

    fn on_syn_ack(self, by_client: bool) -> Self {
        match self {
            Self::Raw | Self::Exception | Self::Opening1 | Self::Syn1 => Self::Opening2,
            Self::Established if !by_client => Self::SynAck1,
            other => other,
        }
    }

    fn on_ack(self, kind: Kind, by_client: bool) -> Self {
        match self {
            Self::Raw | Self::Exception => Self::Established,
            Self::Opening1 | Self::Syn1 if !by_client => Self::Syn1,
            Self::Opening1 | Self::Opening2 | Self::Syn1 => Self::Established,
            Self::SynAck1 if !by_client => Self::Established,
            // The last acknowledgement belongs to whoever sent the first FIN.
            Self::ClosingTx2 if by_client && kind == Kind::Ack => Self::Closed,
            Self::ClosingRx2 if !by_client && kind == Kind::Ack => Self::Closed,
            other => other,
        }
    }

    fn on_fin(self, by_client: bool) -> Self {
        match (self, by_client) {
            (Self::ClosingTx1, false) => Self::ClosingTx2,
            (Self::ClosingRx1, true) => Self::ClosingRx2,
            (Self::ClosingTx1 | Self::ClosingTx2 | Self::ClosingRx1 | Self::ClosingRx2, _) => self,
            (_, true) => Self::ClosingTx1,
            (_, false) => Self::ClosingRx1,
        }
    }

    fn on_rst(self, by_client: bool) -> Self {
        match (self, by_client) {
            (Self::Opening1, false) => Self::ServerReset,
            (Self::Syn1, true) => Self::ClientPortReuse,
            (Self::SynAck1, false) => Self::ServerCandidateQueueLack,
            (Self::Opening1 | Self::Opening2 | Self::Syn1, _) => Self::OpeningReset,
            _ => Self::Reset,
        }
    }
}
