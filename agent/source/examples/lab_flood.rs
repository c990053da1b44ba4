//! Small packets, fast: what a live capture is measured with.
//!
//! `lab_flood INTERFACE [--count N] [--pps N] [--flows N] [--bytes N] [--tcp | --xdp] [--cpu N]`
//!
//! In: an interface of its own network namespace, one end of a veth pair. Out: `count` frames of
//! `bytes` bytes each, over `flows` flows, at `pps` packets a second or as fast as it goes; then one
//! line of JSON with what was given to the kernel. UDP to port 9, or TCP data in order to port 80
//! (a flow each of an address of 10.64.0.0/10). It needs CAP_NET_RAW.
//!
//! With `--xdp` an XDP program makes the frames inside of the kernel (a power of two of flows,
//! chosen at random), twice as fast. That needs root, Linux 5.18 and `gro on` at the other end; what
//! the other end's ring cannot take is lost before the interface, so that the truth is the
//! `rx_packets` there.

#![expect(unsafe_code, reason = "raw sockets")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Frames given to the kernel at once.
const BATCH: usize = 64;
const ETHERNET: usize = 14;
const IP: usize = 20;
/// A batch is begun only when it is due by this much at most.
const PATIENCE: Duration = Duration::from_micros(200);

struct Options {
    interface: String,
    count: u64,
    pps: u64,
    flows: u32,
    bytes: usize,
    tcp: bool,
    xdp: bool,
    cpu: Option<usize>,
}

fn main() -> io::Result<()> {
    let options = options()?;
    if let Some(cpu) = options.cpu {
        pin(cpu)?;
    }
    let interface = index(&options.interface)?;
    let begin = Instant::now();
    let (sent, refused) = if options.xdp {
        let count = u32::try_from(options.count).map_err(io::Error::other)?;
        Program::load(interface, &options)?.run(&frame(&options), count)?;
        (options.count, 0)
    } else {
        by_socket(&open(interface)?, &options, begin)?
    };
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{{\"sent\":{sent},\"refused\":{refused},\"seconds\":{seconds:.3},\"pps\":{:.0}}}",
        sent as f64 / seconds
    );
    Ok(())
}

/// Sends by a raw socket; frames that the kernel took and did not take.
fn by_socket(socket: &OwnedFd, options: &Options, begin: Instant) -> io::Result<(u64, u64)> {
    let mut frames: Vec<Vec<u8>> = (0..BATCH).map(|_| frame(options)).collect();
    let (mut sent, mut made) = (0, 0);
    while made < options.count {
        let batch = (options.count - made).min(BATCH as u64) as usize;
        for (frame, number) in frames.iter_mut().take(batch).zip(made..) {
            address(frame, number, options);
        }
        sent += send(socket, &mut frames[..batch])?;
        made += batch as u64;
        if options.pps > 0 {
            keep_pace(begin, made, options.pps);
        }
    }
    Ok((sent, made - sent))
}

fn options() -> io::Result<Options> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let interface = words.first().cloned();
    let option = |name: &str| -> Option<u64> {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    let flows = option("--flows").unwrap_or(1000);
    Ok(Options {
        interface: interface.ok_or_else(|| io::Error::other("usage: lab_flood INTERFACE …"))?,
        count: option("--count").unwrap_or(1_000_000),
        pps: option("--pps").unwrap_or(0),
        flows: flows.clamp(1, 1 << 22) as u32,
        bytes: option("--bytes").unwrap_or(64).clamp(60, 1514) as usize,
        tcp: words.iter().any(|word| word == "--tcp"),
        xdp: words.iter().any(|word| word == "--xdp"),
        cpu: option("--cpu").map(|cpu| cpu as usize),
    })
}

/// A frame whose sender and sequence are still to be set.
fn frame(options: &Options) -> Vec<u8> {
    let transport: &[u8] = if options.tcp {
        &[0x9c, 0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0]
    } else {
        &[0x9c, 0x40, 0, 9, 0, 0, 0, 0]
    };
    let ip_bytes = (options.bytes - ETHERNET) as u16;
    let mut out = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 8, 0];
    out.extend([0x45, 0]);
    out.extend(ip_bytes.to_be_bytes());
    out.extend([0, 1, 0x40, 0, 64, if options.tcp { 6 } else { 17 }, 0, 0]);
    out.extend([10, 64, 0, 0, 10, 0, 0, 1]);
    out.extend(transport);
    if !options.tcp {
        let length = ETHERNET + IP + 4;
        out[length..length + 2].copy_from_slice(&(ip_bytes - IP as u16).to_be_bytes());
    }
    out.resize(options.bytes, 0x55);
    out
}

/// Sets the sender of packet `number` and, for TCP, its place in the stream.
fn address(frame: &mut [u8], number: u64, options: &Options) {
    let flow = (number % u64::from(options.flows)) as u32;
    let source = 0x0a40_0000 | flow;
    frame[ETHERNET + 12..ETHERNET + 16].copy_from_slice(&source.to_be_bytes());
    if options.tcp {
        let payload = (options.bytes - ETHERNET - IP - 20) as u64;
        let seq = (number / u64::from(options.flows) * payload + 1) as u32;
        frame[ETHERNET + IP + 4..ETHERNET + IP + 8].copy_from_slice(&seq.to_be_bytes());
    }
}

/// Frames that the kernel took, from the first on.
fn send(socket: &OwnedFd, frames: &mut [Vec<u8>]) -> io::Result<u64> {
    let mut parts: Vec<libc::iovec> = frames
        .iter_mut()
        .map(|frame| libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() })
        .collect();
    let mut heads: Vec<libc::mmsghdr> = Vec::with_capacity(parts.len());
    for part in &mut parts {
        // SAFETY: the type consists of numbers and pointers, for which zeros are valid.
        let mut head: libc::mmsghdr = unsafe { std::mem::zeroed() };
        head.msg_hdr.msg_iov = part;
        head.msg_hdr.msg_iovlen = 1;
        heads.push(head);
    }
    let (list, count) = (heads.as_mut_ptr(), heads.len() as u32);
    // SAFETY: every head points to a frame; all outlive the call.
    let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), list, count, 0) };
    if done >= 0 {
        return Ok(done as u64);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOBUFS) { Ok(0) } else { Err(error) }
}

/// Waits until packet `made` is due.
fn keep_pace(begin: Instant, made: u64, pps: u64) {
    let due = Duration::from_nanos(made * 1_000_000_000 / pps);
    while begin.elapsed() + PATIENCE < due {
        std::thread::sleep(Duration::from_micros(50));
    }
    while begin.elapsed() < due {
        std::hint::spin_loop();
    }
}

fn index(interface: &str) -> io::Result<u32> {
    let name = CString::new(interface)?;
    // SAFETY: the name is NUL-terminated.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 { Err(io::Error::other(format!("no interface {interface}"))) } else { Ok(index) }
}

/// An XDP program that gives its frame a sender at random, waits for its turn and sends it out of an
/// interface.
struct Program {
    program: OwnedFd,
    /// Time of the next frame; its map must live as long as the program's runs.
    _turn: OwnedFd,
}

impl Program {
    fn load(interface: u32, options: &Options) -> io::Result<Self> {
        // A map of one value: the time of the next frame.
        let mut attributes = [0u64; 16];
        attributes[0] = BPF_MAP_TYPE_ARRAY | 4 << 32;
        attributes[1] = 8 | 1 << 32;
        let turn = bpf(BPF_MAP_CREATE, &mut attributes)?;
        let gap_ns = 1_000_000_000_u64.checked_div(options.pps).unwrap_or(0);
        let program = steps(interface, options.flows, turn.as_raw_fd(), gap_ns as u32);
        let licence = c"GPL";
        let mut attributes = [0u64; 16];
        attributes[0] = BPF_PROG_TYPE_XDP | (program.len() as u64) << 32;
        attributes[1] = program.as_ptr() as u64;
        attributes[2] = licence.as_ptr() as u64;
        Ok(Self { program: bpf(BPF_PROG_LOAD, &mut attributes)?, _turn: turn })
    }

    fn run(&self, frame: &[u8], times: u32) -> io::Result<()> {
        // union bpf_attr, test: prog_fd, retval; data_size_in, _out; data_in; data_out; repeat,
        // duration; ctx_size_in, _out; ctx_in; ctx_out; flags, cpu; batch_size.
        let mut attributes = [0u64; 16];
        attributes[0] = self.program.as_raw_fd() as u64;
        attributes[1] = frame.len() as u64;
        attributes[2] = frame.as_ptr() as u64;
        attributes[4] = times.into();
        attributes[8] = BPF_F_TEST_XDP_LIVE_FRAMES;
        attributes[9] = BATCH as u64;
        call_bpf(BPF_PROG_TEST_RUN, &mut attributes).map(drop)
    }
}

/// The program: [code, registers (source << 4 | destination), offset: 2, value: 4] a step.
fn steps(interface: u32, flows: u32, turn: i32, gap_ns: u32) -> Vec<[u8; 8]> {
    let step = |code: u8, registers: u8, offset: i16, value: u32| {
        let mut out = [code, registers, 0, 0, 0, 0, 0, 0];
        out[2..4].copy_from_slice(&offset.to_ne_bytes());
        out[4..].copy_from_slice(&value.to_ne_bytes());
        out
    };
    let mask = flows.next_power_of_two() - 1;
    vec![
        step(0x61, 0x16, 0, 0),           // r6 = data
        step(0x61, 0x17, 4, 0),           // r7 = data_end
        step(0xbf, 0x61, 0, 0),           // r1 = r6
        step(0x07, 0x01, 0, 34),          // r1 += 34
        step(0x2d, 0x71, 19, 0),          // if r1 > r7 goto out
        step(0x85, 0x00, 0, 7),           // r0 = bpf_get_prandom_u32()
        step(0x54, 0x00, 0, mask),        // w0 &= mask
        step(0x44, 0x00, 0, 0x0a40_0000), // w0 |= 10.64.0.0
        step(0xdc, 0x00, 0, 32),          // w0 = htobe32(w0)
        step(0x63, 0x06, 26, 0),          // source address = w0
        step(0x18, 0x28, 0, turn as u32), // r8 = &turn (of two steps)
        step(0x00, 0x00, 0, 0),           //
        step(0x79, 0x89, 0, 0),           // r9 = turn
        step(0xb7, 0x07, 0, 2_000),       // r7 = 2000, looks at the clock at most
        step(0x85, 0x00, 0, 5),           // wait: r0 = bpf_ktime_get_ns()
        step(0x3d, 0x90, 2, 0),           // if r0 >= r9 goto go
        step(0x07, 0x07, 0, u32::MAX),    // r7 -= 1
        step(0x55, 0x07, -4, 0),          // if r7 != 0 goto wait
        step(0xbf, 0x91, 0, 0),           // go: r1 = r9
        step(0x07, 0x01, 0, 1_000_000),   // r1 += 1 ms
        step(0x3d, 0x01, 1, 0),           // if r1 >= r0 goto in_time
        step(0xbf, 0x09, 0, 0),           // r9 = r0: what was missed is not made up for
        step(0x07, 0x09, 0, gap_ns),      // in_time: r9 += gap
        step(0x7b, 0x98, 0, 0),           // turn = r9
        step(0xb4, 0x01, 0, interface),   // out: r1 = interface
        step(0xb4, 0x02, 0, 0),           // r2 = 0
        step(0x85, 0x00, 0, 23),          // r0 = bpf_redirect(r1, r2)
        step(0x95, 0x00, 0, 0),           // return r0
    ]
}

/// A call that opens a descriptor.
fn bpf(command: i64, attributes: &mut [u64; 16]) -> io::Result<OwnedFd> {
    let fd = call_bpf(command, attributes)?;
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn call_bpf(command: i64, attributes: &mut [u64; 16]) -> io::Result<i32> {
    // SAFETY: pointer and length describe the attributes, and what they point to outlives the call.
    let done = unsafe {
        libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(attributes))
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as i32) }
}

const BPF_MAP_CREATE: i64 = 0;
const BPF_PROG_LOAD: i64 = 5;
const BPF_PROG_TEST_RUN: i64 = 10;
const BPF_MAP_TYPE_ARRAY: u64 = 2;
const BPF_PROG_TYPE_XDP: u64 = 6;
const BPF_F_TEST_XDP_LIVE_FRAMES: u64 = 2;

fn open(index: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed. Protocol 0: nothing is received.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let on = 1i32;
    let (pointer, bytes) = ((&raw const on).cast(), size_of::<i32>() as u32);
    // SAFETY: pointer and length describe the value.
    let bypassed = unsafe {
        libc::setsockopt(fd, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, pointer, bytes)
    };
    if bypassed != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the type consists of numbers, for which zeros are valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index as i32;
    let (pointer, bytes) = ((&raw const address).cast(), size_of_val(&address) as u32);
    // SAFETY: pointer and length describe the address.
    if unsafe { libc::bind(fd, pointer, bytes) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: the type consists of numbers, for which zeros are valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours; a processor beyond it is left out.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: pointer and length describe the set.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
