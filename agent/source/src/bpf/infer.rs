//! Finds out where the running kernel keeps the fields that capture needs, without its BTF.
//!
//! In: kernel memory, and things of our own whose facts are known: a thread's name and numbers, sockets
//! with strange addresses, counters that rise by what we send. Out: offsets, each seen in several
//! objects and after changes that only the right field shows. Never: a guess: a field that is not found,
//! or a required one found twice in different places, is an error that says which.

mod lab;
mod sockets;
mod task;

use super::relocate::Offsets;
use super::sys;

pub use sockets::REQUIRED as REQUIRED_SOCKETS;

/// Fields without which nothing can be captured.
pub const REQUIRED: &[(&str, &str)] = &[
    ("task_struct", "files"),
    ("task_struct", "group_leader"),
    ("task_struct", "comm"),
    ("files_struct", "fdt"),
    ("fdtable", "fd"),
];

/// The kernel's memory.
pub trait Memory {
    /// Address of the calling thread's task.
    fn task(&self) -> Option<u64>;
    /// Up to so many bytes at an address; fewer where memory ends.
    fn read(&self, address: u64, bytes: usize) -> Vec<u8>;
}

/// Finds every field that can be found. `open` gives memory that the thread it is called in can read.
pub fn infer<M: Memory>(
    open: impl FnOnce() -> Result<M, String> + Send,
) -> Result<Offsets, String> {
    let name = format!("df{:x}", sys::monotonic_ns() & 0x00ff_ffff_ffff);
    std::thread::scope(|scope| {
        // A thread of its own: its number differs from the process's, its name from all others.
        let thread = std::thread::Builder::new().name(name.clone());
        let thread = thread
            .spawn_scoped(scope, || {
                let memory = open()?;
                let mut offsets = Offsets::default();
                let task = task::find(&memory, &name, &mut offsets)?;
                sockets::find(&memory, task, &mut offsets)?;
                constants(&mut offsets);
                Ok(offsets)
            })
            .map_err(|error| format!("a thread cannot be started: {error}"))?;
        thread.join().map_err(|_| "the inference panicked".to_owned())?
    })
}

/// Fields whose place follows from that of the structure around them.
fn constants(offsets: &mut Offsets) {
    offsets.set("sock", "__sk_common", 0);
    offsets.set("possible_net", "net", 0);
    offsets.set("ns_common", "inum", 0);
    offsets.set("inode", "i_ino", 0);
    offsets.set("atomic_value", "counter", 0);
}

/// Whether a word may be an address of kernel memory, on x86_64 and aarch64.
fn is_address(word: u64) -> bool {
    word >> 47 == 0x1_ffff && word.is_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}

/// Addresses among the words of `bytes[from..to]`, with their places.
fn addresses(bytes: &[u8], from: usize, to: usize) -> impl Iterator<Item = (usize, u64)> + '_ {
    (from.next_multiple_of(8)..to.min(bytes.len()))
        .step_by(8)
        .filter_map(|at| u64_at(bytes, at).map(|word| (at, word)))
        .filter(|&(_, word)| is_address(word))
}
