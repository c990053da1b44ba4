//! A path between two interfaces that delays, loses, doubles, reorders and limits, as Linux's
//! `netem` does; for kernels that were built without it.
//!
//! `lab_netem A B [--delay-us N] [--loss PERCENT] [--duplicate PERCENT] [--reorder PERCENT]
//! [--rate-mbit N] [--queue PACKETS] [--seed N]`
//!
//! In: frames that come in on A go out on B and the reverse, each way by the same rules. Out: when
//! standard input ends, one line of JSON with what was done to packets of each way. Never: a
//! packet changed. It needs CAP_NET_RAW, and both interfaces in its own network namespace. Their
//! peers need their offloads off (`ethtool -K c0 tx off tso off gso off gro off`), since raw frames
//! have no room for a checksum that is still to be computed.

#![expect(unsafe_code, reason = "raw sockets")]

use std::collections::BinaryHeap;
use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Frames read before anything is sent.
const BATCH: usize = 64;
const FRAME_BYTES: usize = 65_536;
const LONGEST_WAIT_NS: u64 = 50_000_000;
const NS_A_US: u64 = 1_000;

/// What happens on the way.
#[derive(Debug)]
struct Rules {
    delay_ns: u64,
    /// Of a million packets.
    loss: u64,
    duplicate: u64,
    reorder: u64,
    /// Bits a second; 0 = no limit.
    rate_bits: u64,
    /// Packets that wait at most.
    queue: usize,
}

/// One way, and what was done there.
#[derive(Debug, Default)]
struct Way {
    waiting: BinaryHeap<Frame>,
    arrivals: u64,
    /// When the line is free again. unit ns since the epoch
    free_ns: u64,
    came: u64,
    lost: u64,
    /// Of those, TCP segments with payload.
    lost_data: u64,
    doubled: u64,
    doubled_data: u64,
    reordered: u64,
    queue_full: u64,
    sent: u64,
    late_ns_sum: u64,
    late_ns_max: u64,
}

/// A frame that waits, the first to leave the greatest.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    due_ns: u64,
    arrival: u64,
    bytes: Vec<u8>,
}

impl Ord for Frame {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due_ns, other.arrival).cmp(&(self.due_ns, self.arrival))
    }
}

impl PartialOrd for Frame {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Way {
    fn take(&mut self, rules: &Rules, dice: &mut Dice, came_ns: u64, bytes: &[u8]) {
        self.came += 1;
        if dice.falls(rules.loss) {
            self.lost += 1;
            self.lost_data += u64::from(has_data(bytes));
            return;
        }
        let copies = if dice.falls(rules.duplicate) { 2 } else { 1 };
        if copies == 2 {
            self.doubled += 1;
            self.doubled_data += u64::from(has_data(bytes));
        }
        for _ in 0..copies {
            if self.waiting.len() >= rules.queue {
                self.queue_full += 1;
                continue;
            }
            let mut due_ns = came_ns + rules.delay_ns;
            if dice.falls(rules.reorder) {
                // As netem: the chosen ones do not wait, and so overtake the others.
                self.reordered += 1;
                due_ns = came_ns;
            }
            let on_line_ns = (bytes.len() as u64 * 8_000_000_000).checked_div(rules.rate_bits);
            if let Some(on_line_ns) = on_line_ns {
                self.free_ns = self.free_ns.max(came_ns) + on_line_ns;
                due_ns = due_ns.max(self.free_ns + rules.delay_ns);
            }
            self.arrivals += 1;
            let frame = Frame { due_ns, arrival: self.arrivals, bytes: bytes.to_vec() };
            self.waiting.push(frame);
        }
    }

    /// Sends what is due; when the next one is.
    fn send(&mut self, socket: &OwnedFd) -> io::Result<Option<u64>> {
        while let Some(first) = self.waiting.peek() {
            let now_ns = now_ns();
            if first.due_ns > now_ns {
                return Ok(Some(first.due_ns));
            }
            let Some(frame) = self.waiting.pop() else { break };
            let (data, bytes) = (frame.bytes.as_ptr().cast(), frame.bytes.len());
            // SAFETY: pointer and length describe the frame.
            if unsafe { libc::send(socket.as_raw_fd(), data, bytes, 0) } < 0 {
                let error = io::Error::last_os_error();
                if error.raw_os_error() != Some(libc::ENOBUFS) {
                    return Err(error);
                }
                self.queue_full += 1;
                continue;
            }
            self.sent += 1;
            self.late_ns_sum += now_ns - frame.due_ns;
            self.late_ns_max = self.late_ns_max.max(now_ns - frame.due_ns);
        }
        Ok(None)
    }

    fn report(&self) -> String {
        format!(
            "{{\"came\":{},\"lost\":{},\"lost_data\":{},\"doubled\":{},\"doubled_data\":{},\
             \"reordered\":{},\"queue_full\":{},\"sent\":{},\"late_us_mean\":{},\"late_us_max\":{}}}",
            self.came,
            self.lost,
            self.lost_data,
            self.doubled,
            self.doubled_data,
            self.reordered,
            self.queue_full,
            self.sent,
            self.late_ns_sum / self.sent.max(1) / NS_A_US,
            self.late_ns_max / NS_A_US,
        )
    }
}

/// Whether an IPv4 frame is a TCP segment with payload.
fn has_data(frame: &[u8]) -> bool {
    let Some(ip) = frame.get(14..).filter(|ip| ip.len() >= 40 && ip[0] >> 4 == 4 && ip[9] == 6)
    else {
        return false;
    };
    let (total, header) =
        (usize::from(ip[2]) << 8 | usize::from(ip[3]), usize::from(ip[0] & 15) * 4);
    let tcp = ip.get(header + 12).map_or(0, |byte| usize::from(byte >> 4) * 4);
    total > header + tcp
}

/// Chance, the same for the same seed.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn falls(&mut self, of_a_million: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % 1_000_000 < of_a_million
    }
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [a, b, ..] = words.as_slice() else {
        return Err(io::Error::other("usage: lab_netem A B [--delay-us N] …"));
    };
    let option = |name: &str| -> f64 {
        let at = words.iter().position(|word| word == name);
        at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(0.0)
    };
    let share = |name: &str| (option(name) * 10_000.0) as u64;
    let rules = Rules {
        delay_ns: option("--delay-us") as u64 * NS_A_US,
        loss: share("--loss"),
        duplicate: share("--duplicate"),
        reorder: share("--reorder"),
        rate_bits: (option("--rate-mbit") * 1e6) as u64,
        queue: Some(option("--queue") as usize).filter(|queue| *queue > 0).unwrap_or(10_000),
    };
    let mut dice = Dice((option("--seed") as u64).max(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let sockets = [open(a)?, open(b)?];
    wake_precisely();
    let ended = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        tell.store(true, Ordering::Relaxed);
    });
    println!("ready");
    let mut ways = [Way::default(), Way::default()];
    let mut inbox = Inbox::new();
    while !ended.load(Ordering::Relaxed) {
        let mut next_ns = now_ns() + LONGEST_WAIT_NS;
        for (from, way) in ways.iter_mut().enumerate() {
            inbox.read(&sockets[from], |came_ns, bytes| {
                way.take(&rules, &mut dice, came_ns, bytes)
            })?;
            if let Some(due_ns) = way.send(&sockets[1 - from])? {
                next_ns = next_ns.min(due_ns);
            }
        }
        wait(&sockets, next_ns.saturating_sub(now_ns()));
    }
    println!("{{\"ab\":{},\"ba\":{}}}", ways[0].report(), ways[1].report());
    Ok(())
}

/// Room for a batch of frames with the times at which the kernel saw them.
struct Inbox {
    frames: Vec<Vec<u8>>,
}

impl Inbox {
    fn new() -> Self {
        Self { frames: vec![vec![0; FRAME_BYTES]; BATCH] }
    }

    /// Reads what is there, up to a batch.
    fn read(&mut self, socket: &OwnedFd, mut take: impl FnMut(u64, &[u8])) -> io::Result<()> {
        let mut times = [[0u64; 8]; BATCH];
        let mut parts: Vec<libc::iovec> = self
            .frames
            .iter_mut()
            .map(|frame| libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() })
            .collect();
        let mut heads: Vec<libc::mmsghdr> = Vec::with_capacity(BATCH);
        for (part, time) in parts.iter_mut().zip(&mut times) {
            // SAFETY: the type consists of numbers and pointers, for which zeros are valid.
            let mut head: libc::mmsghdr = unsafe { std::mem::zeroed() };
            head.msg_hdr.msg_iov = part;
            head.msg_hdr.msg_iovlen = 1;
            head.msg_hdr.msg_control = time.as_mut_ptr().cast();
            head.msg_hdr.msg_controllen = size_of_val(time);
            heads.push(head);
        }
        let (list, count, none) = (heads.as_mut_ptr(), BATCH as u32, std::ptr::null_mut());
        // SAFETY: every head points to a buffer and to room for a time that outlive the call.
        let read =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), list, count, libc::MSG_DONTWAIT, none) };
        if read < 0 {
            let error = io::Error::last_os_error();
            let is_nothing = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENETDOWN));
            return if is_nothing { Ok(()) } else { Err(error) };
        }
        for (head, (frame, time)) in
            heads.iter().zip(self.frames.iter().zip(&times)).take(read as usize)
        {
            // A control message: length, level and type, seconds, nanoseconds.
            let came_ns = time[2] * 1_000_000_000 + time[3];
            take(came_ns, &frame[..head.msg_len as usize]);
        }
        Ok(())
    }
}

/// A raw socket on one interface that sees only what comes in.
fn open(name: &str) -> io::Result<OwnedFd> {
    let c_name = CString::new(name)?;
    // SAFETY: the name is NUL-terminated.
    let index = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::other(format!("no interface {name}")));
    }
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, 64 << 20)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    set(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
    // SAFETY: the type consists of numbers, for which zeros are valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    let (pointer, bytes) = ((&raw const address).cast(), size_of_val(&address) as u32);
    // SAFETY: pointer and length describe the address.
    if unsafe { libc::bind(fd, pointer, bytes) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn set(socket: &OwnedFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let (pointer, bytes) = ((&raw const value).cast(), size_of::<i32>() as u32);
    // SAFETY: pointer and length describe the value.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, bytes) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits for a frame, `wait_ns` at most.
fn wait(sockets: &[OwnedFd; 2], wait_ns: u64) {
    let mut polls = [0, 1].map(|at: usize| libc::pollfd {
        fd: sockets[at].as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let time = libc::timespec { tv_sec: 0, tv_nsec: wait_ns.min(LONGEST_WAIT_NS) as i64 };
    // SAFETY: pointers and count describe the two entries and the time; no signal mask.
    unsafe { libc::ppoll(polls.as_mut_ptr(), 2, &raw const time, std::ptr::null()) };
}

/// Timers of this thread fire when they are due, not up to 50 µs later.
fn wake_precisely() {
    // SAFETY: no pointers are passed.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}

/// Time now. unit ns since the epoch
fn now_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos() as u64)
}
