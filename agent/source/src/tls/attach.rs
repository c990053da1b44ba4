//! Loads the programs of TLS libraries and attaches them to functions of files.
//!
//! In: the loaded object, open files. Out: attachments that end when they are dropped, and for what
//! could not be attached a reason in plain words. Never: a failure of anything else.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aya::Ebpf;
use aya::programs::{ProgramFd, UProbe};

use super::goroutines::Goroutines;
use super::library::Hook;
use super::pmu::{self, Pmu};
use crate::bpf::{BpfConfig, List, Probe, TraceFs, refusal};

/// How functions of files are hooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mechanism {
    /// By perf where the kernel offers that, else by probe events.
    #[default]
    Auto,
    /// By perf itself: nothing is left if the agent is killed.
    Perf,
    /// By events of tracefs, which kernels before 4.17 have, too.
    ProbeEvents,
}

/// Keeps a program attached until it is dropped.
#[allow(dead_code, reason = "held only to be dropped")]
pub enum Attachment {
    /// A hook of perf.
    Perf(OwnedFd),
    /// An event of tracefs.
    ProbeEvent(Probe),
}

/// The mechanism in use.
#[derive(Debug)]
enum Way {
    Perf(Pmu),
    /// With the reason why not by perf.
    ProbeEvents(Arc<TraceFs>, String),
}

impl Way {
    /// The best that the kernel offers of what is asked for.
    fn find(mechanism: Mechanism) -> Result<Self, String> {
        let no_perf = match mechanism {
            Mechanism::ProbeEvents => "the configuration says so".to_owned(),
            _ => match Pmu::read() {
                Ok(pmu) => return Ok(Self::Perf(pmu)),
                Err(error) => {
                    format!(
                        "the kernel has no hooks of user space in perf, as from 4.17 on ({error})"
                    )
                }
            },
        };
        if mechanism == Mechanism::Perf {
            return Err(no_perf);
        }
        let tracefs = TraceFs::open().and_then(|tracefs| {
            tracefs.read(List::User.file())?;
            Ok(Arc::new(tracefs))
        });
        let tracefs = tracefs.map_err(|error| {
            format!(
                "{no_perf}, and no {} in tracefs ({error}); mount tracefs, or use a kernel built \
                 with CONFIG_UPROBE_EVENTS",
                List::User.file()
            )
        });
        Ok(Self::ProbeEvents(tracefs?, no_perf))
    }
}

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

/// Programs in the object for Go, which a kernel may refuse by themselves.
const GO_PROGRAMS: [&str; 10] = [
    "go_read",
    "go_write",
    "go_return",
    "go_handshake",
    "go_born",
    "go_read_old",
    "go_write_old",
    "go_return_old",
    "go_shake_old",
    "go_born_old",
];

/// The loaded programs.
pub struct Programs {
    programs: HashMap<&'static str, ProgramFd>,
    /// Whether libraries are to be read.
    libraries: bool,
    /// Whether programs of Go are to be read, and why they cannot be.
    go: Option<Result<(), String>>,
    way: Way,
    /// Where processes of Go are noted.
    goroutines: Option<Goroutines>,
    /// For hooks at several places of a function by one event, where the kernel has such.
    together: Option<Arc<TraceFs>>,
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Programs").field("way", &self.way).finish_non_exhaustive()
    }
}

impl Programs {
    /// Loads those of libraries, of Go or both. The error is for users.
    pub(crate) fn load(object: &mut Ebpf, config: &BpfConfig) -> Result<Self, String> {
        let way = Way::find(config.tls_mechanism)?;
        let libraries = config.tls;
        let mut programs = HashMap::new();
        for name in PROGRAMS.into_iter().filter(|_| libraries) {
            programs.insert(name, load(object, name)?);
        }
        let go = config.go.then(|| {
            for name in GO_PROGRAMS {
                programs.insert(name, load(object, name)?);
            }
            Ok(())
        });
        let together = (config.go && config.tls_mechanism == Mechanism::Auto)
            .then(|| TraceFs::open().ok().map(Arc::new))
            .flatten();
        Ok(Self { programs, libraries, go, way, goroutines: None, together })
    }

    pub(crate) fn set_goroutines(&mut self, goroutines: Goroutines) {
        self.goroutines = Some(goroutines);
    }

    /// Notes where goroutines of a process have their number.
    pub(super) fn note_goroutines(&mut self, tgid: u32, goid_at: u32) {
        if let Some(goroutines) = &mut self.goroutines {
            goroutines.note(tgid, goid_at);
        }
    }

    /// Whether libraries are to be read.
    pub(super) fn libraries(&self) -> bool {
        self.libraries
    }

    /// Whether programs of Go are to be read. The error is why they cannot be.
    #[must_use]
    pub fn go(&self) -> Option<Result<(), &str>> {
        self.go.as_ref().map(|loaded| loaded.as_ref().copied().map_err(String::as_str))
    }

    /// How functions are hooked, in a word for users.
    #[must_use]
    pub const fn mechanism(&self) -> &'static str {
        match self.way {
            Way::Perf(_) => "perf",
            Way::ProbeEvents(..) => "probe event",
        }
    }

    /// Why not by a better mechanism; empty if there is none.
    #[must_use]
    pub fn not_better(&self) -> &str {
        match &self.way {
            Way::Perf(_) => "",
            Way::ProbeEvents(_, why) => why,
        }
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
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let open = |name: &str, offset, at_return| {
            let program = self.programs.get(name).ok_or(io::ErrorKind::NotFound)?;
            self.open(program, &path, offset, at_return)
        };
        let mut opened = Vec::new();
        match hook.exit {
            Some(exit) if hook.returns.is_empty() => opened.push(open(exit, hook.offset, true)?),
            Some(exit) => match self.open_together(exit, &path, &hook.returns) {
                Some(probe) => opened.push(probe),
                None => {
                    for at in &hook.returns {
                        opened.push(open(exit, *at, false)?);
                    }
                }
            },
            None => {}
        }
        if let Some(entry) = hook.entry {
            opened.push(open(entry, hook.offset, false)?);
        }
        Ok(opened)
    }

    /// One event at all of these places: to end one of perf takes the kernel up to 100 ms, and a
    /// function of Go has ten. `None`: the kernel has no such events.
    fn open_together(&self, program: &str, path: &str, places: &[u64]) -> Option<Attachment> {
        let program = self.programs.get(program)?;
        let places: Vec<String> = places.iter().map(|at| format!("{path}:{at:#x}")).collect();
        let opened =
            Probe::open_all(self.together.as_ref()?, (&next_name(), &places), program.as_fd());
        opened.map(Attachment::ProbeEvent).ok()
    }

    fn open(
        &self,
        program: &ProgramFd,
        path: &str,
        offset: u64,
        at_return: bool,
    ) -> io::Result<Attachment> {
        let program = program.as_fd();
        match &self.way {
            Way::Perf(pmu) => {
                let path = CString::new(path)?;
                pmu::attach(*pmu, program, &path, offset, at_return).map(Attachment::Perf)
            }
            Way::ProbeEvents(tracefs, _) => {
                let kind = if at_return { "r" } else { "p" };
                let name = next_name();
                let place = format!("{path}:{offset:#x}");
                Probe::open(tracefs, List::User, (&[kind], &name, &place), program)
                    .map(Attachment::ProbeEvent)
            }
        }
    }
}

/// A name for an event: one that was there would be taken from the one who has it.
fn next_name() -> String {
    static EVENTS: AtomicU32 = AtomicU32::new(0);
    format!("tls_{}", EVENTS.fetch_add(1, Ordering::Relaxed))
}

fn load(object: &mut Ebpf, name: &str) -> Result<ProgramFd, String> {
    let program =
        object.program_mut(name).ok_or_else(|| format!("the BPF object has no program {name}"))?;
    let program: &mut UProbe =
        program.try_into().map_err(|error| format!("program {name}: {error}"))?;
    program.load().map_err(|error| refusal(name, &error))?;
    let fd = program.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
    fd.map_err(|error| format!("program {name}: {error}"))
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            "; run the agent as root or with CAP_SYS_ADMIN, and let the container or its seccomp \
             profile allow perf_event_open(2)"
        }
        Some(libc::EMFILE) => "; raise the limit of open files",
        Some(libc::EIO) => "; its file system does not let the kernel read pages of it",
        _ => "",
    }
}
