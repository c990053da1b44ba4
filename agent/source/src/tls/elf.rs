//! Where functions are in a file.
//!
//! In: an ELF file of 64 bits for this machine, and names. Out: offsets in the file, which is what
//! the kernel wants for a hook. Never: a panic, or more memory than the limits below, whatever the
//! file has in it.

use std::fs::File;

use object::elf::{PT_LOAD, STT_FUNC};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, Sym, SymbolTable};
use object::{Endianness, ReadCache, ReadRef};

use super::library::Functions;

/// Symbols of a table that is looked through at most: Chromium has about a million.
const SYMBOLS_MAX: usize = 4_000_000;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = object::elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = object::elf::EM_AARCH64;

type Header = object::elf::FileHeader64<Endianness>;

/// Functions of `wanted` that the file itself has, by what it exports, else by its symbol table.
pub fn functions(file: &File, wanted: &[&'static str]) -> Result<Functions, String> {
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(|error| error.to_string())?;
    let (header, endian, data) = (elf.elf_header(), elf.endian(), elf.data());
    if header.e_machine(endian) != MACHINE {
        return Err(format!("for machine {}", header.e_machine(endian)));
    }
    let segments = header.program_headers(endian, data).map_err(|error| error.to_string())?;
    let offset_of = |address: u64| {
        let load = segments.iter().find(|segment| {
            let begin = segment.p_vaddr(endian);
            segment.p_type(endian) == PT_LOAD
                && address >= begin
                && address - begin < segment.p_filesz(endian)
        })?;
        (address - load.p_vaddr(endian)).checked_add(load.p_offset(endian))
    };
    let mut found = Functions::new();
    collect(elf.elf_dynamic_symbol_table(), endian, wanted, &offset_of, &mut found);
    if found.is_empty() {
        collect(elf.elf_symbol_table(), endian, wanted, &offset_of, &mut found);
    }
    Ok(found)
}

fn collect<'data, R: ReadRef<'data>>(
    table: &SymbolTable<'data, Header, R>,
    endian: Endianness,
    wanted: &[&'static str],
    offset_of: &dyn Fn(u64) -> Option<u64>,
    found: &mut Functions,
) {
    if table.len() > SYMBOLS_MAX {
        return;
    }
    for symbol in table.iter() {
        // An indirect function is one that chooses another: its own address is of no use.
        if symbol.st_type() != STT_FUNC || symbol.is_undefined(endian) {
            continue;
        }
        let Ok(name) = symbol.name(endian, table.strings()) else { continue };
        let Some(name) = wanted.iter().find(|wanted| wanted.as_bytes() == name) else { continue };
        if let Some(offset) = offset_of(symbol.st_value(endian)) {
            found.entry(name).or_insert(offset);
        }
    }
}
