//! The hooks: which programs make one up, how they are attached, what became of each.
//!
//! In: a loaded object. Out: open attachments and a report a hook in plain words. Never: the
//! failure of all hooks for the failure of one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use aya::programs::tp_btf::BtfTracePointLink;
use aya::programs::{BtfTracePoint, ProgramError, TracePoint};
use aya::{Btf, Ebpf};

use super::event::Hook;
use super::probe_events::Probe;
use super::tracefs::TraceFs;
use super::{chain, kernel_functions};
use crate::perf_event;
use all_calls::AllCalls;
use functions::Functions;
pub use functions::{are_wrapped, attach_at_call};
use table::PROGRAMS;
use table::is_there;
pub use table::{Program, syscall_numbers};

mod all_calls;
mod functions;
mod table;

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
    /// The tracepoints `raw_syscalls` of all calls, which end in the programs of each; for tiers
    /// without BTF.
    AllCalls,
    /// The functions of system calls and of a process's life, by kprobes; same tiers.
    Function,
}

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Auto | Self::RawTracepoint => "raw tracepoint",
            Self::Tracepoint => "tracepoint",
            Self::AllCalls => "tracepoint of all calls",
            Self::Function => "kprobe",
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
    /// A probe at a function.
    Function(Probe),
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
    /// Why it does not and what to do; where it does, why not by a better mechanism, else empty.
    pub reason: String,
    /// It does not since nobody asked for it.
    pub is_off: bool,
}

impl HookReport {
    fn attached(hook: Hook, mechanism: Mechanism, not_better: &str) -> Self {
        let (hook, mechanism) = (hook.name(), mechanism.name());
        Self { hook, mechanism, attached: true, reason: not_better.to_owned(), is_off: false }
    }

    fn failed(hook: Hook, mechanism: Mechanism, reason: String) -> Self {
        let is_off = reason == SWITCHED_OFF;
        Self { hook: hook.name(), mechanism: mechanism.name(), attached: false, reason, is_off }
    }
}

/// The same on raw tracepoints: program and tracepoint.
const RAW_EXIT: (&str, &str) = ("raw_exit", "sys_exit");
const RAW_ENTER: (&str, &str) = ("raw_enter", "sys_enter");
/// What the name of a program's twin ends with.
pub const TWIN: &str = "_2";
/// What counts at rest.
const RAW_COUNTERS: [(&str, &str); 2] =
    [("raw_sent", "sock_send_length"), ("raw_received", "sock_recv_length")];
/// Once more, where tasks are interrupted in programs.
const RAW_TWINS: [(&str, &str); 2] = [("raw_exit_2", "sys_exit"), ("raw_enter_2", "sys_enter")];
const RAW_EXEC: (&str, &str) = ("raw_exec", "sched_process_exec");
const RAW_END: (&str, &str) = ("raw_end", "sched_process_exit");
const RAW_FORK: (&str, &str) = ("raw_fork", "task_newtask");

/// What an object of a tier without BTF was told of this kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    /// Whether it can tell 32-bit system calls from 64-bit ones.
    pub mode_known: bool,
    /// Whether functions of system calls take the user's registers (4.17), not their own arguments.
    pub wrapped: bool,
}

/// The hooks of an object. They end when they are dropped.
#[derive(Default)]
pub struct Attached {
    /// Programs on every system call, with their tracepoints, in the order of their attachment.
    pub everywhere: Vec<(&'static str, &'static str)>,
    /// What keeps these attached.
    pub watching: Vec<Attachment>,
    /// Programs that count while those are detached; loaded, not attached.
    pub counters: Vec<(&'static str, &'static str)>,
    /// All other hooks.
    pub others: Vec<Attachment>,
    /// What became of each.
    pub reports: Vec<HookReport>,
}

impl Attached {
    /// Whether there is not one hook.
    pub fn is_empty(&self) -> bool {
        self.watching.is_empty() && self.others.is_empty()
    }
}

/// Attaches every hook that `wanted` asks for.
pub fn attach(
    object: &mut Ebpf,
    btf: Option<&Btf>,
    mechanism: Mechanism,
    told: Told,
    wanted: &dyn Fn(Hook) -> bool,
) -> Attached {
    let Some(btf) = btf else { return attach_calls(object, mechanism, told, "", wanted) };
    let refused = match mechanism {
        Mechanism::Auto => kernel_functions::raw_tracepoints(btf).err(),
        Mechanism::RawTracepoint => None,
        _ => Some(String::new()),
    };
    if let Some(why) = refused {
        return attach_calls(object, mechanism, told, &why, wanted);
    }
    let attached = attach_raw(object, btf, wanted);
    if !attached.is_empty() || mechanism == Mechanism::RawTracepoint {
        return attached;
    }
    let refused =
        attached.reports.into_iter().find(|report| !report.attached && wanted_name(report, wanted));
    let why = refused.map_or_else(String::new, |report| report.reason);
    attach_calls(object, mechanism, told, &why, wanted)
}

fn wanted_name(report: &HookReport, wanted: &dyn Fn(Hook) -> bool) -> bool {
    Hook::ALL.into_iter().any(|hook| hook.name() == report.hook && wanted(hook))
}

/// All system calls by one pair of programs, or two; a call that is not wanted is not in their table.
fn attach_raw(object: &mut Ebpf, btf: &Btf, wanted: &dyn Fn(Hook) -> bool) -> Attached {
    let twice = kernel_functions::are_interrupted();
    let twins = RAW_TWINS.into_iter().filter(|_| twice);
    let everywhere: Vec<_> = [RAW_EXIT, RAW_ENTER].into_iter().chain(twins).collect();
    let watching: Result<Vec<_>, String> =
        everywhere.iter().map(|one| attach_raw_one(object, btf, *one)).collect();
    let calls = watching.as_ref().map(drop).map_err(Clone::clone);
    let watching = watching.unwrap_or_default();
    let counters = RAW_COUNTERS.into_iter().filter(|one| load_raw(object, btf, *one).is_ok());
    let counters = counters.collect();
    let mut others = Vec::new();
    // Where tasks are interrupted in programs on raw tracepoints, they are not on others but those of
    // system calls; for what is told once that is better than two programs.
    let tracefs = if twice { TraceFs::open().ok() } else { None };
    let mut reports = Vec::new();
    for hook in Hook::ALL.into_iter().filter(|hook| !hook.is_tls() && is_there(*hook)) {
        let raw = match hook {
            Hook::Exec => Some(RAW_EXEC),
            Hook::Exit => Some(RAW_END),
            Hook::Fork => Some(RAW_FORK),
            _ => None,
        };
        let mut mechanism = Mechanism::RawTracepoint;
        let attached = match raw {
            _ if !wanted(hook) => Err(SWITCHED_OFF.to_owned()),
            Some(raw) if calls.is_ok() => {
                let plain = tracefs.as_ref().and_then(|fs| attach_plain(object, fs, hook));
                match plain {
                    Some(attachment) => {
                        mechanism = Mechanism::Tracepoint;
                        others.push(attachment);
                        Ok(())
                    }
                    None => attach_raw_one(object, btf, raw).map(|one| others.push(one)),
                }
            }
            _ => calls.clone(),
        };
        reports.push(match attached {
            Ok(()) => HookReport::attached(hook, mechanism, if twice { TWICE } else { "" }),
            Err(why) => HookReport::failed(hook, mechanism, why),
        });
    }
    Attached { everywhere, watching, counters, others, reports }
}

/// The only program of a hook at its tracepoint; `None` where the kernel refuses.
fn attach_plain(object: &mut Ebpf, tracefs: &TraceFs, hook: Hook) -> Option<Attachment> {
    let (_, programs) = PROGRAMS.iter().find(|(known, _)| *known == hook)?;
    attach_one(object, tracefs, programs.first()?).ok()
}

fn raw_program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint, String> {
    let program = object.program_mut(name).ok_or_else(|| no_program(name))?;
    program.try_into().map_err(|error| format!("program {name}: {error}"))
}

fn load_raw(object: &mut Ebpf, btf: &Btf, (name, tracepoint): (&str, &str)) -> Result<(), String> {
    raw_program(object, name)?.load(tracepoint, btf).map_err(|error| refusal(name, &error))
}

fn attach_raw_one(object: &mut Ebpf, btf: &Btf, place: (&str, &str)) -> Result<Attachment, String> {
    load_raw(object, btf, place)?;
    attach_loaded(object, place)
}

/// Attaches a loaded program to its raw tracepoint.
pub fn attach_loaded(
    object: &mut Ebpf,
    (name, tracepoint): (&str, &str),
) -> Result<Attachment, String> {
    let program = raw_program(object, name)?;
    let attached = program.attach().and_then(|link| program.take_link(link));
    attached.map(Attachment::Raw).map_err(|error| {
        format!("cannot attach to the raw tracepoint {tracepoint}: {}", chain(&error))
    })
}

/// Each hook by its own tracepoints, or in one of the other ways. `not_raw`: why not by raw tracepoints,
/// empty if nobody asked for them.
fn attach_calls(
    object: &mut Ebpf,
    mechanism: Mechanism,
    told: Told,
    not_raw: &str,
    wanted: &dyn Fn(Hook) -> bool,
) -> Attached {
    if !not_raw.is_empty() {
        tracing::info!(reason = not_raw, "no raw tracepoints: the tracepoint of each system call");
    }
    let tracefs = TraceFs::open().map(Arc::new).map_err(|error| {
        format!("tracefs is not mounted, and a private one cannot be had: {error}")
    });
    let mut ways = Ways {
        mechanism,
        all_calls: AllCalls::new(told.mode_known),
        functions: Functions::new(told.wrapped),
        attachments: Vec::new(),
    };
    let mut reports = Vec::new();
    for &(hook, programs) in PROGRAMS.iter().filter(|(hook, _)| is_there(*hook)) {
        reports.push(match &tracefs {
            _ if !wanted(hook) => {
                HookReport::failed(hook, Mechanism::Tracepoint, SWITCHED_OFF.to_owned())
            }
            Err(error) => HookReport::failed(hook, Mechanism::Tracepoint, error.clone()),
            Ok(tracefs) => ways.attach(object, tracefs, hook, programs, not_raw),
        });
    }
    ways.attachments.extend(ways.all_calls.finish());
    Attached { others: ways.attachments, reports, ..Attached::default() }
}

/// The ways to a hook, best first.
struct Ways {
    mechanism: Mechanism,
    all_calls: AllCalls,
    functions: Functions,
    attachments: Vec<Attachment>,
}

impl Ways {
    fn attach(
        &mut self,
        object: &mut Ebpf,
        tracefs: &Arc<TraceFs>,
        hook: Hook,
        programs: &[Program],
        not_raw: &str,
    ) -> HookReport {
        let mut why = match self.own_tracepoints(object, tracefs, programs) {
            Ok(opened) => {
                self.attachments.extend(opened);
                return HookReport::attached(hook, Mechanism::Tracepoint, not_raw);
            }
            Err(why) => why,
        };
        if self.mechanism != Mechanism::Function {
            match self.all_calls.take_over(object, tracefs, hook, programs) {
                Ok(()) => return HookReport::attached(hook, Mechanism::AllCalls, &why),
                Err(None) => {}
                Err(Some(also)) => why = format!("{why}; {also}"),
            }
        }
        match self.functions.attach(object, tracefs, hook) {
            None => HookReport::failed(hook, Mechanism::Tracepoint, why),
            Some(Ok(probes)) => {
                self.attachments.extend(probes.into_iter().map(Attachment::Function));
                HookReport::attached(hook, Mechanism::Function, &why)
            }
            Some(Err(also)) => {
                HookReport::failed(hook, Mechanism::Function, format!("{why}; {also}"))
            }
        }
    }

    fn own_tracepoints(
        &self,
        object: &mut Ebpf,
        tracefs: &TraceFs,
        programs: &[Program],
    ) -> Result<Vec<Attachment>, String> {
        let is_call = programs.iter().all(|(_, category, _)| *category == "syscalls");
        match self.mechanism {
            Mechanism::Function => Err(AS_CONFIGURED.to_owned()),
            Mechanism::AllCalls if is_call => Err(AS_CONFIGURED.to_owned()),
            _ => programs.iter().map(|program| attach_one(object, tracefs, program)).collect(),
        }
    }
}

/// Says of the hooks of files why they are not there, where it is not for the configuration.
pub fn explain_files(reports: &mut [HookReport], why: &str) {
    let of_files = Hook::ALL.into_iter().filter(|hook| hook.is_of_files()).map(Hook::name);
    let of_files: Vec<&str> = of_files.collect();
    let missing = |report: &&mut HookReport| !report.attached && of_files.contains(&report.hook);
    for report in reports.iter_mut().filter(missing) {
        report.reason = why.to_owned();
    }
}

const AS_CONFIGURED: &str = "the configuration says so";
const TWICE: &str =
    "system calls by two programs each, since this kernel lets tasks be interrupted in them";
const SWITCHED_OFF: &str = "switched off by the configuration";

fn attach_one(object: &mut Ebpf, tracefs: &TraceFs, place: &Program) -> Result<Attachment, String> {
    attach_tracepoint(tracepoint_program(object, place.0)?, tracefs, place)
}

fn tracepoint_program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut TracePoint, String> {
    let program = object.program_mut(name).ok_or_else(|| no_program(name))?;
    program.try_into().map_err(|error| format!("program {name}: {error}"))
}

/// Loads a program that may be loaded already.
fn load(program: &mut TracePoint, name: &str) -> Result<(), String> {
    match program.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(()),
        Err(error) => Err(refusal(name, &error)),
    }
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
    load(program, name)?;
    let fd = program.fd().map_err(|error| format!("program {name}: {error}"))?;
    perf_event::at_tracepoint(fd.as_fd(), id).map(Attachment::Event).map_err(|error| {
        let advice = match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => {
                "; run the agent as root or with CAP_BPF and CAP_PERFMON"
            }
            Some(libc::EMFILE) => "; raise the limit of open files",
            Some(libc::EEXIST) => "; another program holds it, and this kernel takes one only",
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
