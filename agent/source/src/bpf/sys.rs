//! System calls that std lacks, as safe functions.
//!
//! In: plain values. Out: owned descriptors and `io::Result`. Never: policy. All `unsafe` of the
//! BPF source is here.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_ATTR_DISABLED: u64 = 1;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;

/// The first version of `struct perf_event_attr`, 64 bytes; later fields are zero for us.
#[repr(C)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    bp_addr: u64,
}

/// Attaches a BPF program to a tracepoint, on all CPUs and for all processes, until the descriptor
/// is closed.
pub fn attach_tracepoint(program: BorrowedFd<'_>, tracepoint_id: u64) -> io::Result<OwnedFd> {
    let attr = PerfEventAttr {
        kind: PERF_TYPE_TRACEPOINT,
        size: 64,
        config: tracepoint_id,
        sample_period: 1,
        sample_type: 0,
        read_format: 0,
        flags: PERF_ATTR_DISABLED,
        wakeup_events: 0,
        bp_type: 0,
        bp_addr: 0,
    };
    let (pid, cpu, group): (libc::c_int, libc::c_int, libc::c_int) = (-1, 0, -1);
    // SAFETY: `attr` lives through the call and says its own size; the rest are plain numbers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            pid,
            cpu,
            group,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    let event = owned(fd)?;
    // SAFETY: the request takes a descriptor by value; both are open.
    check(unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()) })?;
    // SAFETY: the request takes a number by value.
    check(unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) })?;
    Ok(event)
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

/// Opens a file for reading, relative to a directory.
pub fn open_at(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<File> {
    // SAFETY: the path is a C string; a descriptor or -1 comes back.
    let fd =
        unsafe { libc::openat(dir.as_raw_fd(), path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    owned(fd.into()).map(File::from)
}

/// Waits for wakeups of one descriptor; data that is merely there does not end the wait.
#[derive(Debug)]
pub struct WakeupWait(OwnedFd);

impl WakeupWait {
    /// Watches `fd` for input, edge-triggered.
    pub fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: plain numbers; a descriptor or -1 comes back.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())?;
        let mut event =
            libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET).cast_unsigned(), u64: 0 };
        // SAFETY: `event` lives through the call; both descriptors are open.
        check(unsafe {
            libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event)
        })?;
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
