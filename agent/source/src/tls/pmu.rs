//! The kernel's hooks of functions of files: what perf calls them, and one of them.
//!
//! In: plain values. Out: an owned descriptor, with which the hook ends. Never: policy.

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::perf_event;

/// What perf calls the hooks of user space.
const PMU: &str = "/sys/bus/event_source/devices/uprobe";

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
    let config = u64::from(at_return) << pmu.return_bit;
    perf_event::at_function(program, (pmu.kind, config), path, offset)
}
