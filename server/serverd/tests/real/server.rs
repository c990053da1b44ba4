//! The whole server by its HTTP interface and its signals.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::rig::{self, Server};

#[test]
fn http_interface() {
    if rig::library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let server = Server::start(folder.path());

    let (status, answer) = server.query("SELECT 1 AS a, 'x' AS b FROM numbers(2)");
    assert_eq!(status, 200);
    assert_eq!(answer["OPT_STATUS"], "SUCCESS");
    assert_eq!(answer["result"]["values"], json!([[1, "x"], [1, "x"]]));
    let (status, answer) = server.query("SELECT count() FROM l7_flow_log");
    assert_eq!((status, &answer["result"]["values"]), (200, &json!([[0]])), "db is flow_log");
    let (status, answer) = server.query("SELECT count() FROM flow_metrics.application_map");
    assert_eq!((status, &answer["result"]["values"]), (200, &json!([[0]])), "views are there");
    for (sql, code) in [
        ("SELECT nope", 47),
        ("SELECT * FROM nope", 60),
        ("SELEC", 0),
        ("DROP TABLE l7_flow_log", 0),
        ("SELECT * FROM file('/etc/passwd')", 0),
    ] {
        let (status, answer) = server.query(sql);
        assert_eq!(
            (status, &answer["OPT_STATUS"], &answer["ERROR_CODE"]),
            (400, &json!("FAILED"), &json!(code)),
            "{sql}: {answer}"
        );
        assert_ne!(answer["DESCRIPTION"], "", "{sql}");
    }
    let (status, _, body) = server.call("POST", "/v1/query/", "text/plain", "SELECT 1");
    assert_eq!(status, 400, "{body}");

    assert_eq!(server.get("/v1/agents"), json!({"agents": []}));
    let health = server.get("/v1/health");
    assert_eq!(health["server"]["engine"]["state"], "ready");
    assert_eq!(health["server"]["metrics"]["server_queries_total{outcome=\"success\"}"], 3);
    let (status, _, body) = server.call("GET", "/healthz", "", "");
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    let (_, _, metrics) = server.call("GET", "/metrics", "", "");
    assert!(metrics.contains("server_queries_total{outcome=\"client_error\"} 6"), "{metrics}");

    let put = |table: &str, body: &str| {
        server.call("PUT", &format!("/v1/retention/{table}"), "application/json", body)
    };
    let (status, _, body) = put("flow_log.l4_flow_log", "{\"hours\": 100}");
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("\"hours\":100"), "{body}");
    assert_eq!(put("flow_log.nope", "{\"hours\": 1}").0, 404);
    assert_eq!(put("flow_log.l4_flow_log", "{\"hours\": 0}").0, 400);
    assert_eq!(put("flow_log.l4_flow_log", "hours").0, 400);

    let (status, head, body) = server.call("GET", "/", "", "");
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-security-policy: default-src 'self'"), "{head}");
    assert!(body.contains("<title>DeepFlow</title>"));
    assert_eq!(server.call("GET", "/nope.js", "", "").0, 404);
    assert_eq!(server.call("GET", "/../Cargo.toml", "", "").0, 404);
}

#[test]
fn a_signal_ends_everything_and_a_second_start_is_fast() {
    if rig::library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    for round in 0..2 {
        let started = Instant::now();
        let mut server = Server::start(folder.path());
        if round == 1 {
            assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        }
        let process_id = server.child.id();
        let engines = rig::children(process_id);
        assert_eq!(engines.len(), 1, "the engine is the only child");
        rig::signal(process_id, if round == 0 { "INT" } else { "TERM" });
        assert!(server.child.wait().expect("ends").success());
        assert!(!rig::is_alive(engines[0]), "the engine has ended before its server");
        let files = std::fs::read_dir(folder.path()).expect("folder").flatten();
        let sockets = files.filter(|file| file.path().extension().is_some_and(|e| e == "sock"));
        assert_eq!(sockets.count(), 0, "sockets left behind");
    }
}

#[test]
fn an_engine_does_not_outlive_a_killed_server() {
    if rig::library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let mut server = Server::start(folder.path());
    let engine = rig::children(server.child.id())[0];
    rig::signal(server.child.id(), "KILL");
    server.child.wait().expect("ends");
    // The next start does not wait for the old engine's end; it has to get on with it.
    drop(Server::start(folder.path()));
    rig::wait_for("the engine ends", Duration::from_secs(10), || !rig::is_alive(engine));
    drop(Server::start(folder.path()));
}

#[test]
fn a_taken_port_is_told_before_anything_starts() {
    let folder = tempfile::tempdir().expect("folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let address = taken.local_addr().expect("bound").to_string();
    let data_dir = folder.path().join("data");
    let output = Command::new(rig::SERVER)
        .args(["run", "--listen", &address, "--ingest-listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data_dir)
        .stdout(Stdio::null())
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("is taken by process") && text.contains("--listen"), "{text}");
    assert!(!data_dir.exists(), "nothing was started");
}
