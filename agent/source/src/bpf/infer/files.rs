//! Fields that lead from an open file to its names, its file system and where that is mounted.
//!
//! In: files of `/proc` and `/sys` whose names, numbers and mounts are known, and the agent's own program.
//! Out: offsets that are right for all of them. What is not found is absent: calls on files are then not told,
//! or without their folders.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::relocate::Offsets;
use super::super::sys;
use super::task::Task;
use super::{Memory, addresses, is_address, u16_at, u32_at, u64_at};

/// Without these no call on a file is told.
const REQUIRED: &[(&str, &str)] = &[
    ("file", "f_inode"),
    ("file", "f_pos"),
    ("file", "f_path"),
    ("inode___file", "i_sb"),
    ("super_block", "s_dev"),
    ("super_block", "s_magic"),
    ("dentry", "d_parent"),
    ("dentry", "d_name"),
];

const FILE_BYTES: usize = 320;
const INODE_BYTES: usize = 256;
const SUPER_BYTES: usize = 256;
const DENTRY_BYTES: usize = 192;
const MOUNT_BYTES: usize = 320;

/// Why calls on files cannot be told with these offsets.
pub fn known(offsets: &Offsets) -> Result<(), String> {
    let missing =
        REQUIRED.iter().find(|(structure, field)| offsets.get(structure, field).is_none());
    match missing {
        None => Ok(()),
        Some((structure, field)) => {
            let structure = structure.trim_end_matches("___file");
            Err(format!("the place of {structure}.{field} was not found in this kernel"))
        }
    }
}

/// A file whose facts are known.
struct Known {
    /// Its descriptor.
    file: File,
    /// Address of the struct file.
    address: u64,
    /// Its names, from its own upwards, within its mount.
    names: Vec<Vec<u8>>,
    /// Names of where it is mounted, upwards.
    above: Vec<Vec<u8>>,
    /// What is mounted.
    source: Vec<u8>,
    inode: u64,
    mode: u16,
    device: u32,
    kind: u64,
}

/// Finds what can be found.
pub fn find(memory: &impl Memory, task: Task, offsets: &mut Offsets) {
    let all = open(memory, task);
    if all.len() < 3 || find_inode(memory, &all, offsets).is_none() {
        return;
    }
    find_position(memory, &all, offsets);
    let Some(dentry) = find_names(memory, &all, offsets) else { return };
    find_mounts(memory, &all, dentry, offsets);
}

/// Files of several file systems; those of an overlay do not tell the numbers that the kernel has.
fn open(memory: &impl Memory, task: Task) -> Vec<Known> {
    let mut paths = [
        "/proc/sys/kernel/osrelease",
        "/proc/sys/vm/overcommit_memory",
        "/sys/devices/system/cpu/online",
    ]
    .map(PathBuf::from)
    .to_vec();
    paths.extend(std::fs::canonicalize("/proc/self/exe"));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    paths.iter().filter_map(|path| Known::open(memory, task, path, &mounts)).collect()
}

impl Known {
    fn open(memory: &impl Memory, task: Task, path: &Path, mounts: &str) -> Option<Self> {
        let file = File::open(path).ok()?;
        let facts = file.metadata().ok()?;
        let mount = mount_of(mounts, facts.dev(), path)?;
        let below = path.strip_prefix(&mount.0).ok()?;
        let slot = memory.read(task.slots + file.as_raw_fd().unsigned_abs() as u64 * 8, 8);
        Some(Self {
            address: u64_at(&slot, 0).filter(|&address| is_address(address))?,
            names: upwards(below),
            above: upwards(mount.0.strip_prefix("/").ok()?),
            source: mount.1,
            inode: facts.ino(),
            mode: u16::try_from(facts.mode()).ok()?,
            device: kernel_device(facts.dev()),
            kind: sys::file_system_kind(file.as_fd()).ok()?,
            file,
        })
    }

    /// Follows a pointer of the struct file.
    fn pointer(&self, memory: &impl Memory, at: usize) -> u64 {
        u64_at(&memory.read(self.address + at as u64, 8), 0).unwrap_or(0)
    }
}

fn upwards(path: &Path) -> Vec<Vec<u8>> {
    path.iter().rev().map(|name| name.as_bytes().to_vec()).collect()
}

/// A device number as the kernel keeps it, from that of stat(2).
fn kernel_device(device: u64) -> u32 {
    libc::major(device) << 20 | libc::minor(device)
}

/// Mount point and source of the last whole mount of a file system that a path is below.
fn mount_of(mounts: &str, device: u64, path: &Path) -> Option<(PathBuf, Vec<u8>)> {
    let device = format!("{}:{}", libc::major(device), libc::minor(device));
    mounts.lines().rev().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let point = PathBuf::from(words.get(4)?);
        let is_whole = words.get(2) == Some(&device.as_str()) && words.get(3) == Some(&"/");
        let separator = words.iter().position(|word| *word == "-")?;
        let source = words.get(separator + 2)?.as_bytes().to_vec();
        (is_whole && path.starts_with(&point)).then_some((point, source))
    })
}

/// Places that hold for every one of `all`.
fn common(all: &[Known], places: impl Fn(&Known) -> BTreeSet<usize>) -> BTreeSet<usize> {
    let mut sets = all.iter().map(places);
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |left, right| left.intersection(&right).copied().collect())
}

/// The only one of some places.
fn only(places: &BTreeSet<usize>) -> Option<usize> {
    places.first().copied().filter(|_| places.len() == 1)
}

/// `f_inode` leads to the inode, which begins with its mode and has its number and file system.
fn find_inode(memory: &impl Memory, all: &[Known], offsets: &mut Offsets) -> Option<()> {
    let places = common(all, |one| {
        let bytes = memory.read(one.address, FILE_BYTES);
        let leads = |&(_, inode): &(usize, u64)| {
            let inode = memory.read(inode, INODE_BYTES);
            u16_at(&inode, 0) == Some(one.mode) && !numbers(&inode, one.inode).is_empty()
        };
        addresses(&bytes, 0, FILE_BYTES).filter(leads).map(|(at, _)| at).collect()
    });
    let at = only(&places)?;
    let inode_of = |one: &Known| memory.read(one.pointer(memory, at), INODE_BYTES);
    let number = only(&common(all, |one| numbers(&inode_of(one), one.inode)))?;
    let (super_block, device, kind) = find_super(memory, all, &inode_of)?;
    offsets.set("file", "f_inode", at);
    offsets.set("inode___file", "i_mode", 0);
    offsets.set("inode___file", "i_ino", number);
    offsets.set("inode___file", "i_sb", super_block);
    offsets.set("super_block", "s_dev", device);
    offsets.set("super_block", "s_magic", kind);
    Some(())
}

/// Places of a number of 64 bits.
fn numbers(bytes: &[u8], wanted: u64) -> BTreeSet<usize> {
    (0..bytes.len()).step_by(8).filter(|&at| u64_at(bytes, at) == Some(wanted)).collect()
}

/// `i_sb` leads to the file system, with its device and its kind: places of the three.
fn find_super(
    memory: &impl Memory,
    all: &[Known],
    inode_of: &impl Fn(&Known) -> Vec<u8>,
) -> Option<(usize, usize, usize)> {
    // All places as one number, so that they are agreed on together.
    let places = common(all, |one| {
        let mut found = BTreeSet::new();
        for (at, address) in addresses(&inode_of(one), 0, INODE_BYTES) {
            let super_block = memory.read(address, SUPER_BYTES);
            let is_device = |at: &usize| u32_at(&super_block, *at) == Some(one.device);
            // After the two words of a list.
            let devices: Vec<usize> = (16..32).step_by(4).filter(is_device).collect();
            for kind in numbers(&super_block, one.kind) {
                found.extend(devices.iter().map(|device| at << 20 | device << 10 | kind));
            }
        }
        found
    });
    let places = only(&places)?;
    Some((places >> 20, places >> 10 & 0x3ff, places & 0x3ff))
}

/// `f_pos` is where the file was last put.
fn find_position(memory: &impl Memory, all: &[Known], offsets: &mut Offsets) {
    let Some(program) = all.last() else { return };
    let mut places: Option<BTreeSet<usize>> = None;
    for position in [1_234_567, 89, 7_654_321] {
        if (&program.file).seek(SeekFrom::Start(position)).ok() != Some(position) {
            return;
        }
        let found = numbers(&memory.read(program.address, FILE_BYTES), position);
        places = Some(
            places.map_or(found.clone(), |known| known.intersection(&found).copied().collect()),
        );
    }
    if let Some(at) = places.as_ref().and_then(only) {
        offsets.set("file", "f_pos", at);
    }
}

/// Where a dentry has its name and its parent.
#[derive(Clone, Copy)]
struct Dentry {
    name: usize,
    parent: usize,
    /// Of the file's own, in the struct file.
    at: usize,
}

impl Dentry {
    fn name(self, memory: &impl Memory, address: u64, bytes: usize) -> Vec<u8> {
        let name = u64_at(&memory.read(address + self.name as u64, 8), 0).unwrap_or(0);
        if is_text_address(name) { memory.read(name, bytes) } else { Vec::new() }
    }

    fn parent(self, memory: &impl Memory, address: u64) -> u64 {
        u64_at(&memory.read(address + self.parent as u64, 8), 0).unwrap_or(0)
    }

    /// The dentry at the upper end of these names, if they are those from `address` upwards.
    fn climb(self, memory: &impl Memory, mut address: u64, names: &[Vec<u8>]) -> Option<u64> {
        for name in names {
            if !is_address(address) || !is_named(&self.name(memory, address, name.len() + 1), name)
            {
                return None;
            }
            let parent = self.parent(memory, address);
            if parent == address {
                return None;
            }
            address = parent;
        }
        Some(address)
    }
}

/// Names need not be at a multiple of four.
fn is_text_address(word: u64) -> bool {
    is_address(word & !3)
}

fn is_named(bytes: &[u8], name: &[u8]) -> bool {
    bytes.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
}

/// `f_path.dentry` leads to the file's name, and by its parents to those of its folders.
fn find_names(memory: &impl Memory, all: &[Known], offsets: &mut Offsets) -> Option<Dentry> {
    let places = common(all, |one| {
        let bytes = memory.read(one.address, FILE_BYTES);
        let mut found = BTreeSet::new();
        for (at, address) in addresses(&bytes, 8, FILE_BYTES) {
            for (name, parent) in dentries(memory, address, one) {
                found.insert(at << 20 | name << 10 | parent);
            }
        }
        found
    });
    let places = only(&places)?;
    let (at, name, parent) = (places >> 20, places >> 10 & 0x3ff, places & 0x3ff);
    // A dentry's d_name opens with its hash and length.
    offsets.set("dentry", "d_name", name.checked_sub(8)?);
    offsets.set("qstr", "name", 8);
    offsets.set("dentry", "d_parent", parent);
    offsets.set("file", "f_path", at - 8);
    offsets.set("path", "mnt", 0);
    offsets.set("path", "dentry", 8);
    Some(Dentry { name, parent, at })
}

/// Places of name and parent with which the names of a file are right.
fn dentries(memory: &impl Memory, address: u64, one: &Known) -> Vec<(usize, usize)> {
    let Some(own) = one.names.first() else { return Vec::new() };
    let bytes = memory.read(address, DENTRY_BYTES);
    let words = (0..bytes.len()).step_by(8).filter_map(|at| Some((at, u64_at(&bytes, at)?)));
    let is_own = |&(_, word): &(usize, u64)| {
        is_text_address(word) && is_named(&memory.read(word, own.len() + 1), own)
    };
    let mut found = Vec::new();
    for (name, _) in words.filter(is_own) {
        for (parent, _) in addresses(&bytes, 0, DENTRY_BYTES) {
            let dentry = Dentry { name, parent, at: 0 };
            if dentry.climb(memory, address, &one.names).is_some() {
                found.push((name, parent));
            }
        }
    }
    found
}

/// `f_path.mnt` is in a mount, which has its root and says where it is in which other one.
fn find_mounts(memory: &impl Memory, all: &[Known], dentry: Dentry, offsets: &mut Offsets) {
    let mount_of = |one: &Known| one.pointer(memory, dentry.at - 8);
    let top_of = |one: &Known| dentry.climb(memory, one.pointer(memory, dentry.at), &one.names);
    // The root of each file is the first word of what its path names as its mount.
    let is_mount = |one: &Known| {
        let root = u64_at(&memory.read(mount_of(one), 8), 0);
        root.is_some() && root == top_of(one)
    };
    if !all.iter().all(is_mount) {
        return;
    }
    // In the root itself: with mounts in between, names are of several file systems.
    let mounted: Vec<&Known> = all.iter().filter(|one| one.above.len() == 1).collect();
    if mounted.is_empty() {
        return;
    }
    // Where the mount begins before that word, and in it the places of its parent and of its point.
    let mut found = None;
    for before in (16..=64u64).step_by(8) {
        let fits = |one: &&Known| {
            let head = memory.read(mount_of(one) - before, before as usize);
            let words: Vec<(usize, u64)> = addresses(&head, 0, head.len()).collect();
            let is_pair = |pair: &[(usize, u64)]| {
                let [(at, parent), (next, point)] = pair else { return None };
                let above = memory.read(parent + before, 16);
                let (root, system) = (u64_at(&above, 0), u64_at(&above, 8));
                // Where the topmost mount says it is mounted is its own root: not that for its root.
                let leads = *next == at + 8
                    && root == dentry.climb(memory, *point, &one.above)
                    && root != system;
                leads.then_some(*at)
            };
            words.windows(2).find_map(is_pair)
        };
        let places: BTreeSet<Option<usize>> = mounted.iter().map(fits).collect();
        if let (Some(Some(at)), 1) = (places.first(), places.len()) {
            if found.is_some() {
                return;
            }
            found = Some((before, *at));
        }
    }
    let Some((before, parent)) = found else { return };
    offsets.set("vfsmount", "mnt_root", 0);
    offsets.set("mount", "mnt", before as usize);
    offsets.set("mount", "mnt_parent", parent);
    offsets.set("mount", "mnt_mountpoint", parent + 8);
    let sources = common(all, |one| {
        let mount = memory.read(mount_of(one) - before, MOUNT_BYTES);
        let words = (0..mount.len()).step_by(8).filter_map(|at| Some((at, u64_at(&mount, at)?)));
        let is_source = |&(_, word): &(usize, u64)| {
            is_text_address(word) && is_named(&memory.read(word, one.source.len() + 1), &one.source)
        };
        words.filter(is_source).map(|(at, _)| at).collect()
    });
    if let Some(at) = only(&sources) {
        offsets.set("mount", "mnt_devname", at);
    }
}
