//! Which processes are of Go, for the programs of system calls: they read the goroutine's number.
//!
//! In: processes whose program was looked into. Out: entries of a map of the kernel side, which
//! deletes them itself when a process ends or runs another program. Never: a look at a process.

use std::os::fd::{AsFd, OwnedFd};

use aya::maps::{HashMap, MapData};

use crate::bpf::{next_epoch, sys};

/// The map, and the one whose change makes threads look into it again.
pub struct Goroutines {
    processes: HashMap<MapData, u32, u32>,
    epochs: OwnedFd,
}

impl Goroutines {
    /// Of an object's maps `go_processes` and `epochs`.
    pub(crate) fn new(processes: HashMap<MapData, u32, u32>, epochs: OwnedFd) -> Self {
        Self { processes, epochs }
    }

    /// Notes where goroutines of a process have their number.
    pub fn note(&mut self, tgid: u32, goid_at: u32) {
        if self.processes.get(&tgid, 0).is_ok_and(|known| known == goid_at) {
            return;
        }
        let noted = self.processes.insert(tgid, goid_at, 0).map_err(|error| error.to_string());
        let noted = noted.and_then(|()| {
            sys::map_set_u32(self.epochs.as_fd(), 0, next_epoch()).map_err(|e| e.to_string())
        });
        if let Err(error) = noted {
            tracing::debug!(tgid, error, "goroutines have no numbers");
        }
    }
}
