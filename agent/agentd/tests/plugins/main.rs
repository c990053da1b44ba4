//! `deepflow-agent replay` with a plug-in: from packets to rows that name its protocol.

use std::path::Path;
use std::process::{Command, Output};

/// A protocol of lines: `Q` and words from the client, `R` and words from the server.
const LINES: &str = r#"(module
  (import "deepflow" "message" (func $message (param i32 i64) (result i32)))
  (import "deepflow" "text" (func $text (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "Lines")
  (func (export "deepflow_abi_version") (result i32) (i32.const 1))
  (func (export "deepflow_name") (result i64) (i64.const 5))
  (func (export "deepflow_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "deepflow_probe") (param $direction i32) (param i32 i32)
    (param $at i32) (param $length i32) (result i32)
    (i32.eq (i32.load8_u (local.get $at)) (i32.add (i32.const 81) (local.get $direction))))
  (func (export "deepflow_parse") (param i64) (param $direction i32)
    (param $at i32) (param $length i32) (param i32) (result i64) (local $n i32)
    (loop $next
      (if (i32.eq (local.get $n) (local.get $length))
        (then (return (i64.sub (i64.const -1) (i64.extend_i32_u (local.get $length))))))
      (if (i32.ne (i32.load8_u (i32.add (local.get $at) (local.get $n))) (i32.const 10))
        (then (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $next))))
    (drop (call $message (local.get $direction) (i64.const -1)))
    (drop (call $text
      (select (i32.const 7) (i32.const 3) (local.get $direction))
      (local.get $at) (local.get $n)))
    PLACE
    (i64.add (i64.extend_i32_u (local.get $n)) (i64.const 1))))"#;

/// A packet of TCP over IPv4 over Ethernet, in a record of a capture.
fn packet(second: u32, from_client: bool, seqs: (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
    let (client, server) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let (source, target) = if from_client { (client, server) } else { (server, client) };
    let ports: (u16, u16) = if from_client { (40_000, 7007) } else { (7007, 40_000) };
    let ip_bytes = (40 + payload.len()) as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend(ip_bytes.to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(source);
    frame.extend(target);
    frame.extend(ports.0.to_be_bytes());
    frame.extend(ports.1.to_be_bytes());
    frame.extend(seqs.0.to_be_bytes());
    frame.extend(seqs.1.to_be_bytes());
    frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(payload);
    let length = (frame.len() as u32).to_le_bytes();
    [&second.to_le_bytes(), &[0; 4], &length, &length, &frame[..]].concat()
}

fn capture() -> Vec<u8> {
    let head = [
        0xa1b2_c3d4u32.to_le_bytes(),
        [2, 0, 4, 0],
        [0; 4],
        [0; 4],
        65_535u32.to_le_bytes(),
        1u32.to_le_bytes(),
    ];
    let mut capture = head.concat();
    capture.extend(packet(100, true, (0, 0), 2, b""));
    capture.extend(packet(100, false, (0, 1), 0x12, b""));
    capture.extend(packet(101, true, (1, 1), 0x18, b"Qfirst\nQsec"));
    capture.extend(packet(102, false, (1, 12), 0x18, b"Rone\n"));
    capture.extend(packet(103, true, (12, 6), 0x18, b"ond\n"));
    capture.extend(packet(104, false, (6, 16), 0x18, b"Rtwo\n"));
    capture
}

fn replay(folder: &Path, module: &str) -> Output {
    let (plugin, config) = (folder.join("lines.wasm"), folder.join("agent.yaml"));
    let bytes = wat::parse_str(module).expect("good text");
    std::fs::write(&plugin, bytes).expect("a writable folder");
    let yaml = format!("plugins:\n  wasm_plugins: [{}]\n", plugin.display());
    std::fs::write(&config, yaml).expect("a writable folder");
    std::fs::write(folder.join("lines.pcap"), capture()).expect("a writable folder");
    Command::new(env!("CARGO_BIN_EXE_deepflow-agent"))
        .arg("replay")
        .arg(folder.join("lines.pcap"))
        .arg("--config")
        .arg(config)
        .output()
        .expect("the agent runs")
}

#[test]
fn packets_become_rows_of_the_plugins_protocol() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = replay(folder.path(), &LINES.replace("PLACE", ""));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 2, "{text}");
    for (row, (request, result)) in rows.iter().zip([("Qfirst", "Rone"), ("Qsecond", "Rtwo")]) {
        assert_eq!(row["l7_protocol"], "Custom");
        assert_eq!(row["biz_protocol"], "Lines");
        assert_eq!(row["type"], "session");
        assert_eq!(row["request_resource"], request);
        assert_eq!(row["response_result"], result);
        assert_eq!(row["response_status"], "ok");
    }
}

#[test]
fn a_fault_is_told_and_costs_no_more_than_its_conversations() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = replay(folder.path(), &LINES.replace("PLACE", "(loop $f (br $f))"));
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("plug-in Lines: fault 1 of 8, started anew: out of fuel"), "{told}");
}

#[test]
fn a_plugin_that_cannot_be_loaded_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = LINES.replace("PLACE", "").replace(
        "(result i32) (i32.const 1))\n  (func (export \"deepflow_name\")",
        "(result i32) (i32.const 2))\n  (func (export \"deepflow_name\")",
    );
    let output = replay(folder.path(), &other);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("lines.wasm: is made for version 2"), "{told}");
    assert!(told.contains("docs/plugins.md"), "{told}");
}
