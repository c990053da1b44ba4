//! A real agent's exporter, a real ingest, a sink in memory: what is observed is stored or
//! counted as dropped, whatever happens in between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doubles;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use doubles::{Relay, Server, agent_config, logs, processes, totals_of, wait_until};
use export::{Exporter, TokenSource, Totals};
use ingest::Refusal;
use schema::wire::{AgentStatistics, Configuration};
use schema::{Batch, Drop, Table, deepflow_collector};

const SECONDS_20: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_every_kind_arrive_once_and_enriched() {
    let server = Server::start().await;
    let exporter = Exporter::start(agent_config(&server, &server.address())).unwrap();
    wait_until(|| exporter.stats().connected).await;
    exporter.announce(processes(7));
    exporter.submit(logs(0..500));
    let row = deepflow_collector::Row::default();
    exporter.submit(Batch::new(Table::DeepflowCollector, &[row.clone(), row]));
    let statistics = AgentStatistics { time_us: 5, ..AgentStatistics::default() };
    exporter.report(statistics.clone());
    wait_until(|| server.sink.rows(Table::L7FlowLog) == 500).await;
    wait_until(|| server.sink.rows(Table::DeepflowCollector) == 2).await;
    wait_until(|| server.inventory.statistics() == Some(statistics.clone())).await;
    assert_eq!(server.inventory.processes(), processes(7));
    assert_eq!(server.sink.flow_ids(), (0..500).collect::<Vec<u64>>());
    // The inventory's double answers with the process id + 1000.
    assert_eq!(server.sink.gprocess_ids(), vec![1042; 500]);
    assert!(server.sink.row_ids_are_distinct());
    let configuration = Configuration { version: 2, yaml: "global: {}\n".into() };
    let agent = exporter.agent_uuid();
    assert_eq!(server.handle().connected_agents(), [agent]);
    assert!(server.handle().push_configuration(agent, configuration.clone()));
    wait_until(|| exporter.configuration() == configuration).await;
    let stats = exporter.shutdown(SECONDS_20);
    let logs = totals_of(&stats, Table::L7FlowLog);
    assert_eq!((logs.observed, logs.acknowledged), (500, 500));
    let stats = server.handle().stats();
    assert_eq!((stats.rows_received[&Table::L7FlowLog], stats.enrolled), (500, 1));
    assert_eq!(stats.rows_stored[&Table::L7FlowLog], 500);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_at_the_server_within_100_ms() {
    let server = Server::start().await;
    let exporter = Exporter::start(agent_config(&server, &server.address())).unwrap();
    wait_until(|| exporter.stats().connected).await;
    let mut slowest = Duration::ZERO;
    for i in 0..20u64 {
        let start = Instant::now();
        exporter.submit(logs(i..i + 1));
        let arrived = || server.handle().stats().batches == i + 1;
        while !arrived() && start.elapsed() < SECONDS_20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        slowest = slowest.max(start.elapsed());
    }
    println!("slowest of 20 batches: {slowest:?}");
    assert!(slowest < Duration::from_millis(100), "{slowest:?}");
    exporter.shutdown(SECONDS_20);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_network_loses_and_doubles_nothing() {
    let server = Server::start().await;
    let relay = Relay::start(&server.address()).await;
    let exporter = Exporter::start(agent_config(&server, &relay.address())).unwrap();
    wait_until(|| exporter.stats().connected).await;
    let mut sent = 0;
    for round in 0..3 {
        for _ in 0..40 {
            exporter.submit(logs(sent..sent + 10));
            sent += 10;
            // Cut with batches and acknowledgements in flight.
            if sent % 400 == 200 {
                relay.cut(true);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let sessions = exporter.stats().sessions;
        wait_until(|| !exporter.stats().connected).await;
        relay.cut(false);
        wait_until(|| exporter.stats().sessions > sessions).await;
        println!("round {round}: {sessions} sessions");
    }
    let stats = exporter.shutdown(SECONDS_20);
    let logs = totals_of(&stats, Table::L7FlowLog);
    assert_eq!((logs.observed, logs.acknowledged), (sent, sent));
    wait_until(|| server.sink.rows(Table::L7FlowLog) as u64 >= sent).await;
    assert_eq!(server.sink.flow_ids(), (0..sent).collect::<Vec<u64>>());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_down_for_5_s_costs_nothing() {
    let mut server = Server::start().await;
    let mut config = agent_config(&server, &server.address());
    config.memory_bytes_max = 4096;
    let exporter = Exporter::start(config).unwrap();
    wait_until(|| exporter.stats().connected).await;
    exporter.submit(logs(0..100));
    server.stop_ingest().await;
    for i in 1..50 {
        exporter.submit(logs(i * 100..i * 100 + 100));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stats = exporter.stats();
    assert!(!stats.connected && !stats.problem.is_empty(), "{stats:?}");
    assert!(stats.spool_bytes > 0 && stats.memory_bytes <= 4096, "{stats:?}");
    assert_eq!(totals_of(&stats, Table::L7FlowLog).observed, 5000);
    server.start_ingest().await;
    let start = Instant::now();
    wait_until(|| exporter.stats().connected).await;
    println!("connected {:?} after the server was back", start.elapsed());
    let stats = exporter.shutdown(SECONDS_20);
    assert_eq!(totals_of(&stats, Table::L7FlowLog).acknowledged, 5000);
    assert_eq!(stats.spool_bytes, 0);
    wait_until(|| server.sink.rows(Table::L7FlowLog) >= 5000).await;
    assert_eq!(server.sink.flow_ids(), (0..5000).collect::<Vec<u64>>());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_drops_and_counts_the_oldest_and_keeps_the_rest() {
    let mut server = Server::start().await;
    let address = server.address();
    server.stop_ingest().await;
    let mut config = agent_config(&server, &address);
    config.memory_bytes_max = 2000;
    config.spool_bytes_max = 10_000;
    let exporter = Exporter::start(config.clone()).unwrap();
    for i in 0..200 {
        exporter.submit(logs(i * 10..i * 10 + 10));
    }
    // Telemetry is worth more than logs: it gets room in the full spool.
    let row = deepflow_collector::Row { time: 9, ..deepflow_collector::Row::default() };
    exporter.submit(Batch::new(Table::DeepflowCollector, &[row]));
    wait_until(|| exporter.stats().outstanding_batches > 5).await;
    let stats = exporter.shutdown(Duration::ZERO);
    let before = totals_of(&stats, Table::L7FlowLog);
    assert_eq!(before.observed, 2000);
    assert!(before.dropped[&Drop::SpoolFull] > 0 && before.waiting > 0, "{before:?}");
    assert!(stats.spool_bytes <= 10_000);
    server.start_ingest().await;
    let exporter = Exporter::start(config).unwrap();
    wait_until(|| exporter.stats().outstanding_batches == 0).await;
    let stats = exporter.shutdown(SECONDS_20);
    let after = totals_of(&stats, Table::L7FlowLog);
    assert_eq!((after.observed, after.waiting), (2000, 0));
    assert_eq!(after.acknowledged, before.waiting);
    assert_eq!(totals_of(&stats, Table::DeepflowCollector).acknowledged, 1);
    wait_until(|| server.sink.rows(Table::L7FlowLog) as u64 >= after.acknowledged).await;
    assert_eq!(server.sink.flow_ids().len() as u64, after.acknowledged);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_waited_for_and_a_repeated_insert_changes_nothing() {
    let server = Server::start().await;
    let exporter = Exporter::start(agent_config(&server, &server.address())).unwrap();
    server.sink.fail(true);
    exporter.submit(logs(0..300));
    wait_until(|| server.handle().stats().insert_retries > 1).await;
    // Acknowledged all the same: the log is durable.
    wait_until(|| totals_of(&exporter.stats(), Table::L7FlowLog).acknowledged == 300).await;
    assert_eq!(server.sink.rows(Table::L7FlowLog), 0);
    assert!(server.handle().stats().wal_bytes > 0);
    // The insert takes place, but its answer is lost: it comes again with the same token.
    server.sink.lose_next_answer();
    server.sink.fail(false);
    wait_until(|| server.handle().stats().rows_stored.get(&Table::L7FlowLog) == Some(&300)).await;
    assert_eq!(server.sink.flow_ids(), (0..300).collect::<Vec<u64>>());
    wait_until(|| server.handle().stats().wal_bytes == 0).await;
    exporter.shutdown(SECONDS_20);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_pushes_back_and_loses_nothing() {
    let server = Server::start_with(|config| config.wal_bytes_max = 30_000).await;
    let exporter = Exporter::start(agent_config(&server, &server.address())).unwrap();
    wait_until(|| exporter.stats().connected).await;
    server.sink.fail(true);
    for i in 0..200 {
        exporter.submit(logs(i * 10..i * 10 + 10));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    wait_until(|| server.handle().stats().dropped.contains_key(&Drop::WalFull)).await;
    assert!(server.handle().stats().wal_bytes <= 30_000);
    let waiting: Totals = totals_of(&exporter.stats(), Table::L7FlowLog);
    assert!(waiting.waiting > 0, "{waiting:?}");
    server.sink.fail(false);
    let stats = exporter.shutdown(SECONDS_20);
    assert_eq!(totals_of(&stats, Table::L7FlowLog).acknowledged, 2000);
    wait_until(|| server.sink.rows(Table::L7FlowLog) >= 2000).await;
    assert_eq!(server.sink.flow_ids(), (0..2000).collect::<Vec<u64>>());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_and_foreign_authorities_are_refused_in_words() {
    let server = Server::start().await;
    let other = Server::start().await;
    let mut config = agent_config(&server, &server.address());
    let token = server.token().replace(&server.secret(), &"0".repeat(64));
    config.token = TokenSource::Text(token);
    let exporter = Exporter::start(config.clone()).unwrap();
    wait_until(|| exporter.stats().problem.contains("token is wrong")).await;
    wait_until(|| server.handle().stats().refused.contains_key(&Refusal::Token)).await;
    exporter.shutdown(Duration::ZERO);

    // Enrolled with one server, then sent to another without a token for it.
    config.token = TokenSource::Text(server.token());
    let exporter = Exporter::start(config.clone()).unwrap();
    wait_until(|| exporter.stats().connected).await;
    exporter.shutdown(SECONDS_20);
    config.server = other.address();
    let exporter = Exporter::start(config.clone()).unwrap();
    exporter.submit(logs(0..10));
    wait_until(|| exporter.stats().problem.contains("certificate")).await;
    wait_until(|| other.handle().stats().refused.contains_key(&Refusal::Certificate)).await;
    let stats = exporter.shutdown(Duration::ZERO);
    assert_eq!(totals_of(&stats, Table::L7FlowLog).waiting, 10);

    // With a token for the other it enrols there, and the rows arrive.
    config.token = TokenSource::Text(other.token());
    let exporter = Exporter::start(config).unwrap();
    wait_until(|| exporter.stats().outstanding_batches == 0).await;
    let stats = exporter.shutdown(SECONDS_20);
    assert_eq!(totals_of(&stats, Table::L7FlowLog).acknowledged, 10);
    wait_until(|| other.sink.rows(Table::L7FlowLog) == 10).await;
    server.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_datagrams_are_counted_and_service_goes_on() {
    let server = Server::start().await;
    let exporter = Exporter::start(agent_config(&server, &server.address())).unwrap();
    wait_until(|| exporter.stats().connected).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut chance = 7u64;
    for length in 1..200usize {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (chance >> 56) as u8
            })
            .collect();
        socket.send_to(&bytes, server.address()).unwrap();
    }
    socket.send_to(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", server.address()).unwrap();
    let garbage =
        || server.handle().stats().refused.get(&Refusal::GarbageDatagram).copied().unwrap_or(0);
    wait_until(|| garbage() >= 190).await;
    exporter.submit(logs(0..10));
    let stats = exporter.shutdown(SECONDS_20);
    assert_eq!(totals_of(&stats, Table::L7FlowLog).acknowledged, 10);
    assert_eq!(stats.sessions, 1);
    server.stop().await;
}

/// The counters are read under three locks, two of which the beginning of a session takes as well. A
/// thread that waits for ever stays behind.
#[tokio::test(flavor = "multi_thread")]
async fn counters_can_be_read_while_sessions_begin() {
    let server = Server::start().await;
    for _ in 0..20 {
        let exporter = Exporter::start(agent_config(&server, &server.address())).unwrap();
        let (done, is_done) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            while !exporter.stats().connected {}
            done.send(exporter.shutdown(SECONDS_20).sessions)
        });
        let sessions = tokio::time::timeout(SECONDS_20, is_done).await;
        assert_eq!(sessions.expect("a session begins").unwrap(), 1);
    }
    server.stop().await;
}
