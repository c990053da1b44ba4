//! The system calls that hook a function of a file.
//!
//! In: plain values. Out: an owned descriptor, with which the hook ends. Never: policy.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const PERF_ATTR_DISABLED: u64 = 1;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::Ioctl = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::Ioctl = 0x4004_2408;
/// What perf calls the hooks of user space.
const PMU: &str = "/sys/bus/event_source/devices/uprobe";

/// The second version of `struct perf_event_attr`; later fields are zero for us.
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
    path: u64,
    offset: u64,
}

const _: () = assert!(size_of::<PerfEventAttr>() == 72);

/// The kind of event, and the bit of its configuration that asks for returns.
#[derive(Debug, Clone, Copy)]
pub struct Pmu {
    kind: u32,
    return_bit: u32,
}

impl Pmu {
    /// As this kernel has it (4.17, and 3.10 and 4.18 of Red Hat).
    pub fn read() -> io::Result<Self> {
        let number = |name: &str, prefix: &str| -> io::Result<u32> {
            let text = std::fs::read_to_string(format!("{PMU}/{name}"))?;
            let number = text.trim().strip_prefix(prefix).and_then(|text| text.parse().ok());
            number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
        };
        let return_bit = number("format/retprobe", "config:")?;
        Ok(Self { kind: number("type", "")?, return_bit: return_bit.min(63) })
    }
}

/// Runs a program at each entry of the function at `offset` of a file, or at each of its returns,
/// in every process, until the descriptor is closed.
pub fn attach(
    pmu: Pmu,
    program: BorrowedFd<'_>,
    path: &CStr,
    offset: u64,
    at_return: bool,
) -> io::Result<OwnedFd> {
    let attr = PerfEventAttr {
        kind: pmu.kind,
        size: 72,
        config: u64::from(at_return) << pmu.return_bit,
        sample_period: 1,
        sample_type: 0,
        read_format: 0,
        flags: PERF_ATTR_DISABLED,
        wakeup_events: 0,
        bp_type: 0,
        path: path.as_ptr() as u64,
        offset,
    };
    let (pid, cpu, group): (libc::c_int, libc::c_int, libc::c_int) = (-1, 0, -1);
    // SAFETY: `attr` and the path live through the call; the former says its own size.
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
    let fd = libc::c_int::try_from(fd).ok().filter(|fd| *fd >= 0);
    let fd = fd.ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else has it.
    let event = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the request takes a descriptor by value; both are open.
    check(unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()) })?;
    // SAFETY: the request takes a number by value.
    check(unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) })?;
    Ok(event)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
