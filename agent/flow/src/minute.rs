//! Reports: the seconds of a flow added up, one report a minute and one at its end.
//!
//! A flow's minutes begin in the second in which it began, not on the clock's: that spreads the
//! load, and a flow of less than a minute is never cut in two. What is missing between two reports
//! of a flow is silence.

use std::collections::HashMap;

use schema::{CloseType, FlowStatus};
use wire::protocol;

use crate::SECOND_NS;
use crate::counters::Counters;
use crate::info::{FlowInfo, FlowTick};
use crate::tcp::close::flow_status;

/// Seconds that a report covers.
const PERIOD_S: u64 = 60;

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

/// Adds up ticks. Holds one report for each flow that had packets in its current minute.
#[derive(Debug, Default)]
pub struct Aggregator {
    open: HashMap<u64, FlowReport>,
    /// Flows by the second of the minute in which their reports are due.
    due: Vec<Vec<u64>>,
    now_s: u64,
}

impl Aggregator {
    /// An aggregator without flows.
    pub fn new() -> Self {
        Self { open: HashMap::new(), due: vec![Vec::new(); PERIOD_S as usize], now_s: 0 }
    }

    /// Takes a tick; reports that it ends are put into `out`.
    pub fn on_tick(&mut self, tick: &FlowTick, out: &mut Vec<FlowReport>) {
        let id = tick.info.flow_id;
        if tick.close.is_none() && tick.counters.packets() == 0 && !tick.is_new {
            return; // only says that the flow is alive
        }
        let due_s = due_second(&tick.info, tick.time_s);
        if self.open.get(&id).is_some_and(|report| report.end_ns < begin_ns(due_s)) {
            out.extend(self.open.remove(&id));
        }
        if let Some(report) = self.open.get_mut(&id) {
            report.add(tick);
        } else if tick.close.is_none() {
            self.open.insert(id, FlowReport::new(tick, due_s));
            self.due[(due_s % PERIOD_S) as usize].push(id);
            return;
        }
        if let Some(close) = tick.close {
            let mut report = self.open.remove(&id).unwrap_or_else(|| FlowReport::new(tick, due_s));
            report.close_type = close;
            report.end_ns = tick.last_ns.max(report.start_ns);
            out.push(report);
        }
    }

    /// Lets time pass: reports whose minute is over are put into `out`.
    pub fn advance(&mut self, now_s: u64, out: &mut Vec<FlowReport>) {
        let first = (self.now_s + 1).max(now_s.saturating_sub(PERIOD_S - 1));
        for second in first..=now_s {
            let mut due = std::mem::take(&mut self.due[(second % PERIOD_S) as usize]);
            due.retain(|id| {
                // The id stands here until its minute is over, or its flow has ended before.
                let Some(report) = self.open.get(id) else { return false };
                let is_over = report.end_ns <= begin_ns(now_s);
                if is_over {
                    out.extend(self.open.remove(id));
                }
                !is_over
            });
            let list = &mut self.due[(second % PERIOD_S) as usize];
            due.append(list);
            *list = due;
        }
        self.now_s = self.now_s.max(now_s);
        if self.open.capacity() > 4096.max(self.open.len() * 8) {
            self.open.shrink_to(self.open.len() * 2);
        }
    }

    /// Reports every flow as it stands, in the order of their ids.
    pub fn flush(&mut self, out: &mut Vec<FlowReport>) {
        let start = out.len();
        out.extend(self.open.drain().map(|(_, report)| report));
        out[start..].sort_unstable_by_key(|report| report.info.flow_id);
        self.due.iter_mut().for_each(Vec::clear);
    }

    /// Flows that have a report open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no flow has.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl FlowReport {
    /// A report of the minute that ends with second `due_s`.
    fn new(tick: &FlowTick, due_s: u64) -> Self {
        Self {
            slot: tick.slot,
            generation: tick.generation,
            info: tick.info.clone(),
            start_ns: if tick.is_new { tick.first_ns } else { begin_ns(due_s - PERIOD_S) },
            end_ns: begin_ns(due_s),
            is_new_flow: tick.is_new,
            close_type: CloseType::ForcedReport,
            counters: tick.counters,
            total_packet_tx: tick.total_packet_tx,
            total_packet_rx: tick.total_packet_rx,
            total_byte_tx: tick.total_byte_tx,
            total_byte_rx: tick.total_byte_rx,
            syn_seq: tick.syn_seq,
            syn_ack_seq: tick.syn_ack_seq,
            last_keepalive_seq: tick.last_keepalive_seq,
            last_keepalive_ack: tick.last_keepalive_ack,
        }
    }

    fn add(&mut self, tick: &FlowTick) {
        let place = |info: &FlowInfo| (info.client.ip, info.client.port);
        if place(&self.info) != place(&tick.info) {
            self.counters = self.counters.reversed();
        }
        self.counters.merge(&tick.counters);
        self.info = tick.info.clone();
        self.is_new_flow |= tick.is_new;
        self.total_packet_tx = tick.total_packet_tx;
        self.total_packet_rx = tick.total_packet_rx;
        self.total_byte_tx = tick.total_byte_tx;
        self.total_byte_rx = tick.total_byte_rx;
        self.syn_seq = tick.syn_seq;
        self.syn_ack_seq = tick.syn_ack_seq;
        self.last_keepalive_seq = tick.last_keepalive_seq;
        self.last_keepalive_ack = tick.last_keepalive_ack;
    }
}

/// The second with which the minute of a flow ends in which `time_s` lies.
fn due_second(info: &FlowInfo, time_s: u64) -> u64 {
    let start_s = info.start_ns / SECOND_NS;
    let minutes = time_s.saturating_sub(start_s) / PERIOD_S;
    start_s + (minutes + 1) * PERIOD_S
}

/// When a second begins; held at the end of time.
fn begin_ns(second: u64) -> u64 {
    second.saturating_mul(SECOND_NS)
}
