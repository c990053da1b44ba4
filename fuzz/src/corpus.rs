//! Corpora: inputs that reach what others do not, one compressed file a target.
//!
//! In: `corpus/<target>.zst` of this folder. Out: its inputs, and back. The file is small and
//! stable: inputs sorted and without repeats, so that a run that finds nothing changes nothing.
//!
//! ```text
//! file := zstd of input*      input := [length: u32 le][bytes: length]
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Bytes of an unpacked corpus at most.
const UNPACKED_BYTES_MAX: usize = 64 << 20;
const LEVEL: i32 = 19;

/// Where the corpus of a target lies.
pub fn path(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{target}.zst"))
}

/// The inputs of a target; none where it has no corpus yet.
///
/// # Errors
/// When there is a file that cannot be read.
pub fn load(target: &str) -> Result<Vec<Vec<u8>>> {
    let path = path(target);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let packed = std::fs::read(&path).with_context(|| path.display().to_string())?;
    unpack(&packed).with_context(|| path.display().to_string())
}

/// Inputs from a file's bytes.
///
/// # Errors
/// When the bytes are damaged.
pub fn unpack(packed: &[u8]) -> Result<Vec<Vec<u8>>> {
    let all = zstd::bulk::decompress(packed, UNPACKED_BYTES_MAX)?;
    let (mut rest, mut inputs) = (all.as_slice(), Vec::new());
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (input, after) = tail.split_at_checked(length).context("an input ends early")?;
        inputs.push(input.to_vec());
        rest = after;
    }
    ensure!(rest.is_empty(), "bytes after the last input");
    Ok(inputs)
}

/// A file's bytes from inputs.
///
/// # Errors
/// When zstd has no memory.
pub fn pack(mut inputs: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    // By size first: short inputs that resemble each other lie together, and compress well.
    inputs.sort_unstable_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    inputs.dedup();
    let mut all = Vec::new();
    for input in &inputs {
        all.extend((input.len() as u32).to_le_bytes());
        all.extend_from_slice(input);
    }
    Ok(zstd::bulk::compress(&all, LEVEL)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_back_sorted_and_once() {
        let inputs = vec![b"longer".to_vec(), b"b".to_vec(), Vec::new(), b"a".to_vec()];
        let packed = pack([inputs.clone(), inputs].concat()).unwrap();
        let texts: Vec<Vec<u8>> = unpack(&packed).unwrap();
        assert_eq!(texts, [b"".as_slice(), b"a", b"b", b"longer"]);
        assert!(unpack(&packed[..packed.len() - 1]).is_err());
    }
}
