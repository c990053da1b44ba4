//! The parts of an ELF file that programs of Go have.
//!
//! In: an open file. Out: its sections and code, as far as asked for. Never: more memory than the
//! limits below.

use std::fs::File;
use std::os::unix::fs::FileExt;

use object::elf::{PT_LOAD, PT_TLS};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ReadCache};

use super::super::library::Span;
use super::FUNCTION_BYTES_MAX;

/// The longest table of functions that is read: the largest programs have some 60 MB.
const TABLE_BYTES_MAX: u64 = 256 << 20;
const BUILD_INFO_BYTES_MAX: u64 = 1 << 20;

/// A section: address, offset in the file, length.
#[derive(Debug, Clone, Copy)]
struct Section {
    address: u64,
    offset: u64,
    bytes: u64,
}

/// A file of Go.
#[derive(Debug)]
pub struct Image<'file> {
    file: &'file File,
    build_info: Section,
    line_table: Option<Section>,
    text: Section,
    /// What is loaded where: address, offset in the file, length.
    loads: Vec<Section>,
    /// Bytes of a thread's own storage that the file asks for.
    thread_bytes: u64,
}

impl<'file> Image<'file> {
    /// Reads headers; `None`: it is not of Go 1.13 or newer.
    pub fn read(file: &'file File) -> Result<Option<Self>, String> {
        let cache = ReadCache::new(file);
        let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(|error| error.to_string())?;
        let (endian, data) = (elf.endian(), elf.data());
        let (mut build_info, mut line_table, mut text) = (None, None, None);
        let mut relocated = None;
        for section in elf.sections() {
            let (Ok(name), Some((offset, bytes))) = (section.name(), section.file_range()) else {
                continue;
            };
            let found = Some(Section { address: section.address(), offset, bytes });
            match name {
                ".go.buildinfo" => build_info = found,
                ".gopclntab" | ".data.rel.ro.gopclntab" => line_table = found,
                ".data.rel.ro" => relocated = found,
                ".text" => text = found,
                _ => {}
            }
        }
        let (Some(build_info), Some(text)) = (build_info, text) else { return Ok(None) };
        // Linkers of C put the table among other things that are relocated.
        let line_table = line_table.or(relocated);
        let segments =
            elf.elf_header().program_headers(endian, data).map_err(|error| error.to_string())?;
        let loads = segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
        let loads = loads.map(|segment| Section {
            address: segment.p_vaddr(endian),
            offset: segment.p_offset(endian),
            bytes: segment.p_filesz(endian),
        });
        let threads = segments.iter().filter(|segment| segment.p_type(endian) == PT_TLS);
        let thread_bytes = threads.map(|segment| segment.p_memsz(endian)).sum();
        let loads = loads.collect();
        Ok(Some(Self { file, build_info, line_table, text, loads, thread_bytes }))
    }

    /// The section that tells how it was built.
    pub fn build_info(&self) -> Option<Vec<u8>> {
        self.bytes(self.build_info.offset, self.build_info.bytes.min(BUILD_INFO_BYTES_MAX))
    }

    /// The section that has the table of functions, alone or among other things.
    pub fn line_table(&self) -> Option<Vec<u8>> {
        let table = self.line_table.filter(|table| table.bytes <= TABLE_BYTES_MAX)?;
        self.bytes(table.offset, table.bytes)
    }

    /// Address and length of the code.
    pub fn text(&self) -> (u64, u64) {
        (self.text.address, self.text.bytes)
    }

    /// Where an address is in the file.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        let holds = |load: &&Section| {
            address.checked_sub(load.address).is_some_and(|into| into < load.bytes)
        };
        let load = self.loads.iter().find(holds)?;
        (address - load.address).checked_add(load.offset)
    }

    /// Whether the word before a thread's storage is its goroutine: the file has nothing else there.
    pub fn has_g(&self) -> bool {
        self.thread_bytes <= 8
    }

    /// The code of a function.
    pub fn code(&self, span: Span) -> Result<Vec<u8>, String> {
        let is_short = (1..=FUNCTION_BYTES_MAX).contains(&span.bytes);
        let code = is_short.then(|| self.bytes(span.offset, span.bytes)).flatten();
        code.ok_or_else(|| format!("{} bytes of code cannot be read", span.bytes))
    }

    /// Bytes of the file; `None`: it is shorter.
    pub fn bytes(&self, offset: u64, bytes: u64) -> Option<Vec<u8>> {
        let end = offset.checked_add(bytes)?;
        if self.file.metadata().ok()?.len() < end {
            return None;
        }
        let mut read = vec![0; usize::try_from(bytes).ok()?];
        self.file.read_exact_at(&mut read, offset).ok()?;
        Some(read)
    }
}
