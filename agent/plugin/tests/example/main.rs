//! The plug-in of `examples/ledger`, built as docs/plugins.md says and run on a conversation;
//! skipped where Rust has no target for WebAssembly.

use std::path::Path;
use std::process::Command;

use l7::{
    Config, Conversation, ConversationContext, Direction, Origin, Output, Record, Segment, Shared,
    Transport,
};
use plugin::{Limits, Module};
use schema::{RecordType, ResponseStatus, SignalSource};

const TARGET: &str = "wasm32-unknown-unknown";

fn has_target() -> bool {
    let rustc = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .expect("rustc runs");
    Path::new(String::from_utf8_lossy(&rustc.stdout).trim()).is_dir()
}

/// Builds the plug-in; `None`: this Rust cannot.
fn build() -> Option<Module> {
    if !has_target() {
        eprintln!("skipped: no {TARGET} (`cargo xtask prerequisites test` installs it)");
        return None;
    }
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/ledger/Cargo.toml");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ledger");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--offline", "--target", TARGET])
        .args(["--manifest-path", manifest, "--target-dir"])
        .arg(&folder)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the example does not build");
    let file = folder.join(TARGET).join("release/ledger_plugin.wasm");
    let bytes = std::fs::read(file).expect("a module");
    assert!(bytes.len() < 16 << 10, "{} bytes", bytes.len());
    Some(Module::load(bytes, Limits::default()).expect("a plug-in"))
}

fn message(kind: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [b"LDG1".as_slice(), &[kind], &id.to_be_bytes(), &length, body].concat()
}

/// Runs what each end said, in pieces of at most `size`.
fn run(module: &Module, said: &[(Direction, Vec<u8>)], size: usize) -> Vec<Record> {
    let mut shared = Shared::new(Config::replay());
    shared.set_plugins(vec![module.reader()]);
    let mut out = Output::default();
    let mut conversation = Conversation::new(ConversationContext {
        transport: Transport::Tcp,
        client_port: 40_000,
        server_port: 7007,
        server_key: 1,
        signal_source: SignalSource::Packet,
        direction_known: true,
        is_tls: false,
    });
    let mut time_ns = 0;
    for (direction, bytes) in said {
        time_ns += 1_000_000;
        for payload in bytes.chunks(size) {
            let segment = Segment {
                time_ns,
                direction: *direction,
                seq: None,
                payload,
                wire_bytes: payload.len() as u32,
                syn: false,
                fin: false,
                origin: Origin::default(),
            };
            conversation.on_segment(&mut shared, &segment, &mut out);
        }
    }
    conversation.on_close(&mut shared, time_ns, &mut out);
    assert_eq!(shared.take_drops().count(), 0);
    assert_eq!((shared.buffered_bytes(), shared.sessions()), (0, 0));
    out.records.into_iter().map(|record| *record).collect()
}

#[test]
fn the_example_reads_its_protocol() {
    let Some(module) = build() else { return };
    assert_eq!(module.name(), "Ledger");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let long = [b"get EUR.".as_slice(), &[b'9'; 3000]].concat();
    let said = [
        (
            Direction::ClientToServer,
            [
                message(1, 1, format!("get EUR.1234 {trace}").as_bytes()),
                message(1, 2, b"put USD.7"),
            ]
            .concat(),
        ),
        (
            Direction::ServerToClient,
            [message(2, 2, b"\x01\xf4disk full"), message(2, 1, b"\0\0")].concat(),
        ),
        (Direction::ServerToClient, message(3, 0, b"EUR.1234")),
        (Direction::ClientToServer, message(1, 3, &long)),
        (Direction::ServerToClient, message(2, 3, b"\x00\x07no")),
    ];
    let whole = run(&module, &said, usize::MAX);
    assert_eq!(whole.len(), 4);
    assert!(whole.iter().all(|record| record.protocol_name == "Ledger"));
    let shown: Vec<_> = whole
        .iter()
        .map(|r| (r.kind, r.request_id, &*r.request_type, &*r.endpoint, r.response_code))
        .collect();
    use RecordType::Session;
    assert_eq!(shown[0], (Session, Some(2), "put", "USD", Some(500)));
    assert_eq!(shown[1], (Session, Some(1), "get", "EUR", Some(0)));
    assert_eq!(shown[2], (Session, None, "notice", "", None));
    assert_eq!(shown[3], (Session, Some(3), "get", "EUR", Some(7)));
    assert_eq!(whole[0].response_status, ResponseStatus::ServerError);
    assert_eq!(whole[0].response_exception, "disk full");
    assert_eq!(whole[1].trace_id, &trace[3..35]);
    assert_eq!(whole[3].request_resource.len(), 3004);
    assert_eq!(whole[3].response_status, ResponseStatus::ClientError);
    for size in [1, 2, 3, 10, 1024, 1500] {
        let mut cut = run(&module, &said, size);
        for (cut, whole) in cut.iter_mut().zip(&whole) {
            cut.captured_request_bytes = whole.captured_request_bytes;
            cut.captured_response_bytes = whole.captured_response_bytes;
        }
        assert_eq!(cut, whole, "in pieces of {size}");
    }
}

#[test]
fn others_protocols_stay_theirs() {
    let Some(module) = build() else { return };
    let said = [
        (Direction::ClientToServer, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
        (Direction::ServerToClient, b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
    ];
    let records = run(&module, &said, usize::MAX);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].protocol, schema::L7Protocol::Http);
}
