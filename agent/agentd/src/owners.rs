//! Processes as rows show them: name, container, network namespace.
//!
//! In: what BPF tells of them as they begin, run a program and end, and `/proc` for those that were
//! there before. Out: the owner of a socket. Bounded: at the limit those that have ended go, then
//! all, and are read again.

use std::collections::HashMap;
use std::path::PathBuf;

use metadata::{Netns, Owner, process};
use schema::Text;

/// Processes remembered.
const PROCESSES_MAX: usize = 32_768;

/// What is known of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    name: Text,
    container: Text,
    netns: Netns,
    ended: bool,
}

/// Processes by id.
#[derive(Debug)]
pub struct Processes {
    proc: PathBuf,
    facts: HashMap<u32, Facts>,
}

impl Processes {
    /// Reads from `proc`, usually `/proc`, what nobody tells.
    pub fn new(proc: PathBuf) -> Self {
        Self { proc, facts: HashMap::new() }
    }

    /// A process runs another program now. `cgroup` is the name of its group, if that may hold a
    /// container's id. What the kernel cannot tell is read, or is as it was: of a process that is
    /// gone already, that of its parent.
    pub fn on_exec(&mut self, tgid: u32, name: &str, cgroup: Option<&[u8]>, netns: Netns) {
        let before = self.facts.get(&tgid);
        let container = match cgroup {
            Some(cgroup) => {
                let cgroup = std::str::from_utf8(cgroup).unwrap_or_default();
                process::container_of(cgroup).unwrap_or_default().into()
            }
            None => match process::container(&self.proc, tgid) {
                read if read.is_empty() => {
                    before.map_or_else(Text::default, |facts| facts.container.clone())
                }
                read => read,
            },
        };
        let netns = match netns {
            0 => process::netns(&self.proc, tgid),
            told => told,
        };
        self.insert(tgid, Facts { name: name.into(), container, netns, ended: false });
    }

    /// A process begins as a copy of another.
    pub fn on_fork(&mut self, child: u32, parent: u32, name: &str) {
        let facts = self.facts_of(parent, name).clone();
        self.insert(child, Facts { name: name.into(), ended: false, ..facts });
    }

    /// A process has ended. What is still to be told of it finds it here until room is needed.
    pub fn on_exit(&mut self, tgid: u32) {
        if let Some(facts) = self.facts.get_mut(&tgid) {
            facts.ended = true;
        }
    }

    /// The owner of a socket: process `tgid` with the name that it has now.
    pub fn owner(&mut self, tgid: u32, name: &str, socket_id: u64) -> Owner {
        let Facts { name, container, .. } = self.facts_of(tgid, name).clone();
        Owner { tgid, name, container, socket_id }
    }

    /// Network namespace of a process; 0 = not known.
    pub fn netns(&mut self, tgid: u32, name: &str) -> Netns {
        self.facts_of(tgid, name).netns
    }

    fn facts_of(&mut self, tgid: u32, name: &str) -> &Facts {
        if !self.facts.contains_key(&tgid) {
            let container = process::container(&self.proc, tgid);
            let netns = process::netns(&self.proc, tgid);
            self.insert(tgid, Facts { name: name.into(), container, netns, ended: false });
        }
        let facts = self.facts.entry(tgid).or_default();
        if !name.is_empty() && facts.name != name {
            facts.name = name.into();
        }
        facts
    }

    fn insert(&mut self, tgid: u32, facts: Facts) {
        if self.facts.len() >= PROCESSES_MAX {
            self.facts.retain(|_, facts| !facts.ended);
            if self.facts.len() >= PROCESSES_MAX / 4 * 3 {
                self.facts.clear();
            }
        }
        self.facts.insert(tgid, facts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: u32 = u32::MAX;

    fn processes() -> Processes {
        Processes::new("/proc".into())
    }

    #[test]
    fn a_process_that_is_gone_is_known_by_what_was_told() {
        let id = "0123456789abcdef".repeat(4);
        let mut processes = processes();
        processes.on_exec(GONE, "curl", Some(format!("docker-{id}.scope").as_bytes()), 7);
        processes.on_exit(GONE);
        let owner = processes.owner(GONE, "curl", 5);
        assert_eq!((owner.name.as_str(), owner.container.as_str()), ("curl", id.as_str()));
        assert_eq!((owner.socket_id, processes.netns(GONE, "curl")), (5, 7));
        processes.on_exec(GONE, "wget", Some(b""), 8);
        assert!(processes.owner(GONE, "wget", 0).container.is_empty(), "the number is used again");
    }

    #[test]
    fn a_child_is_where_its_parent_is() {
        let id = "fedcba9876543210".repeat(4);
        let mut processes = processes();
        processes.on_exec(GONE, "worker", Some(id.as_bytes()), 7);
        processes.on_fork(GONE - 1, GONE, "worker");
        processes.on_exit(GONE);
        let owner = processes.owner(GONE - 1, "worker-1", 0);
        assert_eq!((owner.name.as_str(), owner.container.as_str()), ("worker-1", id.as_str()));
        processes.on_exec(GONE - 1, "job", None, 7);
        let owner = processes.owner(GONE - 1, "job", 0);
        assert_eq!(owner.container.as_str(), id.as_str(), "the kernel could not tell");
    }

    #[test]
    fn a_process_that_was_there_is_read() {
        let mut processes = processes();
        let own = process::netns(std::path::Path::new("/proc"), std::process::id());
        assert_eq!(processes.netns(std::process::id(), "test"), own);
        assert_eq!(processes.owner(GONE, "curl", 0).name, "curl");
        assert_eq!(processes.netns(GONE, ""), 0);
    }

    #[test]
    fn at_the_limit_those_that_ended_go() {
        let mut processes = processes();
        for tgid in 1..=PROCESSES_MAX as u32 {
            processes.on_exec(tgid, "short", Some(b""), 7);
            if tgid > 10 {
                processes.on_exit(tgid);
            }
        }
        processes.on_exec(GONE, "new", Some(b""), 7);
        assert_eq!(processes.facts.len(), 11);
    }
}
