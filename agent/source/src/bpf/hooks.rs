//! The hooks: which programs make one up, how they are attached, what became of each.
//!
//! In: a loaded object. Out: open attachments and a report a hook in plain words. Never: the
//! failure of all hooks for the failure of one.

use std::error::Error;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya::Ebpf;
use aya::programs::{ProgramError, TracePoint};

use super::event::Hook;
use super::sys;
use super::tracefs::TraceFs;

/// What became of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookReport {
    /// Name of the system call, or `exec` and `exit`.
    pub hook: &'static str,
    /// How it is attached, or would have been.
    pub mechanism: &'static str,
    /// Whether it works.
    pub attached: bool,
    /// Why it does not and what to do; empty if it does.
    pub reason: String,
}

/// Programs of a hook with their tracepoints. The exit stands first: no call is noted at its entry
/// without somebody who takes it at the exit.
const PROGRAMS: &[(Hook, &[Program])] = &[
    (Hook::Exec, &[("process_exec", "sched", "sched_process_exec")]),
    (Hook::Exit, &[("process_exit", "sched", "sched_process_exit")]),
    (Hook::Accept, &[("exit_accept", "syscalls", "sys_exit_accept")]),
    (Hook::Accept4, &[("exit_accept4", "syscalls", "sys_exit_accept4")]),
    (
        Hook::Connect,
        &[
            ("exit_connect", "syscalls", "sys_exit_connect"),
            ("enter_connect", "syscalls", "sys_enter_connect"),
        ],
    ),
    (Hook::Close, &[("enter_close", "syscalls", "sys_enter_close")]),
    (
        Hook::Read,
        &[("exit_read", "syscalls", "sys_exit_read"), ("enter_read", "syscalls", "sys_enter_read")],
    ),
    (
        Hook::Write,
        &[
            ("exit_write", "syscalls", "sys_exit_write"),
            ("enter_write", "syscalls", "sys_enter_write"),
        ],
    ),
    (
        Hook::Readv,
        &[
            ("exit_readv", "syscalls", "sys_exit_readv"),
            ("enter_readv", "syscalls", "sys_enter_readv"),
        ],
    ),
    (
        Hook::Writev,
        &[
            ("exit_writev", "syscalls", "sys_exit_writev"),
            ("enter_writev", "syscalls", "sys_enter_writev"),
        ],
    ),
    (
        Hook::Sendto,
        &[
            ("exit_sendto", "syscalls", "sys_exit_sendto"),
            ("enter_sendto", "syscalls", "sys_enter_sendto"),
        ],
    ),
    (
        Hook::Recvfrom,
        &[
            ("exit_recvfrom", "syscalls", "sys_exit_recvfrom"),
            ("enter_recvfrom", "syscalls", "sys_enter_recvfrom"),
        ],
    ),
    (
        Hook::Sendmsg,
        &[
            ("exit_sendmsg", "syscalls", "sys_exit_sendmsg"),
            ("enter_sendmsg", "syscalls", "sys_enter_sendmsg"),
        ],
    ),
    (
        Hook::Recvmsg,
        &[
            ("exit_recvmsg", "syscalls", "sys_exit_recvmsg"),
            ("enter_recvmsg", "syscalls", "sys_enter_recvmsg"),
        ],
    ),
    (
        Hook::Sendmmsg,
        &[
            ("exit_sendmmsg", "syscalls", "sys_exit_sendmmsg"),
            ("enter_sendmmsg", "syscalls", "sys_enter_sendmmsg"),
        ],
    ),
    (
        Hook::Recvmmsg,
        &[
            ("exit_recvmmsg", "syscalls", "sys_exit_recvmmsg"),
            ("enter_recvmmsg", "syscalls", "sys_enter_recvmmsg"),
        ],
    ),
];

/// Program in the object, category and name of its tracepoint.
type Program = (&'static str, &'static str, &'static str);

/// Attaches every hook that `wanted` asks for. The hooks end when the descriptors are closed.
pub fn attach(
    object: &mut Ebpf,
    tracefs: &TraceFs,
    wanted: impl Fn(Hook) -> bool,
) -> (Vec<OwnedFd>, Vec<HookReport>) {
    let mut attachments = Vec::new();
    let mut reports = Vec::new();
    for &(hook, programs) in PROGRAMS {
        let mut report = HookReport {
            hook: hook.name(),
            mechanism: "tracepoint",
            attached: false,
            reason: String::new(),
        };
        if !wanted(hook) {
            report.reason = "switched off by the configuration".to_owned();
            reports.push(report);
            continue;
        }
        let opened: Result<Vec<OwnedFd>, String> =
            programs.iter().map(|program| attach_one(object, tracefs, program)).collect();
        match opened {
            Ok(opened) => {
                attachments.extend(opened);
                report.attached = true;
            }
            Err(reason) => report.reason = reason,
        }
        reports.push(report);
    }
    (attachments, reports)
}

fn attach_one(
    object: &mut Ebpf,
    tracefs: &TraceFs,
    &(name, category, event): &Program,
) -> Result<OwnedFd, String> {
    let program: &mut TracePoint = object
        .program_mut(name)
        .ok_or_else(|| format!("the BPF object has no program {name}; build the agent anew"))?
        .try_into()
        .map_err(|error| format!("program {name}: {error}"))?;
    let id = tracefs.tracepoint_id(category, event).map_err(|error| {
        format!(
            "the kernel does not offer the tracepoint {category}:{event} ({error}); it needs one \
             built with CONFIG_FTRACE_SYSCALLS"
        )
    })?;
    program.load().map_err(|error| refusal(name, &error))?;
    let fd = program.fd().map_err(|error| format!("program {name}: {error}"))?;
    sys::attach_tracepoint(fd.as_fd(), id).map_err(|error| {
        let advice = match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => {
                "; run the agent as root or with CAP_BPF and CAP_PERFMON"
            }
            Some(libc::EMFILE) => "; raise the limit of open files",
            Some(libc::EEXIST) => "; another program holds this tracepoint",
            _ => "",
        };
        format!("cannot attach to {category}:{event}: {error}{advice}")
    })
}

/// Why the kernel refused a program: the last words of its verifier, not all of them.
fn refusal(name: &str, error: &ProgramError) -> String {
    if let ProgramError::LoadError { io_error, verifier_log } = error {
        let log = verifier_log.to_string();
        let last = log.lines().rev().find(|line| {
            !line.is_empty() && !line.starts_with("processed ") && !line.starts_with("verification")
        });
        let hint = if io_error.kind() == io::ErrorKind::PermissionDenied && log.is_empty() {
            "; run the agent as root or with CAP_BPF and CAP_PERFMON"
        } else {
            ""
        };
        return format!(
            "the kernel refused {name}: {io_error}: {}{hint}",
            last.unwrap_or("no log")
        );
    }
    let mut text = format!("program {name}: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
