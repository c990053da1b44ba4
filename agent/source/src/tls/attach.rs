//! Loads the programs of TLS libraries and attaches them to functions of files.
//!
//! In: the loaded object, open files. Out: attachments that end when they are dropped, and for what
//! could not be attached a reason in plain words. Never: a failure of anything else.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::Ebpf;
use aya::programs::{ProgramFd, UProbe};

use super::library::Hook;
use super::pmu::{self, Pmu};
use crate::bpf::refusal;

/// Keeps a program attached until it is dropped.
#[allow(dead_code, reason = "held only to be dropped")]
pub struct Attachment(OwnedFd);

/// Programs in the object.
const PROGRAMS: [&str; 7] = [
    "tls_read",
    "tls_write",
    "tls_read_ex",
    "tls_write_ex",
    "tls_handshake",
    "tls_return",
    "tls_forget",
];

/// The loaded programs.
pub struct Programs {
    programs: HashMap<&'static str, ProgramFd>,
    pmu: Pmu,
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Programs").field("pmu", &self.pmu).finish_non_exhaustive()
    }
}

impl Programs {
    /// Loads them. The error is for users.
    pub(crate) fn load(object: &mut Ebpf) -> Result<Self, String> {
        let pmu = Pmu::read().map_err(|error| {
            format!(
                "the kernel does not offer hooks of user space through perf ({error}); it needs \
                 4.17 or newer, built with CONFIG_UPROBE_EVENTS"
            )
        })?;
        let mut programs = HashMap::new();
        for name in PROGRAMS {
            let program = object
                .program_mut(name)
                .ok_or_else(|| format!("the BPF object has no program {name}"))?;
            let program: &mut UProbe =
                program.try_into().map_err(|error| format!("program {name}: {error}"))?;
            program.load().map_err(|error| refusal(name, &error))?;
            let fd = program.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
            programs.insert(name, fd.map_err(|error| format!("program {name}: {error}"))?);
        }
        Ok(Self { programs, pmu })
    }

    /// Attaches to functions of a file; also the functions that are hooked, and why others are not.
    pub(super) fn attach(
        &self,
        file: &File,
        hooks: &[Hook],
    ) -> (Vec<Attachment>, Vec<&'static str>, String) {
        let (mut attachments, mut functions) = (Vec::new(), Vec::new());
        let mut reason = String::new();
        for hook in hooks {
            match self.attach_one(file, hook) {
                Ok(opened) => {
                    attachments.extend(opened);
                    functions.push(hook.function);
                }
                Err(error) if reason.is_empty() => {
                    reason =
                        format!("{} cannot be hooked: {error}{}", hook.function, advice(&error));
                }
                Err(_) => {}
            }
        }
        functions.sort_unstable();
        (attachments, functions, reason)
    }

    fn attach_one(&self, file: &File, hook: &Hook) -> io::Result<Vec<Attachment>> {
        // The kernel takes a path, and this one is the file itself whatever its name is.
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let open = |name: &str, at_return| {
            let program = self.programs.get(name).ok_or(io::ErrorKind::NotFound)?;
            pmu::attach(self.pmu, program.as_fd(), &path, hook.offset, at_return).map(Attachment)
        };
        let mut opened = Vec::new();
        if let Some(exit) = hook.exit {
            opened.push(open(exit, true)?);
        }
        opened.push(open(hook.entry, false)?);
        Ok(opened)
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => "; run the agent as root or with CAP_PERFMON",
        Some(libc::EMFILE) => "; raise the limit of open files",
        Some(libc::EIO) => "; its file system does not let the kernel read pages of it",
        _ => "",
    }
}
