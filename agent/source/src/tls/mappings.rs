//! Files that a process has mapped as code.
//!
//! In: the text of `/proc/<pid>/maps` (proc_pid_maps(5)). Out: each file once.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A mapped file: device and inode as the kernel names them there, and its path. The path tells a
/// file from one that got the same number after it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MappingKey {
    /// `major:minor`.
    pub device: String,
    /// Number of the inode.
    pub inode: u64,
    /// Path in the process's own mount namespace; of a deleted file without the mark.
    pub path: PathBuf,
}

/// A piece of a file that is mapped as code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The file.
    pub key: MappingKey,
    /// Name of the mapping in `/proc/<pid>/map_files`.
    pub range: String,
}

/// What the kernel puts behind the path of a file that is deleted.
const DELETED: &[u8] = b" (deleted)";

/// The files that are mapped as code, each once, in the order of their addresses.
pub fn executable(maps: &[u8]) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = Vec::new();
    for mapping in maps.split(|byte| *byte == b'\n').filter_map(parse) {
        if !found.iter().any(|known| known.key == mapping.key) {
            found.push(mapping);
        }
    }
    found
}

/// `7f12a-7f12b r-xp 00002000 fd:01 1234   /usr/lib/libssl.so.3`
fn parse(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || -> Option<&[u8]> {
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let (word, behind) = rest.split_at(end);
        rest = behind.get(1..)?;
        Some(word)
    };
    let (range, rights, _offset) = (word()?, word()?, word()?);
    let (device, inode) = (word()?, word()?);
    if rights.get(2) != Some(&b'x') {
        return None;
    }
    let path = rest.trim_ascii_start();
    let path = path.strip_suffix(DELETED).unwrap_or(path);
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let inode = text(inode)?.parse().ok()?;
    if inode == 0 || path.first() != Some(&b'/') {
        return None;
    }
    let key =
        MappingKey { device: text(device)?.into(), inode, path: OsStr::from_bytes(path).into() };
    Some(Mapping { key, range: text(range)?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_files_is_found_once() {
        let maps = b"55d0e8a00000-55d0e8a20000 r--p 00000000 fd:01 77  /usr/bin/some thing
55d0e8a20000-55d0e8b20000 r-xp 00020000 fd:01 77                         /usr/bin/some thing
7f0000000000-7f0000001000 r-xp 00000000 fd:01 78 /lib/libssl.so.3 (deleted)
7f0000001000-7f0000002000 r-xp 00001000 fd:01 78 /lib/libssl.so.3 (deleted)
7f0000003000-7f0000004000 rwxp 00000000 00:00 0
7ffd1e5fe000-7ffd1e600000 r-xp 00000000 00:00 0                          [vdso]
7f0000005000-7f0000006000 rwxp 00000000 00:01 9 anon_inode:x
";
        let found = executable(maps);
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.key.path.to_str().expect("UTF-8"), one.key.inode, one.range.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("/usr/bin/some thing", 77, "55d0e8a20000-55d0e8b20000"),
                ("/lib/libssl.so.3", 78, "7f0000000000-7f0000001000"),
            ]
        );
    }

    #[test]
    fn what_is_no_line_is_none() {
        for text in [&b""[..], b"\n\n", b"a b c", b"1-2 r-xp 0 0:0 x /a", b"1-2 r-xp 0 0:0 1 "] {
            assert!(executable(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn this_process_has_its_own_program() {
        let maps = std::fs::read("/proc/self/maps").expect("maps");
        let own = std::env::current_exe().expect("a path");
        assert!(executable(&maps).iter().any(|one| one.key.path == own));
    }
}
