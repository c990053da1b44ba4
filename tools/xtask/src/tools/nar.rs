//! Digests of files, and of folders as Nix archives (NAR), which `nix-hash --type sha256` gives too.
//!
//! In: a path. Out: sha256 in hexadecimal. A folder's digest covers names, bytes, links and which
//! files can be run; never times, owners or other permissions. Archive format: the thesis "The
//! Purely Functional Software Deployment Model" (E. Dolstra, 2006), figure 5.2.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// Of a file's bytes.
pub fn of_file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    feed(&mut hash, path)?;
    Ok(hex(hash))
}

/// Of bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// Of a folder, or of a file as an archive of one.
pub fn of_folder(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    word(&mut hash, b"nix-archive-1");
    node(&mut hash, path)?;
    Ok(hex(hash))
}

fn node(hash: &mut Sha256, path: &Path) -> Result<()> {
    let facts = fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
    word(hash, b"(");
    word(hash, b"type");
    if facts.is_symlink() {
        word(hash, b"symlink");
        word(hash, b"target");
        word(hash, fs::read_link(path)?.as_os_str().as_encoded_bytes());
    } else if facts.is_dir() {
        word(hash, b"directory");
        let mut names: Vec<_> =
            fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
        names.sort();
        for name in names {
            for part in [&b"entry"[..], b"(", b"name", name.as_encoded_bytes(), b"node"] {
                word(hash, part);
            }
            node(hash, &path.join(&name))?;
            word(hash, b")");
        }
    } else if facts.is_file() {
        word(hash, b"regular");
        if facts.permissions().mode() & 0o100 != 0 {
            word(hash, b"executable");
            word(hash, b"");
        }
        word(hash, b"contents");
        hash.update(facts.len().to_le_bytes());
        feed(hash, path)?;
        pad(hash, facts.len());
    } else {
        bail!("{} is neither file, folder nor link", path.display());
    }
    word(hash, b")");
    Ok(())
}

fn feed(hash: &mut Sha256, path: &Path) -> Result<()> {
    let mut file = fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        hash.update(&buffer[..length]);
    }
}

/// A text of the archive: its length in eight bytes, itself, zeros up to a multiple of eight.
fn word(hash: &mut Sha256, text: &[u8]) {
    let length = text.len() as u64;
    hash.update(length.to_le_bytes());
    hash.update(text);
    pad(hash, length);
}

fn pad(hash: &mut Sha256, length: u64) {
    let rest = (length % 8) as usize;
    if rest != 0 {
        hash.update(&[0; 8][rest..]);
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: `nix-hash --type sha256` of Nix 2.8 on the same folder.
    #[test]
    fn a_folder_has_the_digest_that_nix_gives_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tree");
        fs::create_dir_all(path.join("b")).expect("made");
        fs::write(path.join("a"), "text\n").expect("written");
        fs::write(path.join("b/run"), "#!/bin/sh\n").expect("written");
        fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o600)).expect("a mode");
        fs::set_permissions(path.join("b/run"), fs::Permissions::from_mode(0o755)).expect("a mode");
        std::os::unix::fs::symlink("../a", path.join("b/link")).expect("a link");
        let told = of_folder(&path).expect("a digest");
        assert_eq!(told, "29bc644a2facd4b4a106784aa18fabf94b16b9581ce9d203939883b2c997e4af");
        fs::write(path.join("a"), "test\n").expect("written");
        assert_ne!(of_folder(&path).expect("a digest"), told);
    }

    #[test]
    fn bytes_and_files_have_the_digest_of_sha256sum() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), known);
    }
}
