//! Plaintext of programs of Go, by `talk.go`, which is built here: with symbols and without.

use std::collections::BTreeSet;

use source::tls::TlsProbes;

use super::tls::{certificate, talker};
use super::*;

const SIZES: [usize; 4] = [30, 100, 40_000, 100_000];
const CONNECTIONS: usize = 12;

/// Builds a program; `None`: there is no Go. `DEEPFLOW_GO` names another than the installed one.
pub fn build(folder: &Path, source: &str, name: &str, flags: &str) -> Option<PathBuf> {
    let named = std::env::var("DEEPFLOW_GO").ok();
    let go = named.unwrap_or_else(|| "go".to_owned());
    std::fs::write(folder.join("main.go"), source).expect("ours");
    let mut command = Command::new(go);
    command.args(["build", "-o", name, &format!("-ldflags={flags}"), "main.go"]);
    command.envs([("GO111MODULE", "off"), ("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local")]);
    let cache = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/go"));
    command.env("GOCACHE", cache.join("cache")).env("GOPATH", cache.join("path"));
    let built = command.current_dir(folder).status();
    built.is_ok_and(|status| status.success()).then(|| folder.join(name))
}

fn message(port: u16, size: usize, goroutine: u64) -> Vec<u8> {
    let mut text = format!("{port:05} {size:08} {goroutine:08} ").into_bytes();
    text.extend((text.len()..size).map(|n| (n * 7 % 251) as u8));
    text
}

#[test]
fn goroutines_are_told_apart_and_their_sockets_found() {
    let Some(mut capture) = Capture::start(|config| {
        config.go = true;
        config.payload_bytes_max = 128 << 10;
        config.ring_bytes = 64 << 20;
    }) else {
        return;
    };
    let programs = capture.source().take_tls().expect("asked for").expect("the kernel takes them");
    let mut probes = TlsProbes::new(programs);
    let Some(folder) = certificate("go") else {
        println!("SKIPPED: no openssl");
        return;
    };
    for (name, flags) in [("whole", ""), ("stripped", "-s -w")] {
        let Some(program) = build(&folder, include_str!("talk.go"), name, flags) else {
            println!("SKIPPED: no Go");
            return;
        };
        let mut command = Command::new(&program);
        command.arg(&folder);
        let (mut child, port) = talker(&mut command).expect("it says its port");
        assert!(probes.look_at(Path::new("/proc"), child.id()), "it runs");
        let reports = probes.reports();
        let report = reports.iter().find(|one| one.path == program).expect("it is found");
        assert!(report.library.starts_with("Go 1."), "{report:?}");
        assert_eq!(report.functions.len(), 5, "{report:?}");
        assert_eq!(report.reason, "");
        println!("{name}: {}", report.library);
        child.stdin.take().expect("a pipe").write_all(b"\n").expect("it waits");
        assert!(child.wait().expect("it ends").success());
        capture.until("all answers", |c| answers(c, port) >= CONNECTIONS * SIZES.len());
        capture.all();
        check(&capture, port, name);
    }
    std::fs::remove_dir_all(folder).expect("ours");
    assert_eq!(capture.counters().tls_without_socket, 0);
}

fn answers(capture: &Capture, port: u16) -> usize {
    let is_answer = |one: &&Moved| one.hook == Hook::TlsRead && one.tuple.remote_port == port;
    capture.moved.iter().filter(is_answer).count()
}

/// Each connection's messages, which name it, came over it, once at each end.
fn check(capture: &Capture, port: u16, name: &str) {
    let of = |hook: Hook, local: u16, remote: u16| -> Vec<Moved> {
        let is_it = |one: &&Moved| {
            one.hook == hook && (one.tuple.local_port, one.tuple.remote_port) == (local, remote)
        };
        capture.moved.iter().filter(is_it).cloned().collect()
    };
    let clients: BTreeSet<u16> = capture
        .moved
        .iter()
        .filter(|one| one.hook == Hook::TlsWrite && one.tuple.remote_port == port)
        .map(|one| one.tuple.local_port)
        .collect();
    assert_eq!(clients.len(), CONNECTIONS, "{name}");
    let mut numbers = BTreeSet::new();
    for client in clients {
        let answered: String = SIZES.iter().map(|size| format!("{client:05} got {size}")).collect();
        let sent = of(Hook::TlsWrite, client, port);
        let received = of(Hook::TlsRead, port, client);
        let number = sent[0].coroutine_id;
        assert_ne!(number, 0, "{name}");
        let said: Vec<u8> = SIZES.iter().flat_map(|size| message(client, *size, number)).collect();
        assert!(joined(&sent) == said, "{name}: {} bytes sent", joined(&sent).len());
        assert!(joined(&received) == said, "{name}: {} bytes received", joined(&received).len());
        let told = joined(&of(Hook::TlsWrite, port, client));
        assert_eq!(String::from_utf8_lossy(&told), answered, "{name}");
        assert_eq!(joined(&of(Hook::TlsRead, client, port)), told, "{name}");
        assert!(sent.iter().all(|one| one.tuple.role == SocketRole::Connect && one.fd >= 0));
        assert!(received.iter().all(|one| one.tuple.role == SocketRole::Accept));
        check_sequences(&sent, &received, name);
        check_traces(&received, &of(Hook::TlsWrite, port, client), name);
        check_encrypted(capture, client, port, number);
        numbers.insert(number);
    }
    assert_eq!(numbers.len(), CONNECTIONS, "{name}: each goroutine has its own");
}

/// System calls say the same goroutine as what was encrypted in them.
fn check_encrypted(capture: &Capture, client: u16, port: u16, number: u64) {
    let sent = capture.moved.iter().filter(|one| {
        one.hook == Hook::Write && (one.tuple.local_port, one.tuple.remote_port) == (client, port)
    });
    let writes: Vec<u64> = sent.map(|one| one.coroutine_id).collect();
    assert!(writes.len() > SIZES.len(), "{writes:?}");
    assert!(writes.iter().all(|one| *one == number), "{number}: {writes:?}");
}

/// The large messages are read to their end by the goroutine that answers them.
fn check_traces(received: &[Moved], answers: &[Moved], name: &str) {
    for (size, answer) in SIZES.iter().zip(answers).filter(|(size, _)| **size > 1024) {
        let read = received.iter().filter(|one| one.coroutine_id == answer.coroutine_id);
        let ids: BTreeSet<u64> = read.map(|one| one.trace_id).collect();
        assert_ne!(answer.trace_id, 0, "{name}: {size}");
        assert!(ids.contains(&answer.trace_id), "{name}: {size}");
    }
    let ids: BTreeSet<u64> = answers.iter().map(|one| one.trace_id).filter(|id| *id != 0).collect();
    assert!(ids.len() > 1, "{name}: a request each");
}

/// Both ends tell the sequence number of the encrypted bytes. Of the first message it is not known at
/// the server, where the same call made the handshake.
fn check_sequences(sent: &[Moved], received: &[Moved], name: &str) {
    let number_at = |rows: &[Moved], begin: usize| -> Option<u32> {
        let mut bytes = 0;
        let row = rows.iter().find(|row| {
            bytes += row.payload.len();
            bytes - row.payload.len() == begin
        });
        row.expect("a message begins there").tcp_seq
    };
    assert_eq!((number_at(sent, 0).is_some(), number_at(received, 0)), (true, None), "{name}");
    let begins = SIZES.iter().scan(0, |sum, size| {
        *sum += size;
        Some(*sum)
    });
    for begin in begins.take(SIZES.len() - 1) {
        assert!(number_at(sent, begin).is_some());
        assert_eq!(number_at(sent, begin), number_at(received, begin), "{name}: {begin}");
    }
}
