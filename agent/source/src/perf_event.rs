//! Events of perf that run BPF programs or carry what these put out: perf_event_open(2).
//!
//! In: plain values. Out: owned descriptors, with which an event ends. Never: policy.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const TYPE_SOFTWARE: u32 = 1;
const TYPE_TRACEPOINT: u32 = 2;
const COUNT_SW_BPF_OUTPUT: u64 = 10;
const SAMPLE_RAW: u64 = 1 << 10;
const ATTR_DISABLED: u64 = 1;
const ATTR_WATERMARK: u64 = 1 << 14;
const FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const IOC_ENABLE: libc::Ioctl = 0x2400;
const IOC_SET_BPF: libc::Ioctl = 0x4004_2408;

/// The second version of `struct perf_event_attr` (2.6.33); later fields are zero for us.
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    /// uprobe: address of the path.
    config1: u64,
    /// uprobe: offset in the file.
    config2: u64,
}

const ATTR_BYTES: u32 = 72;
const _: () = assert!(size_of::<Attr>() == ATTR_BYTES as usize);

/// Runs a program at each hit of a tracepoint, on all CPUs and for all processes, until the
/// descriptor is closed.
pub(crate) fn at_tracepoint(program: BorrowedFd<'_>, tracepoint_id: u64) -> io::Result<OwnedFd> {
    run(program, Attr { kind: TYPE_TRACEPOINT, config: tracepoint_id, ..Attr::default() })
}

/// Runs a program at the function at `offset` of a file, in every process, until the descriptor is
/// closed. `kind` and `config` are as the kernel's uprobe PMU has them.
pub(crate) fn at_function(
    program: BorrowedFd<'_>,
    (kind, config): (u32, u64),
    path: &CStr,
    offset: u64,
) -> io::Result<OwnedFd> {
    // The kernel copies the path during the call, through which the borrow lives.
    let config1 = path.as_ptr() as u64;
    run(program, Attr { kind, config, config1, config2: offset, ..Attr::default() })
}

/// Opens the event of one CPU whose ring takes what BPF programs output there. It can be read when
/// `watermark` bytes wait.
pub(crate) fn bpf_output(cpu: u32, watermark: u32) -> io::Result<OwnedFd> {
    let attr = Attr {
        kind: TYPE_SOFTWARE,
        config: COUNT_SW_BPF_OUTPUT,
        sample_type: SAMPLE_RAW,
        flags: ATTR_WATERMARK,
        wakeup_events: watermark,
        ..Attr::default()
    };
    open(attr, libc::c_int::try_from(cpu).map_err(io::Error::other)?)
}

/// Starts an event.
pub(crate) fn enable(event: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request takes a number by value.
    check(unsafe { libc::ioctl(event.as_raw_fd(), IOC_ENABLE, 0) })
}

fn run(program: BorrowedFd<'_>, attr: Attr) -> io::Result<OwnedFd> {
    let event = open(attr, 0)?;
    // SAFETY: the request takes a descriptor by value; both are open.
    check(unsafe { libc::ioctl(event.as_raw_fd(), IOC_SET_BPF, program.as_raw_fd()) })?;
    enable(event.as_fd())?;
    Ok(event)
}

/// Opens an event of all processes that has not begun, and that is due at each hit.
fn open(attr: Attr, cpu: libc::c_int) -> io::Result<OwnedFd> {
    let flags = attr.flags | ATTR_DISABLED;
    let attr = Attr { size: ATTR_BYTES, sample_period: 1, flags, ..attr };
    let (pid, group): (libc::c_int, libc::c_int) = (-1, -1);
    // SAFETY: `attr`, and the path it may point to, live through the call; it says its own size.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attr, pid, cpu, group, FLAG_FD_CLOEXEC)
    };
    let Ok(fd @ 0..) = libc::c_int::try_from(fd) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the kernel has just given us this descriptor; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
