//! Puts offsets of kernel fields, and settings, into an object of a tier without BTF.
//!
//! In: an object whose reads of kernel structures carry CO-RE relocations, and where the fields are.
//! Out: the same object with those places as constants, and without BTF, which old kernels refuse.
//! Never: an access to a required field that stays as the build machine had it.
//!
//! Formats: Documentation/bpf/btf.rst and Documentation/bpf/llvm_reloc.rst of the kernel.

use std::collections::BTreeMap;

/// Where a field is, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Bytes from the start of its structure; for a setting, its value.
    pub offset: u32,
    /// Its size, 0 where nobody asks.
    pub bytes: u32,
}

/// Fields by structure and name. A structure's name with a suffix `___x` is tried first with it,
/// then without.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offsets(BTreeMap<(&'static str, &'static str), Place>);

impl Offsets {
    /// Adds a field.
    pub fn set(&mut self, structure: &'static str, field: &'static str, offset: usize) {
        self.set_sized(structure, field, offset, 0);
    }

    /// Adds a field whose size the programs ask for.
    pub fn set_sized(
        &mut self,
        structure: &'static str,
        field: &'static str,
        offset: usize,
        bytes: u32,
    ) {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        self.0.insert((structure, field), Place { offset, bytes });
    }

    /// Looks a field up.
    #[must_use]
    pub fn get(&self, structure: &str, field: &str) -> Option<Place> {
        let find = |structure: &str| {
            let known = self.0.iter().find(|((s, f), _)| *s == structure && *f == field);
            known.map(|(_, place)| *place)
        };
        find(structure).or_else(|| find(structure.split("___").next().unwrap_or(structure)))
    }
}

/// What a relocation asks for (enum bpf_core_relo_kind).
const FIELD_OFFSET: u32 = 0;
const FIELD_BYTES: u32 = 1;
const FIELD_EXISTS: u32 = 2;

/// Returns the object with every relocation carried out. A field that is not known reads as absent
/// (`FIELD_EXISTS` gives 0); the programs guard each such access, those in `required` need none.
pub fn relocate(
    object: &[u8],
    offsets: &Offsets,
    required: &[(&str, &str)],
) -> Result<Vec<u8>, String> {
    for (structure, field) in required {
        if offsets.get(structure, field).is_none() {
            return Err(format!("the place of {structure}.{field} is not known"));
        }
    }
    let mut bytes = object.to_vec();
    let elf = Elf(object);
    let btf = Btf::of(elf.section(".BTF").ok_or("the object has no BTF")?)?;
    let ext = elf.section(".BTF.ext").ok_or("the object has no .BTF.ext")?;
    for relocation in relocations(ext, &btf)? {
        let section = elf.range(&relocation.section).ok_or("a relocation of no section")?;
        let value = relocation.value(&btf, offsets)?;
        patch(&mut bytes, section.0 + relocation.instruction, value)?;
    }
    for name in [".BTF.ext", ".BTF"] {
        elf.hide(name, &mut bytes);
    }
    Ok(bytes)
}

/// Writes a constant into an instruction.
fn patch(bytes: &mut [u8], at: usize, value: u32) -> Result<(), String> {
    let instruction = bytes.get_mut(at..at + 8).ok_or("a relocation outside of the object")?;
    let class = instruction[0] & 7;
    match class {
        // ALU, ALU64, and the load of a 64-bit constant: the immediate value.
        4 | 7 => instruction[4..8].copy_from_slice(&value.to_le_bytes()),
        0 if instruction[0] == 0x18 => instruction[4..8].copy_from_slice(&value.to_le_bytes()),
        // Loads and stores: the offset.
        1..=3 => {
            let offset = i16::try_from(value).map_err(|_| "an offset above 32767")?;
            instruction[2..4].copy_from_slice(&offset.to_le_bytes());
        }
        _ => return Err(format!("a relocation of an instruction of class {class}")),
    }
    Ok(())
}

struct Relocation {
    section: String,
    instruction: usize,
    type_id: u32,
    access: String,
    kind: u32,
}

impl Relocation {
    fn value(&self, btf: &Btf, offsets: &Offsets) -> Result<u32, String> {
        let path = btf.path(self.type_id, &self.access)?;
        let places: Vec<Option<Place>> =
            path.iter().map(|(structure, field)| offsets.get(structure, field)).collect();
        let whole: Option<Vec<Place>> = places.into_iter().collect();
        Ok(match (self.kind, whole) {
            (FIELD_OFFSET, Some(places)) => places.iter().map(|place| place.offset).sum(),
            (FIELD_BYTES, Some(places)) => places.last().map_or(0, |place| place.bytes),
            (FIELD_EXISTS, whole) => u32::from(whole.is_some()),
            (FIELD_OFFSET | FIELD_BYTES, None) => 0,
            (kind, _) => return Err(format!("a relocation of kind {kind}")),
        })
    }
}

fn relocations(ext: &[u8], btf: &Btf) -> Result<Vec<Relocation>, String> {
    let short = "the object's .BTF.ext is too short";
    let word = |at: usize| u32_at(ext, at).map(|word| word as usize).ok_or(short);
    let start = word(4)? + word(24)?;
    let end = start + word(28)?;
    if start == end {
        return Ok(Vec::new());
    }
    let record_bytes = word(start)?;
    let mut at = start + 4;
    let mut found = Vec::new();
    while at + 8 <= end {
        let section = btf.text(u32_at(ext, at).ok_or(short)?)?;
        let count = word(at + 4)?;
        at += 8;
        for _ in 0..count {
            found.push(Relocation {
                section: section.clone(),
                instruction: word(at)?,
                type_id: u32_at(ext, at + 4).ok_or(short)?,
                access: btf.text(u32_at(ext, at + 8).ok_or(short)?)?,
                kind: u32_at(ext, at + 12).ok_or(short)?,
            });
            at += record_bytes;
        }
    }
    Ok(found)
}

/// Structures of the object's BTF, and what leads to them.
struct Btf {
    types: Vec<Type>,
    strings: Vec<u8>,
}

#[derive(Clone, Default)]
struct Type {
    name: u32,
    /// The type that this one is a name, a qualifier or an array of.
    of: Option<u32>,
    /// Name and type of each member.
    members: Vec<(u32, u32)>,
    is_array: bool,
}

impl Btf {
    fn of(bytes: &[u8]) -> Result<Self, String> {
        let short = "the object's BTF is too short";
        let word = |at: usize| u32_at(bytes, at).ok_or(short);
        let header = word(4)? as usize;
        let types = header + word(8)? as usize;
        let types_end = types + word(12)? as usize;
        let strings = header + word(16)? as usize;
        let strings = bytes.get(strings..strings + word(20)? as usize).ok_or(short)?.to_vec();
        let mut found = vec![Type::default()];
        let mut at = types;
        while at + 12 <= types_end {
            let info = word(at + 4)?;
            let (kind, count) = (info >> 24 & 31, (info & 0xffff) as usize);
            let mut one = Type { name: word(at)?, ..Type::default() };
            let more = match kind {
                1 | 14 | 17 => 4,
                3 => {
                    one.of = Some(word(at + 12)?);
                    one.is_array = true;
                    12
                }
                4 | 5 => {
                    for member in 0..count {
                        let at = at + 12 + member * 12;
                        one.members.push((word(at)?, word(at + 4)?));
                    }
                    count * 12
                }
                6 | 13 => count * 8,
                15 | 19 => count * 12,
                8..=11 | 18 => {
                    one.of = Some(word(at + 8)?);
                    0
                }
                _ => 0,
            };
            found.push(one);
            at += 12 + more;
        }
        Ok(Self { types: found, strings })
    }

    fn text(&self, at: u32) -> Result<String, String> {
        let rest = self.strings.get(at as usize..).ok_or("a name outside of the object's BTF")?;
        let bytes = rest.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// The type without names and qualifiers around it.
    fn plain(&self, mut id: u32) -> Result<&Type, String> {
        for _ in 0..16 {
            let one = self.types.get(id as usize).ok_or("a type outside of the object's BTF")?;
            match one.of {
                Some(of) if !one.is_array => id = of,
                _ => return Ok(one),
            }
        }
        Err("a type of too many names".to_owned())
    }

    /// Structure and field of each step of an access such as "0:2:1".
    fn path(&self, type_id: u32, access: &str) -> Result<Vec<(String, String)>, String> {
        let mut path = Vec::new();
        let mut at = self.plain(type_id)?;
        for step in access.split(':').skip(1) {
            let step: usize = step.parse().map_err(|_| format!("an access {access:?}"))?;
            if at.is_array {
                return Err(format!("an access {access:?} into an array"));
            }
            let &(name, of) = at.members.get(step).ok_or("an access to no member")?;
            path.push((self.text(at.name)?, self.text(name)?));
            at = self.plain(of)?;
        }
        Ok(path)
    }
}

/// An ELF file of 64 bits, little endian.
pub(super) struct Elf<'a>(pub(super) &'a [u8]);

impl<'a> Elf<'a> {
    /// Offset of the header of each section.
    fn headers(&self) -> Option<impl Iterator<Item = usize> + use<>> {
        let start = usize::try_from(u64_at(self.0, 0x28)?).ok()?;
        let bytes = usize::from(u16_at(self.0, 0x3a)?);
        let count = usize::from(u16_at(self.0, 0x3c)?);
        Some((0..count).map(move |n| start + n * bytes))
    }

    /// Place in the file of the name of the section with this header.
    fn name_at(&self, header: usize) -> Option<usize> {
        let names = self.headers()?.nth(usize::from(u16_at(self.0, 0x3e)?))?;
        let names = usize::try_from(u64_at(self.0, names + 24)?).ok()?;
        Some(names + u32_at(self.0, header)? as usize)
    }

    fn header(&self, name: &str) -> Option<usize> {
        self.headers()?.find(|&header| {
            let at = self.name_at(header).and_then(|at| self.0.get(at..));
            at.is_some_and(|rest| {
                rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
            })
        })
    }

    /// Offset and length of a section's bytes.
    fn range(&self, name: &str) -> Option<(usize, usize)> {
        let header = self.header(name)?;
        let offset = usize::try_from(u64_at(self.0, header + 24)?).ok()?;
        Some((offset, usize::try_from(u64_at(self.0, header + 32)?).ok()?))
    }

    /// A section's bytes.
    pub(super) fn section(&self, name: &str) -> Option<&'a [u8]> {
        let (offset, bytes) = self.range(name)?;
        self.0.get(offset..offset.checked_add(bytes)?)
    }

    /// Name and bytes of each section with code in it.
    #[cfg(test)]
    pub(super) fn programs(&self) -> Vec<(&'a str, &'a [u8])> {
        const PROGBITS: u32 = 1;
        const EXECINSTR: u64 = 4;
        let code = self.headers().into_iter().flatten().filter(|&header| {
            u32_at(self.0, header + 4) == Some(PROGBITS)
                && u64_at(self.0, header + 8).is_some_and(|flags| flags & EXECINSTR != 0)
        });
        let named = code.filter_map(|header| {
            let rest = self.0.get(self.name_at(header)?..)?;
            std::str::from_utf8(rest.split(|&byte| byte == 0).next()?).ok()
        });
        let whole = named.filter_map(|name| Some((name, self.section(name)?)));
        whole.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    /// Gives a section a name that nobody looks for.
    fn hide(&self, name: &str, bytes: &mut [u8]) {
        if let Some(at) = self.header(name).and_then(|header| self.name_at(header)) {
            bytes[at] = b'_';
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}
