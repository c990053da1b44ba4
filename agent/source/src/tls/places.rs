//! From what a process has mapped to the file, whatever its mount namespace and even if deleted.
//!
//! In: a folder of `/proc`. Out: open files, and their names among files. Never: a path that is
//! resolved in the agent's own namespace by mistake.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::mappings::Mapping;

/// A file among all: device and inode of stat(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId(u64, u64);

/// Where the loader of programs looks for libraries, below a root folder.
const FOLDERS: [&str; 10] = [
    "lib",
    "lib64",
    "usr/lib",
    "usr/lib64",
    "usr/local/lib",
    "usr/local/lib64",
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
];
const LIBRARIES: [&str; 2] = ["libssl.so", "libgnutls.so"];

/// Which file a path is now.
pub fn id_of(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().map(|data| FileId(data.dev(), data.ino()))
}

/// Which file this is.
pub fn id_of_file(file: &File) -> Option<FileId> {
    file.metadata().ok().filter(|data| data.is_file()).map(|data| FileId(data.dev(), data.ino()))
}

/// Opens a mapped file: by the mapping itself, which is right whatever became of its name (needs
/// CAP_SYS_ADMIN), else by its name below the process's root if the inode is still the same.
pub fn open(folder: &Path, mapping: &Mapping) -> Option<File> {
    if let Ok(file) = File::open(folder.join("map_files").join(&mapping.range)) {
        return Some(file);
    }
    let inside = mapping.key.path.strip_prefix("/").ok()?;
    let file = File::open(folder.join("root").join(inside)).ok()?;
    let data = file.metadata().ok()?;
    (data.is_file() && data.ino() == mapping.key.inode).then_some(file)
}

/// Number of a process's mount namespace.
pub fn mount_namespace(folder: &Path) -> Option<u64> {
    let link = std::fs::read_link(folder.join("ns/mnt")).ok()?;
    link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
}

/// Libraries at their standard places below the root of a process. Symbolic links are left: they
/// could lead out of that root, and what they lead to is a file beside them.
pub fn standard_libraries(folder: &Path) -> Vec<PathBuf> {
    let root = folder.join("root");
    let mut found = Vec::new();
    for place in FOLDERS {
        if is_reached_by_link(&root, place) {
            continue;
        }
        let Ok(entries) = std::fs::read_dir(root.join(place)) else { continue };
        let named = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            LIBRARIES.iter().any(|library| name.to_str().is_some_and(|n| n.starts_with(library)))
                && entry.file_type().is_ok_and(|kind| kind.is_file())
        });
        found.extend(named.map(|entry| entry.path()));
    }
    found
}

/// Whether a part of `place` is a symbolic link.
fn is_reached_by_link(root: &Path, place: &str) -> bool {
    let mut path = root.to_owned();
    place.split('/').any(|part| {
        path.push(part);
        path.is_symlink()
    })
}

#[cfg(test)]
mod tests {
    use super::super::mappings;
    use super::*;

    #[test]
    fn the_own_program_is_opened_by_its_mapping() {
        let folder = Path::new("/proc/self");
        let own = std::env::current_exe().expect("a path");
        let maps = std::fs::read(folder.join("maps")).expect("maps");
        let mapping =
            mappings::executable(&maps).into_iter().find(|one| one.key.path == own).expect("own");
        let file = open(folder, &mapping).expect("opened");
        assert_eq!(id_of_file(&file), id_of(&own));
        let other = Mapping { range: "0-1".into(), ..mapping };
        assert_eq!(id_of_file(&open(folder, &other).expect("by its name")), id_of(&own));
        let key = mappings::MappingKey { inode: 1, ..other.key };
        assert!(open(folder, &Mapping { key, ..other }).is_none(), "another file of that name");
    }

    #[test]
    fn links_are_left() {
        for path in standard_libraries(Path::new("/proc/self")) {
            assert!(!path.is_symlink(), "{}", path.display());
            assert!(path.is_file(), "{}", path.display());
        }
        assert!(mount_namespace(Path::new("/proc/self")).is_some());
        assert!(mount_namespace(Path::new("/proc/0")).is_none());
    }
}
