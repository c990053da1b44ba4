//! The version of Go that a program was built with: debug/buildinfo of its library.
//!
//! In: the section `.go.buildinfo`. Out: a version. Never: a version that the file does not name.

use super::image::Image;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Bytes of the header, after which newer versions have the texts themselves.
const HEADER_BYTES: usize = 32;
/// Bit of the flags: the texts stand in the section (from 1.18 on), else addresses of them.
const INLINE: u8 = 2;
const VERSION_BYTES_MAX: u64 = 256;

/// `1.19.8`; of a build between releases `1.27-devel` and what follows.
pub fn version(image: &Image<'_>) -> Option<String> {
    let section = image.build_info()?;
    let text = match inline_text(&section)? {
        Some(text) => text,
        None => text_at(image, u64_at(&section, 16)?)?,
    };
    of_text(&text)
}

/// The text in the section; `None` inside: it is elsewhere.
fn inline_text(section: &[u8]) -> Option<Option<Vec<u8>>> {
    if !section.starts_with(MAGIC) {
        return None;
    }
    if section.get(15)? & INLINE == 0 {
        // Addresses of eight bytes in the order of this machine.
        return (section.get(14..16)? == [8, 0]).then_some(None);
    }
    let (mut length, mut at) = (0u64, HEADER_BYTES);
    for shift in (0..63).step_by(7) {
        let byte = *section.get(at)?;
        at += 1;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let length = usize::try_from(length.min(VERSION_BYTES_MAX)).ok()?;
    Some(Some(section.get(at..at.checked_add(length)?)?.to_vec()))
}

/// The text whose address and length are at an address.
fn text_at(image: &Image<'_>, address: u64) -> Option<Vec<u8>> {
    let header = image.bytes(image.offset_of(address)?, 16)?;
    let length = u64_at(&header, 8)?.min(VERSION_BYTES_MAX);
    image.bytes(image.offset_of(u64_at(&header, 0)?)?, length)
}

/// The version in `go1.19.8`, `go1.22.1 X:boringcrypto`, `devel go1.20-1a2b3c Mon …`.
fn of_text(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let word = text.split_whitespace().find_map(|word| word.strip_prefix("go"))?;
    word.starts_with("1.").then(|| word.to_owned())
}

/// The second number of a version: 19 of `1.19.8`.
pub fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("1.")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(text: &[u8]) -> Vec<u8> {
        let mut section = MAGIC.to_vec();
        section.extend([8, INLINE]);
        section.resize(HEADER_BYTES, 0);
        section.push(u8::try_from(text.len()).expect("short"));
        section.extend(text);
        section
    }

    #[test]
    fn a_version_is_read() {
        let text = inline_text(&inline(b"go1.19.8")).flatten().expect("inline");
        assert_eq!(of_text(&text).as_deref(), Some("1.19.8"));
        assert_eq!(of_text(b"go1.22.1 X:boringcrypto").as_deref(), Some("1.22.1"));
        assert_eq!(of_text(b"devel go1.20-1a2b Mon").as_deref(), Some("1.20-1a2b"));
        assert_eq!(of_text(b"devel +1a2b"), None);
        assert_eq!(of_text(b"\xff"), None);
        assert_eq!(minor("1.19.8"), Some(19));
        assert_eq!(minor("1.27-devel"), Some(27));
        assert_eq!(minor("1."), None);
        assert_eq!(minor("2.0"), None);
    }

    #[test]
    fn damage_is_no_version_and_no_panic() {
        let whole = inline(b"go1.19.8");
        for end in 0..whole.len() {
            assert_eq!(inline_text(&whole[..end]).flatten(), None, "{end}");
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                let _ = inline_text(&bytes).flatten().map(|text| of_text(&text));
            }
        }
    }
}
