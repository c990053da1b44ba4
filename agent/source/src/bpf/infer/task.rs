//! Fields of the task: name, numbers, parent, open files, namespaces, threads.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::super::relocate::Offsets;
use super::super::sys;
use super::{Memory, addresses, is_address, stack, u32_at, u64_at};

/// A task is shorter on every kernel.
const TASK_BYTES: usize = 16 << 10;
/// A signal that nobody sends here (SIGURG).
const SIGNAL: u32 = 23;

/// What later steps need of the task.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Address of its table of open files' pointers.
    pub slots: u64,
    /// Address of its network namespace, if that was found.
    pub netns: Option<u64>,
}

pub fn find(memory: &impl Memory, name: &str, offsets: &mut Offsets) -> Result<Task, String> {
    let address = memory.task().ok_or("the program that reads memory does not answer")?;
    let task = memory.read(address, TASK_BYTES);
    let mut named = name.as_bytes().to_vec();
    named.push(0);
    let comm = find_bytes(&task, &named).ok_or("task_struct.comm was not found")?;
    offsets.set("task_struct", "comm", comm);

    let (tid, tgid) = (sys::thread_id(), std::process::id());
    let pid = (0..comm)
        .step_by(4)
        .find(|&at| u32_at(&task, at) == Some(tid) && u32_at(&task, at + 4) == Some(tgid))
        .ok_or("task_struct.pid was not found (is the agent in the host's pid namespace?)")?;
    offsets.set("task_struct", "pid", pid);
    offsets.set("task_struct", "tgid", pid + 4);
    find_relatives(memory, address, &task, pid, offsets)?;
    find_exit_code(memory, address, offsets);

    let (files, slots) = find_files(memory, &task, comm, offsets)?;
    let netns = find_netns(memory, &task, files, offsets);
    find_live(memory, &task, files, offsets);
    stack::find(memory, &task, offsets);
    find_fs_base(&task, offsets);
    Ok(Task { slots, netns })
}

/// Where x86 keeps the address of the thread's own storage: it is nowhere else in the task.
fn find_fs_base(task: &[u8], offsets: &mut Offsets) {
    let Some(base) = sys::fs_base().filter(|base| *base != 0) else { return };
    let mut places = (0..task.len()).step_by(8).filter(|&at| u64_at(task, at) == Some(base));
    if let (Some(at), None) = (places.next(), places.next()) {
        offsets.set("task_fs", "base", at);
    }
}

fn find_bytes(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// `real_parent` and `group_leader`, the tasks of known numbers that the task points to.
fn find_relatives(
    memory: &impl Memory,
    own: u64,
    task: &[u8],
    pid: usize,
    offsets: &mut Offsets,
) -> Result<(), String> {
    let (parent, leader) = (std::os::unix::process::parent_id(), std::process::id());
    let mut found = (None, None);
    for (at, address) in addresses(task, pid + 8, pid + 256) {
        if address == own {
            continue;
        }
        let other = memory.read(address + pid as u64, 8);
        let numbers = (u32_at(&other, 0), u32_at(&other, 4));
        // The thread of the parent that made this process, which need not be its first.
        if numbers.1 == Some(parent) && parent != 0 {
            found.0 = found.0.or(Some(at));
        }
        if numbers == (Some(leader), Some(leader)) {
            found.1 = found.1.or(Some(at));
        }
    }
    if let Some(at) = found.0 {
        offsets.set("task_struct", "real_parent", at);
    }
    offsets.set(
        "task_struct",
        "group_leader",
        found.1.ok_or("task_struct.group_leader was not found")?,
    );
    Ok(())
}

/// `exit_code` stands before `exit_signal`, which is -1 for a thread, and `pdeath_signal`, which
/// can be set.
fn find_exit_code(memory: &impl Memory, address: u64, offsets: &mut Offsets) {
    let places = |signal: u32| -> Vec<usize> {
        let task = memory.read(address, TASK_BYTES);
        let wanted = [0, 0, u32::MAX, signal].map(Some);
        let is_here = |at: &usize| [0, 4, 8, 12].map(|n| u32_at(&task, at + n)) == wanted;
        (0..task.len()).step_by(4).filter(is_here).collect()
    };
    sys::set_death_signal(SIGNAL.into());
    let with = places(SIGNAL);
    sys::set_death_signal(0);
    let without = places(0);
    let mut both = with.into_iter().filter(|at| without.contains(at));
    if let (Some(at), None) = (both.next(), both.next()) {
        offsets.set("task_struct", "exit_code", at + 4);
    }
}

/// The table of open files: two descriptors of one file lead to one address, others elsewhere.
fn find_files(
    memory: &impl Memory,
    task: &[u8],
    comm: usize,
    offsets: &mut Offsets,
) -> Result<(usize, u64), String> {
    let open = || File::open("/proc/self/stat").map_err(|error| format!("/proc: {error}"));
    let (file, other) = (open()?, open()?);
    let twin = file.try_clone().map_err(|error| error.to_string())?;
    let [file, twin, other] = [file.as_raw_fd(), twin.as_raw_fd(), other.as_raw_fd()];
    let is_table = |slots: u64| {
        let slot = |fd: i32| u64_at(&memory.read(slots + fd.unsigned_abs() as u64 * 8, 8), 0);
        let (Some(first), second, third) = (slot(file), slot(twin), slot(other)) else {
            return false;
        };
        is_address(first)
            && second == Some(first)
            && third.is_some_and(is_address)
            && third != Some(first)
    };
    for (files, address) in addresses(task, comm, task.len()) {
        let structure = memory.read(address, 128);
        for (fdt, address) in addresses(&structure, 0, 128) {
            // struct fdtable opens with the number of slots, then their address.
            let table = memory.read(address, 16);
            let (Some(slots_max), Some(slots)) = (u32_at(&table, 0), u64_at(&table, 8)) else {
                continue;
            };
            let fits = slots_max.is_multiple_of(64) && file.unsigned_abs() < slots_max;
            if fits && slots_max < 1 << 26 && is_address(slots) && is_table(slots) {
                offsets.set("task_struct", "files", files);
                offsets.set("files_struct", "fdt", fdt);
                offsets.set("fdtable", "fd", 8);
                return Ok((files, slots));
            }
        }
    }
    Err("task_struct.files was not found".to_owned())
}

/// `nsproxy` follows `files`; its network namespace has the number that /proc tells.
fn find_netns(
    memory: &impl Memory,
    task: &[u8],
    files: usize,
    offsets: &mut Offsets,
) -> Option<u64> {
    let link = std::fs::read_link("/proc/self/ns/net").ok()?;
    let link = link.to_string_lossy().into_owned();
    let number: u32 = link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()?;
    for (nsproxy, address) in addresses(task, files + 8, files + 64) {
        let structure = memory.read(address, 80);
        for (net_ns, address) in addresses(&structure, 8, 80) {
            let net = memory.read(address, 512);
            let place = (0..net.len()).step_by(4).find(|&at| u32_at(&net, at) == Some(number));
            if let Some(at) = place {
                offsets.set("task_struct", "nsproxy", nsproxy);
                offsets.set("nsproxy", "net_ns", net_ns);
                offsets.set("net", "ns", at);
                return Some(address);
            }
        }
    }
    None
}

/// `signal->live` is the second of three counters of threads, which rise by one with one more.
fn find_live(memory: &impl Memory, task: &[u8], files: usize, offsets: &mut Offsets) {
    let read = |address: u64| -> Option<[u32; 16]> {
        let bytes = memory.read(address, 64);
        let mut words = [0; 16];
        for (n, word) in words.iter_mut().enumerate() {
            *word = u32_at(&bytes, n * 4)?;
        }
        Some(words)
    };
    for (signal, address) in addresses(task, files + 8, files + 80) {
        let Some(before) = read(address) else { continue };
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (begun, ready) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = begun.send(());
            let _ = wait.recv();
        });
        let _ = ready.recv();
        let with_one_more = read(address);
        drop(end);
        let _ = thread.join();
        let Some(after) = with_one_more else { continue };
        let grew = |n: usize| Some(after[n]) == before[n].checked_add(1);
        // sigcnt, live, nr_threads
        let place = (0..3)
            .find(|&n| (n..n + 3).all(grew) && before[n + 1] == before[n + 2] && before[n + 1] > 1);
        if let Some(n) = place {
            offsets.set("task_struct", "signal", signal);
            offsets.set("signal_struct", "live", (n + 1) * 4);
            return;
        }
    }
}
