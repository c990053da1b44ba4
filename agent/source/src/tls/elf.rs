//! Where functions are in a file.
//!
//! In: an ELF file of 64 bits for this machine, and names. Out: offsets in the file, which is what
//! the kernel wants for a hook. Never: a panic, or more memory than the limits below, whatever the
//! file has in it.

use std::fs::File;

use object::elf::{PT_LOAD, STT_FUNC};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader, Sym, SymbolTable};
use object::{Endianness, ReadCache, ReadRef};

use super::library::{Functions, Span};

/// Names of a table that is looked through, at most: statically linked servers have up to 20 MB.
const NAME_BYTES_MAX: u64 = 64 << 20;

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
    let sections = elf.elf_section_table();
    // In one piece: asked for one by one, names would each be read and kept.
    let names = |table: &SymbolTable<'_, Header, _>| {
        let section = sections.section(table.string_section()).ok()?;
        let is_read = section.sh_size(endian) <= NAME_BYTES_MAX && !table.is_empty();
        is_read.then(|| section.data(endian, data).ok()).flatten()
    };
    let mut found = Functions::new();
    for table in [elf.elf_dynamic_symbol_table(), elf.elf_symbol_table()] {
        if found.is_empty()
            && let Some(names) = names(table)
        {
            collect(table, names, endian, wanted, &offset_of, &mut found);
        }
    }
    Ok(found)
}

fn collect<'data, R: ReadRef<'data>>(
    table: &SymbolTable<'data, Header, R>,
    names: &[u8],
    endian: Endianness,
    wanted: &[&'static str],
    offset_of: &dyn Fn(u64) -> Option<u64>,
    found: &mut Functions,
) {
    for symbol in table.iter() {
        // An indirect function is one that chooses another: its own address is of no use.
        if symbol.st_type() != STT_FUNC || symbol.is_undefined(endian) {
            continue;
        }
        let Some(rest) = names.get(symbol.st_name(endian) as usize..) else { continue };
        let is_it = |wanted: &&&'static str| {
            rest.starts_with(wanted.as_bytes()) && rest.get(wanted.len()) == Some(&0)
        };
        let Some(name) = wanted.iter().find(is_it) else { continue };
        if let Some(offset) = offset_of(symbol.st_value(endian)) {
            found.entry(name).or_insert(Span { offset, bytes: symbol.st_size(endian) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    fn own_program() -> Vec<u8> {
        std::fs::read("/proc/self/exe").expect("own program")
    }

    fn file_of(bytes: &[u8]) -> File {
        let name = format!("deepflow-elf-{}-{}", std::process::id(), bytes.len());
        let path = std::env::temp_dir().join(name);
        let mut file = File::options();
        let mut file =
            file.create(true).truncate(true).read(true).write(true).open(&path).expect("ours");
        std::fs::remove_file(&path).expect("ours");
        file.write_all(bytes).expect("written");
        file.seek(SeekFrom::Start(0)).expect("a file");
        file
    }

    #[test]
    fn a_function_is_found_where_the_code_is() {
        let file = File::open("/proc/self/exe").expect("own program");
        let found = functions(&file, &["main", "SSL_read"]).expect("ELF");
        assert_eq!(found.keys().collect::<Vec<_>>(), [&"main"]);
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let number = |text: &str| u64::from_str_radix(text, 16).expect("a number");
        let exe = std::env::current_exe().expect("a path");
        let is_code =
            maps.lines().filter(|line| line.ends_with(exe.to_str().expect("UTF-8"))).any(|line| {
                let mut words = line.split_whitespace();
                let (range, rights) =
                    (words.next().expect("a range"), words.next().expect("rights"));
                let (begin, end) = range.split_once('-').expect("two ends");
                let offset = number(words.next().expect("an offset"));
                let bytes = number(end) - number(begin);
                rights.contains('x') && (offset..offset + bytes).contains(&found["main"].offset)
            });
        assert!(is_code, "{found:?} {maps}");
    }

    #[test]
    fn what_is_no_program_is_an_error_and_damage_no_panic() {
        assert!(functions(&file_of(b""), &["SSL_read"]).is_err());
        assert!(functions(&file_of(&[0x7f; 4096]), &["SSL_read"]).is_err());
        let whole = own_program();
        // The header, section headers cut off, and every header field with other bits.
        let head = &whole[..4096.min(whole.len())];
        for at in 0..128 {
            let mut bytes = head.to_vec();
            bytes[at] ^= 0xff;
            let _ = functions(&file_of(&bytes), &["SSL_read"]);
        }
    }
}
