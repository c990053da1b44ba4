//! From a file of an overlay, as containers have them, to the file of the layer that it is.
//!
//! In: a file, and `/proc` (proc_pid_mountinfo(5), Documentation/filesystems/overlayfs.rst of the
//! kernel). Out: the same file by its path outside. Before 4.18 the kernel takes a hook in the
//! overlay's own inode and never runs it, since what is mapped is the layer's; and layers are
//! shared, so that one hook is enough for all containers. Never: another file of that name.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file itself, if `path` (as the process of `folder` has it) is in an overlay whose layers the
/// first process sees.
pub fn layer_file(folder: &Path, path: &Path, file: &File) -> Option<File> {
    // A process that only changed its root has the names of the agent.
    let mounts = [folder.join("mountinfo"), PathBuf::from("/proc/self/mountinfo")];
    let found = mounts.iter().filter_map(|mounts| std::fs::read(mounts).ok());
    let found: Vec<PathBuf> = found.flat_map(|mounts| places(&mounts, path)).collect();
    let outside = folder.parent()?.join("1/root");
    let wanted = file.metadata().ok()?;
    let is_it = |found: &File| {
        found.metadata().is_ok_and(|data| {
            data.is_file()
                && data.ino() == wanted.ino()
                && data.len() == wanted.len()
                && (data.mtime(), data.mtime_nsec()) == (wanted.mtime(), wanted.mtime_nsec())
        })
    };
    found.into_iter().find_map(|place| {
        let inside = place.strip_prefix("/").ok()?;
        File::open(outside.join(inside)).ok().filter(is_it)
    })
}

/// Where the layers of the overlay that holds `path` have it, the uppermost first; none if it is in
/// no overlay.
fn places(mounts: &[u8], path: &Path) -> Vec<PathBuf> {
    let of_path = mounts.split(|byte| *byte == b'\n').filter_map(parse);
    let of_path = of_path.filter(|mount| path.starts_with(&mount.point));
    // Of two at one place the later hides the earlier.
    let deepest = of_path.max_by_key(|mount| mount.point.as_os_str().len());
    let Some(mount) = deepest.filter(|mount| mount.is_overlay) else { return Vec::new() };
    let Ok(inside) = path.strip_prefix(&mount.point) else { return Vec::new() };
    // What is mounted may be a folder of the overlay.
    let below = mount.root.strip_prefix("/").unwrap_or(&mount.root);
    mount.layers.iter().map(|layer| layer.join(below).join(inside)).collect()
}

/// A line of mountinfo.
struct Mount {
    root: PathBuf,
    point: PathBuf,
    is_overlay: bool,
    layers: Vec<PathBuf>,
}

/// `36 35 0:32 / /merged rw,noatime shared:1 - overlay none rw,lowerdir=/a:/b,upperdir=/c`
fn parse(line: &[u8]) -> Option<Mount> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let behind = words.iter().position(|word| *word == b"-")?;
    let is_overlay = *words.get(behind + 1)? == b"overlay";
    let mut layers = Vec::new();
    if is_overlay {
        let options: Vec<&[u8]> = words.get(behind + 3)?.split(|byte| *byte == b',').collect();
        let of = |key: &[u8]| options.iter().find_map(|option| option.strip_prefix(key));
        layers.extend(of(b"upperdir=").map(unescape));
        let lower = of(b"lowerdir=").unwrap_or_default();
        layers.extend(lower.split(|byte| *byte == b':').map(unescape));
        layers.retain(|layer| layer.is_absolute());
    }
    let (root, point) = (unescape(words.get(3)?), unescape(words.get(4)?));
    Some(Mount { root, point, is_overlay, layers })
}

/// Blanks and backslashes stand there as three octal digits.
fn unescape(word: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| byte == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                out.push(escaped);
                rest = &behind[3..];
            }
            None => {
                out.push(byte);
                rest = behind;
            }
        }
    }
    OsStr::from_bytes(&out).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
21 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
700 650 0:52 / / rw,relatime master:3 - overlay overlay rw,lowerdir=/l/one\\040two:/l/base,upperdir=/u/diff,workdir=/u/work
701 700 0:53 / /proc rw - proc proc rw
702 700 254:1 /data /data rw - ext4 /dev/vda1 rw
703 700 0:54 /sub /over rw - overlay overlay rw,lowerdir=l/REL:/l/x
";

    fn shown(path: &str) -> Vec<String> {
        let found = places(MOUNTS, Path::new(path));
        found.into_iter().map(|place| place.display().to_string()).collect()
    }

    #[test]
    fn layers_stand_one_above_the_other() {
        let wanted = ["/u/diff/usr/lib/s.so", "/l/one two/usr/lib/s.so", "/l/base/usr/lib/s.so"];
        assert_eq!(shown("/usr/lib/s.so"), wanted);
        assert_eq!(shown("/over/lib/s.so"), ["/l/x/sub/lib/s.so"]);
    }

    #[test]
    fn what_is_in_no_overlay_has_no_layers() {
        assert!(shown("/data/lib/s.so").is_empty());
        assert!(shown("relative").is_empty());
        for text in [&b""[..], b"a - overlay", b"1 2 3 / / - overlay o", b"- - - - -"] {
            assert!(places(text, Path::new("/a")).is_empty());
        }
    }

    #[test]
    fn the_own_program_is_in_no_layer() {
        let own = std::env::current_exe().expect("a path");
        let file = File::open(&own).expect("there");
        // In a container it is, where its layers may be out of sight.
        if let Some(found) = layer_file(Path::new("/proc/self"), &own, &file) {
            let ino = |file: &File| file.metadata().expect("open").ino();
            assert_eq!(ino(&found), ino(&file));
        }
    }
}
