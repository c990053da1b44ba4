//! Resting: for a while sends and receives are not watched, so that they cost their callers nothing.
//!
//! In: a loaded object with its hooks attached. Out: the same, with the hooks of system calls detached
//! or told to look away, and attached again. Never: a hook of processes or connections away, where it
//! does not sit on every call.
//!
//! Raw tracepoints cost every system call of the host something, wanted or not: they are detached. On
//! kernels that tell sends and receives by tracepoints of their own (6.3) programs there can count what is
//! not watched meanwhile; a server that does hardly anything else is slower by a twentieth while they do,
//! so it is for the caller to say when. Other hooks sit on the calls in question alone and stay; they count
//! and return.

use aya::Ebpf;
use aya::maps::{Array, MapData};

use super::hooks::{Attached, Attachment, attach_loaded};
use super::{BpfError, map_error};

/// `enum epoch` of bpf/maps/filters.bpf.h.
const EPOCH_WATCH: u32 = 1;
const WHAT: &str = "resting";

/// The hooks, watching or at rest.
pub(super) struct Hooks {
    /// Those that sit on every system call: program and tracepoint, in the order of their attachment.
    everywhere: Vec<(&'static str, &'static str)>,
    /// What keeps them attached; empty at rest.
    watching: Vec<Attachment>,
    /// What counts at rest, likewise.
    counters: Vec<(&'static str, &'static str)>,
    counting: Vec<Attachment>,
    others: Vec<Attachment>,
    resting: Array<MapData, u32>,
    watches: u32,
}

impl Hooks {
    /// Of what was attached, with the map `resting`.
    pub(super) fn new(attached: Attached, resting: Array<MapData, u32>) -> Self {
        let Attached { everywhere, watching, counters, others, .. } = attached;
        Self { everywhere, watching, counters, counting: Vec::new(), others, resting, watches: 0 }
    }

    /// How many keep something attached.
    pub(super) fn len(&self) -> usize {
        self.watching.len() + self.others.len()
    }

    /// Sends and receives are not watched from now on.
    pub(super) fn rest(&mut self) -> Result<(), BpfError> {
        self.resting.set(0, 1, 0).map_err(map_error(WHAT))?;
        self.watching.clear();
        Ok(())
    }

    /// They are counted from now on, to the end of the rest. `false`: nobody counts here, or hooks that
    /// stay have counted from the rest's beginning.
    pub(super) fn count(&mut self, object: &mut Ebpf) -> bool {
        if self.counting.is_empty() {
            let counters = self.counters.iter();
            self.counting = counters.filter_map(|&one| attach_loaded(object, one).ok()).collect();
        }
        !self.counting.is_empty()
    }

    /// They are watched again; what was under way before is forgotten.
    pub(super) fn resume(
        &mut self,
        object: &mut Ebpf,
        epochs: &mut Array<MapData, u32>,
    ) -> Result<(), BpfError> {
        self.watches = self.watches.wrapping_add(1);
        epochs.set(EPOCH_WATCH, self.watches, 0).map_err(map_error(WHAT))?;
        let attached: Result<_, String> =
            self.everywhere.iter().map(|&one| attach_loaded(object, one)).collect();
        self.watching = attached.map_err(|why| BpfError::Load(format!("after a rest: {why}")))?;
        self.resting.set(0, 0, 0).map_err(map_error(WHAT))?;
        self.counting.clear();
        Ok(())
    }

    /// All hooks end.
    pub(super) fn detach(&mut self) {
        self.watching.clear();
        self.counting.clear();
        self.others.clear();
    }
}
