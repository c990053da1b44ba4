//! Much of everything: processes that hardly live, sockets beyond what is kept, agents side by side.

use std::collections::BTreeSet;

use super::*;

const PROCESSES: usize = 10_000;
const AT_ONCE: usize = 200;
const SOCKETS: usize = 5_000;

/// A process that ends at once.
fn short_child() -> libc::pid_t {
    // SAFETY: the child makes one system call.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: ends without any handler of the parent.
        unsafe { libc::_exit(0) };
    }
    child
}

#[test]
fn ten_thousand_short_processes_are_told_and_forgotten() {
    // Nothing else, so that what others do here takes no room in the ring.
    let Some(mut capture) = Capture::start(|config| {
        let is_wanted = |hook: &Hook| matches!(hook, Hook::Fork | Hook::Exit);
        config.hooks_off = Hook::ALL.into_iter().filter(|hook| !is_wanted(hook)).collect();
    }) else {
        return;
    };
    let mut children = BTreeSet::new();
    for _ in 0..PROCESSES / AT_ONCE {
        let born: Vec<libc::pid_t> = (0..AT_ONCE).map(|_| short_child()).collect();
        for child in born {
            // SAFETY: waits for our own child; nobody wants its status.
            assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
            children.insert(u32::try_from(child).expect("forked"));
        }
        capture.all();
    }
    capture.all();
    let parent = std::process::id();
    let (mut forks, mut exits) = (0, 0);
    for one in &capture.lived {
        match one {
            Lived::Fork { parent_tgid, .. } => forks += usize::from(*parent_tgid == parent),
            Lived::Exit { tgid, status: 0 } => exits += usize::from(children.contains(tgid)),
            _ => {}
        }
    }
    assert_eq!((forks, exits), (PROCESSES, PROCESSES), "{:?}", capture.counters());
    assert_eq!(capture.counters().map_full, 0, "each gave its slot back");
}

/// Room for two descriptors a connection; false: this machine does not give it.
fn allow_many_files() -> bool {
    let wanted = SOCKETS as libc::rlim_t * 2 + 1000;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit lives through the call, which fills it.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = limit.rlim_cur.max(wanted);
    limit.rlim_max = limit.rlim_max.max(wanted);
    // SAFETY: the limit lives through the call.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0 }
}

/// Each of many connections says one thing, all of them are open at once.
fn many_sockets(sockets_max: u32) -> Option<(Capture, BTreeSet<u64>)> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut capture = Capture::start(|config| {
        config.sockets_max = sockets_max;
        config.ports_allowed = vec![address.port()..=address.port()];
    })?;
    if !allow_many_files() {
        println!("SKIPPED: no room for {SOCKETS} connections");
        return None;
    }
    let mut pairs = Vec::new();
    for round in 0..SOCKETS {
        let client = TcpStream::connect(address).expect("connected");
        let (server, _) = listener.accept().expect("accepted");
        pairs.push((client, server));
        if round % 250 == 0 {
            capture.all();
        }
    }
    for (round, (client, server)) in pairs.iter_mut().enumerate() {
        client.write_all(&u32::try_from(round).expect("small").to_be_bytes()).expect("sent");
        server.read_exact(&mut [0; 4]).expect("there");
        if round % 250 == 0 {
            capture.all();
        }
    }
    capture.all();
    let mut ids = BTreeSet::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let is_it = |one: &&Moved| {
            let of = if direction == Direction::Egress {
                one.tuple.remote_port
            } else {
                one.tuple.local_port
            };
            of == address.port() && one.direction == direction
        };
        let told: Vec<&Moved> = capture.moved.iter().filter(is_it).collect();
        let words: Vec<_> = told.iter().map(|one| one.payload.clone()).collect();
        let wanted = (0..SOCKETS).map(|n| u32::try_from(n).expect("small").to_be_bytes().to_vec());
        assert!(words.into_iter().eq(wanted), "{} {direction:?}", told.len());
        ids.extend(told.iter().map(|one| one.socket_id));
    }
    assert_eq!(capture.counters().ring_full, 0);
    Some((capture, ids))
}

#[test]
fn five_thousand_sockets_are_told_apart() {
    let Some((capture, ids)) = many_sockets(65_536) else { return };
    assert_eq!(ids.len(), SOCKETS * 2, "{:?}", capture.counters());
}

/// The oldest are forgotten and get another id when they are used again; nothing is lost.
#[test]
fn a_full_map_of_sockets_loses_no_word() {
    let Some((capture, ids)) = many_sockets(64) else { return };
    assert_eq!(ids.len(), SOCKETS * 2, "{:?}", capture.counters());
    assert_eq!(capture.counters().map_full, 0);
}

#[test]
fn two_agents_see_the_same() {
    let Some(mut first) = Capture::start(|_| {}) else { return };
    let Some(mut second) = Capture::start(|_| {}) else { return };
    let (mut client, mut server, port, _) = tcp_pair("127.0.0.1");
    for round in 0..50_u8 {
        client.write_all(&[round; 100]).expect("sent");
        server.read_exact(&mut [0; 100]).expect("there");
    }
    for capture in [&mut first, &mut second] {
        capture.until("fifty", |c| c.of(port, Direction::Egress).len() == 50);
    }
    let payloads = |capture: &Capture| joined(&capture.of(port, Direction::Egress));
    assert_eq!(payloads(&first), payloads(&second));
    drop(first);
    client.write_all(b"alone").expect("sent");
    second.until("the last", |c| c.of(port, Direction::Egress).len() == 51);
}
