//! The architectures that images are made for, and what each convention calls them.

use std::str::FromStr;

use anyhow::bail;

/// An architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// 64-bit ARM, little endian.
    Aarch64,
    /// 64-bit x86.
    X86_64,
}

impl Architecture {
    /// As Rust, Linux and Nix say.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }

    /// As Go and therefore OCI say (image-spec, config, `architecture`).
    #[must_use]
    pub const fn oci_name(self) -> &'static str {
        match self {
            Self::Aarch64 => "arm64",
            Self::X86_64 => "amd64",
        }
    }

    /// `e_machine` of its ELF files (gABI: `EM_AARCH64`, `EM_X86_64`).
    #[must_use]
    pub const fn elf_machine(self) -> u16 {
        match self {
            Self::Aarch64 => 183,
            Self::X86_64 => 62,
        }
    }

    /// The architecture that OCI calls so.
    #[must_use]
    pub fn from_oci_name(name: &str) -> Option<Self> {
        [Self::Aarch64, Self::X86_64].into_iter().find(|one| one.oci_name() == name)
    }
}

impl FromStr for Architecture {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> anyhow::Result<Self> {
        match word {
            "aarch64" => Ok(Self::Aarch64),
            "x86_64" => Ok(Self::X86_64),
            _ => bail!("{word:?} is no architecture: aarch64 or x86_64"),
        }
    }
}
