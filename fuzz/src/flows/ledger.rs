//! What went into a table by the packets, against what comes out by its ticks and reports.

use std::collections::BTreeMap;

use flow::{Delay, FlowReport, FlowTick, Update};
use schema::CloseType;
use wire::Packet;

/// Accounts of all flows, by id.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<u64, Account>,
    packets: u64,
    /// Time went back at some step: seconds need not come in order.
    disordered: bool,
}

/// One flow.
#[derive(Debug, Default)]
struct Account {
    packets: u64,
    bytes: u64,
    ticked_packets: u64,
    ticked_bytes: u64,
    ticks: u64,
    last_s: u64,
    closed: bool,
}

impl Ledger {
    /// Time went from one to the other.
    pub fn time_goes(&mut self, from_ns: u64, to_ns: u64) {
        self.disordered |= to_ns < from_ns;
    }

    /// Flows that have not ended.
    pub fn open(&self) -> u64 {
        self.accounts.values().filter(|account| !account.closed).count() as u64
    }

    /// Flows that began.
    pub fn opened(&self) -> u64 {
        self.accounts.len() as u64
    }

    /// Packets taken.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// The table took a packet.
    pub fn packet(&mut self, update: &Update, packet: &Packet<'_>) {
        assert_eq!(update.new_flow, !self.accounts.contains_key(&update.flow_id));
        let account = self.accounts.entry(update.flow_id).or_default();
        assert!(!account.closed, "a packet for a flow that has ended");
        account.packets += 1;
        account.bytes += u64::from(packet.frame_bytes);
        self.packets += 1;
    }

    /// The table gave out a tick.
    pub fn tick(&mut self, tick: &FlowTick) {
        let disordered = self.disordered;
        let account = self.accounts.get_mut(&tick.info.flow_id).expect("a flow that began");
        assert!(!account.closed, "a tick after the end");
        assert_eq!(tick.is_new, account.ticks == 0, "the first tick is the new one");
        assert!(disordered || tick.is_new || tick.time_s > account.last_s, "seconds in order");
        account.ticks += 1;
        account.last_s = tick.time_s;
        account.closed = tick.close.is_some();
        let c = &tick.counters;
        account.ticked_packets += c.packets();
        account.ticked_bytes += c.byte_tx + c.byte_rx;
        if c.packets() > 0 && !disordered {
            assert_eq!(tick.last_ns / 1_000_000_000, tick.time_s, "{tick:#?}");
        }
        assert!(c.l3_byte_tx + c.l3_byte_rx >= c.l4_byte_tx + c.l4_byte_rx);
        for delay in [c.rtt, c.rtt_client, c.rtt_server, c.srt, c.art, c.cit] {
            check_delay(&delay);
        }
    }

    /// Everything has ended.
    pub fn settle(&self, ticks: &[FlowTick], reports: &[FlowReport]) {
        for account in self.accounts.values() {
            assert!(account.closed, "{account:?}");
            assert_eq!(account.packets, account.ticked_packets, "{account:?}");
            assert_eq!(account.bytes, account.ticked_bytes, "{account:?}");
        }
        let mut reported: BTreeMap<u64, Vec<&FlowReport>> = BTreeMap::new();
        for report in reports {
            reported.entry(report.info.flow_id).or_default().push(report);
        }
        assert_eq!(reported.len(), self.accounts.len(), "flows that were reported");
        for (id, of_flow) in &reported {
            settle_flow(&self.accounts[id], of_flow);
        }
        for (count, of_report) in [
            (sum(ticks, |tick| tick.counters.art.count), sum(reports, |r| r.counters.art.count)),
            (sum(ticks, |tick| tick.counters.srt.count), sum(reports, |r| r.counters.srt.count)),
            (sum(ticks, |tick| tick.counters.cit.count), sum(reports, |r| r.counters.cit.count)),
            (sum(ticks, |tick| tick.counters.syn_count), sum(reports, |r| r.counters.syn_count)),
        ] {
            assert_eq!(count, of_report, "ticks and reports");
        }
    }
}

fn settle_flow(account: &Account, reports: &[&FlowReport]) {
    let packets: u64 = reports.iter().map(|report| report.counters.packets()).sum();
    let bytes: u64 = reports.iter().map(|r| r.counters.byte_tx + r.counters.byte_rx).sum();
    assert_eq!((packets, bytes), (account.packets, account.bytes), "{reports:#?}");
    assert_eq!(reports.iter().filter(|report| report.is_new_flow).count(), 1);
    assert!(reports[0].is_new_flow, "the first report is the new one");
    for report in reports {
        assert!(report.start_ns <= report.end_ns, "{report:#?}");
    }
    let (last, before) = reports.split_last().expect("at least one");
    assert!(before.iter().all(|report| report.close_type == CloseType::ForcedReport));
    let totals =
        (last.total_packet_tx + last.total_packet_rx, last.total_byte_tx + last.total_byte_rx);
    assert_eq!(totals, (packets, bytes), "totals of the last report");
}

fn check_delay(delay: &Delay) {
    assert!(delay.count > 0 || delay.sum_ns == 0 && delay.max_us == 0, "{delay:?}");
    assert!(delay.sum_us() >= u64::from(delay.max_us), "{delay:?}");
}

fn sum<T>(items: &[T], count: impl Fn(&T) -> u32) -> u64 {
    items.iter().map(|item| u64::from(count(item))).sum()
}
