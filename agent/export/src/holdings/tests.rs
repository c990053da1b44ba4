//! Rows are counted once: acknowledged, waiting or dropped, over limits, kills and reconnects.

use schema::Table;
use schema::wire::Rejection;

use super::*;
use crate::{TokenSource, Totals};

const LOGS: Subject = Subject::Table(Table::L7FlowLog);
const METRICS: Subject = Subject::Table(Table::Application1s);

fn config(dir: &std::path::Path, memory: usize, spool: u64) -> ExportConfig {
    let mut config =
        ExportConfig::new(String::new(), dir.join("id"), TokenSource::Absent, dir.join("spool"));
    config.memory_bytes_max = memory;
    config.spool_bytes_max = spool;
    config
}

fn totals(holdings: &Holdings, subject: Subject) -> Totals {
    let totals = holdings.ledger.state.totals[&subject].clone();
    assert!(totals.is_balanced(), "{totals:?}");
    totals
}

fn seal_logs(holdings: &mut Holdings, rows: u64) {
    holdings.seal(Signal::RequestLogs, LOGS, rows, vec![rows as u8; 100]);
}

fn state(watermark: u64, rejected: Vec<u64>) -> [StreamState; 1] {
    [StreamState { signal: Signal::RequestLogs, watermark, rejected }]
}

#[test]
fn memory_then_spool_then_the_least_valuable_oldest_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let mut holdings = Holdings::open(&config(dir.path(), 100, 250), 1).unwrap();
    (1..=3).for_each(|rows| seal_logs(&mut holdings, rows));
    assert_eq!((holdings.memory_bytes(), holdings.spool_bytes()), (100, 218));
    holdings.seal(Signal::SecondMetrics, METRICS, 9, vec![9; 100]);
    let logs = totals(&holdings, LOGS);
    assert_eq!((logs.observed, logs.waiting, logs.dropped[&Drop::SpoolFull]), (6, 4, 2));
    holdings.seal(Signal::SecondMetrics, METRICS, 8, vec![8; 100]);
    seal_logs(&mut holdings, 7);
    let logs = totals(&holdings, LOGS);
    assert_eq!((logs.observed, logs.waiting, logs.dropped[&Drop::SpoolFull]), (13, 1, 12));
    assert_eq!(totals(&holdings, METRICS).waiting, 17);
}

#[test]
fn batches_are_sent_in_order_and_again_after_a_new_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut holdings = Holdings::open(&config(dir.path(), 150, 1000), 10).unwrap();
    (1..=3).for_each(|rows| seal_logs(&mut holdings, rows));
    let send_all = |holdings: &mut Holdings| -> Vec<(u64, u32, u8)> {
        std::iter::from_fn(|| holdings.next(Signal::RequestLogs))
            .map(|(header, payload)| (header.sequence, header.rows, payload[0]))
            .collect()
    };
    holdings.connected(&[]);
    assert_eq!(send_all(&mut holdings), [(10, 1, 1), (11, 2, 2), (12, 3, 3)]);
    holdings.acknowledged(Signal::RequestLogs, 10, AckOutcome::Stored);
    holdings.connected(&state(11, vec![11]));
    assert_eq!(send_all(&mut holdings), [(12, 3, 3)]);
    let outcome = AckOutcome::Rejected(Rejection::Damaged);
    holdings.acknowledged(Signal::RequestLogs, 12, outcome);
    let logs = totals(&holdings, LOGS);
    assert_eq!((logs.acknowledged, logs.waiting, logs.dropped[&Drop::BatchRejected]), (1, 0, 5));
    assert_eq!((holdings.memory_bytes(), holdings.spool_bytes()), (0, 0));
}

#[test]
fn after_a_kill_the_server_decides_what_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 250, 1000);
    let mut holdings = Holdings::open(&config, 1).unwrap();
    holdings.connected(&[]);
    (1..=4).for_each(|rows| seal_logs(&mut holdings, rows));
    while holdings.next(Signal::RequestLogs).is_some() {}
    // Killed: 1 and 2 were in memory, 3 and 4 in the spool; the server stored 1 only.
    drop(holdings);
    let mut holdings = Holdings::open(&config, 1).unwrap();
    assert_eq!(totals(&holdings, LOGS).waiting, 10);
    seal_logs(&mut holdings, 5);
    holdings.connected(&state(1, vec![]));
    let logs = totals(&holdings, LOGS);
    assert_eq!((logs.acknowledged, logs.waiting, logs.dropped[&Drop::AgentKilled]), (1, 12, 2));
    let sent: Vec<u64> = std::iter::from_fn(|| holdings.next(Signal::RequestLogs))
        .map(|(header, _)| header.sequence)
        .collect();
    assert_eq!(sent, [3, 4, 5]);
}

#[test]
fn what_was_sent_and_dropped_counts_as_stored_when_the_server_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut holdings = Holdings::open(&config(dir.path(), 0, 250), 1).unwrap();
    holdings.connected(&[]);
    seal_logs(&mut holdings, 1);
    seal_logs(&mut holdings, 2);
    while holdings.next(Signal::RequestLogs).is_some() {}
    seal_logs(&mut holdings, 3);
    seal_logs(&mut holdings, 4);
    // 1 and 2 left the spool for 3 and 4, but may have arrived.
    assert_eq!(totals(&holdings, LOGS).waiting, 10);
    holdings.connected(&state(1, vec![]));
    let logs = totals(&holdings, LOGS);
    assert_eq!((logs.acknowledged, logs.waiting, logs.dropped[&Drop::SpoolFull]), (1, 7, 2));
}

#[test]
fn damaged_spool_files_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 0, 1000);
    let mut holdings = Holdings::open(&config, 1).unwrap();
    seal_logs(&mut holdings, 1);
    seal_logs(&mut holdings, 2);
    holdings.put_away();
    drop(holdings);
    let path = config.spool_dir.join("06-0000000000000001.batch");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[50] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::write(config.spool_dir.join("06-00000000000000ff.batch"), b"orphan").unwrap();
    let mut holdings = Holdings::open(&config, 1).unwrap();
    assert_eq!(holdings.spool_bytes(), 218);
    holdings.connected(&[]);
    let (header, _) = holdings.next(Signal::RequestLogs).unwrap();
    assert_eq!(header.sequence, 2);
    let logs = totals(&holdings, LOGS);
    assert_eq!((logs.waiting, logs.dropped[&Drop::SpoolDamaged]), (2, 1));
}
