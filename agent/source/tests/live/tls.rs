//! Plaintext of a real TLS library, by Python's `ssl`, which calls `SSL_read_ex` and `SSL_write_ex`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use source::tls::TlsProbes;

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
    let Some(mut capture) = Capture::start(|config| {
        config.tls = true;
        config.payload_bytes_max = 128 << 10;
    }) else {
        return;
    };
    let programs = capture.source().take_tls().expect("asked for").expect("the kernel takes them");
    let mut probes = TlsProbes::new(programs);
    let folder = certificate("tls");
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
