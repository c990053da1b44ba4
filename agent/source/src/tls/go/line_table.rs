//! The table of functions that every program of Go carries for its own stack traces, also if its
//! symbols were stripped.
//!
//! In: the section `.gopclntab`. Out: where functions begin and end. Never: a panic; a look beyond
//! the section. Formats: debug/gosym/pclntab.go and runtime/symtab.go of Go's library.

use std::collections::BTreeMap;

/// What addresses in the table count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// They are addresses (before Go 1.18).
    Absolute,
    /// The begin of Go's code, if the table tells it.
    Text(Option<u64>),
}

/// A table.
#[derive(Debug)]
pub struct Table<'a> {
    bytes: &'a [u8],
    base: Base,
    functions: u64,
    /// Where names begin.
    names: usize,
    /// Where the list of functions begins, and what its references count from.
    list: usize,
    references: usize,
}

/// The magic numbers of Go 1.2, 1.16, 1.18 and 1.20.
const MAGIC_2: u32 = 0xffff_fffb;
const MAGIC_16: u32 = 0xffff_fffa;
const MAGIC_18: u32 = 0xffff_fff0;
const MAGIC_20: u32 = 0xffff_fff1;

impl<'a> Table<'a> {
    /// Finds it in a section and reads its header.
    pub fn find(section: &'a [u8]) -> Result<Self, String> {
        let begin = (0..section.len()).step_by(8).find(|at| is_header(&section[*at..]));
        Self::parse(&section[begin.unwrap_or(0)..])
    }

    /// Reads the header.
    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let cut = || "its table of functions is cut off".to_owned();
        let magic = u32_at(bytes, 0).ok_or_else(cut)?;
        if bytes.get(7) != Some(&8) {
            return Err("its table of functions is not one of 64 bits".into());
        }
        let word = |n: usize| u64_at(bytes, 8 + n * 8).ok_or_else(cut);
        let place = |n: usize| word(n).map(|word| usize::try_from(word).unwrap_or(usize::MAX));
        let functions = word(0)?;
        let (base, names, list, references) = match magic {
            MAGIC_2 => (Base::Absolute, 0, 16, 0),
            MAGIC_16 => (Base::Absolute, place(2)?, place(6)?, place(6)?),
            MAGIC_18 | MAGIC_20 => {
                let text = Some(word(2)?).filter(|begin| *begin != 0);
                (Base::Text(text), place(3)?, place(7)?, place(7)?)
            }
            _ => {
                return Err(format!(
                    "the format {magic:#x} of its table of functions is not known"
                ));
            }
        };
        Ok(Self { bytes, base, functions, names, list, references })
    }

    /// What the places of functions count from.
    pub fn base(&self) -> Base {
        self.base
    }

    /// Begin and end of those functions of `wanted` that there are, from the base on.
    pub fn functions(&self, wanted: &[&'static str]) -> BTreeMap<&'static str, (u64, u64)> {
        let mut found = BTreeMap::new();
        for n in 0..usize::try_from(self.functions).unwrap_or(usize::MAX) {
            let (Some((begin, reference)), Some((end, _))) = (self.entry(n), self.entry(n + 1))
            else {
                break;
            };
            let Some(rest) = self.name(reference) else { continue };
            let is_it = |name: &&&'static str| {
                rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&0)
            };
            if let Some(name) = wanted.iter().find(is_it).filter(|_| begin < end) {
                found.entry(*name).or_insert((begin, end));
                if found.len() == wanted.len() {
                    break;
                }
            }
        }
        found
    }

    /// The function of that number: where it begins, and a reference to what is known of it. Behind
    /// the last one is one more that only tells its end.
    fn entry(&self, n: usize) -> Option<(u64, usize)> {
        let bytes = if self.base == Base::Absolute { 16 } else { 8 };
        let at = self.list.checked_add(n.checked_mul(bytes)?)?;
        if self.base == Base::Absolute {
            let reference = u64_at(self.bytes, at.checked_add(8)?).unwrap_or(u64::MAX);
            return Some((u64_at(self.bytes, at)?, usize::try_from(reference).ok()?));
        }
        let reference = u32_at(self.bytes, at.checked_add(4)?).unwrap_or(u32::MAX);
        Some((u32_at(self.bytes, at)?.into(), reference as usize))
    }

    /// The name of a function, and what follows it.
    fn name(&self, reference: usize) -> Option<&'a [u8]> {
        // The function's begin stands before the place of its name.
        let begin = if self.base == Base::Absolute { 8 } else { 4 };
        let at = self.references.checked_add(reference)?.checked_add(begin)?;
        let name = usize::try_from(u32_at(self.bytes, at)?.cast_signed()).ok()?;
        self.bytes.get(self.names.checked_add(name)?..)
    }
}

/// Whether a table begins here: magic number, two zeros, the granularity of code, 64 bits.
fn is_header(bytes: &[u8]) -> bool {
    let magic = u32_at(bytes, 0).unwrap_or(0);
    [MAGIC_2, MAGIC_16, MAGIC_18, MAGIC_20].contains(&magic)
        && matches!(bytes.get(4..8), Some([0, 0, 1 | 4, 8]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[u8] = b"a.F\0a.FG\0b.H\0";
    const WANTED: [&str; 2] = ["a.FG", "b.H"];

    fn words(table: &mut Vec<u8>, words: &[u64]) {
        table.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// Three functions at 0x10, 0x30 and 0x40, of which the last ends at 0x48.
    fn table(magic: u32) -> Vec<u8> {
        let mut table = magic.to_le_bytes().to_vec();
        table.extend([0, 0, 1, 8]);
        let begins = [0x10u32, 0x30, 0x40, 0x48];
        let (wide, head) = match magic {
            MAGIC_2 => (true, 16),
            MAGIC_16 => (true, 64),
            _ => (false, 72),
        };
        let step = if wide { 16 } else { 8 };
        let list_bytes = 3 * step + step / 2;
        let function_bytes = if wide { 16 } else { 8 };
        let names = head + list_bytes + 3 * function_bytes;
        match magic {
            MAGIC_2 => words(&mut table, &[3]),
            MAGIC_16 => words(&mut table, &[3, 0, names, 0, 0, 0, head]),
            _ => words(&mut table, &[3, 0, 0x1000, names, 0, 0, 0, head]),
        }
        let from = if magic == MAGIC_2 { head } else { 0 };
        for (n, begin) in begins.iter().enumerate() {
            let reference = from + list_bytes + n as u64 * function_bytes;
            match wide {
                true => words(&mut table, &[u64::from(*begin)]),
                false => table.extend(begin.to_le_bytes()),
            }
            match (n < 3, wide) {
                (true, true) => words(&mut table, &[reference]),
                (true, false) => table.extend((reference as u32).to_le_bytes()),
                (false, _) => {}
            }
        }
        for (begin, name) in begins.iter().zip([0u32, 4, 9]) {
            let name = if magic == MAGIC_2 { name + names as u32 } else { name };
            match wide {
                true => words(&mut table, &[u64::from(*begin), u64::from(name)]),
                false => table.extend([begin.to_le_bytes(), name.to_le_bytes()].concat()),
            }
        }
        table.extend(NAMES);
        table
    }

    #[test]
    fn functions_are_found_in_every_format() {
        for magic in [MAGIC_2, MAGIC_16, MAGIC_18, MAGIC_20] {
            let bytes = table(magic);
            let table = Table::parse(&bytes).expect("a table");
            let found = table.functions(&WANTED);
            let wanted = [("a.FG", (0x30, 0x40)), ("b.H", (0x40, 0x48))];
            assert_eq!(found, wanted.into(), "{magic:#x}");
            let base = match magic {
                MAGIC_2 | MAGIC_16 => Base::Absolute,
                _ => Base::Text(Some(0x1000)),
            };
            assert_eq!(table.base(), base);
            let among = [&[0xfb, 0xff, 0xff, 0xff, 1, 2, 3, 4][..], &bytes].concat();
            let table = Table::find(&among).expect("a table");
            assert_eq!(table.functions(&WANTED).len(), 2, "{magic:#x}: among other things");
        }
    }

    #[test]
    fn damage_is_no_panic() {
        for magic in [MAGIC_2, MAGIC_16, MAGIC_18, MAGIC_20] {
            let whole = table(magic);
            for end in 0..whole.len() {
                let _ = Table::parse(&whole[..end]).map(|table| table.functions(&WANTED));
            }
            for at in 0..whole.len() {
                for byte in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[at] = byte;
                    let _ = Table::parse(&bytes).map(|table| table.functions(&WANTED));
                }
            }
        }
        assert!(Table::parse(&[0; 100]).is_err());
        assert!(Table::find(&[0; 100]).is_err());
        assert!(Table::find(&[]).is_err());
    }
}
