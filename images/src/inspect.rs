//! Holds a program to what every program that we ship must be.
//!
//! In: a program, its architecture and kind, words that may not stand in it. Out: nothing, or what
//! is wrong. Words are for paths of the machine that built it.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::description::Linkage;
use crate::elf;
use crate::target::Architecture;

/// Checks one program.
///
/// # Errors
/// What is wrong with it, with the text around a forbidden word.
pub fn program(
    path: &Path,
    linkage: Linkage,
    architecture: Architecture,
    without: &[String],
) -> Result<()> {
    let named = || format!("program {}", path.display());
    let file = File::open(path).with_context(named)?;
    elf::check(&file, linkage, architecture).with_context(named)?;
    let bytes = fs::read(path).with_context(named)?;
    for word in without {
        ensure!(!word.is_empty(), "an empty word stands everywhere");
        let found = bytes.windows(word.len()).position(|window| window == word.as_bytes());
        if let Some(at) = found {
            let is_text = |byte: &u8| (b' '..=b'~').contains(byte);
            let begin = bytes[..at].iter().rposition(|byte| !is_text(byte)).map_or(0, |at| at + 1);
            let length = bytes[at..].iter().take(120).take_while(|byte| is_text(byte)).count();
            let around =
                String::from_utf8_lossy(&bytes[begin.max(at.saturating_sub(80))..at + length]);
            anyhow::bail!("{}: a path of the build is in it: {around}", named());
        }
    }
    Ok(())
}
