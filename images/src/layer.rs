//! A layer: a compressed tar whose bytes depend on names, modes and contents alone.
//!
//! In: entries in any order. Out: a gzip file with its two digests. Entries are sorted by path,
//! belong to 0:0, are dated 0, and their folders are written out. Two entries at one path are
//! refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::blob::{Blob, Hashing};
use crate::description::Mode;

/// Fixed, as any other level gives other bytes.
const GZIP_LEVEL: u32 = 6;
/// `OS` of RFC 1952, 2.3.1: unknown.
const GZIP_SYSTEM: u8 = 255;
const FOLDER_MODE: u32 = 0o755;

/// What is at a path.
#[derive(Debug)]
pub enum Entry {
    /// A folder and its mode.
    Folder(Mode),
    /// A file of the disk.
    File(Mode, PathBuf),
    /// A file made here, readable by all.
    Text(Vec<u8>),
    /// A symbolic link and its target.
    Link(String),
}

/// Entries by their path in the image, without the slash it begins with.
#[derive(Debug, Default)]
pub struct Contents {
    entries: BTreeMap<String, Entry>,
}

/// A layer as the manifest and the configuration name it.
#[derive(Debug)]
pub struct Layer {
    /// The compressed tar.
    pub blob: Blob,
    /// sha256 of the tar itself (`diff_id`).
    pub diff_sha256: String,
    /// What the history says.
    pub name: String,
}

impl Contents {
    /// Puts an entry at an absolute path.
    ///
    /// # Errors
    /// When something is there.
    pub fn add(&mut self, path: &str, entry: Entry) -> Result<()> {
        let path = path.trim_matches('/');
        ensure!(self.entries.insert(path.to_owned(), entry).is_none(), "two entries at /{path}");
        Ok(())
    }

    /// Whether a file or link is at an absolute path.
    #[must_use]
    pub fn has_file(&self, path: &str) -> bool {
        let entry = self.entries.get(path.trim_start_matches('/'));
        entry.is_some_and(|entry| !matches!(entry, Entry::Folder(_)))
    }

    /// Files of the disk that are in it, by their absolute path in the image.
    pub fn files(&self) -> impl Iterator<Item = (String, &Path)> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::File(_, from) => Some((format!("/{path}"), from.as_path())),
            Entry::Folder(_) | Entry::Text(_) | Entry::Link(_) => None,
        })
    }

    /// Puts all that is in a folder of the disk under an absolute path.
    ///
    /// # Errors
    /// When the folder cannot be read, or holds what is neither file, folder nor link.
    pub fn add_tree(&mut self, path: &str, folder: &Path) -> Result<()> {
        let named = || format!("folder {}", folder.display());
        for found in fs::read_dir(folder).with_context(named)? {
            let found = found.with_context(named)?;
            let from = found.path();
            let Ok(name) = found.file_name().into_string() else {
                bail!("{}: not named in UTF-8", from.display());
            };
            let to = format!("{}/{name}", path.trim_end_matches('/'));
            let metadata = fs::symlink_metadata(&from).with_context(named)?;
            if metadata.is_dir() {
                self.add_tree(&to, &from)?;
            } else if metadata.is_symlink() {
                let target = fs::read_link(&from).with_context(named)?;
                let target = target.to_str().with_context(|| format!("link {}", from.display()))?;
                self.add(&to, Entry::Link(target.to_owned()))?;
            } else if metadata.is_file() {
                let runs = metadata.permissions().mode() & 0o100 != 0;
                let mode = Mode(if runs { 0o755 } else { 0o644 });
                self.add(&to, Entry::File(mode, from))?;
            } else {
                bail!("{}: neither file, folder nor link", from.display());
            }
        }
        Ok(())
    }

    /// Every folder above an entry is an entry.
    fn add_parents(&mut self) {
        let parents: Vec<String> = self
            .entries
            .keys()
            .flat_map(|path| path.match_indices('/').map(|(at, _)| path[..at].to_owned()))
            .collect();
        for parent in parents {
            self.entries.entry(parent).or_insert(Entry::Folder(Mode(FOLDER_MODE)));
        }
    }

    /// Writes the layer into an unnamed file in `scratch`.
    ///
    /// # Errors
    /// The file that could not be read, or the disk.
    pub fn write(mut self, name: &str, scratch: &Path) -> Result<Layer> {
        self.add_parents();
        let file = tempfile::tempfile_in(scratch)
            .with_context(|| format!("cannot write in {}", scratch.display()))?;
        let gzip = GzBuilder::new()
            .mtime(0)
            .operating_system(GZIP_SYSTEM)
            .write(Hashing::new(file), Compression::new(GZIP_LEVEL));
        let mut tar = Builder::new(Hashing::new(gzip));
        for (path, entry) in &self.entries {
            append(&mut tar, path, entry).with_context(|| format!("/{path}"))?;
        }
        let (gzip, diff_sha256, _) = tar.into_inner()?.finish();
        let (mut file, sha256, size_bytes) = gzip.finish()?.finish();
        file.flush()?;
        let blob = Blob::in_file(file, 0, size_bytes, sha256);
        Ok(Layer { blob, diff_sha256, name: name.to_owned() })
    }
}

fn append<W: Write>(tar: &mut Builder<W>, path: &str, entry: &Entry) -> Result<()> {
    match entry {
        Entry::Folder(mode) => {
            let path = format!("{path}/");
            tar.append_data(&mut header(EntryType::Directory, mode.0, 0), path, &[][..])?;
        }
        Entry::Text(bytes) => {
            let mut header = header(EntryType::Regular, 0o644, bytes.len() as u64);
            tar.append_data(&mut header, path, bytes.as_slice())?;
        }
        Entry::File(mode, from) => {
            let named = || format!("file {}", from.display());
            let file = fs::File::open(from).with_context(named)?;
            let size_bytes = file.metadata().with_context(named)?.len();
            let mut header = header(EntryType::Regular, mode.0, size_bytes);
            tar.append_data(&mut header, path, file).with_context(named)?;
        }
        Entry::Link(target) => {
            tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?;
        }
    }
    Ok(())
}

/// A header without owner, time or device.
pub(crate) fn header(kind: EntryType, mode: u32, size_bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size_bytes);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
