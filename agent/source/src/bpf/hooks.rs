//! The hooks: which programs make one up, how they are attached, what became of each.
//!
//! In: a loaded object. Out: open attachments and a report a hook in plain words. Never: the
//! failure of all hooks for the failure of one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya::programs::tp_btf::BtfTracePointLink;
use aya::programs::{BtfTracePoint, ProgramError, TracePoint};
use aya::{Btf, Ebpf};

use super::event::Hook;
use super::tracefs::TraceFs;
use super::{chain, sys};

/// How system calls are hooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mechanism {
    /// Raw tracepoints where the kernel takes them, else the tracepoints of each call.
    #[default]
    Auto,
    /// The raw tracepoints of all system calls: half the cost of the other, needs no tracefs.
    RawTracepoint,
    /// The tracepoint of each system call.
    Tracepoint,
}

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Auto | Self::RawTracepoint => "raw tracepoint",
            Self::Tracepoint => "tracepoint",
        }
    }
}

/// Keeps programs attached until it is dropped.
#[allow(dead_code, reason = "held only to be dropped")]
pub enum Attachment {
    /// A perf event of a tracepoint.
    Event(OwnedFd),
    /// A link to a raw tracepoint.
    Raw(BtfTracePointLink),
}

/// What became of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookReport {
    /// Name of the system call, or `exec`, `exit` and `fork`.
    pub hook: &'static str,
    /// How it is attached, or would have been.
    pub mechanism: &'static str,
    /// Whether it works.
    pub attached: bool,
    /// Why it does not and what to do; empty if it does.
    pub reason: String,
}

impl HookReport {
    fn new(hook: Hook, mechanism: Mechanism, attached: Result<(), String>) -> Self {
        Self {
            hook: hook.name(),
            mechanism: mechanism.name(),
            attached: attached.is_ok(),
            reason: attached.err().unwrap_or_default(),
        }
    }
}

/// Programs of a hook with their tracepoints. The exit stands first: no call is noted at its entry
/// without somebody who takes it at the exit.
const PROGRAMS: &[(Hook, &[Program])] = &[
    (Hook::Exec, &[("process_exec", "sched", "sched_process_exec")]),
    (Hook::Exit, &[("process_exit", "sched", "sched_process_exit")]),
    (Hook::Fork, &[("process_fork", "task", "task_newtask")]),
    (
        Hook::Accept,
        &[
            ("exit_accept", "syscalls", "sys_exit_accept"),
            ("enter_accept", "syscalls", "sys_enter_accept"),
        ],
    ),
    (
        Hook::Accept4,
        &[
            ("exit_accept4", "syscalls", "sys_exit_accept4"),
            ("enter_accept4", "syscalls", "sys_enter_accept4"),
        ],
    ),
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
pub type Program = (&'static str, &'static str, &'static str);

/// The same on raw tracepoints: program and tracepoint.
const RAW_EXIT: (&str, &str) = ("raw_exit", "sys_exit");
const RAW_ENTER: (&str, &str) = ("raw_enter", "sys_enter");
const RAW_EXEC: (&str, &str) = ("raw_exec", "sched_process_exec");
const RAW_END: (&str, &str) = ("raw_end", "sched_process_exit");
const RAW_FORK: (&str, &str) = ("raw_fork", "task_newtask");

/// Attaches every hook that `wanted` asks for. The hooks end when the attachments are dropped.
pub fn attach(
    object: &mut Ebpf,
    btf: Option<&Btf>,
    mechanism: Mechanism,
    wanted: &dyn Fn(Hook) -> bool,
) -> (Vec<Attachment>, Vec<HookReport>) {
    let Some(btf) = btf.filter(|_| mechanism != Mechanism::Tracepoint) else {
        return attach_tracepoints(object, wanted);
    };
    let (attachments, reports) = attach_raw(object, btf, wanted);
    if !attachments.is_empty() || mechanism == Mechanism::RawTracepoint {
        return (attachments, reports);
    }
    let refused =
        reports.into_iter().find(|report| !report.attached && wanted_name(report, wanted));
    tracing::info!(
        reason = refused.map_or_else(String::new, |report| report.reason),
        "raw tracepoints refused, taking the tracepoint of each system call"
    );
    attach_tracepoints(object, wanted)
}

fn wanted_name(report: &HookReport, wanted: &dyn Fn(Hook) -> bool) -> bool {
    Hook::ALL.into_iter().any(|hook| hook.name() == report.hook && wanted(hook))
}

/// Numbers of the system calls in the order of hooks, for the table that raw tracepoints use.
pub fn syscall_numbers() -> [(Hook, libc::c_long); 14] {
    [
        (Hook::Read, libc::SYS_read),
        (Hook::Write, libc::SYS_write),
        (Hook::Readv, libc::SYS_readv),
        (Hook::Writev, libc::SYS_writev),
        (Hook::Sendto, libc::SYS_sendto),
        (Hook::Recvfrom, libc::SYS_recvfrom),
        (Hook::Sendmsg, libc::SYS_sendmsg),
        (Hook::Recvmsg, libc::SYS_recvmsg),
        (Hook::Sendmmsg, libc::SYS_sendmmsg),
        (Hook::Recvmmsg, libc::SYS_recvmmsg),
        (Hook::Connect, libc::SYS_connect),
        (Hook::Accept, libc::SYS_accept),
        (Hook::Accept4, libc::SYS_accept4),
        (Hook::Close, libc::SYS_close),
    ]
}

/// All system calls by one pair of programs; a call that is not wanted is not in their table.
fn attach_raw(
    object: &mut Ebpf,
    btf: &Btf,
    wanted: &dyn Fn(Hook) -> bool,
) -> (Vec<Attachment>, Vec<HookReport>) {
    let mut attachments = Vec::new();
    let calls = attach_raw_one(object, btf, RAW_EXIT).and_then(|exit| {
        attachments.push(exit);
        attach_raw_one(object, btf, RAW_ENTER)
    });
    let calls = calls.map(|enter| attachments.push(enter));
    if calls.is_err() {
        attachments.clear();
    }
    let mut reports = Vec::new();
    for hook in Hook::ALL.into_iter().filter(|hook| !hook.is_tls()) {
        let attached = match hook {
            _ if !wanted(hook) => Err(SWITCHED_OFF.to_owned()),
            Hook::Exec | Hook::Exit | Hook::Fork if calls.is_err() => calls.clone(),
            Hook::Exec => attach_raw_one(object, btf, RAW_EXEC).map(|one| attachments.push(one)),
            Hook::Exit => attach_raw_one(object, btf, RAW_END).map(|one| attachments.push(one)),
            Hook::Fork => attach_raw_one(object, btf, RAW_FORK).map(|one| attachments.push(one)),
            _ => calls.clone(),
        };
        reports.push(HookReport::new(hook, Mechanism::RawTracepoint, attached));
    }
    (attachments, reports)
}

fn attach_raw_one(
    object: &mut Ebpf,
    btf: &Btf,
    (name, tracepoint): (&str, &str),
) -> Result<Attachment, String> {
    let program: &mut BtfTracePoint = object
        .program_mut(name)
        .ok_or_else(|| no_program(name))?
        .try_into()
        .map_err(|error| format!("program {name}: {error}"))?;
    program.load(tracepoint, btf).map_err(|error| refusal(name, &error))?;
    let attached = program.attach().and_then(|link| program.take_link(link));
    attached.map(Attachment::Raw).map_err(|error| {
        format!("cannot attach to the raw tracepoint {tracepoint}: {}", chain(&error))
    })
}

fn attach_tracepoints(
    object: &mut Ebpf,
    wanted: &dyn Fn(Hook) -> bool,
) -> (Vec<Attachment>, Vec<HookReport>) {
    let tracefs = TraceFs::open().map_err(|error| {
        format!("tracefs is not mounted, and a private one cannot be had: {error}")
    });
    let mut attachments = Vec::new();
    let mut reports = Vec::new();
    for &(hook, programs) in PROGRAMS {
        let opened: Result<Vec<Attachment>, String> = match &tracefs {
            _ if !wanted(hook) => Err(SWITCHED_OFF.to_owned()),
            Ok(tracefs) => {
                programs.iter().map(|program| attach_one(object, tracefs, program)).collect()
            }
            Err(error) => Err(error.clone()),
        };
        let attached = opened.map(|opened| attachments.extend(opened));
        reports.push(HookReport::new(hook, Mechanism::Tracepoint, attached));
    }
    (attachments, reports)
}

const SWITCHED_OFF: &str = "switched off by the configuration";

fn attach_one(object: &mut Ebpf, tracefs: &TraceFs, place: &Program) -> Result<Attachment, String> {
    let name = place.0;
    let program: &mut TracePoint = object
        .program_mut(name)
        .ok_or_else(|| no_program(name))?
        .try_into()
        .map_err(|error| format!("program {name}: {error}"))?;
    attach_tracepoint(program, tracefs, place)
}

/// Loads a program and attaches it to its tracepoint.
pub fn attach_tracepoint(
    program: &mut TracePoint,
    tracefs: &TraceFs,
    &(name, category, event): &Program,
) -> Result<Attachment, String> {
    let id = tracefs.tracepoint_id(category, event).map_err(|error| {
        format!(
            "the kernel does not offer the tracepoint {category}:{event} ({error}); it needs one \
             built with CONFIG_FTRACE_SYSCALLS"
        )
    })?;
    program.load().map_err(|error| refusal(name, &error))?;
    let fd = program.fd().map_err(|error| format!("program {name}: {error}"))?;
    sys::attach_tracepoint(fd.as_fd(), id).map(Attachment::Event).map_err(|error| {
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
pub fn refusal(name: &str, error: &ProgramError) -> String {
    if let ProgramError::LoadError { io_error, verifier_log } = error {
        let log = verifier_log.to_string();
        tracing::debug!(program = name, %log, "refused");
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
    format!("program {name}: {}", chain(error))
}

fn no_program(name: &str) -> String {
    format!("the BPF object has no program {name}; build the agent anew")
}
