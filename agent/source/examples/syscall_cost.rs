//! What the hooks add to a system call, in nanoseconds.
//!
//! In: `tracepoint` as an argument for that mechanism, else raw tracepoints; needs root. Out: a table of nanoseconds a call without hooks, with hooks but left
//! out, and traced. Never: traffic beyond loopback.
//!
//! Each call is made cheap (data already there, or corked), so that the difference is not lost in
//! the cost of the network stack. Rounds with and without hooks alternate; of the
//! batches the fifth percentile counts, since other programs use the CPUs too.
#![allow(unsafe_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use source::bpf::{BpfConfig, BpfCounters, BpfSource, Mechanism};

const ROUNDS: usize = 9;
const BATCHES: usize = 60;
const CALLS: usize = 200;

struct Case {
    name: &'static str,
    calls: usize,
    run: Box<dyn FnMut() -> Duration>,
}

fn main() {
    let mut cases = cases();
    let mut table = vec![[const { Vec::new() }; 3]; cases.len()];
    let mut counters = BpfCounters::default();
    for _ in 0..ROUNDS {
        measure(&mut cases, &mut table, 0);
        traced(false, || measure(&mut cases, &mut table, 1));
        counters = traced(true, || measure(&mut cases, &mut table, 2));
    }
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9}",
        "ns a call", "unhooked", "left out", "traced", "added"
    );
    for (case, row) in cases.iter().zip(table) {
        let [bare, left_out, full] = row.map(undisturbed);
        println!("{:<34} {bare:>9} {left_out:>9} {full:>9} {:>9}", case.name, full - bare);
    }
    println!("last traced round: {counters:?}");
}

fn measure(cases: &mut [Case], table: &mut [[Vec<i64>; 3]], column: usize) {
    for (case, row) in cases.iter_mut().zip(table) {
        for _ in 0..BATCHES {
            let spent = i64::try_from((case.run)().as_nanos()).expect("short");
            row[column].push(spent / i64::try_from(case.calls).expect("small"));
        }
    }
}

/// The fifth percentile: batches in which nothing else ran on the CPU.
fn undisturbed(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values[values.len() / 20]
}

/// Runs `work` with the hooks attached and a thread that reads their ring.
fn traced(trace_self: bool, work: impl FnOnce()) -> BpfCounters {
    let mechanism = match std::env::args().nth(1).as_deref() {
        Some("tracepoint") => Mechanism::Tracepoint,
        _ => Mechanism::RawTracepoint,
    };
    let config = BpfConfig { trace_self, mechanism, ..BpfConfig::default() };
    let (mut source, reports) = BpfSource::load(config).expect("BPF capture; run as root");
    for report in reports.iter().filter(|report| !report.attached) {
        println!("{report:?}");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let reader = thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut ignored = 0u64;
            while !stop.load(Ordering::Relaxed) {
                source
                    .poll(Duration::from_millis(10), &mut |_| ignored += 1)
                    .expect("the ring can be read");
            }
            source.counters().expect("counters")
        }
    });
    work();
    stop.store(true, Ordering::Relaxed);
    reader.join().expect("the reader ends")
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (far, _) = listener.accept().expect("accepted");
    (near, far)
}

fn cork(stream: &TcpStream, on: i32) {
    // SAFETY: the option takes an int, which lives through the call.
    let done = unsafe {
        libc::setsockopt(stream.as_raw_fd(), 6, libc::TCP_CORK, (&raw const on).cast(), 4)
    };
    assert_eq!(done, 0);
}

/// Calls of a batch: what they move fits into the socket's buffers.
fn calls_of(bytes: usize) -> usize {
    CALLS.min(60_000 / bytes)
}

/// Sends `bytes` at a time into a corked socket; the peer takes it all between batches.
fn send_case(name: &'static str, bytes: usize, with: fn(i32, &[u8]) -> isize) -> Case {
    let (near, mut far) = tcp_pair();
    let calls = calls_of(bytes);
    let data = vec![b'x'; bytes];
    let mut sink = vec![0u8; bytes * calls];
    cork(&near, 1);
    let run = Box::new(move || {
        let start = Instant::now();
        for _ in 0..calls {
            assert_eq!(with(near.as_raw_fd(), &data), isize::try_from(bytes).expect("small"));
        }
        let spent = start.elapsed();
        cork(&near, 0);
        far.read_exact(&mut sink).expect("all of it");
        cork(&near, 1);
        spent
    });
    Case { name, calls, run }
}

/// Receives `bytes` at a time of what is already there.
fn receive_case(name: &'static str, bytes: usize, with: fn(i32, &mut [u8]) -> isize) -> Case {
    let (near, mut far) = tcp_pair();
    let calls = calls_of(bytes);
    let data = vec![b'x'; bytes * calls];
    let mut buffer = vec![0u8; bytes];
    let run = Box::new(move || {
        far.write_all(&data).expect("sent");
        while waiting_bytes(&near) < data.len() {
            thread::yield_now();
        }
        let start = Instant::now();
        for _ in 0..calls {
            assert_eq!(with(near.as_raw_fd(), &mut buffer), isize::try_from(bytes).expect("small"));
        }
        start.elapsed()
    });
    Case { name, calls, run }
}

/// Bytes that can be received at once.
fn waiting_bytes(stream: &TcpStream) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes an int, which lives through the call.
    let done = unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    assert_eq!(done, 0);
    usize::try_from(bytes).expect("not negative")
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        send_case("write 100 B, TCP", 100, sys_write),
        send_case("sendto 100 B, TCP", 100, sys_sendto),
        receive_case("read 100 B, TCP", 100, sys_read),
        receive_case("recvfrom 100 B, TCP", 100, sys_recvfrom),
        send_case("write 1000 B, TCP", 1000, sys_write),
        receive_case("read 1000 B, TCP", 1000, sys_read),
        send_case("write 16000 B, TCP", 16000, sys_write),
        receive_case("read 16000 B, TCP", 16000, sys_read),
    ];
    cases.push(udp_case());
    let (near, far) = tcp_pair();
    near.set_nonblocking(true).expect("nonblocking");
    cases.push(plain_case("recvfrom, nothing there (EAGAIN)", move || {
        let _alive = &far;
        let mut buffer = [0u8; 64];
        assert!(sys_recvfrom(near.as_raw_fd(), &mut buffer) < 0);
    }));
    let zero = std::fs::File::open("/dev/zero").expect("there");
    cases.push(plain_case("read 1 B, /dev/zero", move || {
        assert_eq!(sys_read(zero.as_raw_fd(), &mut [0u8; 1]), 1);
    }));
    let null = std::fs::File::create("/dev/null").expect("there");
    cases.push(plain_case("write 100 B, /dev/null", move || {
        assert_eq!(sys_write(null.as_raw_fd(), &[0u8; 100]), 100);
    }));
    let (mut end, mut begin) = std::io::pipe().expect("a pipe");
    cases.push(plain_case("write + read 1 B, pipe", move || {
        begin.write_all(b"x").expect("written");
        end.read_exact(&mut [0u8; 1]).expect("read");
    }));
    cases.extend(file_cases());
    cases.push(plain_case("getppid (no hook)", || {
        // SAFETY: takes nothing, gives a number.
        unsafe { libc::getppid() };
    }));
    cases
}

/// The same short read of a file, outside of a request and within one.
fn file_cases() -> [Case; 2] {
    let case = |name, is_within: bool| {
        let (mut near, mut far) = tcp_pair();
        let program = std::env::current_exe().and_then(std::fs::File::open).expect("this program");
        let run = Box::new(move || {
            far.write_all(b"x").expect("sent");
            near.read_exact(&mut [0u8; 1]).expect("received");
            if !is_within {
                near.write_all(b"x").expect("sent");
                far.read_exact(&mut [0u8; 1]).expect("received");
                far.write_all(b"x").expect("sent");
            }
            let mut buffer = [0u8; 100];
            let start = Instant::now();
            for _ in 0..CALLS {
                let bytes = std::os::unix::fs::FileExt::read_at(&program, &mut buffer, 64);
                assert_eq!(bytes.expect("read"), 100);
            }
            let spent = start.elapsed();
            if !is_within {
                near.read_exact(&mut [0u8; 1]).expect("received");
            }
            spent
        });
        Case { name, calls: CALLS, run }
    };
    [case("pread64 100 B, file", false), case("pread64 100 B, file, in a request", true)]
}

fn udp_case() -> Case {
    let near = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let far = UdpSocket::bind("127.0.0.1:0").expect("a port");
    near.connect(far.local_addr().expect("bound")).expect("connected");
    far.set_nonblocking(true).expect("nonblocking");
    let run = Box::new(move || {
        let mut buffer = [0u8; 256];
        let start = Instant::now();
        for _ in 0..CALLS {
            near.send(&[b'x'; 100]).expect("sent");
            far.recv_from(&mut buffer).expect("there");
        }
        start.elapsed()
    });
    Case { name: "sendto + recvfrom 100 B, UDP", calls: CALLS, run }
}

fn plain_case(name: &'static str, mut call: impl FnMut() + 'static) -> Case {
    let run = Box::new(move || {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed()
    });
    Case { name, calls: CALLS, run }
}

fn sys_write(fd: i32, data: &[u8]) -> isize {
    // SAFETY: the slice is as long as is said.
    unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) }
}

fn sys_read(fd: i32, buffer: &mut [u8]) -> isize {
    // SAFETY: the slice is as long as is said.
    unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }
}

fn sys_sendto(fd: i32, data: &[u8]) -> isize {
    // SAFETY: the slice is as long as is said.
    unsafe { libc::send(fd, data.as_ptr().cast(), data.len(), 0) }
}

fn sys_recvfrom(fd: i32, buffer: &mut [u8]) -> isize {
    // SAFETY: the slice is as long as is said.
    unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) }
}
