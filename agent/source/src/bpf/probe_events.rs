//! Probe events of tracefs: hooks at functions of the kernel, and at functions of files where perf
//! has no such hooks of its own.
//!
//! In: a place, a loaded program. Out: an open probe, whose event is deleted when it is dropped;
//! those of an agent that was killed are deleted by the next one. Never: an event of somebody
//! else's.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::tracefs::TraceFs;
use crate::perf_event;

/// Groups of our events are this and the number of the process.
const GROUP: &str = "deepflow_";

/// Files of tracefs that take definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Functions of the kernel, by their names.
    Kernel,
    /// Functions of files, by their offsets: `PATH:0xOFFSET`.
    User,
}

impl List {
    /// Its file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Kernel => "kprobe_events",
            Self::User => "uprobe_events",
        }
    }
}

/// A program at a function, until it is dropped.
#[derive(Debug)]
pub struct Probe {
    event: Option<OwnedFd>,
    list: List,
    name: String,
    tracefs: Arc<TraceFs>,
}

impl Probe {
    /// Defines the event `name` at `place` by the first of `kinds` that the kernel takes ("p": at
    /// entry, "r": at return), and runs a program at each hit.
    pub fn open(
        tracefs: &Arc<TraceFs>,
        list: List,
        (kinds, name, place): (&[&str], &str, &str),
        program: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let group = format!("{GROUP}{}", std::process::id());
        let mut defined = Err(io::ErrorKind::InvalidInput.into());
        for kind in kinds {
            defined = tracefs.append(list.file(), &format!("{kind}:{group}/{name} {place}\n"));
            if defined.is_ok() {
                break;
            }
        }
        defined?;
        let full = format!("{group}/{name}");
        let mut probe = Self { event: None, list, name: full, tracefs: Arc::clone(tracefs) };
        probe.run(program)?;
        Ok(probe)
    }

    /// The same at all of several places, by one event, which the kernel ends in the time of one.
    /// Fails on kernels before 5.4, where an event has one place.
    pub fn open_all(
        tracefs: &Arc<TraceFs>,
        (name, places): (&str, &[String]),
        program: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let full = format!("{GROUP}{}/{name}", std::process::id());
        let list = List::User;
        let mut probe = Self { event: None, list, name: full, tracefs: Arc::clone(tracefs) };
        for place in places {
            tracefs.append(list.file(), &format!("p:{} {place}\n", probe.name))?;
        }
        // Older kernels replace an event by the next one of its name.
        let text = tracefs.read(list.file())?;
        let is_it = |line: &&str| own_event(line).is_some_and(|(event, _)| event == probe.name);
        if text.lines().filter(is_it).count() != places.len() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        probe.run(program)?;
        Ok(probe)
    }

    fn run(&mut self, program: BorrowedFd<'_>) -> io::Result<()> {
        let (group, name) = self.name.split_once('/').ok_or(io::ErrorKind::InvalidInput)?;
        let id = self.tracefs.tracepoint_id(group, name)?;
        self.event = Some(perf_event::at_tracepoint(program, id)?);
        Ok(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.event = None;
        // The kernel lets go of a closed event a moment later.
        for _ in 0..20 {
            if self.tracefs.append(self.list.file(), &format!("-:{}\n", self.name)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        tracing::warn!(event = self.name, "a probe event stays: the kernel says that it is in use");
    }
}

/// Deletes the events of agents that are gone.
pub fn sweep(tracefs: &TraceFs) {
    // What has our own number when we begin is of an earlier process with that number.
    static BEGAN: AtomicBool = AtomicBool::new(false);
    let own = if BEGAN.swap(true, Ordering::Relaxed) { 0 } else { std::process::id() };
    for list in [List::Kernel, List::User] {
        let Ok(text) = tracefs.read(list.file()) else { continue };
        for (event, pid) in text.lines().filter_map(own_event) {
            if pid == own || !std::fs::exists(format!("/proc/{pid}")).unwrap_or(true) {
                tracing::info!(event, "deleting the probe event of an agent that is gone");
                let _ = tracefs.append(list.file(), &format!("-:{event}\n"));
            }
        }
    }
}

/// Group and name of an event of ours, and whose it is ("p:deepflow_12/fe_read sys_read").
fn own_event(line: &str) -> Option<(&str, u32)> {
    let event = line.split_once(':')?.1.split_whitespace().next()?;
    let pid = event.strip_prefix(GROUP)?.split_once('/')?.0.parse().ok()?;
    Some((event, pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_ours_are_known_by_their_group() {
        let line = "r4096:deepflow_812/fx_read sys_read";
        assert_eq!(own_event(line), Some(("deepflow_812/fx_read", 812)));
        let line = "p:deepflow_812/tls_3 /proc/self/fd/9:0x0000000000023450";
        assert_eq!(own_event(line), Some(("deepflow_812/tls_3", 812)));
        assert_eq!(own_event("p:kprobes/p_sys_read_0 sys_read"), None);
        assert_eq!(own_event("p:deepflow_x/fe_read sys_read"), None);
        assert_eq!(own_event(""), None);
    }
}
