//! Bytes that go to or come from a socket without being in memory of the process.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

use source::bpf::{Direction, Hook};

use super::capture::Capture;
use super::{assert_contiguous, tcp_pair};

#[test]
fn what_sendfile_and_splice_move_is_told_by_its_length() {
    const BODY: usize = 70_000;
    let Some(mut capture) = Capture::start(|_| {}) else { return };
    let (mut client, mut server, client_port, server_port) = tcp_pair("127.0.0.1");
    let mut body = tempfile();
    body.write_all(&vec![b'.'; BODY]).expect("written");
    body.seek(SeekFrom::Start(0)).expect("at its begin");
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).expect("received");
        (client, all.len())
    });
    server.write_all(b"head").expect("sent");
    let mut sent = 0;
    while sent < BODY {
        // SAFETY: open descriptors, no place in memory.
        let some = unsafe {
            libc::sendfile(server.as_raw_fd(), body.as_raw_fd(), null_mut(), BODY - sent)
        };
        sent += usize::try_from(some).expect("sent");
    }
    let (from, mut into) = std::io::pipe().expect("a pipe");
    into.write_all(b"through a pipe").expect("written");
    assert_eq!(splice(from.as_raw_fd(), server.as_raw_fd()), 14);
    server.write_all(b"tail").expect("sent");
    server.shutdown(std::net::Shutdown::Write).expect("shut");
    let (mut client, received) = reader.join().expect("received");
    assert_eq!(received, 4 + BODY + 14 + 4);

    client.write_all(b"to be spliced").expect("sent");
    assert_eq!(splice(server.as_raw_fd(), into.as_raw_fd()), 13);
    capture.until("what was spliced", |capture| {
        capture.of(server_port, Direction::Ingress).len() == 1
            && capture
                .of(server_port, Direction::Egress)
                .last()
                .is_some_and(|one| one.payload == b"tail")
    });
    let out = capture.of(server_port, Direction::Egress);
    assert_contiguous(&out);
    let unseen: Vec<_> = out.iter().filter(|one| one.hook == Hook::Sendfile64).collect();
    let bytes: u32 = unseen.iter().map(|one| one.wire_bytes).sum();
    assert_eq!(bytes as usize, BODY);
    assert!(unseen.iter().all(|one| one.payload.is_empty() && one.last));
    let spliced = &out[out.len() - 2];
    assert_eq!((spliced.hook, spliced.wire_bytes, spliced.payload.len()), (Hook::Splice, 14, 0));
    let received = &capture.of(server_port, Direction::Ingress)[0];
    assert_eq!((received.hook, received.wire_bytes), (Hook::Splice, 13));
    let asked = capture.of(client_port, Direction::Egress);
    assert_eq!(received.tcp_seq, asked[0].tcp_seq);
}

#[test]
fn operations_by_io_uring_are_counted() {
    let Some(capture) = Capture::start(|_| {}) else { return };
    let before = capture.counters().io_uring_operations;
    match submit_nothing() {
        Ok(submitted) => assert_eq!(submitted, 1),
        Err(error) => return println!("SKIPPED: io_uring: {error}"),
    }
    // Other programs may use it, too.
    let counted = capture.counters().io_uring_operations - before;
    assert!((1..1000).contains(&counted), "{counted}");
}

/// Hands one operation to the kernel that does nothing (IORING_OP_NOP); how many it took. Layouts:
/// io_uring_setup(2).
fn submit_nothing() -> std::io::Result<i64> {
    const TAIL_AT: usize = 11;
    const ARRAY_AT: usize = 16;
    const SQES_AT: i64 = 0x1000_0000;
    let mut params = [0u32; 30];
    // SAFETY: the kernel writes the 120 bytes, which live through the call.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1i64, params.as_mut_ptr()) };
    if ring < 0 {
        return Err(std::io::Error::last_os_error());
    }
    let fd = i32::try_from(ring).expect("a descriptor");
    let map = |bytes: usize, at: i64| {
        let (access, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping, at no address that is in use.
        let place = unsafe { libc::mmap(null_mut(), bytes, access, how, fd, at) };
        assert_ne!(place, libc::MAP_FAILED);
        place.cast::<u32>()
    };
    let _sqes = map(64, SQES_AT);
    let queue = map(params[ARRAY_AT] as usize + 4, 0);
    // SAFETY: both places are in the mapping; an entry of zeros is there already.
    unsafe {
        queue.add(params[ARRAY_AT] as usize / 4).write_volatile(0);
        queue.add(params[TAIL_AT] as usize / 4).write_volatile(1);
    }
    // SAFETY: numbers, and no signal mask.
    let submitted =
        unsafe { libc::syscall(libc::SYS_io_uring_enter, ring, 1i64, 0i64, 0i64, 0i64, 0i64) };
    // SAFETY: our own descriptor.
    unsafe { libc::close(fd) };
    if submitted < 0 { Err(std::io::Error::last_os_error()) } else { Ok(submitted) }
}

fn splice(from: i32, to: i32) -> isize {
    // SAFETY: open descriptors, no place in memory.
    unsafe { libc::splice(from, null_mut(), to, null_mut(), 4096, 0) }
}

/// A file without a name.
fn tempfile() -> File {
    // SAFETY: the name is a C string; a descriptor comes back, which nobody else has.
    unsafe {
        let fd = libc::memfd_create(c"body".as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0);
        std::os::fd::FromRawFd::from_raw_fd(fd)
    }
}
