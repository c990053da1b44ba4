//! What the hooks add to a call of a TLS library, in nanoseconds.
//!
//! In: root. Out: a table of nanoseconds a call, without and with hooks. Never: traffic beyond
//! loopback.
//!
//! The library is in here: functions of OpenSSL's names that do nothing, so that the difference is
//! not lost in the cost of encryption. Rounds with and without hooks alternate; of the batches the
//! fifth percentile counts, since other programs use the CPUs too.
#![allow(unsafe_code, non_snake_case)]

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use source::bpf::{BpfConfig, BpfCounters, BpfSource, Tier};
use source::tls::TlsProbes;

const ROUNDS: usize = 7;
const BATCHES: usize = 60;
const CALLS: u32 = 200;

/// As the one of OpenSSL, for a session that is the address of a descriptor: one byte is sent.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn SSL_do_handshake(session: &c_int) -> c_int {
    // SAFETY: one byte is read, which is there.
    c_int::from(unsafe { libc::send(*session, [1u8].as_ptr().cast(), 1, 0) } == 1)
}

/// As the one of OpenSSL where all that is asked for is there already, without a system call.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn SSL_read(session: *const c_int, buf: *mut c_void, bytes: c_int) -> c_int {
    black_box((session, buf));
    bytes
}

/// The same for writes.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn SSL_write(session: *const c_int, buf: *const c_void, bytes: c_int) -> c_int {
    black_box((session, buf));
    bytes
}

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let _far = listener.accept().expect("accepted");
    let session = near.as_raw_fd();
    let mut buffer = vec![b'x'; 16_000];
    let cases: [(&str, c_int); 4] =
        [("nothing moved", 0), ("100 B", 100), ("1000 B", 1_000), ("16000 B", 16_000)];
    // Else the linker leaves it out, and without it nobody takes this for the library.
    black_box(SSL_write as extern "C" fn(*const c_int, *const c_void, c_int) -> c_int);
    let mut table = vec![[const { Vec::new() }; 2]; cases.len()];
    let mut counters = BpfCounters::default();
    for _ in 0..ROUNDS {
        let mut measure = |column: usize| {
            assert_eq!(black_box(SSL_do_handshake as extern "C" fn(&c_int) -> c_int)(&session), 1);
            for ((_, bytes), row) in cases.iter().zip(&mut table) {
                for _ in 0..BATCHES {
                    row[column].push(batch(&session, &mut buffer, *bytes));
                }
            }
        };
        measure(0);
        counters = hooked(|| measure(1));
    }
    println!("{:<20} {:>9} {:>9} {:>9}", "ns a call", "unhooked", "hooked", "added");
    for ((name, _), row) in cases.iter().zip(table) {
        let [bare, full] = row.map(undisturbed);
        println!("{name:<20} {bare:>9} {full:>9} {:>9}", full - bare);
    }
    println!("last round: {counters:?}");
}

/// Nanoseconds of one call, of a batch that reads.
fn batch(session: &c_int, buffer: &mut [u8], bytes: c_int) -> i64 {
    let read = black_box(SSL_read as extern "C" fn(*const c_int, *mut c_void, c_int) -> c_int);
    let begin = Instant::now();
    for _ in 0..CALLS {
        black_box(read(&raw const *session, buffer.as_mut_ptr().cast(), bytes));
    }
    let spent = i64::try_from(begin.elapsed().as_nanos()).expect("short") / i64::from(CALLS);
    // Lets the reader keep up: what is lost is not paid for.
    if bytes > 0 {
        thread::sleep(Duration::from_millis(2));
    }
    spent
}

/// The fifth percentile: batches in which nothing else ran on the CPU.
fn undisturbed(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values[values.len() / 20]
}

/// Runs `work` with the hooks attached and a thread that reads their ring.
fn hooked(work: impl FnOnce()) -> BpfCounters {
    let tier = (std::env::args().nth(1).as_deref() == Some("v310")).then_some(Tier::V310);
    let ring_bytes = 16 << 20;
    let config =
        BpfConfig { trace_self: true, tls: true, tier, ring_bytes, ..BpfConfig::default() };
    let (mut source, _) = BpfSource::load(config).expect("BPF capture; run as root");
    let programs = source.take_tls().expect("asked for").expect("the kernel takes them");
    let mut probes = TlsProbes::new(programs);
    assert!(probes.look_at(Path::new("/proc"), std::process::id()));
    let own = std::env::current_exe().expect("a path");
    let reports = probes.reports();
    assert!(reports.iter().any(|one| one.path == own), "has its functions: {reports:?}");
    let stop = Arc::new(AtomicBool::new(false));
    let reader = thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut ignored = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let polled = source.poll(Duration::from_millis(10), &mut |_| ignored += 1);
                polled.expect("the ring can be read");
            }
            source.counters().expect("counters")
        }
    });
    work();
    stop.store(true, Ordering::Relaxed);
    reader.join().expect("the reader ends")
}
