//! Calls on files that took long.
//!
//! In: the bytes of one record. Out: a `FileEvent` that borrows its path from them. Never: a look at the
//! file.

use super::{Caller, Fields};
use crate::bpf::abi;

/// A read, write or sync of a regular file that took long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEvent<'a> {
    /// Who, where, when: the exit of the call.
    pub caller: Caller,
    /// The request that the thread works on: see `Data::trace_id`; 0: none.
    pub trace_id: u64,
    /// Coroutine; 0: not known.
    pub coroutine_id: u64,
    /// From the entry of the call to its exit.
    pub duration_ns: u64,
    /// Where in the file the call began; 0 of a sync.
    pub offset_bytes: u64,
    /// Bytes that it asked for; `None`: of a vector, which is not added up, or of a sync.
    pub asked_bytes: Option<u64>,
    /// Bytes that it moved, or the number of its error.
    pub moved: Result<u64, i32>,
    /// Number of the file's inode.
    pub inode: u64,
    /// Its file system's device: major, minor.
    pub device: (u32, u32),
    /// Kind of its file system, as of `statfs(2)`.
    pub magic: u32,
    /// Its file system shows the kernel itself, or is in memory.
    pub is_virtual: bool,
    /// Where it is.
    pub path: FilePath<'a>,
}

/// The names from a file upwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePath<'a> {
    names: &'a [u8],
    mount_bytes: usize,
    /// The upper end is not known: the path is too long, or its file is not in what is mounted.
    pub is_cut: bool,
    /// Nothing is known of what is above the root of its file system.
    pub is_without_mount: bool,
    /// What is mounted where the file is; empty: not known.
    pub source: &'a [u8],
}

impl<'a> FilePath<'a> {
    /// The file's own name; empty: not known.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.upwards(0..self.names.len()).next().unwrap_or_default()
    }

    /// The folder that it is in, with `/` at both ends; with `…` before where the path is cut, `None` if
    /// only the place in its file system is known.
    #[must_use]
    pub fn folder(&self) -> Option<Vec<u8>> {
        if self.is_without_mount || self.names.is_empty() {
            return None;
        }
        let mut folder = self.joined(0..self.names.len(), 1);
        folder.push(b'/');
        Some(folder)
    }

    /// Where its file system is mounted; `None`: not known.
    #[must_use]
    pub fn mount_point(&self) -> Option<Vec<u8>> {
        if self.is_without_mount || self.is_cut {
            return None;
        }
        match self.joined(self.mount_bytes..self.names.len(), 0) {
            root if root.is_empty() => Some(b"/".to_vec()),
            point => Some(point),
        }
    }

    /// Names within a range of bytes, the lowest first.
    fn upwards(&self, bytes: std::ops::Range<usize>) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let names = self.names.get(bytes).unwrap_or_default();
        names.split(|byte| *byte == 0).filter(|name| !name.is_empty())
    }

    /// The same from the root downwards, each after a `/`, but for the lowest `without`.
    fn joined(&self, bytes: std::ops::Range<usize>, without: usize) -> Vec<u8> {
        let names: Vec<&[u8]> = self.upwards(bytes).skip(without).collect();
        let mut path = if self.is_cut { "…".as_bytes().to_vec() } else { Vec::new() };
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }
}

/// Reads the rest of a record of this kind.
pub(super) fn decode<'a>(fields: Fields<'a>, caller: Caller) -> Option<FileEvent<'a>> {
    let flags = fields.u8(abi::event::FLAGS)?;
    let result = fields.u64(abi::file::RESULT)?.cast_signed();
    let device = fields.u32(abi::file::DEVICE)?;
    let asked_bytes = fields.u64(abi::file::ASKED_BYTES)?;
    let names = fields.0.get(abi::file::BYTES..)?;
    let names = names.get(..fields.u32(abi::file::PATH_BYTES)? as usize)?;
    let source = fields.0.get(abi::file::SOURCE..)?.get(..abi::MOUNT_SOURCE_BYTES)?;
    Some(FileEvent {
        caller,
        trace_id: fields.u64(abi::file::TRACE_ID)?,
        coroutine_id: fields.u64(abi::file::COROUTINE_ID)?,
        duration_ns: fields.u64(abi::file::DURATION_NS)?,
        offset_bytes: fields.u64(abi::file::OFFSET_BYTES)?,
        asked_bytes: (asked_bytes > 0).then_some(asked_bytes),
        moved: u64::try_from(result).map_err(|_| i32::try_from(-result).unwrap_or(i32::MAX)),
        inode: fields.u64(abi::file::INODE)?,
        device: (device >> 20, device & 0xf_ffff),
        magic: fields.u32(abi::file::MAGIC)?,
        is_virtual: flags & abi::file_flag::VIRTUAL != 0,
        path: FilePath {
            names,
            mount_bytes: fields.u32(abi::file::MOUNT_BYTES)? as usize,
            is_cut: flags & abi::file_flag::PATH_CUT != 0,
            is_without_mount: flags & abi::file_flag::NO_MOUNT != 0,
            source: source.split(|byte| *byte == 0).next().unwrap_or_default(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[u8], mount_bytes: usize) -> FilePath<'_> {
        FilePath { names, mount_bytes, is_cut: false, is_without_mount: false, source: b"" }
    }

    #[test]
    fn names_from_the_file_upwards_become_a_path() {
        let data = path(b"orders.db\0shop\0data\0srv\0", 15);
        assert_eq!(data.name(), b"orders.db");
        assert_eq!(data.folder().as_deref(), Some(b"/srv/data/shop/".as_slice()));
        assert_eq!(data.mount_point().as_deref(), Some(b"/srv/data".as_slice()));
        let at_root = path(b"vmlinuz\0", 8);
        assert_eq!(at_root.folder().as_deref(), Some(b"/".as_slice()));
        assert_eq!(at_root.mount_point().as_deref(), Some(b"/".as_slice()));
    }

    #[test]
    fn what_is_not_known_of_a_path_is_not_made_up() {
        let cut = FilePath { is_cut: true, ..path(b"a\0b\0", 4) };
        assert_eq!(cut.name(), b"a");
        assert_eq!(cut.folder().as_deref(), Some("…/b/".as_bytes()));
        assert_eq!(cut.mount_point(), None);
        let inner = FilePath { is_without_mount: true, ..path(b"a\0b\0", 4) };
        assert_eq!(
            (inner.name(), inner.folder(), inner.mount_point()),
            (b"a".as_slice(), None, None)
        );
        let none = path(b"", 0);
        assert_eq!((none.name(), none.folder()), (b"".as_slice(), None));
        let beyond = path(b"a\0", 9);
        assert_eq!(beyond.mount_point().as_deref(), Some(b"/".as_slice()));
    }
}
