//! Machine code of a function of Go: how it is called, and where it returns.
//!
//! In: the bytes of one function. Out: offsets of the instructions by which it returns. Never: an
//! offset in the middle of an instruction: the kernel would write there.

use super::build_info::minor;

/// How arguments are passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// In registers: from Go 1.17 on, on arm64 from 1.18 on.
    Registers,
    /// In the stack.
    Stack,
}

/// Bytes in which a function shows what it is.
pub const BEGIN_BYTES: u64 = 24;

/// Whether code begins as a function of Go: by a look at how much stack there is.
pub fn begins_function(code: &[u8]) -> bool {
    begin_of_x86_64(code).is_some() && cfg!(target_arch = "x86_64")
        || begins_on_aarch64(code) && cfg!(target_arch = "aarch64")
}

/// How a function is called; `None`: it is none that could be hooked. On x86_64 the code itself says
/// so, on aarch64 the version.
pub fn convention(code: &[u8], version: Option<&str>) -> Option<Convention> {
    if cfg!(target_arch = "x86_64") {
        return begin_of_x86_64(code);
    }
    let minor = version.and_then(minor).filter(|_| begins_on_aarch64(code))?;
    Some(if minor >= 18 { Convention::Registers } else { Convention::Stack })
}

/// The goroutine is in R14 (`cmp 0x10(%r14),%rsp`, where the frame is large behind
/// `lea -N(%rsp),%r12`), or is taken from `%fs:-8`.
fn begin_of_x86_64(code: &[u8]) -> Option<Convention> {
    const COMPARE: [u8; 4] = [0x49, 0x3b, 0x66, 0x10];
    const COMPARE_R12: [u8; 4] = [0x4d, 0x3b, 0x66, 0x10];
    const FROM_FS: [u8; 9] = [0x64, 0x48, 0x8b, 0x0c, 0x25, 0xf8, 0xff, 0xff, 0xff];
    let large = match code {
        [0x4c, 0x8d, 0x64, 0x24, _, rest @ ..] => Some(rest),
        [0x4c, 0x8d, 0xa4, 0x24, _, _, _, _, rest @ ..] => Some(rest),
        _ => None,
    };
    if code.starts_with(&COMPARE) || large.is_some_and(|rest| rest.starts_with(&COMPARE_R12)) {
        return Some(Convention::Registers);
    }
    code.starts_with(&FROM_FS).then_some(Convention::Stack)
}

/// `ldr x16, [x28, #16]`.
fn begins_on_aarch64(code: &[u8]) -> bool {
    code.starts_with(&0xf940_0b90u32.to_le_bytes())
}

/// Offsets of the instructions by which a function returns. The error says what is wrong with it.
pub fn returns(code: &[u8]) -> Result<Vec<usize>, String> {
    #[cfg(target_arch = "x86_64")]
    let found = returns_on_x86_64(code)?;
    #[cfg(not(target_arch = "x86_64"))]
    let found = returns_on_aarch64(code)?;
    if found.is_empty() {
        return Err("never returns".into());
    }
    Ok(found)
}

#[cfg(target_arch = "x86_64")]
fn returns_on_x86_64(code: &[u8]) -> Result<Vec<usize>, String> {
    use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
    let mut found = Vec::new();
    for instruction in &mut Decoder::with_ip(64, code, 0, DecoderOptions::NONE) {
        let at = instruction.ip();
        if instruction.is_invalid() {
            return Err(format!("has no instruction at {at}"));
        }
        let target = match instruction.op0_kind() {
            OpKind::NearBranch64 => Some(instruction.near_branch64()),
            _ => None,
        };
        let is_left = target.is_some_and(|target| target >= code.len() as u64);
        match instruction.mnemonic() {
            Mnemonic::Ret => found.push(usize::try_from(at).unwrap_or(usize::MAX)),
            Mnemonic::Call => {}
            _ if is_left => return Err(format!("is left by a jump at {at}")),
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn returns_on_aarch64(code: &[u8]) -> Result<Vec<usize>, String> {
    let mut found = Vec::new();
    let (words, rest) = code.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("ends in the middle of an instruction".into());
    }
    for (n, word) in words.iter().enumerate() {
        let word = u32::from_le_bytes(*word);
        if word & 0xffff_fc1f == 0xd65f_0000 {
            found.push(n * 4);
        }
        // B with 26 bits of signed distance in words.
        if word & 0xfc00_0000 == 0x1400_0000 {
            let distance = i64::from((word << 6).cast_signed() >> 6);
            let target = i64::try_from(n).unwrap_or(i64::MAX).saturating_add(distance);
            if usize::try_from(target).map_or(true, |target| target >= words.len()) {
                return Err(format!("is left by a jump at {}", n * 4));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_says_how_it_is_called() {
        for (code, convention) in [
            (&[0x49, 0x3b, 0x66, 0x10, 0x0f, 0x86][..], Some(Convention::Registers)),
            (&[0x4c, 0x8d, 0x64, 0x24, 0xf8, 0x4d, 0x3b, 0x66, 0x10], Some(Convention::Registers)),
            (
                &[0x4c, 0x8d, 0xa4, 0x24, 0, 0xff, 0xff, 0xff, 0x4d, 0x3b, 0x66, 0x10],
                Some(Convention::Registers),
            ),
            (&[0x64, 0x48, 0x8b, 0x0c, 0x25, 0xf8, 0xff, 0xff, 0xff], Some(Convention::Stack)),
            (&[0x64, 0x48, 0x8b, 0x0c, 0x25, 0xf0, 0xff, 0xff, 0xff], None),
            (&[0x55, 0x48, 0x89, 0xe5], None),
            (&[], None),
        ] {
            assert_eq!(begin_of_x86_64(code), convention, "{code:x?}");
        }
        assert!(begins_on_aarch64(&[0x90, 0x0b, 0x40, 0xf9]));
        assert!(!begins_on_aarch64(&[0x90, 0x0b, 0x40]));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn returns_of_x86_64_are_instructions() {
        // mov $0xc3,%eax; jne +1; ret; add $8,%rsp; ret $8; int3
        let code =
            [0xb8, 0xc3, 0, 0, 0, 0x75, 0x01, 0xc3, 0x48, 0x83, 0xc4, 0x08, 0xc2, 8, 0, 0xcc];
        assert_eq!(returns(&code), Ok(vec![7, 12]));
        assert_eq!(returns(&[0x90]), Err("never returns".into()));
        assert_eq!(returns(&[0xc3, 0xeb, 0x10]), Err("is left by a jump at 1".into()));
        assert_eq!(returns(&[0xc3, 0xe8, 0, 1, 0, 0]), Ok(vec![0]), "a call comes back");
        assert!(returns(&[0xc3, 0x06]).is_err(), "not of 64 bits");
        for end in 0..code.len() {
            let _ = returns(&code[..end]);
        }
    }

    #[test]
    fn returns_of_aarch64_are_words() {
        let code = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let code: Vec<u8> = code(&[0xd503_201f, 0xd65f_03c0, 0x17ff_ffff, 0xd65f_03c0]);
        assert_eq!(returns_on_aarch64(&code), Ok(vec![4, 12]));
        assert!(returns_on_aarch64(&code[..7]).is_err());
        let away: Vec<u8> =
            [0x1400_0001u32, 0x17ff_fffe].iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(returns_on_aarch64(&away), Err("is left by a jump at 4".into()));
    }
}
