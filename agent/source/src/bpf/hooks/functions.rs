//! Hooks at functions of the kernel, by probe events of tracefs: the last way.
//!
//! In: a loaded object, /proc/kallsyms. Out: open probes, which end when they are dropped. Never: a
//! place that depends on a kernel's version.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::sync::Arc;

use aya::Ebpf;
use aya::programs::{KProbe, ProgramError};

use super::super::event::Hook;
use super::super::load::set_tail;
use super::super::probe_events::{List, Probe};
use super::super::tracefs::TraceFs;
use super::{no_program, refusal, syscall_numbers};

/// How returns are asked for: with room for 4096 calls between entry and exit at a time, where the
/// kernel lets us say so (4.12).
const RETURNS: [&str; 2] = ["r4096", "r"];
/// Functions of the life of a process; program and function.
const EXEC: (&str, &str) = ("fx_exec", "setup_new_exec");
const EXIT: (&str, &str) = ("fe_exit", "exit_files");
const FORK: (&str, &str) = ("fe_fork", "wake_up_new_task");
/// Before the name of a system call: from 4.17 on with the user's registers as argument, else with
/// its own arguments.
const WRAPPED: [&str; 2] = ["__x64_sys_", "__arm64_sys_"];
const PLAIN: [&str; 2] = ["sys_", "SyS_"];

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

/// The programs that others end in, by `enum tail` of bpf/lib/caller.bpf.h.
fn fill_tail(object: &mut Ebpf) -> Result<(), String> {
    for (index, name) in ["function_tail", "function_file"].into_iter().enumerate() {
        let program = match program(object, name) {
            Ok(program) => program,
            // Then the loader has switched calls on files off.
            Err(_) if index > 0 => continue,
            Err(why) => return Err(why),
        };
        let program = program.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
        let program = program.map_err(|error| format!("program {name}: {error}"))?;
        set_tail(object, "tails_function", index as u32, &program)?;
    }
    Ok(())
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
    let kinds: &[&str] = if name.starts_with("fx_") { &RETURNS } else { &["p"] };
    Probe::open(tracefs, List::Kernel, (kinds, name, function), fd.as_fd())
        .map_err(|error| format!("no probe at {function}: {error}"))
}
