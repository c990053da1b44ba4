//! Names of processes as rows show them.

use std::collections::HashMap;
use std::path::PathBuf;

use schema::Text;

/// Names remembered; at the limit all are forgotten and read again.
const NAMES_MAX: usize = 32_768;

/// Names of processes by id: the name of the main thread, because system calls are told with the
/// name of the thread that made them.
#[derive(Debug)]
pub struct ProcessNames {
    proc: PathBuf,
    names: HashMap<u32, Text>,
}

impl ProcessNames {
    /// Reads from `proc`, usually `/proc`.
    pub fn new(proc: PathBuf) -> Self {
        Self { proc, names: HashMap::new() }
    }

    /// The name of `tgid`; `thread_name` where the process is gone already.
    pub fn name(&mut self, tgid: u32, thread_name: &str) -> Text {
        if let Some(name) = self.names.get(&tgid) {
            return name.clone();
        }
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        let read = std::fs::read_to_string(self.proc.join(tgid.to_string()).join("comm"));
        let name =
            read.map_or_else(|_| Text::from(thread_name), |name| Text::from(name.trim_end()));
        self.names.insert(tgid, name.clone());
        name
    }

    /// Forgets a process that runs another program now.
    pub fn forget(&mut self, tgid: u32) {
        self.names.remove(&tgid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_gone_keeps_its_threads_name() {
        let mut names = ProcessNames::new("/proc".into());
        assert_eq!(names.name(u32::MAX, "curl"), "curl");
        assert_eq!(names.name(u32::MAX, "other"), "curl");
        names.forget(u32::MAX);
        assert_eq!(names.name(u32::MAX, "wget"), "wget");
    }

    #[test]
    fn the_main_threads_name_counts() {
        let mut names = ProcessNames::new("/proc".into());
        let comm = std::fs::read_to_string("/proc/self/comm").expect("own name");
        assert_eq!(names.name(std::process::id(), "a-thread"), comm.trim_end());
    }
}
