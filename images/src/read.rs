//! Reads an archive back and holds it to its own digests.
//!
//! In: a tar that [`crate::archive`] wrote. Out: its images, every blob of which is as long as its
//! descriptor says and has the digest it is called by; or the first thing that does not agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use tar::Archive;

use crate::archive::{Image, Name, REFERENCE, media_type};
use crate::blob::{Blob, is_sha256, path_of, sha256_of};
use crate::target::Architecture;

/// Largest document that is read into memory. unit bytes
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// An archive that holds together.
#[derive(Debug)]
pub struct Contents {
    /// What it is called.
    pub name: Name,
    /// Its images.
    pub images: Vec<Image>,
}

/// Reads an archive.
///
/// # Errors
/// The archive, and what in it does not agree.
pub fn read(path: &Path) -> Result<Contents> {
    let named = || format!("archive {}", path.display());
    Reader::open(path).and_then(Reader::walk).with_context(named)
}

struct Reader {
    file: File,
    /// Offset and length of each file.
    places: BTreeMap<String, (u64, u64)>,
    /// Blobs that something leads to.
    reached: BTreeSet<String>,
}

impl Reader {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).context("cannot open")?;
        let mut places = BTreeMap::new();
        let mut archive = Archive::new(file.try_clone()?);
        for entry in archive.entries_with_seek()? {
            let entry = entry.context("no tar, or cut short")?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let place = (entry.raw_file_position(), entry.size());
            ensure!(places.insert(path.clone(), place).is_none(), "{path} is there twice");
        }
        Ok(Self { file, places, reached: BTreeSet::new() })
    }

    fn walk(mut self) -> Result<Contents> {
        let layout = self.document("oci-layout")?;
        ensure!(layout["imageLayoutVersion"] == "1.0.0", "no OCI layout of version 1.0.0");
        let index = self.document("index.json")?;
        let [top] = list(&index["manifests"])? else { bail!("index.json: not one manifest") };
        let tag = text(&top["annotations"][REFERENCE])?.to_owned();
        let mut images = Vec::new();
        if top["mediaType"] == media_type::INDEX {
            let nested = parse(&self.blob(top)?)?;
            for descriptor in list(&nested["manifests"])? {
                images.push(self.image(descriptor)?);
            }
        } else {
            images.push(self.image(top)?);
        }
        let repository = self.check_docker(&images)?;
        let is_blob = |path: &&String| path.starts_with("blobs/");
        if let Some(alone) =
            self.places.keys().filter(is_blob).find(|path| !self.reached.contains(*path))
        {
            bail!("nothing leads to {alone}");
        }
        Ok(Contents { name: Name { repository, tag }, images })
    }

    fn image(&mut self, descriptor: &Value) -> Result<Image> {
        ensure!(descriptor["mediaType"] == media_type::MANIFEST, "{descriptor}: no manifest");
        let manifest = self.blob(descriptor)?;
        let document = parse(&manifest)?;
        let config = self.blob(&document["config"])?;
        let configuration = parse(&config)?;
        let called = text(&configuration["architecture"])?;
        ensure!(descriptor["platform"]["architecture"] == called, "platform is not {called}");
        let architecture = Architecture::from_oci_name(called).context("unknown architecture")?;
        let mut layers = Vec::new();
        for layer in list(&document["layers"])? {
            ensure!(layer["mediaType"] == media_type::LAYER, "{layer}: no layer");
            layers.push(self.blob(layer)?);
        }
        let diffs = list(&configuration["rootfs"]["diff_ids"])?;
        ensure!(diffs.len() == layers.len(), "{} layers, {} diff ids", layers.len(), diffs.len());
        for (layer, diff) in layers.iter().zip(diffs) {
            let (found, _) = layer.read(|bytes| sha256_of(&mut GzDecoder::new(bytes)))?;
            ensure!(*diff == format!("sha256:{found}"), "{}: diff id is not {diff}", layer.path());
        }
        Ok(Image { architecture, manifest, config, layers })
    }

    /// Holds docker's manifest to the same images; what they are called.
    fn check_docker(&self, images: &[Image]) -> Result<String> {
        let document = self.document("manifest.json")?;
        let entries = list(&document)?;
        ensure!(entries.len() == images.len(), "manifest.json: not the images of index.json");
        for (entry, image) in entries.iter().zip(images) {
            let layers: Vec<String> = image.layers.iter().map(Blob::path).collect();
            let is_same = entry["Config"] == image.config.path()
                && entry["Layers"] == serde_json::json!(layers);
            ensure!(is_same, "manifest.json: not the images of index.json");
        }
        let called = text(&entries[0]["RepoTags"][0])?;
        Ok(called.rsplit_once(':').map_or(called, |(repository, _)| repository).to_owned())
    }

    /// The blob that a descriptor leads to, read and compared.
    fn blob(&mut self, descriptor: &Value) -> Result<Blob> {
        let digest = text(&descriptor["digest"])?;
        let sha256 = digest.strip_prefix("sha256:").filter(|hex| is_sha256(hex));
        let sha256 = sha256.with_context(|| format!("{digest} is no sha256 digest"))?;
        let path = path_of(sha256);
        let place = self.places.get(&path).with_context(|| format!("{path} is missing"))?;
        let &(offset, size_bytes) = place;
        ensure!(
            descriptor["size"] == size_bytes,
            "{path}: {size_bytes} bytes, not {}",
            descriptor["size"]
        );
        let blob = Blob::in_file(self.file.try_clone()?, offset, size_bytes, sha256.to_owned());
        blob.verify()?;
        self.reached.insert(path);
        Ok(blob)
    }

    fn document(&self, name: &str) -> Result<Value> {
        let place = self.places.get(name).with_context(|| format!("{name} is missing"))?;
        let file = self.file.try_clone()?;
        parse(&Blob::in_file(file, place.0, place.1, String::new()))
            .with_context(|| name.to_owned())
    }
}

fn parse(blob: &Blob) -> Result<Value> {
    ensure!(blob.size_bytes <= DOCUMENT_BYTES_MAX, "a document of {} bytes", blob.size_bytes);
    blob.read(|bytes| {
        let mut text = Vec::new();
        bytes.read_to_end(&mut text)?;
        serde_json::from_slice(&text).context("no JSON")
    })
}

fn list(value: &Value) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).with_context(|| format!("{value} is no list"))
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}
