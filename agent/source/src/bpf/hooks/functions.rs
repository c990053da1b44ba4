//! Hooks at functions of the kernel, by probe events of tracefs: the last way.
//!
//! In: a loaded object, /proc/kallsyms. Out: open probes, whose events are deleted when they are
//! dropped; those of an agent that was killed are deleted by the next one. Never: an event of
//! somebody else's.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::ProgramArray;
use aya::programs::{KProbe, ProgramError};

use super::super::chain;
use super::super::event::Hook;
use super::super::tracefs::TraceFs;
use super::{no_program, refusal, syscall_numbers};
use crate::perf_event;

/// Groups of our events are this and the number of the process.
const GROUP: &str = "deepflow_";
const EVENTS: &str = "kprobe_events";
/// Calls that may be between entry and exit at a time, where the kernel lets us say so (4.12).
const CALLS_MAX: u32 = 4096;
/// Functions of the life of a process; program and function.
const EXEC: (&str, &str) = ("fx_exec", "setup_new_exec");
const EXIT: (&str, &str) = ("fe_exit", "exit_files");
const FORK: (&str, &str) = ("fe_fork", "wake_up_new_task");
/// Before the name of a system call: from 4.17 on with the user's registers as argument, else with
/// its own arguments.
const WRAPPED: [&str; 2] = ["__x64_sys_", "__arm64_sys_"];
const PLAIN: [&str; 2] = ["sys_", "SyS_"];

/// A program at a function, until it is dropped.
pub struct Probe {
    event: Option<OwnedFd>,
    name: String,
    tracefs: Arc<TraceFs>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.event = None;
        // The kernel lets go of a closed event a moment later.
        for _ in 0..20 {
            if self.tracefs.append(EVENTS, &format!("-:{}\n", self.name)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        tracing::warn!(event = self.name, "a probe event stays: the kernel says that it is in use");
    }
}

/// Deletes the events of agents that are gone.
pub fn sweep(tracefs: &TraceFs) {
    let Ok(text) = tracefs.read(EVENTS) else { return };
    for (event, pid) in text.lines().filter_map(own_event) {
        if !std::fs::exists(format!("/proc/{pid}")).unwrap_or(true) {
            tracing::info!(event, "deleting the probe event of an agent that is gone");
            let _ = tracefs.append(EVENTS, &format!("-:{event}\n"));
        }
    }
}

/// Group and name of an event of ours, and whose it is ("p:deepflow_12/fe_read sys_read").
fn own_event(line: &str) -> Option<(&str, u32)> {
    let event = line.split_once(':')?.1.split_whitespace().next()?;
    let pid = event.strip_prefix(GROUP)?.split_once('/')?.0.parse().ok()?;
    Some((event, pid))
}

/// Whether functions of system calls take the user's registers here.
pub fn are_wrapped() -> bool {
    let wanted: BTreeSet<String> = WRAPPED.map(|prefix| format!("{prefix}read")).into();
    !symbols(&wanted).is_empty()
}

/// Attaches a program at the function of a system call, whatever its arguments are.
pub fn attach_at_call(
    object: &mut Ebpf,
    tracefs: &Arc<TraceFs>,
    program: &str,
    call: &str,
) -> Result<Probe, String> {
    let names = WRAPPED.into_iter().chain(PLAIN).map(|prefix| format!("{prefix}{call}"));
    let known = symbols(&names.collect());
    let function =
        known.first().ok_or_else(|| format!("/proc/kallsyms has no function of {call}"))?;
    attach_one(object, tracefs, program, function)
}

/// Which of these names the kernel's functions have.
fn symbols(wanted: &BTreeSet<String>) -> BTreeSet<String> {
    let Ok(file) = File::open("/proc/kallsyms") else { return BTreeSet::new() };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines
        .filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned))
        .filter(|name| wanted.contains(name))
        .collect()
}

/// Hooks at functions.
pub struct Functions {
    /// Whether the object was told that functions take the user's registers.
    wrapped: bool,
    known: Option<BTreeSet<String>>,
}

impl Functions {
    pub const fn new(wrapped: bool) -> Self {
        Self { wrapped, known: None }
    }

    /// Attaches a hook. `None`: the object has no programs for this.
    pub fn attach(
        &mut self,
        object: &mut Ebpf,
        tracefs: &Arc<TraceFs>,
        hook: Hook,
    ) -> Option<Result<Vec<Probe>, String>> {
        object.program(EXIT.0)?;
        Some(match hook {
            Hook::Exec => attach_one(object, tracefs, EXEC.0, EXEC.1).map(|one| vec![one]),
            Hook::Exit => attach_one(object, tracefs, EXIT.0, EXIT.1).map(|one| vec![one]),
            Hook::Fork => attach_one(object, tracefs, FORK.0, FORK.1).map(|one| vec![one]),
            call => self.attach_call(object, tracefs, call),
        })
    }

    fn attach_call(
        &mut self,
        object: &mut Ebpf,
        tracefs: &Arc<TraceFs>,
        call: Hook,
    ) -> Result<Vec<Probe>, String> {
        let function = self.function_of(call.name())?;
        fill_tail(object)?;
        // The exit first, as everywhere.
        let names = [format!("fx_{}", call.name()), format!("fe_{}", call.name())];
        let there = names.iter().filter(|name| object.program(name).is_some());
        let there: Vec<&String> = there.collect();
        there.into_iter().map(|name| attach_one(object, tracefs, name, &function)).collect()
    }

    fn function_of(&mut self, call: &str) -> Result<String, String> {
        let known = self.known.get_or_insert_with(|| {
            let calls = syscall_numbers().map(|(hook, _)| hook.name());
            let prefixes = WRAPPED.into_iter().chain(PLAIN);
            symbols(&prefixes.flat_map(|p| calls.map(|call| format!("{p}{call}"))).collect())
        });
        let mut prefixes = if self.wrapped { WRAPPED } else { PLAIN }.into_iter();
        let found = prefixes.find_map(|prefix| known.get(&format!("{prefix}{call}")));
        found.cloned().ok_or_else(|| format!("/proc/kallsyms has no function of {call}"))
    }
}

/// The program that others end in.
fn fill_tail(object: &mut Ebpf) -> Result<(), String> {
    const NAME: &str = "function_tail";
    let program = program(object, NAME)?;
    let program = program.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
    let program = program.map_err(|error| format!("program {NAME}: {error}"))?;
    let map = object.map_mut("tails_function").ok_or("the object has no map tails_function")?;
    let mut tails = ProgramArray::try_from(map).map_err(|error| chain(&error))?;
    tails.set(0, &program, 0).map_err(|error| chain(&error))
}

/// A program, loaded.
fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut KProbe, String> {
    let program = object.program_mut(name).ok_or_else(|| no_program(name))?;
    let program: &mut KProbe =
        program.try_into().map_err(|error| format!("program {name}: {error}"))?;
    match program.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(program),
        Err(error) => Err(refusal(name, &error)),
    }
}

fn attach_one(
    object: &mut Ebpf,
    tracefs: &Arc<TraceFs>,
    name: &str,
    function: &str,
) -> Result<Probe, String> {
    let program = program(object, name)?;
    let fd = program.fd().map_err(|error| format!("program {name}: {error}"))?;
    let event = format!("{GROUP}{}/{name}", std::process::id());
    let define = |kind: &str| tracefs.append(EVENTS, &format!("{kind}:{event} {function}\n"));
    let defined = if name.starts_with("fx_") {
        define(&format!("r{CALLS_MAX}")).or_else(|_| define("r"))
    } else {
        define("p")
    };
    let refused = |error| format!("no probe at {function}: {error}");
    defined.map_err(refused)?;
    let mut probe = Probe { event: None, name: event, tracefs: Arc::clone(tracefs) };
    let (group, name) = probe.name.split_once('/').unwrap_or_default();
    let id = tracefs.tracepoint_id(group, name).map_err(refused)?;
    probe.event = Some(perf_event::at_tracepoint(fd.as_fd(), id).map_err(refused)?);
    Ok(probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_ours_are_known_by_their_group() {
        let line = "r4096:deepflow_812/fx_read sys_read";
        assert_eq!(own_event(line), Some(("deepflow_812/fx_read", 812)));
        assert_eq!(own_event("p:kprobes/p_sys_read_0 sys_read"), None);
        assert_eq!(own_event("p:deepflow_x/fe_read sys_read"), None);
        assert_eq!(own_event(""), None);
    }
}
