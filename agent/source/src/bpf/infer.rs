//! Finds out where the running kernel keeps the fields that capture needs, without its BTF.
//!
//! In: kernel memory, and things of our own whose facts are known: a thread's name and numbers, sockets
//! with strange addresses, counters that rise by what we send. Out: offsets, each seen in several
//! objects and after changes that only the right field shows. Never: a guess: a field that is not found,
//! or a required one found twice in different places, is an error that says which.

mod files;
mod lab;
mod sockets;
mod stack;
mod task;

use std::sync::OnceLock;

use super::relocate::Offsets;
use super::sys;

pub use files::known as files_known;
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
                files::find(&memory, task, &mut offsets);
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
    static USER_BITS: OnceLock<u32> = OnceLock::new();
    let bits = *USER_BITS.get_or_init(|| {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        user_bits(cfg!(target_arch = "x86_64"), &cpu)
    });
    word >> bits == u64::MAX >> bits && word.is_multiple_of(4)
}

/// From which bit on an address of the kernel is ones: on x86 by the levels of its page tables, of
/// which the kernel says five by a flag of the processor; on arm64 at least from bit 52 on.
fn user_bits(is_x86: bool, cpu: &str) -> u32 {
    let flags = cpu.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    match is_x86 {
        true if flags.split_whitespace().any(|flag| flag == "la57") => 56,
        true => 47,
        false => 52,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_depend_on_the_levels_of_page_tables() {
        assert_eq!(user_bits(true, "flags\t\t: fpu sse la57 rdpid\n"), 56);
        assert_eq!(user_bits(true, "flags\t\t: fpu sse\n"), 47);
        assert_eq!(user_bits(false, "Features : fp\n"), 52);
        assert!(is_address(0xffff_8881_0000_0040));
        assert!(!is_address(0x0000_7f00_0000_0040));
        assert!(!is_address(0xffff_8881_0000_0041));
    }
}
