//! What this machine offers of that which BPF capture needs.
//!
//! In: /proc and /sys. Out: a list for `deepflow-agent check`, one line a feature with what to do
//! where it lacks. Never: a change to the machine.

use std::fs;

use aya::maps::MapType;
use aya::sys::is_map_supported;

use super::tracefs::TraceFs;
use crate::perf_event;

const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";
/// Inode of the first pid namespace, PROC_PID_INIT_INO of the kernel.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// One thing that capture by BPF needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// What it is.
    pub feature: &'static str,
    /// Whether it is there.
    pub works: bool,
    /// Why not; empty if it is there.
    pub why_not: String,
    /// How to get it; empty if it is there.
    pub how_to_get: &'static str,
}

/// Looks at every requirement of BPF capture.
#[must_use]
pub fn requirements() -> Vec<Requirement> {
    vec![
        requirement(
            "privileges",
            privileges(),
            "run the agent as root, or with CAP_BPF, CAP_PERFMON",
        ),
        requirement(
            "kernel lockdown",
            lockdown(),
            "boot without lockdown=confidentiality; integrity does no harm",
        ),
        requirement(
            "bpf(2)",
            bpf_call(),
            "let the container or its seccomp profile allow bpf(2); use a kernel built with \
             CONFIG_BPF_SYSCALL",
        ),
        requirement(
            "perf_event_open(2)",
            perf_events(),
            "let the container or its seccomp profile allow perf_event_open(2), or give the agent \
             CAP_PERFMON; use a kernel built with CONFIG_PERF_EVENTS",
        ),
        requirement(
            "kernel BTF",
            btf(),
            "not needed, but cheaper: a kernel built with CONFIG_DEBUG_INFO_BTF (Debian 11, Ubuntu 20.10, \
             RHEL 8.2 or newer)",
        ),
        requirement(
            "BPF ring buffer",
            ring_buffer(),
            "not needed, but cheaper: Linux 5.10 or newer",
        ),
        requirement(
            "tracefs",
            tracefs(),
            "mount -t tracefs tracefs /sys/kernel/tracing, and make it visible in the container",
        ),
        requirement(
            "syscall tracepoints",
            syscall_tracepoints(),
            "use a kernel built with CONFIG_FTRACE_SYSCALLS",
        ),
        requirement(
            "host pid namespace",
            pid_namespace(),
            "start the container with the host's pid namespace (hostPID: true); without it process \
             ids in events are not those the agent sees",
        ),
    ]
}

fn requirement(
    feature: &'static str,
    found: Result<(), String>,
    how_to_get: &'static str,
) -> Requirement {
    match found {
        Ok(()) => Requirement { feature, works: true, why_not: String::new(), how_to_get: "" },
        Err(why_not) => Requirement { feature, works: false, why_not, how_to_get },
    }
}

/// Whether the kernel's own type information can be read. Without it a CO-RE object would be
/// loaded with the offsets of the build machine.
pub(crate) fn btf() -> Result<(), String> {
    let head = fs::File::open(VMLINUX_BTF).and_then(|mut file| {
        let mut head = [0u8; 2];
        std::io::Read::read_exact(&mut file, &mut head).map(|()| head)
    });
    match head {
        Ok(head) if u16::from_ne_bytes(head) == 0xeb9f => Ok(()),
        Ok(_) => Err(format!("{VMLINUX_BTF} is not BTF")),
        Err(error) => Err(format!("{VMLINUX_BTF}: {error}")),
    }
}

pub(crate) fn privileges() -> Result<(), String> {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let has = |capability: u32| effective >> capability & 1 == 1;
    if has(CAP_SYS_ADMIN) || has(CAP_BPF) && has(CAP_PERFMON) {
        return Ok(());
    }
    Err("the agent has neither CAP_SYS_ADMIN nor CAP_BPF and CAP_PERFMON".to_owned())
}

/// Whether programs may read the kernel's memory. Unknown, so taken for yes, where securityfs is not
/// mounted.
pub(crate) fn lockdown() -> Result<(), String> {
    lockdown_of(&fs::read_to_string(LOCKDOWN).unwrap_or_default())
}

fn lockdown_of(text: &str) -> Result<(), String> {
    match text.contains("[confidentiality]") {
        true => Err(format!(
            "{LOCKDOWN} is confidentiality: the kernel lets no program read its memory"
        )),
        false => Ok(()),
    }
}

/// Whether the plainest map can be made.
pub(crate) fn bpf_call() -> Result<(), String> {
    match is_map_supported(MapType::Array) {
        Ok(true) => Ok(()),
        Ok(false) => Err("the kernel makes no map".to_owned()),
        Err(error) => Err(format!("refused: {}", error.io_error)),
    }
}

/// Whether an event can be opened.
pub(crate) fn perf_events() -> Result<(), String> {
    let cpu = super::sys::online_cpus().first().copied().unwrap_or(0);
    perf_event::bpf_output(cpu, 1).map(drop).map_err(|error| format!("refused: {error}"))
}

pub(crate) fn ring_buffer() -> Result<(), String> {
    match is_map_supported(MapType::RingBuf) {
        Ok(true) => Ok(()),
        Ok(false) => Err("the kernel has no BPF_MAP_TYPE_RINGBUF".to_owned()),
        Err(error) => Err(format!("bpf(2): {}", error.io_error)),
    }
}

fn tracefs() -> Result<(), String> {
    TraceFs::open()
        .map(drop)
        .map_err(|error| format!("not mounted, and a private one cannot be had ({error})"))
}

pub(crate) fn syscall_tracepoints() -> Result<(), String> {
    TraceFs::open()
        .and_then(|tracefs| tracefs.tracepoint_id("syscalls", "sys_enter_read"))
        .map(drop)
        .map_err(|error| format!("syscalls:sys_enter_read: {error}"))
}

fn pid_namespace() -> Result<(), String> {
    match fs::read_link("/proc/self/ns/pid") {
        Ok(name) if name.as_os_str() == FIRST_PID_NAMESPACE => Ok(()),
        Ok(name) => Err(format!("the agent is in {}", name.display())),
        Err(error) => Err(format!("/proc/self/ns/pid: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_strictest_lockdown_is_in_the_way() {
        assert!(lockdown_of("none integrity [confidentiality]\n").is_err());
        assert!(lockdown_of("none [integrity] confidentiality\n").is_ok());
        assert!(lockdown_of("").is_ok());
    }

    #[test]
    fn each_lack_says_why_and_what_to_do() {
        let found = requirements();
        assert_eq!(found.len(), 9);
        for one in found {
            assert_eq!(one.works, one.why_not.is_empty(), "{one:?}");
            assert_eq!(one.works, one.how_to_get.is_empty(), "{one:?}");
        }
    }
}
