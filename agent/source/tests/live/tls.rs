//! Plaintext of a real TLS library, by Python's `ssl`, which calls `SSL_read_ex` and `SSL_write_ex`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use source::tls::{Mechanism as TlsMechanism, TlsProbes};

use super::*;

/// Both ends in one process: a thread that answers, and one that asks. Says "ready" with the
/// library loaded, then waits for a line.
const TALK: &str = "
import socket, ssl, sys, threading
folder = sys.argv[1]
listener = socket.create_server(('127.0.0.1', 0))
accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
accepting.load_cert_chain(folder + '/cert.pem', folder + '/key.pem')
asking = ssl.create_default_context()
asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
print('ready', listener.getsockname()[1], flush=True)
sys.stdin.readline()
sizes = [5, 100, 40000, 100000]
def serve():
    with accepting.wrap_socket(listener.accept()[0], server_side=True) as peer:
        for size in sizes:
            got = b''
            while len(got) < size:
                got += peer.recv(size - len(got))
            peer.sendall(b'got %d' % size)
thread = threading.Thread(target=serve)
thread.start()
with asking.wrap_socket(socket.create_connection(listener.getsockname())) as peer:
    for size in sizes:
        peer.sendall(bytes(n * 7 % 251 for n in range(size)))
        peer.recv(100)
thread.join()
";

/// A certificate in a folder that goes with the value; `None`: no `openssl`.
pub fn certificate(name: &str) -> Option<PathBuf> {
    let folder = std::env::temp_dir().join(format!("deepflow-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=t \
                 -keyout key.pem -out cert.pem";
    let mut command = Command::new("openssl");
    let made = command.args(words.split_whitespace()).current_dir(&folder).stderr(Stdio::null());
    made.status().is_ok_and(|status| status.success()).then_some(folder)
}

/// Starts a program that says the port it listens at.
pub fn talker(command: &mut Command) -> Option<(Child, u16)> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut()?).read_line(&mut line).ok()?;
    Some((child, line.trim().strip_prefix("ready ")?.parse().ok()?))
}

#[test]
fn plaintext_is_told_as_it_was_said() {
    check(TlsMechanism::Auto, "perf");
}

#[test]
fn probe_events_tell_the_same_and_are_deleted() {
    check(TlsMechanism::ProbeEvents, "probe event");
    let own = format!("deepflow_{}/", std::process::id());
    assert!(!probe_events().contains(&own), "{}", probe_events());
}

/// What tracefs lists, which is mounted for the asking program alone where it is not there.
fn probe_events() -> String {
    let script = "[ -e /sys/kernel/tracing/uprobe_events ] ||
        mount -t tracefs none /sys/kernel/tracing && cat /sys/kernel/tracing/uprobe_events";
    let output =
        Command::new("unshare").args(["-m", "sh", "-c", script]).output().expect("unshare");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn check(mechanism: TlsMechanism, name: &str) {
    let Some(mut capture) = Capture::start(|config| {
        config.tls = true;
        config.tls_mechanism = mechanism;
        config.payload_bytes_max = 128 << 10;
    }) else {
        return;
    };
    let programs = capture.source().take_tls().expect("asked for").expect("the kernel takes them");
    assert_eq!(programs.mechanism(), name);
    assert_eq!(programs.not_better().is_empty(), mechanism == TlsMechanism::Auto);
    let mut probes = TlsProbes::new(programs);
    let folder = certificate(name);
    let talk = |folder: &Path| talker(Command::new("python3").arg("-c").arg(TALK).arg(folder));
    let Some((mut child, port)) = folder.as_deref().and_then(talk) else {
        println!("SKIPPED: no python3 with ssl, or no openssl");
        return;
    };
    assert!(probes.look_at(Path::new("/proc"), child.id()), "it runs");
    let reports = probes.reports();
    assert!(reports.iter().any(|one| one.library == "OpenSSL"), "{reports:?}");
    assert!(reports.iter().all(|one| one.reason.is_empty()), "{reports:?}");
    child.stdin.take().expect("a pipe").write_all(b"\n").expect("it waits");
    assert!(child.wait().expect("it ends").success());
    std::fs::remove_dir_all(folder.expect("made")).expect("ours");

    let (told, told_bytes) = (capture.counters().tls_calls, 5 + 100 + 40_000 + 100_000);
    assert!(told >= 16, "{told}");
    let of = |capture: &Capture, hook: Hook, at_server: bool| -> Vec<Moved> {
        let is_it = |one: &&Moved| {
            let end = if at_server { one.tuple.local_port } else { one.tuple.remote_port };
            one.hook == hook && end == port
        };
        capture.moved.iter().filter(is_it).cloned().collect()
    };
    capture.until("the last answer", |c| of(c, Hook::TlsRead, false).len() >= 4);
    capture.all();

    let said: Vec<u8> = [5, 100, 40_000, 100_000]
        .into_iter()
        .flat_map(|size: usize| (0..size).map(|n| (n * 7 % 251) as u8))
        .collect();
    let (sent, received) = (of(&capture, Hook::TlsWrite, false), of(&capture, Hook::TlsRead, true));
    assert!(joined(&sent) == said, "{} of {told_bytes} bytes sent", joined(&sent).len());
    assert!(joined(&received) == said, "{} of {told_bytes} received", joined(&received).len());
    let answers = b"got 5got 100got 40000got 100000";
    assert_eq!(joined(&of(&capture, Hook::TlsWrite, true)), answers);
    assert_eq!(joined(&of(&capture, Hook::TlsRead, false)), answers);

    assert_eq!(sent[0].tcp_seq, received[0].tcp_seq, "of the encrypted bytes");
    assert_eq!(sent[1].tcp_seq, received[1].tcp_seq);
    assert!(sent[0].tcp_seq.is_some() && sent[0].tcp_seq != sent[1].tcp_seq);
    assert!(sent.iter().all(|one| one.tuple.role == SocketRole::Connect && one.fd >= 0));
    assert!(received.iter().all(|one| one.tuple.role == SocketRole::Accept));
    let answer = &of(&capture, Hook::TlsWrite, true)[0];
    assert_eq!(answer.trace_id, received[0].trace_id, "a request and what it led to");
    assert!(answer.trace_id != 0);
    assert_eq!(capture.counters().tls_without_socket, 0);
}

/// Waits in a call of the library until it is told to go on; what it read last it puts out.
const WAIT: &str = "
import socket, ssl, sys, threading
folder = sys.argv[1]
accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
accepting.load_cert_chain(folder + '/cert.pem', folder + '/key.pem')
asking = ssl.create_default_context()
asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
near, far = socket.socketpair()
listener = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
def serve():
    with accepting.wrap_socket(server, server_side=True) as peer:
        peer.sendall(b'first')
        sys.stdin.readline()
        peer.sendall(b'second')
thread = threading.Thread(target=serve)
thread.start()
with asking.wrap_socket(client) as peer:
    peer.recv(100)
    print('waiting', flush=True)
    print(peer.recv(100).decode(), flush=True)
thread.join()
";

fn waiter(folder: &Path) -> Option<Child> {
    let mut command = Command::new("python3");
    command.arg("-c").arg(WAIT).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().ok()
}

fn line_of(child: &mut Child) -> String {
    let mut line = String::new();
    let mut byte = [0];
    let output = child.stdout.as_mut().expect("a pipe");
    while output.read_exact(&mut byte).is_ok() && byte[0] != b'\n' {
        line.push(char::from(byte[0]));
    }
    line
}

/// The process is in the middle of a hooked function when the hooks go, or when it is killed.
#[test]
fn hooks_that_go_in_the_middle_of_a_call_harm_nobody() {
    let Some(folder) = certificate("middle") else {
        println!("SKIPPED: no openssl");
        return;
    };
    for mechanism in [TlsMechanism::Perf, TlsMechanism::ProbeEvents] {
        let Some(mut capture) = Capture::start(|config| {
            config.tls = true;
            config.tls_mechanism = mechanism;
        }) else {
            return;
        };
        let programs = capture.source().take_tls().expect("asked").expect("the kernel takes them");
        let mut probes = TlsProbes::new(programs);
        let Some(mut shows_library) = waiter(&folder) else {
            println!("SKIPPED: no python3");
            return;
        };
        assert_eq!(line_of(&mut shows_library), "waiting");
        assert!(probes.look_at(Path::new("/proc"), shows_library.id()), "it runs");
        let mut goes_on = waiter(&folder).expect("python3");
        let mut is_killed = waiter(&folder).expect("python3");
        for child in [&mut goes_on, &mut is_killed] {
            assert_eq!(line_of(child), "waiting");
        }
        assert!(capture.counters().tls_calls >= 4, "hooked when they began to wait");
        shows_library.kill().expect("it waits");
        shows_library.wait().expect("ended");
        is_killed.kill().expect("it waits");
        is_killed.wait().expect("ended");
        let tgid = is_killed.id();
        capture.until("its end", |c| c.lived.contains(&Lived::Exit { tgid, status: 9 }));
        drop(probes);
        drop(capture);
        goes_on.stdin.take().expect("a pipe").write_all(b"\n").expect("it waits");
        assert_eq!(line_of(&mut goes_on), "second");
        assert!(goes_on.wait().expect("it ends").success(), "{mechanism:?}");
    }
    std::fs::remove_dir_all(folder).expect("ours");
}
