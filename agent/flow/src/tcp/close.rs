//! How a flow ended, by the state in which it did.

use schema::{CloseType, FlowStatus};
use wire::{TcpFlags, protocol};

use super::state::State;

/// Packets of the server from which a reset after repeated SYN-ACKs is blamed on its queue.
const QUEUE_LACK_MIN_PACKETS: u64 = 3;

/// What a flow's end is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// State in which it ended.
    pub(crate) state: State,
    /// Flags of all segments of the client and of the server, or-ed.
    pub(crate) flags: [TcpFlags; 2],
    /// Whether any segment carried payload.
    pub(crate) has_payload: bool,
    /// Packets of the server.
    pub(crate) server_packets: u64,
    /// Whether a request of the client was answered with success.
    pub(crate) answered: bool,
}

impl Ending {
    /// The close type.
    pub(crate) fn close_type(&self) -> CloseType {
        match self.state {
            State::Raw | State::Exception => CloseType::Other,
            State::Opening1 => CloseType::ServerSynMiss,
            State::Opening2 => CloseType::ClientAckMiss,
            State::Established => CloseType::Timeout,
            // One FIN: named after the side that did not close its half.
            State::ClosingTx1 => CloseType::ServerHalfClose,
            State::ClosingRx1 => CloseType::ClientHalfClose,
            State::ClosingTx2 | State::ClosingRx2 | State::Closed => CloseType::Finish,
            State::ServerReset => CloseType::ServerDirectReset,
            State::SynAck1 => CloseType::ServerQueueOverflow,
            State::ServerCandidateQueueLack => {
                if self.server_packets > QUEUE_LACK_MIN_PACKETS {
                    CloseType::ServerQueueOverflow
                } else {
                    CloseType::ClientReset
                }
            }
            State::Syn1 | State::ClientPortReuse => {
                self.unless_health_check(CloseType::ClientPortReuse)
            }
            State::Reset => {
                if self.server_reset() {
                    self.unless_health_check(CloseType::ServerReset)
                } else if self.answered {
                    CloseType::ClientNormalReset
                } else {
                    self.unless_health_check(CloseType::ClientReset)
                }
            }
            State::OpeningReset => self.unless_health_check(if self.server_reset() {
                CloseType::ServerOtherReset
            } else {
                CloseType::ClientOtherReset
            }),
        }
    }

    fn server_reset(&self) -> bool {
        self.flags[1].contains(TcpFlags::RST)
    }

    /// SYN, SYN-ACK, perhaps ACK, then RST by the client and no data: somebody looked whether the
    /// port is open.
    fn unless_health_check(&self, otherwise: CloseType) -> CloseType {
        let [client, server] = self.flags;
        if !self.has_payload
            && client.contains(TcpFlags::SYN | TcpFlags::RST)
            && server.contains(TcpFlags::SYN_ACK)
        {
            CloseType::ClientNormalReset
        } else {
            otherwise
        }
    }
}

/// Column `status` of a flow log: `answered` says whether both ends have sent.
pub fn flow_status(close: CloseType, ip_protocol: u8, answered: bool) -> FlowStatus {
    match close {
        CloseType::Finish | CloseType::ClientNormalReset => FlowStatus::Ok,
        CloseType::ServerReset
        | CloseType::Timeout
        | CloseType::ServerSynMiss
        | CloseType::ServerHalfClose
        | CloseType::ServerDirectReset
        | CloseType::ServerQueueOverflow
        | CloseType::ServerOtherReset => FlowStatus::ServerError,
        CloseType::ClientReset
        | CloseType::ClientAckMiss
        | CloseType::ClientHalfClose
        | CloseType::ClientPortReuse
        | CloseType::ClientOtherReset => FlowStatus::ClientError,
        CloseType::Other | CloseType::ForcedReport => {
            if ip_protocol != protocol::TCP && answered {
                FlowStatus::Ok
            } else {
                FlowStatus::Unknown
            }
        }
    }
}
