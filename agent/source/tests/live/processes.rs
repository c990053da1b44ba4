//! Processes: what leads from one call to another, forks, programs that begin and end, containers.

use super::*;

#[test]
fn trace_ids_lead_from_a_request_to_what_it_causes() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (mut client, mut front, client_port, front_port) = tcp_pair("127.0.0.1");
    let (mut back, mut upstream, back_port, _) = tcp_pair("127.0.0.1");
    // The client and the upstream are other threads, as in life.
    let peers = thread::spawn(move || {
        client.write_all(b"req").expect("sent");
        client.write_all(b"uest").expect("sent");
        upstream.read_exact(&mut [0; 8]).expect("both parts");
        upstream.write_all(b"answer").expect("sent");
        client.read_exact(&mut [0; 6]).expect("the response");
        (client, upstream)
    });
    front.read_exact(&mut [0; 3]).expect("first part");
    front.read_exact(&mut [0; 4]).expect("second part");
    back.write_all(b"sub").expect("sent");
    back.write_all(b"query").expect("sent");
    back.read_exact(&mut [0; 6]).expect("the answer");
    front.write_all(b"answer").expect("sent");
    let _alive = peers.join().expect("ended");
    capture.until("the response", |c| {
        c.of(client_port, Direction::Ingress).len() == 1
            && c.of(front_port, Direction::Egress).len() == 1
    });
    let ids = |port, direction: Direction| -> Vec<u64> {
        capture.of(port, direction).iter().map(|one| one.trace_id).collect()
    };
    let request = ids(front_port, Direction::Ingress);
    assert_ne!(request[0], 0);
    assert_eq!(request[0], request[1], "two receives of one request keep the id");
    assert_eq!(ids(back_port, Direction::Egress), [request[0], 0], "the first send takes it");
    let answer = ids(back_port, Direction::Ingress);
    assert_ne!(answer[0], request[0], "the answer makes the next");
    assert_eq!(ids(front_port, Direction::Egress), answer);
    assert_eq!(ids(client_port, Direction::Egress), [0, 0], "nothing was received before");
}

#[test]
fn a_forked_child_shares_the_socket() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (client, mut server, port, server_port) = tcp_pair("127.0.0.1");
    assert_eq!(send(Call::Plain, client.as_raw_fd(), b"parent", None, 99), 6);
    let fd = client.as_raw_fd();
    // SAFETY: the child makes three system calls and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: plain system calls on a descriptor that the child has.
        unsafe {
            libc::write(fd, b"child".as_ptr().cast(), 5);
            libc::close(fd);
            libc::_exit(3);
        }
    }
    let child = u32::try_from(child).expect("forked");
    let mut status = 0;
    // SAFETY: waits for our own child; the status lives through the call.
    unsafe { libc::waitpid(child.cast_signed(), &raw mut status, 0) };
    server.read_exact(&mut [0; 11]).expect("both");
    assert_eq!(send(Call::Plain, client.as_raw_fd(), b"again", None, 99), 5);
    capture.until("three writes", |c| c.of(port, Direction::Egress).len() == 3);
    let out = capture.of(port, Direction::Egress);
    assert_eq!(
        out.iter().map(|o| o.tgid).collect::<Vec<_>>(),
        [std::process::id(), child, std::process::id()]
    );
    assert_eq!(out.iter().map(|o| o.cap_seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(out.iter().all(|o| o.socket_id == out[0].socket_id));
    assert_contiguous(&out);
    assert!(!capture.changes(port).contains(&SocketChange::Close), "the parent still has it");
    assert_eq!(capture.changes(server_port), [SocketChange::Accept]);
    capture.until("the child's end", |c| {
        c.lived.contains(&Lived::Exit { tgid: child, status: 3 << 8 })
    });
}

#[test]
fn programs_that_run_and_end_are_told() {
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let mut child = Command::new("/bin/false").spawn().expect("it is there");
    let tgid = child.id();
    child.wait().expect("ended");
    capture.until("the end", |c| c.lived.contains(&Lived::Exit { tgid, status: 1 << 8 }));
    let exec = Lived::Exec {
        tgid,
        parent_tgid: std::process::id(),
        comm: "false".to_owned(),
        path: b"/bin/false".to_vec(),
        cgroup: String::new(),
        netns: own_netns(),
    };
    assert!(capture.lived.contains(&exec), "{:?}", capture.lived);
    let fork = Lived::Fork { tgid, parent_tgid: std::process::id(), comm: main_thread_name() };
    assert!(capture.lived.contains(&fork), "{:?}", capture.lived);
}

/// Runtimes name the group after the container, or make one above it or below it; they use the
/// hierarchy of version 2 or any of version 1.
#[test]
fn the_container_of_a_program_is_told() {
    let id = "0123456789abcdef".repeat(4);
    let groups = [
        format!("docker-{id}.scope"),
        format!("deepflow-test-libpod/libpod-{id}.scope/container"),
        format!("deepflow-test-pod/{id}"),
    ];
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    if capture.is_oldest_tier() {
        return; // it does not tell the cgroup: user space reads it
    }
    let mut tried = 0;
    for hierarchy in ["", "unified", "pids", "memory", "cpu"] {
        let root = Path::new("/sys/fs/cgroup").join(hierarchy);
        if !root.join("cgroup.procs").is_file() {
            continue;
        }
        for group in &groups {
            let Ok(folder) = Group::make(&root, group) else { continue };
            // The shell joins the group and becomes the program.
            let join = format!("echo $$ > {}/cgroup.procs && exec /bin/false", folder.0.display());
            let mut child = Command::new("/bin/sh").args(["-c", &join]).spawn().expect("a shell");
            let tgid = child.id();
            child.wait().expect("ended");
            capture.until("the end", |c| c.lived.contains(&Lived::Exit { tgid, status: 1 << 8 }));
            let told = capture.lived.iter().filter_map(|one| match one {
                Lived::Exec { tgid: of, cgroup, path, .. } if *of == tgid => {
                    Some((path.ends_with(b"false"), cgroup.as_str()))
                }
                _ => None,
            });
            let name = group.split('/').find(|part| part.contains(&id)).expect("it is there");
            assert_eq!(
                told.collect::<Vec<_>>(),
                [(false, ""), (true, name)],
                "{hierarchy}: {group}"
            );
            tried += 1;
        }
    }
    if tried == 0 {
        println!("SKIPPED: no cgroup can be made here");
    }
}

/// Folders of a cgroup hierarchy that go with this value.
struct Group(PathBuf, PathBuf);

impl Group {
    fn make(root: &Path, name: &str) -> std::io::Result<Self> {
        std::fs::create_dir_all(root.join(name))?;
        Ok(Self(root.join(name), root.to_owned()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let below = self.0.ancestors().take_while(|folder| *folder != self.1);
        for folder in below {
            let _ = std::fs::remove_dir(folder);
        }
    }
}
