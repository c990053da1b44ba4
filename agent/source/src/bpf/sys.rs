//! System calls that std lacks, as safe functions.
//!
//! In: plain values. Out: owned descriptors and `io::Result`. Never: policy. The BPF
//! source has no other `unsafe` but that of `perf_event`.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;

/// Sets an element of a map whose keys and values have four bytes; also of maps of descriptors.
pub fn map_set_u32(map: BorrowedFd<'_>, key: u32, value: u32) -> io::Result<()> {
    const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
    #[repr(C)]
    struct Attr {
        map: u32,
        pad: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let attr = Attr {
        map: u32::try_from(map.as_raw_fd()).map_err(io::Error::other)?,
        pad: 0,
        key: (&raw const key) as u64,
        value: (&raw const value) as u64,
        flags: 0,
    };
    let bytes = size_of::<Attr>();
    // SAFETY: `attr`, key and value live through the call, which reads four bytes of the latter.
    let done = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_UPDATE_ELEM, &raw const attr, bytes) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has the calling thread told the kernel's true version, whatever `setarch --uname-2.6` said: up to
/// 4.20 the kernel takes programs at functions only with that.
pub fn want_true_version() {
    const ASK: libc::c_ulong = 0xffff_ffff;
    /// Of the kernel's uapi/linux/personality.h.
    const UNAME26: libc::c_int = 0x0002_0000;
    // SAFETY: takes a number; this one changes nothing.
    let persona = unsafe { libc::personality(ASK) };
    if persona >= 0 && persona & UNAME26 != 0 {
        // SAFETY: takes a number.
        unsafe { libc::personality(libc::c_ulong::from((persona & !UNAME26).cast_unsigned())) };
    }
}

/// Runs of a program that the kernel left out because its CPU was in another one (`recursion_misses` of
/// `struct bpf_prog_info`, 5.12; 0 before).
pub fn program_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
    const MISSES_AT: usize = 208;
    #[repr(C)]
    struct Attr {
        program: u32,
        info_bytes: u32,
        info: u64,
    }
    let mut info = [0u8; MISSES_AT + 8];
    let attr = Attr {
        program: u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?,
        info_bytes: info.len() as u32,
        info: info.as_mut_ptr() as u64,
    };
    let bytes = size_of::<Attr>();
    // SAFETY: the call writes at most `info_bytes` into `info`, which lives through it, as `attr` does.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw const attr, bytes) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info.last_chunk().copied().map_or(0, u64::from_ne_bytes))
}

/// Whether the kernel has a system call that takes a descriptor first: it is given none.
pub fn has_call(number: libc::c_long) -> bool {
    // SAFETY: no descriptor has this number, and nothing is at the address 0.
    let done = unsafe { libc::syscall(number, -1i64, 0i64, 0i64, 0i64, 0i64, 0i64) };
    done >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// Closes a descriptor that is none: a system call without any effect.
pub fn close_nothing() {
    // SAFETY: plain number; no descriptor has it.
    unsafe { libc::close(-1) };
}

/// Sends with flags of `send(2)`.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: the slice lives through the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Makes a socket of any family, type and protocol.
pub fn socket(
    family: libc::c_int,
    kind: libc::c_int,
    protocol: libc::c_int,
) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; a descriptor or -1 comes back.
    owned(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }.into())
}

/// Binds a TCP socket to a loopback address, any port, and connects it.
pub fn connect_from(local: std::net::Ipv4Addr, to: std::net::SocketAddrV4) -> io::Result<OwnedFd> {
    let address = |ip: std::net::Ipv4Addr, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(ip).to_be() },
        sin_zero: [0; 8],
    };
    let fd = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    let bytes = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    let own = address(local, 0);
    // SAFETY: the address lives through the call and has the length that is told.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const own).cast(), bytes) })?;
    let peer = address(*to.ip(), to.port());
    // SAFETY: as above.
    check(unsafe { libc::connect(fd.as_raw_fd(), (&raw const peer).cast(), bytes) })?;
    Ok(fd)
}

/// Kind of the file system of an open file: `f_type` of statfs(2).
pub fn file_system_kind(file: BorrowedFd<'_>) -> io::Result<u64> {
    let mut found = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the call writes into the structure, which lives through it.
    check(unsafe { libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) })?;
    // SAFETY: all of its bits may be 0, which they were before the call.
    let found = unsafe { found.assume_init() };
    // With a sign in some C libraries, without in others.
    Ok(u64::from_ne_bytes(found.f_type.to_ne_bytes()))
}

/// Number of the calling thread.
pub fn thread_id() -> u32 {
    // SAFETY: takes nothing.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    u32::try_from(tid).unwrap_or(0)
}

/// Where the calling thread's own storage is, by the register FS: arch_prctl(2).
#[cfg(target_arch = "x86_64")]
pub fn fs_base() -> Option<u64> {
    const ARCH_GET_FS: libc::c_long = 0x1003;
    let mut base = 0u64;
    // SAFETY: the kernel writes one word there, which lives through the call.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_FS, &raw mut base) };
    (result == 0).then_some(base)
}

/// Other processors need none.
#[cfg(not(target_arch = "x86_64"))]
pub fn fs_base() -> Option<u64> {
    None
}

/// Sets the signal that the calling thread gets when its parent dies; 0: none.
pub fn set_death_signal(signal: libc::c_ulong) {
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) };
}

/// Bytes of a page.
pub fn page_bytes() -> usize {
    // SAFETY: takes a number.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// CPUs that are online, by /sys/devices/system/cpu/online ("0-3,8").
pub fn online_cpus() -> Vec<u32> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            cpus.extend(first..=last);
        }
    }
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// A tracefs that is mounted nowhere: seen through this descriptor alone, gone when it is closed.
/// Needs Linux 5.2 and CAP_SYS_ADMIN.
pub fn detached_tracefs() -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string; a descriptor or -1 comes back.
    let context =
        owned(unsafe { libc::syscall(libc::SYS_fsopen, c"tracefs".as_ptr(), FSOPEN_CLOEXEC) })?;
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: this command takes no key and no value.
    let done = unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0)
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain numbers; a descriptor or -1 comes back.
    owned(unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, 0 as libc::c_uint)
    })
}

/// Opens a file with flags of `open(2)`, relative to a directory.
pub fn open_at(dir: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<File> {
    // SAFETY: the path is a C string; a descriptor or -1 comes back.
    let fd = unsafe { libc::openat(dir.as_raw_fd(), path.as_ptr(), flags | libc::O_CLOEXEC) };
    owned(fd.into()).map(File::from)
}

/// Waits for wakeups of descriptors; data that is merely there does not end the wait.
#[derive(Debug)]
pub struct WakeupWait(OwnedFd);

impl WakeupWait {
    /// Watches descriptors for input, edge-triggered.
    pub fn new(fds: &[BorrowedFd<'_>]) -> io::Result<Self> {
        // SAFETY: plain numbers; a descriptor or -1 comes back.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())?;
        for fd in fds {
            let events = (libc::EPOLLIN | libc::EPOLLET).cast_unsigned();
            let mut event = libc::epoll_event { events, u64: 0 };
            let (add, fd) = (libc::EPOLL_CTL_ADD, fd.as_raw_fd());
            // SAFETY: `event` lives through the call; both descriptors are open.
            check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), add, fd, &raw mut event) })?;
        }
        Ok(Self(epoll))
    }

    /// Sleeps until a wakeup, or for `timeout` rounded down to milliseconds. A signal ends it too.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let timeout_ms = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: there is room for the one event that is asked for.
        let ready =
            unsafe { libc::epoll_wait(self.0.as_fd().as_raw_fd(), &raw mut event, 1, timeout_ms) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// CLOCK_MONOTONIC in nanoseconds, the clock of `bpf_ktime_get_ns`.
pub fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// What is to be added to CLOCK_MONOTONIC for time since the Unix epoch, right to about 100 ns.
pub fn epoch_offset_ns() -> i64 {
    let mut best = (u64::MAX, 0i64);
    for _ in 0..3 {
        let before = monotonic_ns();
        let real = clock_ns(libc::CLOCK_REALTIME);
        let after = monotonic_ns();
        let middle = before + (after - before) / 2;
        if after - before < best.0 {
            best = (after - before, real.wrapping_sub(middle).cast_signed());
        }
    }
    best.1
}

/// Gives memory that was freed back to the system, where the allocator has a way to do it.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; glibc locks its own heap.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// CPUs that may ever be online, by /sys/devices/system/cpu/possible ("0-3,8"); at least 1.
pub fn possible_cpus() -> u32 {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text.trim().rsplit([',', '-']).next().and_then(|cpu| cpu.parse::<u32>().ok());
    last.unwrap_or(0) + 1
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives through the call, which fills it.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let Ok(fd @ 0..) = libc::c_int::try_from(result) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the kernel has just given us this descriptor; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
