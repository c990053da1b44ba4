//! What an ELF file demands of the system it runs on (gABI 4.1; 64-bit, little endian).
//!
//! In: a file. Out: its machine, interpreter and needs, or why it is no such file.
//! Never: a panic on any input.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail, ensure};

use crate::description::Linkage;
use crate::target::Architecture;

const TYPE_DYNAMIC: u16 = 3;
const SEGMENT_DYNAMIC: u32 = 2;
const SEGMENT_INTERPRETER: u32 = 3;
const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
/// Far above what linkers write. unit bytes
const SEGMENT_BYTES_MAX: usize = 1 << 20;
const TAG_END: u64 = 0;
const TAG_NEEDED: u64 = 1;
const TAG_RPATH: u64 = 15;
const TAG_RUNPATH: u64 = 29;

/// What the headers say.
#[derive(Debug, PartialEq, Eq)]
pub struct Elf {
    /// `e_machine`.
    pub machine: u16,
    /// Whether it may be loaded anywhere (`ET_DYN`: position-independent, or a library).
    pub is_position_independent: bool,
    /// Program that must load it (`PT_INTERP`).
    pub interpreter: Option<String>,
    /// Number of libraries it needs (`DT_NEEDED`).
    pub libraries: usize,
    /// Whether it names folders to look for libraries in (`DT_RPATH`, `DT_RUNPATH`).
    pub has_search_path: bool,
}

/// Where bytes can be had from, so that a library of half a gigabyte is not read for its headers.
pub trait Source {
    /// Bytes at an offset.
    ///
    /// # Errors
    /// When they are not all there.
    fn at(&self, offset: u64, length: usize) -> Result<Vec<u8>>;
}

impl Source for [u8] {
    fn at(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let first = usize::try_from(offset).ok();
        let range = first.and_then(|first| Some(first..first.checked_add(length)?));
        let found = range.and_then(|range| self.get(range)).map(<[u8]>::to_vec);
        found.with_context(|| cut(offset, length))
    }
}

impl Source for File {
    fn at(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, offset).with_context(|| cut(offset, length))?;
        Ok(bytes)
    }
}

fn cut(offset: u64, length: usize) -> String {
    format!("cut short: {length} bytes at {offset} are not there")
}

/// Reads the headers.
///
/// # Errors
/// When this is not a whole 64-bit little-endian ELF file.
pub fn read(source: &(impl Source + ?Sized)) -> Result<Elf> {
    let is_elf = source.at(0, 4).is_ok_and(|magic| magic == *b"\x7fELF");
    ensure!(is_elf, "no ELF file");
    let file = source.at(0, HEADER_BYTES)?;
    ensure!(file[4..6] == [2, 1], "no 64-bit little-endian ELF file");
    let mut elf = Elf {
        machine: half(&file, 18),
        is_position_independent: half(&file, 16) == TYPE_DYNAMIC,
        interpreter: None,
        libraries: 0,
        has_search_path: false,
    };
    ensure!(usize::from(half(&file, 54)) == SEGMENT_BYTES, "program headers of a foreign size");
    let table_bytes = usize::from(half(&file, 56)) * SEGMENT_BYTES;
    let table = source.at(word(&file, 32), table_bytes)?;
    for header in table.chunks_exact(SEGMENT_BYTES) {
        let kind = u32::from(half(header, 0)) | u32::from(half(header, 2)) << 16;
        if kind != SEGMENT_DYNAMIC && kind != SEGMENT_INTERPRETER {
            continue;
        }
        let length = usize::try_from(word(header, 32)).unwrap_or(usize::MAX);
        ensure!(length <= SEGMENT_BYTES_MAX, "a segment of {length} bytes for the loader");
        let content = source.at(word(header, 8), length)?;
        if kind == SEGMENT_DYNAMIC {
            read_dynamic(&content, &mut elf);
        } else {
            let text = content.strip_suffix(b"\0").unwrap_or(&content);
            elf.interpreter = Some(String::from_utf8_lossy(text).into_owned());
        }
    }
    Ok(elf)
}

fn read_dynamic(content: &[u8], elf: &mut Elf) {
    for entry in content.chunks_exact(16) {
        match word(entry, 0) {
            TAG_END => break,
            TAG_NEEDED => elf.libraries += 1,
            TAG_RPATH | TAG_RUNPATH => elf.has_search_path = true,
            _ => {}
        }
    }
}

/// Holds a file to what its description demands. What a dynamic program is loaded by is checked by
/// the caller, who knows the image.
///
/// # Errors
/// The first demand that is not met.
pub fn check(file: &File, linkage: Linkage, architecture: Architecture) -> Result<Elf> {
    let elf = read(file)?;
    ensure!(
        elf.machine == architecture.elf_machine(),
        "built for ELF machine {}, but {} is {}",
        elf.machine,
        architecture.name(),
        architecture.elf_machine()
    );
    // A library comes from others as it is; a folder that it names is not in the image.
    ensure!(
        linkage == Linkage::Library || !elf.has_search_path,
        "names folders of libraries (RPATH or RUNPATH)"
    );
    ensure!(elf.is_position_independent, "not position-independent (ELF type is not ET_DYN)");
    match (linkage, &elf.interpreter) {
        (Linkage::StaticPie, Some(by)) => bail!("dynamic, loaded by {by}; static is demanded"),
        (Linkage::StaticPie, None) => {
            ensure!(elf.libraries == 0, "needs {} libraries; static is demanded", elf.libraries);
        }
        (Linkage::Dynamic, None) => bail!("has no interpreter; a dynamic program is demanded"),
        (Linkage::Dynamic, Some(_)) | (Linkage::Library, _) => {}
    }
    Ok(elf)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}
