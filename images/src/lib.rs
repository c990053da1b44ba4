//! Makes OCI images from files that are given, the same bytes on every machine.
//!
//! In: a description (`images/*.toml`), programs, `cargo metadata`, licence texts, the list of
//! locked tools. Out: one tar that is an OCI layout and docker's `manifest.json` at once. Never: the
//! network, the clock, the environment, anything of the file system but what was named.

pub mod archive;
pub mod assemble;
pub mod blob;
pub mod description;
pub mod elf;
pub mod inspect;
pub mod layer;
pub mod licences;
pub mod provenance;
pub mod read;
pub mod sbom;
pub mod target;
pub mod tools;
