//! The root that a kernel boots into: an initramfs made here, file by file.
//!
//! In: programs by path. Out: an archive in the format cpio "newc" (Documentation/driver-api/
//! early-userspace/buffer-format of the kernel). Never: a file of this machine that is not named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CONSOLE: u32 = 0o020_600;
/// Device numbers of /dev/console.
const CONSOLE_DEVICE: (u32, u32) = (5, 1);

/// Folders that are there without a file in them.
const FOLDERS: [&str; 7] = ["bin", "dev", "proc", "sys", "tmp", "etc", "run"];

/// What the kernel starts: mounts what an agent expects of a host, then runs the cases.
const INIT: &str = "#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mount -t debugfs debug /sys/kernel/debug 2>/dev/null
$b mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
$b mount -t tmpfs tmp /tmp
$b ip link set lo up
echo
/vm-guest 2>&1
$b sleep 1
$b poweroff -f
";

/// An archive under construction.
#[derive(Default)]
pub struct Root {
    bytes: Vec<u8>,
    files: u32,
}

impl Root {
    /// A root with these files at their places, and the folders that a host has.
    pub fn of(files: &[(String, PathBuf)]) -> Result<Vec<u8>> {
        let mut root = Self::default();
        let places = files.iter().map(|(place, _)| Path::new(place));
        let above = places.flat_map(|place| place.ancestors().skip(1));
        let folders: BTreeSet<&Path> = above.chain(FOLDERS.map(Path::new)).collect();
        for folder in folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()) {
            root.entry(&folder.to_string_lossy(), DIRECTORY, (0, 0), b"");
        }
        root.entry("dev/console", CONSOLE, CONSOLE_DEVICE, b"");
        root.entry("init", PROGRAM, (0, 0), INIT.as_bytes());
        for (place, path) in files {
            let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
            root.entry(place, PROGRAM, (0, 0), &bytes);
        }
        root.entry("TRAILER!!!", 0, (0, 0), b"");
        Ok(root.bytes)
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.files += 1;
        let fields = [
            self.files,
            mode,
            0,
            0,
            1,
            0,
            u32::try_from(content.len()).unwrap_or(u32::MAX),
            0,
            0,
            device.0,
            device.1,
            u32::try_from(name.len() + 1).unwrap_or(u32::MAX),
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_headers_of_110_bytes_and_names_in_order() {
        let mut root = Root::default();
        root.entry("a", PROGRAM, (0, 0), b"xyz");
        root.entry("TRAILER!!!", 0, (0, 0), b"");
        assert_eq!(&root.bytes[..14], b"07070100000001");
        assert_eq!(&root.bytes[110..112], b"a\0");
        assert_eq!(&root.bytes[112..115], b"xyz");
        assert_eq!(&root.bytes[116..122], b"070701");
        assert_eq!(root.bytes.len() % 4, 0);
    }
}
