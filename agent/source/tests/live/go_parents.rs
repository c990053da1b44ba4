//! What goroutines send that a request began, by `relay.go`: it has the request's trace id, whichever
//! goroutine sends it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use source::tls::TlsProbes;

use super::go::build;
use super::*;

/// As in `relay.go`: who asks at once, how often, and by what; how many questions each is behind.
const ASKERS: usize = 8;
const ROUNDS: usize = 6;
const WAYS: [(&str, usize); 5] =
    [("client", 1), ("child", 1), ("grandchild", 1), ("both", 2), ("none", 0)];

/// Starts it; the ports that it says.
fn start(program: &Path) -> Option<(Child, u16, u16)> {
    let mut command = Command::new(program);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut()?).read_line(&mut line).ok()?;
    let mut ports = line.trim().strip_prefix("ready ")?.split(' ').map(str::parse);
    Some((child, ports.next()?.ok()?, ports.next()?.ok()?))
}

#[test]
fn what_a_request_began_has_its_trace_id() {
    let Some(mut capture) = Capture::start(|config| config.go = true) else { return };
    let programs = capture.source().take_tls().expect("asked for").expect("the kernel takes them");
    let mut probes = TlsProbes::new(programs);
    let folder = std::env::temp_dir().join(format!("deepflow-relay-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, flags) in [("relay", ""), ("relay-stripped", "-s -w")] {
        let Some(program) = build(&folder, include_str!("relay.go"), name, flags) else {
            println!("SKIPPED: no Go");
            return;
        };
        let (mut child, front, behind) = start(&program).expect("it says its ports");
        assert!(probes.look_at(Path::new("/proc"), child.id()), "it runs");
        let reports = probes.reports();
        let report = reports.iter().find(|one| one.path == program).expect("it is found");
        assert!(report.functions.contains(&"runtime.newproc1"), "{report:?}");
        println!("{name}: {}", report.library);
        child.stdin.take().expect("a pipe").write_all(b"\n").expect("it waits");
        assert!(child.wait().expect("it ends").success());
        let wanted: usize = WAYS.iter().map(|(_, behind)| behind).sum::<usize>() * ASKERS * ROUNDS;
        let sent = |c: &Capture| asked(c, behind, Direction::Egress, true).len() >= wanted;
        capture.until("all questions", sent);
        capture.all();
        check(&capture, front, behind, name);
    }
    std::fs::remove_dir_all(folder).expect("ours");
}

/// Who asked for what, with its trace id: sent to a port, or received at it.
fn asked(
    capture: &Capture,
    port: u16,
    direction: Direction,
    is_client: bool,
) -> Vec<(String, String, u64)> {
    let at = |one: &Moved| if is_client { one.tuple.remote_port } else { one.tuple.local_port };
    let of_port = capture.moved.iter().filter(|one| one.direction == direction && at(one) == port);
    of_port
        .filter_map(|one| {
            let text = String::from_utf8_lossy(&one.payload).into_owned();
            let path = text.lines().next()?.strip_suffix(" HTTP/1.1")?.rsplit(' ').next()?;
            let mut words = path.rsplit('/');
            let (id, way) = (words.next()?.to_owned(), words.next()?.to_owned());
            Some((way, id, one.trace_id))
        })
        .collect()
}

/// Each question behind has the trace id of the request that it was asked for, and no other has.
fn check(capture: &Capture, front: u16, behind: u16, name: &str) {
    let requests = asked(capture, front, Direction::Ingress, false);
    assert_eq!(requests.len(), ASKERS * ROUNDS * WAYS.len(), "{name}");
    let questions = asked(capture, behind, Direction::Egress, true);
    let mut by_trace: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for (_, id, trace) in &questions {
        by_trace.entry(*trace).or_default().push(id);
    }
    for (way, behind) in WAYS {
        let of_way: Vec<_> = requests.iter().filter(|one| one.0 == way).collect();
        assert_eq!(of_way.len(), ASKERS * ROUNDS, "{name}: {way}");
        for (_, id, trace) in of_way {
            assert_ne!(*trace, 0, "{name}: {id}");
            let linked = by_trace.get(trace).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(linked, vec![id.as_str(); behind], "{name}: {id}");
        }
    }
    check_answers(capture, front, name);
}

/// The answer in front still belongs to its request.
fn check_answers(capture: &Capture, front: u16, name: &str) {
    let of = |direction: Direction| -> BTreeMap<u16, Vec<u64>> {
        let mut ids: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
        let at = |one: &&Moved| one.tuple.local_port == front && one.direction == direction;
        // A byte that net/http reads ahead is not where a request begins.
        for one in capture.moved.iter().filter(at).filter(|one| one.payload.len() > 1) {
            ids.entry(one.tuple.remote_port).or_default().push(one.trace_id);
        }
        ids
    };
    let (received, sent) = (of(Direction::Ingress), of(Direction::Egress));
    assert_eq!(received.len(), ASKERS, "{name}");
    assert_eq!(received, sent, "{name}");
}
