//! System calls without a tracepoint of their own: by those of all calls.
//!
//! In: a loaded object with the programs `all_enter` and `all_exit`. Out: the programs of single calls
//! in the tables by which those two end in them. Never: a call that is hooked by its own tracepoint
//! too.

use aya::Ebpf;

use super::super::event::Hook;
use super::super::load::set_tail;
use super::super::tracefs::TraceFs;
use super::{Attachment, Program, attach_one, load, syscall_numbers, tracepoint_program};

/// The exit first, as everywhere.
const PROGRAMS: [Program; 2] =
    [("all_exit", "raw_syscalls", "sys_exit"), ("all_enter", "raw_syscalls", "sys_enter")];

/// The two programs, once a call has needed them.
pub struct AllCalls {
    attached: Option<Result<Vec<Attachment>, String>>,
}

impl AllCalls {
    /// `mode_known`: whether the object can tell 32-bit system calls, whose numbers are others.
    pub fn new(mode_known: bool) -> Self {
        let why = "the registers on the kernel's stack were not found, so that 32-bit calls could not \
                   be told from 64-bit ones";
        Self { attached: (!mode_known).then(|| Err(why.to_owned())) }
    }

    /// Has the programs of a hook called from here. `Err(None)`: there is no such way for this hook
    /// or object.
    pub fn take_over(
        &mut self,
        object: &mut Ebpf,
        tracefs: &TraceFs,
        hook: Hook,
        programs: &[Program],
    ) -> Result<(), Option<String>> {
        let number = syscall_numbers().into_iter().find(|(known, _)| *known == hook);
        let (Some((_, number)), Some(_)) = (number, object.program("all_enter")) else {
            return Err(None);
        };
        let attached = self.attached.get_or_insert_with(|| {
            PROGRAMS.iter().map(|program| attach_one(object, tracefs, program)).collect()
        });
        if let Err(why) = attached {
            return Err(Some(why.clone()));
        }
        let number = u32::try_from(number).map_err(|error| Some(error.to_string()))?;
        for (name, _, event) in programs {
            let table = if event.starts_with("sys_exit_") { "exits" } else { "enters" };
            fill(object, table, number, name)?;
        }
        Ok(())
    }

    /// What holds the two programs.
    pub fn finish(self) -> Vec<Attachment> {
        self.attached.and_then(Result::ok).unwrap_or_default()
    }
}

/// Puts a program into a table.
fn fill(object: &mut Ebpf, table: &str, number: u32, name: &str) -> Result<(), String> {
    let program = tracepoint_program(object, name)?;
    load(program, name)?;
    let program = program.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
    let program = program.map_err(|error| format!("program {name}: {error}"))?;
    set_tail(object, table, number, &program)
}
