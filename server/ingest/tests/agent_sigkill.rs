//! The agent is killed again and again while it sends, with the server now there and now not:
//! what its ledger calls acknowledged is what the store has, and the rest is counted as dropped.
//!
//! The process runs twice: as the test, which is the server and the executioner; and, with the
//! argument `child`, as the agent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doubles;

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use doubles::{Server, agent_config, logs, totals_of};
use export::{ExportConfig, Exporter, TokenSource};
use schema::{Drop as Loss, Table};

const KILLS: u64 = 40;
const TEST_NAME: &str = "what_a_killed_agent_calls_acknowledged_is_what_the_store_has";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("child") => submit_for_ever(Path::new(&arguments[1]), &arguments[2], &arguments[3]),
        // The protocol of test runners: list, or run what is not filtered out.
        _ if arguments.iter().any(|argument| argument == "--list") => {
            if !arguments.iter().any(|argument| argument == "--ignored") {
                println!("{TEST_NAME}: test");
            }
        }
        _ => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.unwrap().block_on(kill_and_count());
            println!("test {TEST_NAME} ... ok");
        }
    }
}

/// Small, so that batches are in memory and in the spool, and some fall off it.
fn limits(config: &mut ExportConfig) {
    config.memory_bytes_max = 3000;
    config.spool_bytes_max = 20_000;
    config.l7_throttle_rows = 0;
    config.host.hostname = "test-host".into();
}

/// The child: rows with numbers from `first` on.
fn submit_for_ever(dir: &Path, address: &str, first: &str) {
    let token = TokenSource::File(dir.join("authority/enrol.token"));
    let mut config =
        ExportConfig::new(address.to_owned(), dir.join("identity"), token, dir.join("spool"));
    limits(&mut config);
    let exporter = Exporter::start(config).unwrap();
    let mut next: u64 = first.parse().unwrap();
    loop {
        exporter.submit(logs(next..next + 20));
        next += 20;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An agent that does not outlive the test; dropped by SIGKILL.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn kill_and_count() {
    let mut server = Server::start().await;
    let address = server.address();
    let mut chance = 0x9e37_79b9u64;
    for kill in 0..KILLS {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.arg("child").arg(server.dir.path()).arg(&address);
        let agent = Agent(command.arg((kill * 1_000_000).to_string()).spawn().unwrap());
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let time = Duration::from_micros(60_000 + (chance >> 40) % 150_000);
        if kill % 4 == 3 {
            // Without a server memory and spool run full.
            tokio::time::sleep(time).await;
            server.stop_ingest().await;
            tokio::time::sleep(time).await;
            std::mem::drop(agent);
            server.start_ingest().await;
        } else {
            tokio::time::sleep(time).await;
        }
    }
    let mut config = agent_config(&server, &address);
    limits(&mut config);
    let exporter = Exporter::start(config).unwrap();
    doubles::wait_until(|| exporter.stats().outstanding_batches == 0).await;
    let stats = exporter.shutdown(Duration::from_secs(5));
    let totals = totals_of(&stats, Table::L7FlowLog);
    assert_eq!(totals.waiting, 0);
    assert!(totals.acknowledged > 0 && totals.dropped[&Loss::AgentKilled] > 0, "{totals:?}");
    doubles::wait_until(|| server.sink.rows(Table::L7FlowLog) as u64 >= totals.acknowledged).await;
    server.stop_ingest().await;
    let stored = server.sink.flow_ids();
    assert_eq!(stored.len() as u64, totals.acknowledged, "{totals:?}");
    assert!(stored.windows(2).all(|pair| pair[0] < pair[1]), "rows doubled");
    println!("{KILLS} kills: {totals:?}");
}
