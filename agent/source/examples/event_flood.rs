//! Whether every event of a flood is either given out or counted as lost.
//!
//! In: root. Out: a line with the calls made, the events seen, those counted as lost, and the rate. It
//! fails if any is missing; a process that began or ended elsewhere while the ring was full is one more
//! that is lost. Never: traffic beyond loopback.
//!
//! Each thread reads a byte at a time of what it wrote into its own connection before: few calls
//! are as short.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use source::bpf::{BpfConfig, BpfSource, Event};

const THREADS: usize = 2;
const BLOCKS: usize = 60;
const BLOCK_BYTES: usize = 16 << 10;
/// System calls that move bytes.
const CALLS: usize = THREADS * BLOCKS * (1 + BLOCK_BYTES);

fn main() -> ExitCode {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let config =
        BpfConfig { trace_self: true, ports_allowed: vec![port..=port], ..BpfConfig::default() };
    let (mut source, _) = BpfSource::load(config).expect("BPF capture; run as root");
    let pairs: Vec<_> = (0..THREADS).map(|_| pair(&listener)).collect();
    // What moves no bytes is out of the ring before it fills.
    source.poll(Duration::from_millis(200), &mut |_| {}).expect("the ring can be read");
    let begin = Instant::now();
    let floods: Vec<_> = pairs.iter().map(|pair| thread::spawn(flood(pair))).collect();
    let mut seen = 0usize;
    // A call of many bytes is several events, of which one is its last.
    let mut count =
        |event: Event<'_>| seen += usize::from(matches!(event, Event::Data(data) if data.last));
    let mut took = Duration::ZERO;
    while took.is_zero() {
        source.poll(Duration::from_millis(10), &mut count).expect("the ring can be read");
        if floods.iter().all(thread::JoinHandle::is_finished) {
            took = begin.elapsed();
        }
    }
    source.drain(&mut count);
    let lost = usize::try_from(source.counters().expect("counters").ring_full).expect("few");
    let rate = CALLS as f64 / took.as_secs_f64();
    println!("made {CALLS} seen {seen} lost {lost} rate {rate:.0}");
    if seen + lost >= CALLS { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (far, _) = listener.accept().expect("accepted");
    (near, far)
}

/// Moves bytes by copies of the sockets, which stay open: their close is no event of the flood.
fn flood((near, far): &(TcpStream, TcpStream)) -> impl FnOnce() + Send + 'static {
    let (mut near, mut far) = (near.try_clone().expect("a copy"), far.try_clone().expect("a copy"));
    move || {
        for _ in 0..BLOCKS {
            assert_eq!(near.write(&[b'x'; BLOCK_BYTES]).expect("sent"), BLOCK_BYTES);
            for _ in 0..BLOCK_BYTES {
                assert_eq!(far.read(&mut [0]).expect("there"), 1);
            }
        }
    }
}
