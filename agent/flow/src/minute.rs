//! Reports: a flow's seconds added up, one report a minute and one at its end.
//!
//! A flow's minutes begin in the second in which it began, not on the clock's: that spreads the
//! load, and a flow of less than a minute is never cut in two. What is missing between two reports
//! of a flow is silence.

use schema::{CloseType, FlowStatus};
use wire::protocol;

use crate::SECOND_NS;
use crate::counters::Counters;
use crate::info::FlowInfo;
use crate::tcp::close::flow_status;

/// Seconds that a report covers.
pub(crate) const PERIOD_S: u32 = 60;

/// A flow in a period, with the quantities of `l4_flow_log`.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowReport {
    /// Place of the flow in its table.
    pub slot: u32,
    /// Tells apart flows that used the slot one after the other.
    pub generation: u32,
    /// The flow, with client and server as they are known at the end of the period.
    pub info: FlowInfo,
    /// Start of the period: first packet, or the report before. unit ns
    pub start_ns: u64,
    /// End of the period: last packet, or the report. unit ns
    pub end_ns: u64,
    /// Whether the flow began in the period.
    pub is_new_flow: bool,
    /// How the flow ended; a forced report when it did not.
    pub close_type: CloseType,
    /// Whether nothing more comes of the flow.
    pub is_last: bool,
    /// What was counted in the period.
    pub counters: Counters,
    /// Packets from the client since the flow began.
    pub total_packet_tx: u64,
    /// Packets from the server since the flow began.
    pub total_packet_rx: u64,
    /// Bytes from the client since the flow began. unit byte
    pub total_byte_tx: u64,
    /// Bytes from the server since the flow began. unit byte
    pub total_byte_rx: u64,
    /// Sequence of the SYN; 0 = not seen.
    pub syn_seq: u32,
    /// Sequence of the SYN-ACK; 0 = not seen.
    pub syn_ack_seq: u32,
    /// Sequence of the last keep-alive; 0 = not seen.
    pub last_keepalive_seq: u32,
    /// Acknowledgement of the last keep-alive; 0 = not seen.
    pub last_keepalive_ack: u32,
}

impl FlowReport {
    /// Age of the flow at the end of the period. unit µs
    pub fn duration_us(&self) -> u64 {
        self.end_ns.saturating_sub(self.info.start_ns) / 1000
    }

    /// Column `status`.
    pub fn status(&self) -> FlowStatus {
        let answered = self.total_packet_tx > 0 && self.total_packet_rx > 0;
        flow_status(self.close_type, self.info.protocol, answered)
    }

    /// Whether this is TCP.
    pub fn is_tcp(&self) -> bool {
        self.info.protocol == protocol::TCP
    }
}

/// The second with which the minute of a flow ends in which `time_s` lies.
pub(crate) fn due_second(start_ns: u64, time_s: u32) -> u32 {
    let start_s = (start_ns / SECOND_NS) as u32;
    let minutes = time_s.saturating_sub(start_s) / PERIOD_S;
    start_s.saturating_add(minutes * PERIOD_S).saturating_add(PERIOD_S)
}

/// When a second begins. unit ns since the epoch
pub(crate) fn begin_ns(second: u32) -> u64 {
    u64::from(second) * SECOND_NS
}
