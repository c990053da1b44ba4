//! An OCI layout and docker's `manifest.json` in one tar.
//!
//! In: images of one name and version, one for each architecture. Out: a file whose bytes depend on
//! them alone (image-spec v1.1, `image-layout.md`). One architecture: the index leads to its
//! manifest. Several: it leads to an index of them, which a registry takes as one image.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tar::{Builder, EntryType};
use tempfile::NamedTempFile;

use crate::blob::Blob;
use crate::layer::header;
use crate::target::Architecture;

/// Media types (image-spec, `media-types.md`).
pub mod media_type {
    /// Index of manifests.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Manifest of an image.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// Configuration of an image.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
}

/// Tag of a manifest in the outermost index.
pub const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// An image for one architecture.
#[derive(Debug)]
pub struct Image {
    /// Architecture.
    pub architecture: Architecture,
    /// Manifest.
    pub manifest: Blob,
    /// Configuration.
    pub config: Blob,
    /// Layers, the lowest first.
    pub layers: Vec<Blob>,
}

impl Image {
    /// An image of a configuration and its layers.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(architecture: Architecture, config: Blob, layers: Vec<Blob>) -> Result<Self> {
        let descriptors = layers.iter().map(|layer| layer.descriptor(media_type::LAYER));
        let manifest = Blob::of_json(&json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "config": config.descriptor(media_type::CONFIG),
            "layers": descriptors.collect::<Vec<_>>(),
        }))?;
        Ok(Self { architecture, manifest, config, layers })
    }

    fn descriptor(&self) -> Value {
        let mut descriptor = self.manifest.descriptor(media_type::MANIFEST);
        descriptor["platform"] =
            json!({ "architecture": self.architecture.oci_name(), "os": "linux" });
        descriptor
    }
}

/// What an archive is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Repository.
    pub repository: String,
    /// Tag.
    pub tag: String,
}

/// Writes an archive. The file is there whole or not at all.
///
/// # Errors
/// No image, an architecture twice, or the disk.
pub fn write(output: &Path, name: &Name, mut images: Vec<Image>) -> Result<()> {
    images.sort_by_key(|image| image.architecture);
    ensure!(!images.is_empty(), "no image to write");
    let is_twice = images.windows(2).any(|pair| pair[0].architecture == pair[1].architecture);
    ensure!(!is_twice, "two images for one architecture");

    let index = (images.len() > 1).then(|| index_of(&images)).transpose()?;
    let mut top = match &index {
        Some(index) => index.descriptor(media_type::INDEX),
        None => images[0].descriptor(),
    };
    top["annotations"] = json!({ REFERENCE: name.tag });
    let top = index_json(&[top]);
    let documents = [
        ("index.json", top.to_string()),
        ("manifest.json", docker_manifest(name, &images).to_string()),
        ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string()),
    ];
    let parts =
        images.iter().flat_map(|image| image.layers.iter().chain([&image.config, &image.manifest]));
    let blobs: BTreeMap<String, &Blob> =
        parts.chain(index.as_ref()).map(|blob| (blob.path(), blob)).collect();

    let folder = match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let named = || format!("cannot write {}", output.display());
    let mut file = NamedTempFile::new_in(folder).with_context(named)?;
    write_tar(file.as_file_mut(), &blobs, &documents).with_context(named)?;
    file.as_file().set_permissions(Permissions::from_mode(0o644)).with_context(named)?;
    file.persist(output).with_context(named)?;
    Ok(())
}

fn write_tar(
    file: &mut dyn Write,
    blobs: &BTreeMap<String, &Blob>,
    documents: &[(&str, String)],
) -> Result<()> {
    let mut tar = Builder::new(std::io::BufWriter::new(file));
    for folder in ["blobs/", "blobs/sha256/"] {
        tar.append_data(&mut header(EntryType::Directory, 0o755, 0), folder, &[][..])?;
    }
    for (path, blob) in blobs {
        let mut header = header(EntryType::Regular, 0o644, blob.size_bytes);
        blob.read(|bytes| Ok(tar.append_data(&mut header, path, bytes)?))?;
    }
    for (path, text) in documents {
        let mut header = header(EntryType::Regular, 0o644, text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes())?;
    }
    tar.into_inner()?.flush()?;
    Ok(())
}

fn index_of(images: &[Image]) -> Result<Blob> {
    let manifests: Vec<Value> = images.iter().map(Image::descriptor).collect();
    Blob::of_json(&index_json(&manifests))
}

fn index_json(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": manifests })
}

/// What `docker load` reads. It knows no architectures, so that each of several has a tag of its
/// own.
fn docker_manifest(name: &Name, images: &[Image]) -> Value {
    let entry = |image: &Image| {
        let tag = match images.len() {
            1 => format!("{}:{}", name.repository, name.tag),
            _ => format!("{}:{}-{}", name.repository, name.tag, image.architecture.oci_name()),
        };
        let layers: Vec<String> = image.layers.iter().map(Blob::path).collect();
        json!({ "Config": image.config.path(), "RepoTags": [tag], "Layers": layers })
    };
    images.iter().map(entry).collect()
}
